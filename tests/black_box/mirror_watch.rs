//! `mirror watch` and `mirror verify` of a running server: what is done to one of 10,000 files is named within seconds while
//! writes go on, and nothing else is.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use wfldb_client::{BulkEntry, BulkKind, Client, PutOptions};
use wfldb_core::object::{BucketConfig, Preconditions};
use wfldb_tests::{Server, binary, bucket, key, wait_until};

const STILL: usize = 10_000;
/// A look at most every second, a rest point of the mirror at most every second or so; the machine may be busy.
const SOON: Duration = Duration::from_secs(15);

fn admin(server: &Server, arguments: &[&str]) -> Output {
    Command::new(binary("wfldb-admin"))
        .env("WFLDB_PROFILE", server.profile_file())
        .args(arguments)
        .output()
        .unwrap()
}

/// `mirror watch`, with its lines as they come.
struct Watching {
    child: Child,
    lines: Receiver<Value>,
}

impl Watching {
    fn start(server: &Server, flags: &[&str]) -> Self {
        let mut child = Command::new(binary("wfldb-admin"))
            .env("WFLDB_PROFILE", server.profile_file())
            .args(["--json", "mirror", "watch", "--every", "1"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = send.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, lines }
    }

    /// The next line, which has to come soon.
    fn next(&self, what: &str, within: Duration) -> Value {
        self.lines
            .recv_timeout(within)
            .unwrap_or_else(|_| panic!("{what}: nothing is said"))
    }

    fn says(&self, what: &str, event: &str, kind: &str, path: &str) {
        let said = self.next(what, SOON);
        let found =
            ["event", "kind", "path"].map(|name| said.get(name).and_then(Value::as_str).unwrap_or_default());
        assert_eq!(found, [event, kind, path], "{what}: {said}");
    }

    fn end(mut self) -> (Option<i32>, Value) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let code = self.child.wait().unwrap().code();
        (code, self.next("the end", SOON))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn fill(client: &Client) {
    let docs = bucket("docs");
    let config = BucketConfig::parse_json(br#"{"kind":"documents"}"#).unwrap();
    client.create_bucket(&docs, &config).await.unwrap();
    for from in (0..STILL).step_by(1000) {
        let entries: Vec<BulkEntry> = (from..from + 1000)
            .map(|n| BulkEntry {
                kind: BulkKind::Put,
                key: key(&format!("still/{n}")),
                document: format!(r#"{{"n":{n}}}"#).into(),
                preconditions: Preconditions::default(),
            })
            .collect();
        client.bulk(&docs, &entries).await.unwrap();
    }
}

async fn write(client: Client, stop: Arc<AtomicBool>, writes: Arc<AtomicU64>) {
    let docs = bucket("docs");
    let mut n = 0_u64;
    while !stop.load(Ordering::SeqCst) {
        n += 1;
        let name = key(&format!("moving/{}", n % 500));
        let done = if n.is_multiple_of(4) {
            let removed = client.delete(&docs, &name, &Preconditions::default()).await;
            removed.is_ok()
        } else {
            let document = json!({ "n": n }).to_string();
            let put = client
                .put_document(&docs, &name, document, PutOptions::default())
                .await;
            put.is_ok()
        };
        assert!(done || stop.load(Ordering::SeqCst), "write {n}");
        writes.fetch_add(1, Ordering::SeqCst);
    }
}

/// The file of a document, wherever its shard is.
fn file_of(mirror: &Path, name: &str) -> (PathBuf, String) {
    for shard in 0..=255 {
        let path = format!("docs/{shard:02x}/{name}");
        if mirror.join(&path).exists() {
            return (mirror.join(&path), path);
        }
    }
    panic!("there is no {name}");
}

/// DEFECT: a difference that is named late or not at all; one that is named and is none; a wrong exit code.
#[test]
fn what_is_done_to_files_is_named_within_seconds_while_writes_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let mirror = data.join("mirror");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = server.client();
    runtime.block_on(fill(&client));
    let (stop, writes) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let work = runtime.spawn(write(client, Arc::clone(&stop), Arc::clone(&writes)));
    wait_until(Duration::from_mins(2), "the first files", || {
        let verify = admin(&server, &["--json", "mirror", "verify"]);
        let report: Value = serde_json::from_slice(&verify.stdout).unwrap_or_default();
        // Before it was made there is nothing to compare.
        assert!(
            report["findings"].as_array().is_none_or(Vec::is_empty),
            "{report:#}"
        );
        verify.status.success() && report["files"].as_u64() > Some(10_000)
    });
    let watching = Watching::start(&server, &["--whole-every", "5"]);
    let begun = watching.next("the beginning", Duration::from_mins(2));
    assert_eq!(begun["event"], "watching", "{begun}");
    assert!(begun["files"].as_u64() > Some(10_000), "{begun}");
    let before = writes.load(Ordering::SeqCst);

    let (changed, path) = file_of(&mirror, "still%2f4711.json");
    let kept = fs::read(&changed).unwrap();
    let mut bytes = kept.clone();
    let at = bytes.windows(4).position(|four| four == b"4711").unwrap();
    bytes[at] = b'5';
    fs::write(&changed, bytes).unwrap();
    watching.says("a byte", "differs", "Hash", &path);
    fs::write(&changed, &kept).unwrap();
    watching.says("the byte put right", "gone", "Hash", &path);

    fs::write(mirror.join("docs/3f/stranger.json"), &kept).unwrap();
    watching.says("a stranger", "differs", "Added", "docs/3f/stranger.json");
    let (removed, path) = file_of(&mirror, "still%2f17.json");
    fs::remove_file(&removed).unwrap();
    watching.says("a removed file", "differs", "Missing", &path);
    // Nothing else is said, although everything is compared meanwhile.
    let strange = watching.lines.recv_timeout(Duration::from_secs(15));
    assert!(strange.is_err(), "{strange:?}");
    fs::remove_file(mirror.join("docs/3f/stranger.json")).unwrap();
    watching.says("the stranger is gone", "gone", "Added", "docs/3f/stranger.json");
    assert!(writes.load(Ordering::SeqCst) > before + 100, "writes went on");

    let verify = admin(&server, &["mirror", "verify"]);
    let said = String::from_utf8(verify.stdout).unwrap();
    assert_eq!(verify.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("NOT SOUND") && said.contains(&format!("Missing: {path}")),
        "{said}"
    );
    assert!(!said.contains("History:"), "{said}");
    assert_eq!(watching.end(), (Some(1), json!({"event": "end", "open": 1})));
    stop.store(true, Ordering::SeqCst);
    runtime.block_on(work).unwrap();
    assert!(server.terminate().success());

    // The same of the stopped store, whose mirror lacks that file.
    let server = Server::start_with(&data, &["--no-mirror"], &[]);
    let refused = admin(&server, &["--json", "mirror", "verify"]);
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.status.code() == Some(1) && why.contains("NoMirror"),
        "{why}"
    );
    assert!(server.terminate().success());
    let offline = Command::new(binary("wfldb-admin"))
        .args(["--json", "mirror", "verify", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&offline.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    assert!(
        findings
            .iter()
            .any(|found| found["kind"] == "Missing" && found["path"] == path),
        "{report:#}"
    );
}

/// DEFECT: a stopped store cannot be watched, or the exit code says that something differs where nothing does.
#[test]
fn the_mirror_of_a_stopped_store_is_watched_too() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = BucketConfig::parse_json(br#"{"mirror":true}"#).unwrap();
    runtime.block_on(async {
        let (client, files) = (server.client(), bucket("files"));
        client.create_bucket(&files, &config).await.unwrap();
        client
            .put(&files, &key("a"), b"bytes".to_vec(), PutOptions::default())
            .await
            .unwrap();
    });
    let verify = admin(&server, &["mirror", "verify"]);
    assert!(verify.status.success(), "{verify:?}");
    let watching = Watching::start(&server, &[]);
    assert_eq!(
        watching.next("the beginning", Duration::from_mins(2))["event"],
        "watching"
    );
    assert_eq!(watching.end(), (Some(0), json!({"event": "end", "open": 0})));
    let profile = server.profile_file();
    let stopped = Server::start(&dir.path().join("other"));
    assert!(server.terminate().success() && profile.exists());
    let flags = ["--data", data.to_str().unwrap()];
    let watching = Watching::start(&stopped, &flags);
    assert_eq!(
        watching.next("the beginning", Duration::from_mins(2))["event"],
        "watching"
    );
    fs::write(data.join("mirror/files/a"), "bytez").unwrap();
    watching.says("an object", "differs", "Content", "files/a");
    fs::write(data.join("mirror/files/a"), "bytes").unwrap();
    watching.says("the object put right", "gone", "Content", "files/a");
    assert_eq!(watching.end().0, Some(0));
}
