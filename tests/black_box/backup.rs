//! Backups as an operator takes them: through a running server, of a stopped store, restored, and cut off by `kill -9`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use wfldb_client::{Client, GetOptions, Profile, PutOptions};
use wfldb_core::object::BucketConfig;
use wfldb_tests::{Request, Server, binary, bucket, key, noise, wait_until};

const ROUNDS: u64 = 6;

fn admin(arguments: &[&str]) -> Output {
    Command::new(binary("wfldb-admin"))
        .arg("--json")
        .args(arguments)
        .env_remove("WFLDB_PROFILE")
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn path_of(value: &Value) -> PathBuf {
    value.get("path").and_then(Value::as_str).unwrap().into()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// The paths of the backups of a series, oldest first.
fn listed(series: &Path) -> Vec<PathBuf> {
    let found = json(&admin(&["backup", "list", text(series)]));
    found
        .get("backups")
        .and_then(Value::as_array)
        .unwrap()
        .iter()
        .map(path_of)
        .collect()
}

async fn put(client: &Client, name: &str, body: Vec<u8>) -> Result<(), wfldb_client::Error> {
    let options = PutOptions::default();
    let stored = client.put(&bucket("kept"), &key(name), body, options).await;
    stored.map(|_| ())
}

async fn fill(client: &Client, objects: u64) {
    let config = BucketConfig::default();
    client.create_bucket(&bucket("kept"), &config).await.unwrap();
    for n in 0..objects {
        // Every second one goes through a chunk file of its own.
        let len = if n % 2 == 0 { 70_000 } else { 500 };
        let body = noise(n, len);
        put(client, &format!("k{n}"), body).await.unwrap();
    }
}

async fn is_as_filled(client: &Client, objects: u64) {
    for n in 0..objects {
        let len = if n % 2 == 0 { 70_000 } else { 500 };
        let found = client
            .get(&bucket("kept"), &key(&format!("k{n}")), GetOptions::default())
            .await
            .unwrap();
        assert_eq!(found.bytes(1 << 20).await.unwrap(), noise(n, len), "k{n}");
    }
}

fn profile_at(profile: &Profile, listen: &str) -> Profile {
    let mut fields: Value = serde_json::from_str(&profile.to_text().unwrap()).unwrap();
    let url = format!("http://{listen}");
    let fields_of = fields.as_object_mut().unwrap();
    fields_of.insert("url".to_owned(), url.into());
    // A restored server has a key of its own.
    fields_of.remove("node");
    Profile::parse(&fields.to_string()).unwrap()
}

/// A defect it catches: a store that cannot be looked at offline by whoever has a profile in the environment.
#[test]
fn a_stopped_store_is_verified_whatever_profile_is_in_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    assert!(Server::start(&data).terminate().success());
    let checked = Command::new(binary("wfldb-admin"))
        .args(["verify", "--data", text(&data)])
        .env("WFLDB_PROFILE", dir.path().join("nowhere.json"))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    assert!(
        String::from_utf8_lossy(&checked.stdout).starts_with("sound"),
        "{checked:?}"
    );
}

#[test]
fn a_backup_of_a_running_server_becomes_a_server_that_refuses_replays() {
    let dir = tempfile::tempdir().unwrap();
    let (data, series) = (dir.path().join("data"), dir.path().join("backups"));
    fs::create_dir(&series).unwrap();
    let server = Server::start_with(&data, &["--backup-dir", text(&series)], &[]);
    let runtime = runtime();
    runtime.block_on(fill(&server.client(), 20));
    let profile = server.profile_file();
    let daily = series.join("daily");
    let online = ["backup", text(&daily), "--profile", text(&profile)];
    let first = json(&admin(&online));
    let captured = Request::signed(&server.profile(), "GET", "/v1/kept/k1", &[], b"");
    assert_eq!(captured.send(&server.listen).status, 200);
    let second = json(&admin(&online));
    assert_eq!(listed(&daily), [path_of(&first), path_of(&second)]);
    let admin_profile = server.profile();
    assert!(server.terminate().success());

    // A stopped store, into the same series.
    let third = json(&admin(&["backup", text(&daily), "--data", text(&data)]));
    assert_eq!(listed(&daily).len(), 3);
    for path in [&first, &second, &third].map(path_of) {
        let verdict = json(&admin(&["backup", "verify", text(&path)]));
        assert_eq!(verdict.get("sound"), Some(&Value::Bool(true)), "{verdict}");
    }

    // The newest at or before the second.
    let time = second.get("time").and_then(Value::as_str).unwrap();
    let to = dir.path().join("restored");
    let restore = [
        "restore",
        text(&daily),
        time,
        "--to",
        text(&to),
        "--skew-future",
        "5",
    ];
    let report = json(&admin(&restore));
    assert_eq!(
        report.get("backup").and_then(Value::as_str),
        Some(text(&path_of(&second)))
    );
    assert_eq!(admin(&restore).status.code(), Some(1), "it is not empty any more");
    let restored = Server::start(&to);
    let client = Client::from_profile(profile_at(&admin_profile, &restored.listen));
    runtime.block_on(is_as_filled(&client, 20));
    // Accepted by the first server: its nonce is not known here, its timestamp is before the mark.
    let replayed = captured.send(&restored.listen);
    assert_eq!(
        (replayed.status, replayed.code().as_deref()),
        (401, Some("Unauthenticated"))
    );
    runtime
        .block_on(put(&client, "after", b"after".to_vec()))
        .unwrap();
    assert!(restored.terminate().success());
}

#[test]
fn backups_go_where_the_operator_allows_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let (data, series) = (dir.path().join("data"), dir.path().join("backups"));
    fs::create_dir_all(&series).unwrap();
    fs::create_dir(dir.path().join("outside")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("outside"), series.join("link")).unwrap();
    let ask = |server: &Server, path: &str| {
        let body = serde_json::json!({ "path": path }).to_string();
        let headers = [("content-type", "application/json")];
        let request = Request::signed(
            &server.profile(),
            "POST",
            "/v1/_backup",
            &headers,
            body.as_bytes(),
        );
        let answer = request.send(&server.listen);
        (answer.status, answer.code().unwrap_or_default())
    };
    let server = Server::start(&data);
    let below = series.join("daily");
    assert_eq!(
        ask(&server, text(&below)),
        (403, "BackupNotConfigured".to_owned())
    );
    assert!(server.terminate().success());

    let server = Server::start_with(&data, &["--backup-dir", text(&series)], &[]);
    let refused = (403, "BackupPathNotAllowed".to_owned());
    for outside in ["../outside", "daily/../../outside", "link", "link/x"] {
        assert_eq!(ask(&server, text(&series.join(outside))), refused, "{outside}");
    }
    assert_eq!(ask(&server, text(dir.path())), refused);
    assert_eq!(ask(&server, text(&data)), refused);
    assert_eq!(ask(&server, "daily"), (400, "BadBody".to_owned()));
    assert_eq!(fs::read_dir(dir.path().join("outside")).unwrap().count(), 0);
    // A file is in the way: said, and writes go on.
    fs::write(series.join("file"), "").unwrap();
    assert_eq!(ask(&server, text(&series.join("file/x"))), refused);
    assert_eq!(ask(&server, text(&below)).0, 200);
    let runtime = runtime();
    runtime.block_on(fill(&server.client(), 2));
    assert!(server.terminate().success());
}

