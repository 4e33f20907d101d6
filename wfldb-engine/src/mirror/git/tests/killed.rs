//! Programs and processes that end in the middle, stand still, or have no room.

use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use super::*;

const CHILD: &str = "WFLDB_TEST_GIT_CHILD";

/// Catches: a branch at what is not whole, a lock or half a pack that stops the next one, an answer before the branch.
#[test]
fn a_program_killed_at_any_point_leaves_the_last_whole_commit() {
    needs!("git");
    // `$1` is what is to be run; each script ends itself, as `kill -9` would, before, within and after its work.
    let points = [
        "[ \"$1\" = KIND ] && kill -9 $$; exec \"$GIT\" \"$@\"",
        "[ \"$1\" = KIND ] && { head -c 700 | \"$GIT\" \"$@\"; kill -9 $$; }; exec \"$GIT\" \"$@\"",
        "[ \"$1\" = KIND ] && { \"$GIT\" \"$@\" >/dev/null; kill -9 $$; }; exec \"$GIT\" \"$@\"",
        "[ \"$1\" = KIND ] && { \"$GIT\" \"$@\" & sleep 0.003; kill -9 $!; kill -9 $$; }; exec \"$GIT\" \"$@\"",
    ];
    for kind in ["fast-import", "hash-object", "update-ref"] {
        for point in points {
            let mut fixture = Fixture::new();
            fixture.record(&mut fixture.history(), &[("a.json", Some("1"))]);
            let large = "x".repeat(5000);
            let program = fake(fixture.dir.path(), &point.replace("KIND", kind));
            let mut history = fixture.history_with(&program);
            let error = record(&mut history, 2, &[("b.json", Some(&large)), ("a.json", None)]);
            let moved = error.is_err() && history.last().unwrap().unwrap().commit.sequences == (2, 3);
            // As a lock would be left by a process that was killed as well.
            std::fs::write(fixture.mirror().join(".git/refs/heads/main.lock"), "").unwrap();
            std::fs::write(fixture.mirror().join(".git/objects/pack/tmp_pack_x"), "").unwrap();
            drop(history);
            let mut history = fixture.history();
            if moved || error.is_ok() {
                assert_eq!(kind, "update-ref", "{point}");
                fixture.files = BTreeMap::from([("b.json".to_owned(), large.clone().into_bytes())]);
            }
            fixture.is_sound();
            assert_eq!(fixture.leftovers(), Vec::<String>::new(), "{kind}: {point}");
            fixture.record(&mut history, &[("c.json", Some("3"))]);
            fixture.is_sound();
        }
    }
}

/// What the next test kills.
#[test]
fn child() {
    let Some(mirror) = std::env::var_os(CHILD) else {
        return;
    };
    let mut history = GitHistory::open(Path::new(&mirror), realm(), key()).unwrap();
    let began = Instant::now();
    let mut next = history
        .last()
        .unwrap()
        .map_or(1, |head| head.commit.sequences.1 + 1);
    loop {
        let (path, content) = (format!("b/{}.json", next % 40), next.to_string());
        let changes = [(path.as_str(), Some(content.as_str())), ("last", Some(&content))];
        if let Err(error) = record(&mut history, next, &changes) {
            // A program of the process before this one is still at the same pack.
            assert!(began.elapsed() < Duration::from_secs(20), "{error}");
            next = history
                .last()
                .unwrap()
                .map_or(1, |head| head.commit.sequences.1 + 1);
            continue;
        }
        if writeln!(std::io::stdout(), "\ncommitted {}", next + 1).is_err() {
            return;
        }
        next += 2;
    }
}

