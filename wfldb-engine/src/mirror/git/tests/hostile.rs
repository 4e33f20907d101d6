//! Whoever can write in the mirror decides nothing: not what git runs, not where it writes, not what is signed.

use std::os::unix::fs::symlink;

use super::*;

/// Catches: one setting or variable less in `program.rs`: each of the planted things makes a file when it is run.
#[test]
fn planted_hooks_settings_and_filters_are_not_obeyed() {
    needs!("git");
    let mut fixture = Fixture::new();
    let mut history = fixture.history();
    fixture.record(&mut history, &[("a.txt", Some("1\r\n"))]);
    let mark = fixture.dir.path().join("obeyed");
    let script = format!("touch {}\nexit 1", mark.display());
    let program = fake(fixture.dir.path(), &script);
    let git = fixture.mirror().join(".git");
    let hooks = git.join("hooks");
    std::fs::create_dir(&hooks).unwrap();
    for hook in [
        "reference-transaction",
        "post-commit",
        "pre-commit",
        "post-rewrite",
        "pre-auto-gc",
        "post-index-change",
    ] {
        std::fs::copy(&program, hooks.join(hook)).unwrap();
    }
    let run = program.display();
    let config = format!(
        "[core]\n\trepositoryformatversion = 0\n\thooksPath = {}\n\tfsmonitor = {run}\n\tpager = {run}\n\tsshCommand = {run}\n\
         \tcompression = 9\n[include]\n\tpath = {}\n[filter \"x\"]\n\tclean = {run}\n\tsmudge = {run}\n\trequired = true\n\
         [gpg]\n\tprogram = {run}\n[gpg \"ssh\"]\n\tprogram = {run}\n[alias]\n\tfast-import = !{run}\n[diff]\n\texternal = {run}\n\
         [extensions]\n\tworktreeConfig = true\n",
        hooks.display(),
        git.join("more").display()
    );
    std::fs::write(
        git.join("more"),
        format!("[core]\n\thooksPath = {}\n", hooks.display()),
    )
    .unwrap();
    std::fs::write(git.join("config"), &config).unwrap();
    std::fs::create_dir_all(git.join("info")).unwrap();
    for attributes in [
        git.join("info/attributes"),
        fixture.mirror().join(".gitattributes"),
    ] {
        std::fs::write(attributes, "* filter=x text=auto ident\n").unwrap();
    }
    // When it is opened; and while it is open, from right before each program on.
    drop(history);
    let mut history = fixture.history();
    fixture.record(&mut history, &[("b.txt", Some("$Id$ 2\r\n"))]);
    drop(history);
    let planted = fixture.dir.path().join("planted");
    std::fs::write(&planted, &config).unwrap();
    let script = format!(
        "cp {} {}/config\nexec \"$GIT\" \"$@\"",
        planted.display(),
        git.display()
    );
    let program = fake(&fixture.dir.path().join("planter"), &script);
    let mut history = fixture.history_with(&program);
    fixture.record(&mut history, &[("c.txt", Some("3\r\n"))]);
    history.git.run(&repack::ARGUMENTS, QUICK, |_| Ok(())).unwrap();
    assert_eq!(std::fs::read_to_string(git.join("config")).unwrap(), config);
    drop(history);
    drop(fixture.history());
    assert!(!mark.exists(), "something that was planted ran");
    assert_ne!(
        std::fs::read_to_string(git.join("config")).unwrap(),
        config,
        "the configuration is ours again"
    );
    std::fs::remove_dir_all(hooks).unwrap();
    fixture.is_sound();
}

/// Catches: objects taken from, or believed to be in, another place, so that the history is not whole by itself.
#[test]
fn detours_are_removed() {
    needs!("git");
    let mut fixture = Fixture::new();
    let other = Fixture::new();
    let mut elsewhere = other.history();
    record(&mut elsewhere, 1, &[("a.json", Some("the same bytes"))]).unwrap();
    let mut history = fixture.history();
    fixture.record(&mut history, &[("b.json", Some("1"))]);
    let git = fixture.mirror().join(".git");
    let objects = other.mirror().join(".git/objects");
    std::fs::write(
        git.join("objects/info/alternates"),
        format!("{}\n", objects.display()),
    )
    .unwrap();
    std::fs::write(
        git.join("commondir"),
        other.mirror().join(".git").display().to_string(),
    )
    .unwrap();
    std::fs::create_dir_all(git.join("refs/replace")).unwrap();
    std::fs::write(git.join("refs/replace").join("1".repeat(40)), "x").unwrap();
    fixture.record(&mut history, &[("a.json", Some("the same bytes"))]);
    drop((elsewhere, other));
    fixture.is_sound();
}

