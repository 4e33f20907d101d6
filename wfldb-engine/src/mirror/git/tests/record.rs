//! What a commit has, and what git says of it.

use super::*;

#[test]
fn commits_have_their_files_and_trailers_and_verify() {
    needs!("git");
    let mut fixture = Fixture::new();
    let mut history = fixture.history();
    assert_eq!(history.last().unwrap(), None);
    fixture.record(
        &mut history,
        &[
            ("wfldb.json", Some("{}\n")),
            ("users/a.json", Some("{\"a\":1}\n")),
            ("users/b.json", Some("")),
        ],
    );
    fixture.record(
        &mut history,
        &[("users/.deleted/b.json", Some("b\n")), ("users/b.json", None)],
    );
    let id = fixture.record(&mut history, &[("users/a.json", Some("{\"a\":2}\n"))]);
    fixture.is_sound();

    let trailer = |key: &str| {
        fixture.said(&[
            "log",
            "-1",
            &format!("--format=%(trailers:key={key},valueonly)"),
            "main",
        ])
    };
    assert_eq!(trailer("Wfldb-Seq").trim(), "6-6");
    assert_eq!(trailer("Wfldb-Author").trim(), "wc1first\nwc1second");
    assert_eq!(
        trailer("Wfldb-Checkpoint").trim(),
        format!("6 {}", TreeHash::EMPTY)
    );
    let times = fixture.said(&["log", "--format=%at %ct %an %ae", "main"]);
    let node = KeyId::new(Role::Node, key().public_key());
    let line = |seconds: u64| format!("{seconds} {seconds} local-test {node}\n");
    assert_eq!(
        times,
        [line(1_700_000_006), line(1_700_000_005), line(1_700_000_003)].concat()
    );

    let head = history.last().unwrap().unwrap();
    assert_eq!((head.id, head.commit.sequences), (id, (6, 6)));
    drop(history);
    let mut history = fixture.history();
    assert_eq!(
        history.last().unwrap().unwrap().id,
        id,
        "what was written is found again"
    );
    assert_eq!(fixture.leftovers(), Vec::<String>::new());
}

/// Catches: a signature in another namespace or armour than git's, or over other bytes than git takes away around it.
#[test]
fn git_and_ssh_keygen_verify_the_commits_and_nothing_else() {
    needs!("git");
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        println!("SKIPPED: there is no ssh-keygen on this machine");
        return;
    }
    let mut fixture = Fixture::new();
    let mut history = fixture.history();
    for n in 0..3 {
        fixture.record(&mut history, &[("a/x.json", Some(&n.to_string()))]);
    }
    for commit in ["main", "main~1", "main~2"] {
        fixture.said(&["verify-commit", commit]);
    }
    let signer = fixture.said(&["log", "-1", "--format=%G? %GS", "main"]);
    assert_eq!(
        signer.trim(),
        format!("G {}", KeyId::new(Role::Node, key().public_key()))
    );
    // The same commit with another message below the same signature.
    let forged = fixture
        .said(&["cat-file", "commit", "main"])
        .replace("Wfldb-Seq: 3-3", "Wfldb-Seq: 3-4");
    std::fs::write(fixture.dir.path().join("forged"), forged).unwrap();
    let path = fixture.dir.path().join("forged").display().to_string();
    let id = fixture.said(&["hash-object", "-t", "commit", "-w", &path]);
    assert!(!fixture.git(&["verify-commit", id.trim()]).status.success());
}

/// Catches: anything of the machine, the moment or an earlier run in the bytes.
#[test]
fn the_same_batches_give_the_same_commits() {
    needs!("git");
    let ids = [(); 2].map(|()| {
        let mut fixture = Fixture::new();
        let mut history = fixture.history();
        fixture.record(&mut history, &[("b/1.json", Some("1")), ("b/2.json", Some("2"))]);
        drop(history);
        fixture.record(&mut fixture.history(), &[("b/1.json", None)])
    });
    assert_eq!(ids[0], ids[1]);
}