/// Seeded: a backup that is made under a name that shows, with its manifest before its chunks.
#[test]
fn a_server_that_is_killed_in_mid_backup_leaves_no_half_one() {
    const OBJECTS: u64 = 300;
    let dir = tempfile::tempdir().unwrap();
    let (data, series) = (dir.path().join("data"), dir.path().join("backups"));
    fs::create_dir(&series).unwrap();
    let flags = ["--backup-dir", text(&series)];
    let runtime = runtime();
    let mut cut = 0;
    for round in 0..ROUNDS {
        let mut server = Server::start_with(&data, &flags, &[]);
        let client = server.client();
        if round == 0 {
            runtime.block_on(fill(&client, OBJECTS));
        }
        let before = listed(&series).len();
        let stop = AtomicBool::new(false);
        std::thread::scope(|threads| {
            // Writers until the end: an error is the kill.
            threads.spawn(|| {
                let mut n = 0;
                while !stop.load(Ordering::SeqCst) {
                    let name = format!("w{}", n % 9);
                    if runtime.block_on(put(&client, &name, noise(n, 90_000))).is_err() {
                        return;
                    }
                    n += 1;
                }
            });
            let asking = client.clone();
            let (handle, place) = (runtime.handle().clone(), series.clone());
            let backup = threads.spawn(move || handle.block_on(asking.backup(text(&place))));
            wait_until(Duration::from_secs(20), "the backup to begin", || {
                series.join(".partial").exists() || listed(&series).len() > before
            });
            if round + 1 < ROUNDS {
                std::thread::park_timeout(Duration::from_millis(round * 40));
            } else {
                // Right behind a whole one.
                wait_until(Duration::from_secs(20), "the backup to be whole", || {
                    listed(&series).len() > before
                });
            }
            stop.store(true, Ordering::SeqCst);
            server.kill();
            let _ = backup.join().unwrap();
        });
        cut += u64::from(series.join(".partial").exists());
        // What is visible is whole, and the server starts as if nothing had been.
        for path in listed(&series) {
            let verdict = admin(&["backup", "verify", text(&path)]);
            assert!(
                verdict.status.success(),
                "{}",
                String::from_utf8_lossy(&verdict.stdout)
            );
        }
    }
    assert!(cut > 0, "no backup was cut off in {ROUNDS} rounds");
    assert!(!listed(&series).is_empty(), "the whole one is there");
    let server = Server::start_with(&data, &flags, &[]);
    runtime.block_on(is_as_filled(&server.client(), OBJECTS));
    let before = listed(&series).len();
    runtime.block_on(server.client().backup(text(&series))).unwrap();
    let after = listed(&series);
    assert_eq!(after.len(), before + 1);
    assert!(!series.join(".partial").exists());
    json(&admin(&["backup", "verify", text(after.last().unwrap())]));
    assert!(server.terminate().success());
    eprintln!("{cut} of {ROUNDS} backups were cut off, {before} were whole before");
}
