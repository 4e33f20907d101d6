//! What the client does without any server: where downloads may go, what a walk finds, how the program fails.
#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use wfldb_client::profile::{create_secret_file, read_secret_file, replace_secret_file};
use wfldb_client::tree::meta::{FileMeta, Mtime};
use wfldb_client::tree::name::path_of;
use wfldb_client::tree::part::PartFile;
use wfldb_client::tree::place::TargetDir;
use wfldb_client::tree::walk::{Found, Walk};
use wfldb_client::{Client, ClientOptions, Error, Prepared, Profile, PutOptions};
use wfldb_core::id::ContentHash;

pub(crate) const KEY: &str = "wsk1tvq3dhpp7vngbouejl2jf3bmyrcetrljpmzgsglqhowaghfop5qjcgq";

pub(crate) fn profile_text(url: &str) -> String {
    format!(r#"{{"url":"{url}","realm":"local","packet":"a.b.c","key":"{KEY}"}}"#)
}

fn write(target: &TargetDir, path: &str, bytes: &[u8]) -> Result<(), Error> {
    let mut part = target.begin(Path::new(path))?;
    part.write(bytes)?;
    part.finish(FileMeta::default())
}

#[test]
fn a_file_appears_whole_with_its_time_and_mode() {
    let dir = TempDir::new().unwrap();
    let target = TargetDir::open(&dir.path().join("new/deep")).unwrap();
    let mut part = target.begin(Path::new("a/b.txt")).unwrap();
    part.write(b"half").unwrap();
    let part_path = dir.path().join("new/deep/a/.b.txt.wfldb-part");
    assert_eq!(
        fs::metadata(&part_path).unwrap().mode() & 0o777,
        0o600,
        "private until finished"
    );
    assert!(!dir.path().join("new/deep/a/b.txt").exists());
    let meta = FileMeta {
        mtime: Some(Mtime {
            seconds: 1_000_000_000,
            nanos: 7,
        }),
        mode: Some(0o640),
    };
    part.finish(meta).unwrap();
    let written = fs::metadata(dir.path().join("new/deep/a/b.txt")).unwrap();
    assert_eq!(
        (written.mtime(), written.mtime_nsec(), written.mode() & 0o777),
        (1_000_000_000, 7, 0o640)
    );
    assert!(!part_path.exists());
    let hash = target.hash_of(Path::new("a/b.txt"), 4).unwrap();
    assert_eq!(hash, Some(ContentHash::of(b"half")));
    assert_eq!(target.hash_of(Path::new("a/b.txt"), 5).unwrap(), None);
    assert_eq!(target.hash_of(Path::new("x/y/z"), 5).unwrap(), None);
}

#[test]
fn an_abandoned_part_goes_and_a_left_one_is_started_over() {
    let dir = TempDir::new().unwrap();
    let target = TargetDir::open(dir.path()).unwrap();
    let mut part = target.begin(Path::new("f")).unwrap();
    part.write(b"half").unwrap();
    drop(part);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    fs::write(dir.path().join(".f.wfldb-part"), b"from a killed process").unwrap();
    write(&target, "f", b"whole").unwrap();
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"whole");
}

#[test]
fn two_downloads_do_not_share_a_part() {
    let dir = TempDir::new().unwrap();
    let target = TargetDir::open(dir.path()).unwrap();
    let first = target.begin(Path::new("f")).unwrap();
    assert!(
        target
            .begin(Path::new("f"))
            .unwrap_err()
            .to_string()
            .contains("another wfldb")
    );
    drop(first);
    target.begin(Path::new("f")).unwrap();
}

#[test]
fn nothing_is_written_through_or_over_a_link() {
    let dir = TempDir::new().unwrap();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("victim"), b"precious").unwrap();
    let target = TargetDir::open(dir.path()).unwrap();
    symlink(outside.path(), dir.path().join("way-out")).unwrap();
    symlink(outside.path().join("victim"), dir.path().join("link")).unwrap();
    symlink(outside.path().join("victim"), dir.path().join(".new.wfldb-part")).unwrap();
    for path in ["way-out/victim", "way-out/new", "way-out/deep/new", "link", "new"] {
        assert!(write(&target, path, b"evil").is_err(), "{path}");
    }
    assert!(target.make_directory(Path::new("way-out/deep")).is_err());
    assert!(target.hash_of(Path::new("way-out/victim"), 8).is_err());
    assert_eq!(target.hash_of(Path::new("link"), 8).unwrap(), None);
    assert_eq!(fs::read(outside.path().join("victim")).unwrap(), b"precious");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert!(
        fs::symlink_metadata(dir.path().join("link"))
            .unwrap()
            .is_symlink()
    );
}