/// Catches: an acknowledged commit that is lost, and whatever stops the next process.
#[test]
fn a_process_killed_at_any_moment_loses_no_acknowledged_commit() {
    needs!("git");
    let mut fixture = Fixture::new();
    let mut acknowledged = 0;
    for round in 0..8_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "mirror::git::tests::killed::child", "--nocapture"])
            .env(CHILD, fixture.mirror())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let commits = lines.filter_map(|line| line.strip_prefix("committed ")?.parse::<u64>().ok());
        let enough = usize::try_from(round).unwrap() + 1;
        for committed in commits.take(enough) {
            acknowledged = committed;
        }
        // Another point of the next commit each time.
        std::thread::sleep(Duration::from_micros(round * 4700));
        child.kill().unwrap();
        child.wait().unwrap();
        // A program of it may still be at work, and move the branch once more.
        let last = fixture.history().last().unwrap().unwrap().commit.sequences.1;
        assert!(last >= acknowledged, "{last} of {acknowledged}");
        let began = Instant::now();
        loop {
            drop(fixture.history());
            let fsck = fixture.git(&["fsck", "--strict", "--full"]);
            if fsck.status.success() {
                break;
            }
            let said = String::from_utf8_lossy(&fsck.stderr).into_owned();
            assert!(began.elapsed() < Duration::from_secs(20), "{said}");
        }
    }
    let mut history = fixture.history();
    fixture.files = fixture.tree("main");
    fixture.seq = 10_000;
    fixture.record(&mut history, &[("end", Some("end"))]);
    fixture.is_sound();
}

/// Catches: waiting for a program, or for what it started, for ever.
#[test]
fn a_program_that_stands_still_is_ended_with_what_it_started() {
    needs!("git");
    let dir = tempfile::tempdir().unwrap();
    let program = fake(dir.path(), "sleep 1000 & echo $! > \"$DIR/pid\"; sleep 1000");
    let git = Git::new(&program, dir.path());
    let began = Instant::now();
    let error = git
        .run(&["fast-import"], Duration::from_millis(700), |_| Ok(()))
        .unwrap_err();
    assert!(matches!(error, GitError::Ended(_)), "{error}");
    assert!(began.elapsed() < Duration::from_secs(30));
    let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap();
    // Ended, be it that nobody has waited for it yet.
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    while state().is_ok_and(|state| !state.contains(") Z ")) {
        assert!(began.elapsed() < Duration::from_secs(30), "it goes on");
        std::thread::yield_now();
    }
}

/// Catches: a pipe that is written to while nobody reads it, and an error that is lost behind the broken pipe.
#[test]
fn a_program_that_does_not_listen_says_why() {
    needs!("git");
    let fixture = Fixture::new();
    drop(fixture.history());
    let program = fake(
        fixture.dir.path(),
        "[ \"$1\" = fast-import ] && { exec <&-; echo no room >&2; exit 3; }; exec \"$GIT\" \"$@\"",
    );
    let mut history = fixture.history_with(&program);
    let large = "x".repeat(2_000_000);
    let error = record(&mut history, 1, &[("a.json", Some(&large))]).unwrap_err();
    assert!(error.to_string().contains("no room"), "{error}");
}

/// Catches: a commit on a full disk, and what it would leave. The limit on the size of files stands for the disk.
#[test]
fn without_room_there_is_no_commit_and_nothing_is_left() {
    needs!("git");
    let mut fixture = Fixture::new();
    fixture.record(&mut fixture.history(), &[("a.json", Some("1"))]);
    let program = fake(
        fixture.dir.path(),
        "trap '' XFSZ; ulimit -f 16; exec \"$GIT\" \"$@\"",
    );
    let mut history = fixture.history_with(&program);
    let bytes: Vec<String> = (0..20_000_u64)
        .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string())
        .collect();
    let error = record(&mut history, 2, &[("b.json", Some(&bytes.concat()))]).unwrap_err();
    assert!(
        matches!(error, GitError::Failed { .. } | GitError::Ended(_)),
        "{error}"
    );
    assert_eq!(fixture.leftovers(), Vec::<String>::new());
    assert_eq!(history.last().unwrap().unwrap().commit.sequences, (1, 1));
    drop(history);
    fixture.is_sound();
    fixture.record(&mut fixture.history(), &[("b.json", Some(&bytes.concat()))]);
    fixture.is_sound();
}