/// Catches: a link that is followed out of the mirror, wherever in `.git` it is.
#[test]
fn links_and_files_in_the_way_are_not_followed() {
    needs!("git");
    for name in [
        "",
        "objects",
        "objects/pack",
        "refs",
        "refs/heads",
        "refs/heads/main",
        "wfldb-writer",
        "packed-refs",
    ] {
        let fixture = Fixture::new();
        let outside = fixture.dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        drop(fixture.history());
        let git = fixture.mirror().join(".git");
        let path = if name.is_empty() { git } else { git.join(name) };
        for file in [false, true] {
            if path.is_dir() && !path.is_symlink() {
                std::fs::remove_dir_all(&path).unwrap();
            } else if path.symlink_metadata().is_ok() {
                std::fs::remove_file(&path).unwrap();
            }
            let is_directory = ["", "objects", "objects/pack", "refs", "refs/heads"].contains(&name);
            if !file {
                symlink(&outside, &path).unwrap();
            } else if is_directory {
                std::fs::write(&path, "gitdir: /elsewhere\n").unwrap();
            } else {
                continue;
            }
            let error = GitHistory::open(&fixture.mirror(), realm(), key()).unwrap_err();
            assert!(matches!(error, GitError::InTheWay(_)), "{name}: {error}");
        }
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "{name}");
    }
    // One that comes while it is open.
    let mut fixture = Fixture::new();
    let mut history = fixture.history();
    fixture.record(&mut history, &[("a.json", Some("1"))]);
    let pack = fixture.mirror().join(".git/objects/pack");
    std::fs::rename(&pack, fixture.dir.path().join("pack")).unwrap();
    symlink(fixture.dir.path().join("pack"), &pack).unwrap();
    let error = record(&mut history, 2, &[("b.json", Some("2"))]).unwrap_err();
    assert!(matches!(error, GitError::InTheWay(_)), "{error}");
}

/// Catches: a history that goes on from, and so vouches for, what somebody else put there.
#[test]
fn a_branch_that_was_moved_is_not_gone_on_from() {
    needs!("git");
    let mut fixture = Fixture::new();
    let mut history = fixture.history();
    let first = fixture.record(&mut history, &[("a.json", Some("1"))]);
    let second = fixture.record(&mut history, &[("a.json", Some("2"))]);
    let forged = Command::new("git")
        .arg("-C")
        .arg(fixture.mirror())
        .args([
            "-c",
            "user.name=x",
            "-c",
            "user.email=x",
            "commit-tree",
            "-m",
            "x",
            "-p",
            "main",
            "main^{tree}",
        ])
        .output()
        .unwrap();
    let forged = String::from_utf8(forged.stdout).unwrap();
    let forged = forged.trim();
    fixture.said(&["update-ref", "refs/heads/main", forged]);
    let error = record(&mut history, 3, &[("a.json", Some("3"))]).unwrap_err();
    let moved = |from: GitId, found: &GitId| from == second && found.to_string() == forged;
    assert!(
        matches!(&error, GitError::Moved { from: Some(from), found: Some(found) } if moved(*from, found)),
        "{error}"
    );
    assert_eq!(
        fixture.said(&["rev-parse", "main"]).trim(),
        forged,
        "it stays where it was put"
    );
    assert!(matches!(history.last(), Err(GitError::NotOurs(_))));
    assert!(matches!(
        record(&mut history, 3, &[("a.json", Some("3"))]),
        Err(GitError::NotOurs(_))
    ));
    drop(history);
    let open = |key| GitHistory::open(&fixture.mirror(), realm(), key);
    assert!(matches!(open(key()), Err(GitError::NotOurs(_))));
    // One that another store signed is not ours either.
    fixture.said(&["update-ref", "refs/heads/main", &second.to_string()]);
    assert!(matches!(
        open(SecretKey::from_seed([6; 32])),
        Err(GitError::NotOurs(_))
    ));
    // Gone, or at an older one of ours, while it is open.
    for found in [None, Some(first)] {
        let mut history = open(key()).unwrap();
        let to = found.map_or_else(|| NONE.to_owned(), |id| id.to_string());
        fixture.said(&["update-ref", "refs/heads/main", &to]);
        let error = record(&mut history, 3, &[("a.json", Some("3"))]).unwrap_err();
        assert!(
            matches!(&error, GitError::Moved { found: at, .. } if *at == found),
            "{error}"
        );
        fixture.said(&["update-ref", "refs/heads/main", &second.to_string()]);
    }
}

#[test]
fn one_process_writes() {
    needs!("git");
    let fixture = Fixture::new();
    let history = fixture.history();
    assert!(matches!(
        GitHistory::open(&fixture.mirror(), realm(), key()),
        Err(GitError::Busy)
    ));
    drop(history);
    fixture.history();
}

/// Catches: a `git` of the directory that the process happens to be in, or of none.
#[test]
fn the_program_is_the_first_of_an_absolute_path_or_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let find = |path: &str| program::find_in(path.as_ref());
    assert!(matches!(find(""), Err(GitError::Unavailable)));
    assert!(matches!(find(".:bin::target"), Err(GitError::Unavailable)));
    let (plain, good) = (dir.path().join("plain"), dir.path().join("good"));
    for dir in [&plain, &good] {
        std::fs::create_dir(dir).unwrap();
        std::fs::write(dir.join("git"), "").unwrap();
    }
    assert!(
        Command::new("chmod")
            .arg("755")
            .arg(good.join("git"))
            .status()
            .unwrap()
            .success()
    );
    let path = format!(".:{}:{}", plain.display(), good.display());
    assert_eq!(find(&path).unwrap(), good.join("git"));
    let gone = GitHistory::open_with(&plain.join("gone"), dir.path(), realm(), key());
    assert!(matches!(gone, Err(GitError::Unavailable)), "{gone:?}");
}
