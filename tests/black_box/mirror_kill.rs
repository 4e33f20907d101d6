//! `kill -9` of a server that keeps a mirror, again and again: when it has caught up, the files and their history in git are
//! what the store says. `WFLDB_KILLS` says how often; ten times when it does not.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use wfldb_client::{Client, PutOptions};
use wfldb_core::object::{BucketConfig, Preconditions};
use wfldb_tests::{Server, binary, bucket, key, noise, wait_until};

const WRITERS: u64 = 4;
const KEYS: u64 = 200;
/// Kills between two looks.
const BETWEEN_LOOKS: u64 = 5;

async fn write(client: Client, stop: Arc<AtomicBool>, acks: Arc<AtomicU64>, writer: u64, from: u64) {
    let mut n = from;
    while !stop.load(Ordering::SeqCst) {
        n += 1;
        let [which, what] = two(writer << 40 | n);
        let name = key(&format!("user/{}", which % KEYS));
        let bucket = bucket(if n.is_multiple_of(4) { "files" } else { "docs" });
        let done = if what < 40 {
            client
                .delete(&bucket, &name, &Preconditions::default())
                .await
                .is_ok()
        } else if n.is_multiple_of(4) {
            client
                .put(&bucket, &name, noise(n, 3000), PutOptions::default())
                .await
                .is_ok()
        } else {
            let document = json!({"n": n, "writer": writer}).to_string();
            client
                .put_document(&bucket, &name, document, PutOptions::default())
                .await
                .is_ok()
        };
        acks.fetch_add(u64::from(done), Ordering::SeqCst);
    }
}

/// Two random bytes.
fn two(seed: u64) -> [u64; 2] {
    <[u8; 2]>::try_from(noise(seed, 2)).unwrap().map(u64::from)
}

/// What git prints about the history.
fn git(mirror: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("--git-dir")
        .arg(mirror.join(".git"))
        .args(arguments)
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap())
}

/// The last change that the files have, and the last that the history has.
fn reached(mirror: &Path, has_git: bool) -> Option<(u64, u64)> {
    let said: Value = serde_json::from_slice(&std::fs::read(mirror.join("wfldb.json")).ok()?).ok()?;
    let position = said.get("position")?.as_u64()?;
    if !has_git {
        return Some((position, position));
    }
    let trailer = git(
        mirror,
        &[
            "log",
            "-1",
            "--format=%(trailers:key=Wfldb-Seq,valueonly)",
            "main",
        ],
    )?;
    let last = trailer.trim().rsplit_once('-')?.1.parse().ok()?;
    Some((position, last))
}

/// Lets a server catch up, stops it, and has its mirror checked.
fn look(data: &Path, has_git: bool, about: &str) {
    let mirror = data.join("mirror");
    let server = Server::start(data);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = server.client();
    // A last change, which comes behind all others.
    let done = async {
        let document = format!(r#"{{"about":"{about}"}}"#);
        let (docs, last) = (bucket("docs"), key("last"));
        client
            .put_document(&docs, &last, document, PutOptions::default())
            .await
            .unwrap();
        client.stats().await.unwrap().log_position
    };
    let last = runtime.block_on(done);
    wait_until(Duration::from_secs(90), about, || {
        reached(&mirror, has_git).is_some_and(|(files, history)| files >= last && files == history)
    });
    assert!(server.terminate().success());
    let verify = Command::new(binary("wfldb-admin"))
        .args(["--json", "mirror", "verify", "--data"])
        .arg(data)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&verify.stdout).unwrap_or_default();
    assert!(
        verify.status.success() && report.get("sound") == Some(&Value::Bool(true)),
        "{about}: {report:#} {verify:?}"
    );
    assert!(
        report.get("files").and_then(Value::as_u64) > Some(10)
            && report.get("log").and_then(Value::as_u64) > Some(10),
        "{report:#}"
    );
    if has_git {
        assert!(
            git(&mirror, &["fsck", "--strict", "--no-dangling"]).is_some(),
            "{about}"
        );
    }
}

/// DEFECT: a cursor that is ahead of its files, a change that a restart skips, half a file, a commit without its files.
#[test]
fn after_kills_at_any_point_the_mirror_and_its_history_are_what_the_store_says() {
    let has_git = Command::new("git").arg("--version").output().is_ok();
    if !has_git {
        println!("SKIPPED in part: there is no git, so no history is checked");
    }
    let kills = std::env::var("WFLDB_KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok())
        .unwrap_or(10);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let acks = Arc::new(AtomicU64::new(0));
    for round in 0..kills {
        let mut server = Server::start(&data);
        let client = server.client();
        if round == 0 {
            for (name, config) in [
                ("docs", r#"{"kind":"documents"}"#),
                ("files", r#"{"mirror":true}"#),
            ] {
                let config = BucketConfig::parse_json(config.as_bytes()).unwrap();
                runtime
                    .block_on(client.create_bucket(&bucket(name), &config))
                    .unwrap();
            }
        }
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                runtime.spawn(write(
                    client.clone(),
                    Arc::clone(&stop),
                    Arc::clone(&acks),
                    writer,
                    round << 20,
                ))
            })
            .collect();
        // Rounds of the mirror come every 200 ms, rest points every second, commits every 5 s.
        let [short, long] = two(round);
        let millis = short * 8 + if round % 5 == 4 { long * 24 } else { 0 };
        std::thread::sleep(Duration::from_millis(100 + millis));
        server.kill();
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            let _ = runtime.block_on(writer);
        }
        if round % BETWEEN_LOOKS == BETWEEN_LOOKS - 1 || round == kills - 1 {
            look(&data, has_git, &format!("after {} kills", round + 1));
        }
    }
    let acks = acks.load(Ordering::SeqCst);
    assert!(acks > kills * 10, "only {acks} changes");
}
