//! The command line, as a user types it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use wfldb_tests::{Server, binary, noise, wait_until};

fn run(profile: &Path, arguments: &[&str]) -> Output {
    Command::new(binary("wfldb"))
        .arg("--profile")
        .arg(profile)
        .args(arguments)
        .output()
        .unwrap()
}

fn ok(profile: &Path, arguments: &[&str]) -> String {
    let output = run(profile, arguments);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {words}");
    String::from_utf8(output.stdout).unwrap()
}

/// A tree with what trees have: nesting, empty files and directories, odd names, a file in chunks.
fn make_tree(root: &Path, files: usize) {
    for n in 0..files {
        let dir = root.join(format!("d{}/e{}", n % 7, n % 13));
        fs::create_dir_all(&dir).unwrap();
        let len = n * 37 % 5000;
        fs::write(dir.join(format!("file {n} ü.txt")), noise(n as u64, len)).unwrap();
    }
    fs::write(root.join("large.bin"), noise(99, 9_000_000)).unwrap();
    fs::create_dir_all(root.join("empty/below")).unwrap();
}

fn same_trees(a: &Path, b: &Path) {
    let output = Command::new("diff").args(["-r"]).arg(a).arg(b).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn every_verb_works_in_words_and_in_json() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let profile = server.profile_file();
    let file = dir.path().join("hello.txt");
    fs::write(&file, "hello").unwrap();
    let file = file.to_str().unwrap();
    ok(&profile, &["mb", "verbs"]);
    assert!(ok(&profile, &["ls"]).contains("verbs"));
    ok(&profile, &["put", file, "verbs/dir/hello.txt"]);
    assert_eq!(ok(&profile, &["cat", "verbs/dir/hello.txt"]), "hello");
    let copy = dir.path().join("copy.txt");
    ok(&profile, &["get", "verbs/dir/hello.txt", copy.to_str().unwrap()]);
    assert_eq!(fs::read(&copy).unwrap(), b"hello");
    assert!(ok(&profile, &["ls", "verbs"]).contains("dir/"));
    assert!(ok(&profile, &["scan", "verbs", "--prefix", "dir/"]).contains("dir/hello.txt"));
    let stat: serde_json::Value =
        serde_json::from_str(&ok(&profile, &["--json", "stat", "verbs/dir/hello.txt"])).unwrap();
    assert_eq!(stat["size"], 5);
    ok(&profile, &["rm", "verbs/dir/hello.txt"]);
    assert_eq!(
        run(&profile, &["cat", "verbs/dir/hello.txt"]).status.code(),
        Some(4)
    );
    ok(&profile, &["restore", "verbs/dir/hello.txt"]);
    assert_eq!(ok(&profile, &["cat", "verbs/dir/hello.txt"]), "hello");
    let versions = ok(&profile, &["--json", "versions", "verbs/dir/hello.txt"]);
    assert_eq!(versions.lines().count(), 3);
    for line in versions.lines() {
        let _: serde_json::Value = serde_json::from_str(line).unwrap();
    }
    assert_eq!(run(&profile, &["rb", "verbs"]).status.code(), Some(5));
    ok(&profile, &["rb", "--force", "verbs"]);
    assert_eq!(run(&profile, &["ls", "verbs"]).status.code(), Some(4));
}

#[test]
fn a_tree_goes_up_and_comes_down_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let profile = server.profile_file();
    let (up, down) = (dir.path().join("up"), dir.path().join("down"));
    make_tree(&up, 300);
    ok(&profile, &["mb", "tree"]);
    ok(
        &profile,
        &["cp", "-r", up.to_str().unwrap(), "wfldb://tree/backup"],
    );
    ok(
        &profile,
        &["cp", "-r", "wfldb://tree/backup", down.to_str().unwrap()],
    );
    same_trees(&up, &down);
    // A second run finds everything there.
    let before = ok(&profile, &["--json", "ls"]);
    ok(
        &profile,
        &["cp", "-r", up.to_str().unwrap(), "wfldb://tree/backup"],
    );
    assert_eq!(
        ok(&profile, &["--json", "ls"]),
        before,
        "nothing was written again"
    );
}

#[test]
fn a_copy_that_a_crash_interrupted_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut server = Server::start(&data);
    let profile = server.profile_file();
    let (up, down) = (dir.path().join("up"), dir.path().join("down"));
    make_tree(&up, 1500);
    ok(&profile, &["mb", "tree"]);
    let mut copying = Command::new(binary("wfldb"))
        .arg("--profile")
        .arg(&profile)
        .args(["cp", "-r", up.to_str().unwrap(), "wfldb://tree/backup"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_until(Duration::from_mins(1), "some files to be there", || {
        ok(&profile, &["scan", "tree", "--limit", "60"]).lines().count() >= 60
    });
    server.kill();
    let interrupted = copying.wait().unwrap();
    assert!(
        !interrupted.success(),
        "a copy without its server does not claim to be complete"
    );
    let server = Server::start(&data);
    let profile = server.profile_file();
    ok(
        &profile,
        &["cp", "-r", up.to_str().unwrap(), "wfldb://tree/backup"],
    );
    ok(
        &profile,
        &["cp", "-r", "wfldb://tree/backup", down.to_str().unwrap()],
    );
    same_trees(&up, &down);
}