/// Catches: an increment that starts from nothing, a whole one that starts from what was, a move that leaves one of two.
#[test]
fn files_come_go_and_move_and_a_whole_commit_is_all_there_is() {
    needs!("git");
    let mut fixture = Fixture::new();
    let mut history = fixture.history();
    let names: Vec<String> = (0..40).map(|n| format!("k{n}.json")).collect();
    let flat: Vec<String> = names.iter().map(|name| format!("users/{name}")).collect();
    let all: Vec<_> = flat
        .iter()
        .map(|path| (path.as_str(), Some(path.as_str())))
        .collect();
    fixture.record(&mut history, &all);
    let sharded: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(n, name)| format!("users/{n:02x}/{name}"))
        .collect();
    let mut moved = Vec::new();
    for (from, to) in flat.iter().zip(&sharded) {
        moved.push((from.as_str(), None));
        moved.push((to.as_str(), Some(from.as_str())));
    }
    fixture.record(&mut history, &moved);
    fixture.is_sound();
    assert_eq!(fixture.files.len(), 40);
    let renamed = fixture.said(&[
        "diff",
        "-M100%",
        "--diff-filter=R",
        "--name-only",
        "main~1",
        "main",
    ]);
    assert_eq!(renamed.lines().count(), 40);

    // A name that was a file is a directory, and the other way round.
    fixture.record(
        &mut history,
        &[("users/00/k0.json", None), ("other", Some("file"))],
    );
    fixture.record(&mut history, &[("other", None), ("other/x.json", Some("x"))]);
    fixture.is_sound();
    record_all(
        &mut history,
        true,
        (200, 200),
        batch_changes(&[("only.json", Some("o"))]),
    )
    .unwrap();
    fixture.files = BTreeMap::from([("only.json".to_owned(), b"o".to_vec())]);
    fixture.is_sound();
    assert_eq!(fixture.said(&["rev-list", "--count", "main"]).trim(), "5");
    fixture.record(&mut history, &[("only.json", None)]);
    fixture.is_sound();
    assert_eq!(fixture.files.len(), 0);
}

/// Catches: bytes that a filter, a line's end, a big-file rule or a short read would change.
#[test]
fn all_bytes_come_through() {
    needs!("git");
    let mut fixture = Fixture::new();
    let mut history = fixture.history();
    let large: Vec<u8> = (0..3_000_000_u32)
        .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
        .collect();
    let odd = b"\r\n$Id$\ndone\ndata 5\n\0\xff".to_vec();
    let content = |bytes: &[u8]| Some(bytes.to_vec().into());
    let changes = vec![
        Ok(GitChange {
            path: "o/large".to_owned(),
            content: content(&large),
        }),
        Ok(GitChange {
            path: "o/.meta/odd%20+1.json".to_owned(),
            content: content(&odd),
        }),
    ];
    record_all(&mut history, false, (1, 2), changes).unwrap();
    fixture.files.insert("o/large".to_owned(), large);
    fixture.files.insert("o/.meta/odd%20+1.json".to_owned(), odd);
    fixture.is_sound();
}

/// Catches: half a file, or half a batch, as a commit.
#[test]
fn what_cannot_be_read_or_named_is_no_commit() {
    needs!("git");
    let mut fixture = Fixture::new();
    let mut history = fixture.history();
    let before = fixture.record(&mut history, &[("a.json", Some("1"))]);
    let bad = [
        "",
        "/a",
        "a//b",
        "../a",
        "a/..",
        "./a",
        "a\nb",
        "a\"b",
        "\"a\"",
        "a b",
        "a\\b",
        "\u{e9}",
        ".git/config",
        "x/.GIT/y",
        "c:x",
    ];
    for path in bad {
        let error = record(&mut history, 9, &[("z.json", Some("z")), (path, Some("x"))]).unwrap_err();
        assert!(matches!(error, GitError::Path(_)), "{path:?}: {error}");
        let error = record(&mut history, 9, &[(path, None)]).unwrap_err();
        assert!(matches!(error, GitError::Path(_)), "{path:?}: {error}");
    }
    let short = GitChange {
        path: "s.json".to_owned(),
        content: Some(Content::new(9, &b"short"[..])),
    };
    let broken = Err(std::io::ErrorKind::PermissionDenied.into());
    for changes in [vec![Ok(short)], vec![broken]] {
        let error = record_all(&mut history, false, (2, 2), changes).unwrap_err();
        assert!(matches!(error, GitError::Source(_)), "{error}");
    }
    assert_eq!(history.last().unwrap().unwrap().id, before);
    fixture.is_sound();
    assert_eq!(fixture.leftovers(), Vec::<String>::new());
    fixture.record(&mut history, &[("b.json", Some("2"))]);
    fixture.is_sound();
}

/// Catches: a history of thousands of packs, and a packing that loses objects or that commits wait for.
#[test]
fn packs_stay_few() {
    needs!("git");
    let mut fixture = Fixture::new();
    let mut history = fixture.history();
    let mut most = 0;
    for n in 0..120 {
        let path = format!("b/{:02x}/k{n}.json", n % 7);
        fixture.record(
            &mut history,
            &[
                (&path, Some(&n.to_string())),
                ("b/hot.json", Some(&n.to_string())),
            ],
        );
        most = most.max(history.repository.packs());
    }
    while history.repack.is_running() {
        std::thread::yield_now();
    }
    fixture.record(&mut history, &[("b/hot.json", Some("end"))]);
    assert!(most < 100, "{most} packs");
    fixture.is_sound();
    assert_eq!(fixture.said(&["rev-list", "--count", "main"]).trim(), "121");
    drop(history);
    fixture.history();
    assert_eq!(fixture.leftovers(), Vec::<String>::new());
}