#[test]
fn paths_that_are_no_plain_names_are_refused_below_a_target() {
    let dir = TempDir::new().unwrap();
    let target = TargetDir::open(&dir.path().join("t")).unwrap();
    for path in ["../x", "/tmp/wfldb-test-x", "a/../../x", "", ".."] {
        assert!(write(&target, path, b"evil").is_err(), "{path}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_file_and_a_directory_of_one_name_do_not_overwrite_each_other() {
    let dir = TempDir::new().unwrap();
    let target = TargetDir::open(dir.path()).unwrap();
    write(&target, "a", b"file").unwrap();
    assert!(write(&target, "a/b", b"below").is_err());
    write(&target, "d/b", b"below").unwrap();
    assert!(write(&target, "d", b"file").is_err());
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"file");
    assert_eq!(fs::read(dir.path().join("d/b")).unwrap(), b"below");
}

#[test]
fn a_special_file_is_never_replaced() {
    assert!(
        PartFile::at(Path::new("/dev/null"))
            .unwrap_err()
            .to_string()
            .contains("special file")
    );
    assert!(!Path::new("/dev/.null.wfldb-part").exists());
}

#[test]
fn a_walk_is_in_key_order_and_leaves_nothing_out_silently() {
    let dir = TempDir::new().unwrap();
    let outside = TempDir::new().unwrap();
    let root = dir.path();
    for path in ["a/b", "a.txt", "a/c/d", "scan", "_find/x", "z%41"] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    }
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"n\xffn")), b"x").unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::write(root.join(".x.wfldb-part"), b"x").unwrap();
    symlink("a.txt", root.join("link")).unwrap();
    symlink("..", root.join("a/up")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    symlink(outside.path(), root.join("out")).unwrap();
    let look = |follow| {
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for found in Walk::new(root, "", follow).unwrap() {
            match found {
                Found::File { path, key, .. } | Found::EmptyDirectory { path, key, .. } => {
                    let back = path_of("", key.as_str()).unwrap();
                    assert_eq!(root.join(back.path), path);
                    keys.push(key.to_string());
                }
                Found::Skipped { path, .. } => {
                    skipped.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
                }
                Found::Failed { path, error } => panic!("{}: {error}", path.display()),
            }
        }
        assert!(keys.is_sorted(), "{keys:?}");
        (keys, skipped)
    };
    let (keys, skipped) = look(false);
    let all = [
        "%5Ffind/x",
        "%73can",
        "a.txt",
        "a/b",
        "a/c/d",
        "empty/",
        "n%FFn",
        "z%2541",
    ];
    assert_eq!(keys, all);
    assert_eq!(skipped, [".x.wfldb-part", "a/up", "dangling", "link", "out"]);
    let (keys, skipped) = look(true);
    assert!(keys.contains(&"link".to_owned()) && keys.len() == all.len() + 1);
    assert_eq!(skipped, [".x.wfldb-part", "a/up", "dangling", "out"]);
}

#[test]
fn secret_files_are_private_and_checked() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("key");
    create_secret_file(&path, "one").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert!(
        create_secret_file(&path, "two").is_err(),
        "a key is not overwritten by accident"
    );
    replace_secret_file(&path, "three").unwrap();
    assert_eq!(*read_secret_file(&path).unwrap(), "three");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(
        read_secret_file(&path)
            .unwrap_err()
            .to_string()
            .contains("chmod 600")
    );
}

#[tokio::test]
async fn a_file_is_hashed_as_b3sum_would() {
    let dir = TempDir::new().unwrap();
    for len in [0_usize, 1, 1 << 20, (1 << 20) + 1, 3_000_001] {
        let bytes: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let path = dir.path().join("f");
        fs::write(&path, &bytes).unwrap();
        let prepared = Prepared::file(&path).await.unwrap();
        assert_eq!(prepared.etag(), ContentHash::of(&bytes));
        assert_eq!(prepared.len(), len as u64);
    }
    assert!(Prepared::file(dir.path()).await.is_err());
    assert!(Prepared::file(Path::new("/dev/null")).await.is_err());
}

#[tokio::test]
async fn an_unreachable_server_is_a_transport_error_in_bounded_time() {
    // A port that was just free and is closed again: nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let profile = Profile::parse(&profile_text(&format!("http://127.0.0.1:{port}"))).unwrap();
    let retry = wfldb_client::retry::RetryPolicy {
        attempts_max: 3,
        ..Default::default()
    };
    let client = Client::with_options(
        profile,
        ClientOptions {
            retry,
            ..Default::default()
        },
    );
    let bucket = wfldb_core::name::BucketName::parse("photos").unwrap();
    let key = wfldb_core::name::ObjectKey::parse("x").unwrap();
    let error = client
        .put(&bucket, &key, "x", PutOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Transport(_)),
        "a write that was never sent is not unknown: {error:?}"
    );
}

fn wfldb(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wfldb"));
    command
        .args(arguments)
        .env_remove("WFLDB_PROFILE")
        .env("HOME", "/nonexistent")
        .env_remove("XDG_CONFIG_HOME");
    command.output().unwrap()
}

#[test]
fn wrong_usage_is_exit_code_2_and_leaks_no_key() {
    let dir = TempDir::new().unwrap();
    let profile = dir.path().join("p.json");
    create_secret_file(
        &profile,
        &profile_text("http://127.0.0.1:1").replace("local", "LOCAL"),
    )
    .unwrap();
    let profile = profile.to_str().unwrap();
    for arguments in [
        &["nonsense"][..],
        &["ls"],
        &["--profile", "/nonexistent", "ls"],
        &["--profile", profile, "ls"],
        &["--profile", profile, "get", "UPPER/x"],
        &["--profile", profile, "cp", "a", "b"],
    ] {
        let output = wfldb(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(!text.is_empty() && !text.contains("tvq3dhpp"), "{text}");
    }
}

#[test]
fn help_states_the_rules_and_the_exit_codes() {
    let help = String::from_utf8(wfldb(&["--help"]).stdout).unwrap();
    assert!(
        help.contains("Exit codes:") && help.contains("WFLDB_PROFILE"),
        "{help}"
    );
    let rules = String::from_utf8(wfldb(&["cp", "--help"]).stdout).unwrap();
    for word in [
        "Symbolic links",
        "Empty directories",
        "Times and modes",
        "%XX",
        "wfldb-part",
        "--follow",
    ] {
        assert!(rules.contains(word), "{word}: {rules}");
    }
}
