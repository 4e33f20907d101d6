//! `kill -9` under every kind of write at once: batches, parts, copies, deletes, times to live. What was acknowledged is
//! there, batches are whole or absent, and the store finds itself sound.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wfldb_client::Profile;
use wfldb_core::encoding::base64url;
use wfldb_tests::{Answer, Request, Server, is_verified_sound, noise, wait_until};

const ROUNDS: u64 = 10;
const ACKS: usize = 150;
const PART: usize = 5 << 20;
const BATCH_KEYS: u64 = 4;

/// What one writer did to its one thing, step by step; steps are numbered from 1 over all rounds.
#[derive(Default)]
struct Progress {
    /// The newest step that was begun.
    tried: u64,
    /// The newest step that was acknowledged, or found to have happened.
    done: u64,
}

struct Run {
    listen: String,
    profile: Profile,
    stop: AtomicBool,
    acks: AtomicUsize,
    progress: Arc<Mutex<HashMap<String, Progress>>>,
}

impl Run {
    fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
        let request = Request::signed(
            &self.profile,
            method,
            &format!("/v1/mixed/{target}"),
            headers,
            body,
        );
        let answer = request.try_send(&self.listen)?;
        let after_kill = self.stop.load(Ordering::SeqCst);
        assert!(
            answer.is_success() || after_kill,
            "{method} {target}: {} {:?}",
            answer.status,
            answer.code()
        );
        Some(answer).filter(Answer::is_success)
    }

    /// Repeats a kind of step until the server is killed.
    fn work(&self, name: &str, mut step: impl FnMut(&Self, u64) -> Option<()>) {
        while !self.stop.load(Ordering::SeqCst) {
            let n = {
                let mut progress = self.progress.lock().unwrap();
                let own = progress.entry(name.to_owned()).or_default();
                own.tried += 1;
                own.tried
            };
            if step(self, n).is_none() {
                return;
            }
            self.progress.lock().unwrap().get_mut(name).unwrap().done = n;
            self.acks.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The body under a key.
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let request = Request::signed(&self.profile, "GET", &format!("/v1/mixed/{key}"), &[], b"");
        let got = request.send(&self.listen);
        match got.status {
            200 => Some(got.body),
            404 => None,
            status => panic!("{key}: {status} {:?}", got.code()),
        }
    }

    /// Finds which step stands now: one that was tried, and none before what was acknowledged.
    fn settle(&self, name: &str, state_of: impl Fn(u64) -> bool) -> u64 {
        let mut progress = self.progress.lock().unwrap();
        let Some(own) = progress.get_mut(name) else {
            return 0;
        };
        let found = (own.done..=own.tried).rev().find(|n| state_of(*n));
        own.done = found.unwrap_or_else(|| {
            panic!(
                "{name}: neither step {} nor one up to {} stands",
                own.done, own.tried
            )
        });
        own.done
    }
}

fn body(kind: u64, n: u64) -> Vec<u8> {
    // Every third goes through a chunk file.
    noise(kind << 48 | n, if n.is_multiple_of(3) { 70_000 } else { 500 })
}

fn part(which: u64, n: u64) -> Vec<u8> {
    noise(3 << 48 | which << 40 | n, if which == 1 { PART } else { 50_000 })
}

fn batch_step(run: &Run, w: u64, n: u64) -> Option<()> {
    let entries: Vec<_> = (0..BATCH_KEYS)
        .map(|k| {
            let body = base64url::encode(&body(10 + k, n));
            format!(r#"{{"op":"put","key":"b{w}/{k}","body_base64":"{body}"}}"#)
        })
        .collect();
    let json = format!(r#"{{"ops":[{}]}}"#, entries.join(","));
    run.send("POST", "batch", &[], json.as_bytes()).map(drop)
}

fn multipart_step(run: &Run, n: u64) -> Option<()> {
    let started = run.send("POST", &format!("m?multipart=start&part_bytes={PART}"), &[], b"")?;
    let upload = started.json().get("upload").unwrap().as_str().unwrap().to_owned();
    let mut list = Vec::new();
    for which in [2, 1] {
        let sent = run.send(
            "PUT",
            &format!("m?multipart={upload}&part={which}"),
            &[],
            &part(which, n),
        )?;
        let etag = sent.header("etag").unwrap().to_owned();
        list.insert(0, format!(r#"{{"part":{which},"etag":{etag}}}"#));
    }
    let list = format!("[{}]", list.join(","));
    run.send("POST", &format!("m?multipart={upload}"), &[], list.as_bytes())
        .map(drop)
}

fn copy_step(run: &Run, n: u64) -> Option<()> {
    run.send("PUT", "c/source", &[], &body(4, n))?;
    run.send("POST", "c/target?copy=%2Fmixed%2Fc%2Fsource", &[], b"")
        .map(drop)
}

/// Odd steps put, even ones delete.
fn delete_step(run: &Run, n: u64) -> Option<()> {
    if n % 2 == 1 {
        run.send("PUT", "d", &[], &body(5, n)).map(drop)
    } else {
        run.send("DELETE", "d", &[], b"").map(drop)
    }
}

fn ttl_step(run: &Run, n: u64) -> Option<()> {
    run.send("PUT", "t", &[("x-wfldb-ttl", "1")], &body(6, n))
        .map(drop)
}

fn check(run: &Run, round: u64) {
    for w in 0..3 {
        let found: Vec<_> = (0..BATCH_KEYS).map(|k| run.get(&format!("b{w}/{k}"))).collect();
        run.settle(&format!("batch{w}"), |n| {
            let mut keys = (10..).zip(&found);
            // All of them or none: another mixture is no step at all.
            keys.all(|(kind, found)| found.as_deref() == (n > 0).then(|| body(kind, n)).as_deref())
        });
    }
    let found = run.get("m");
    run.settle("parts", |n| {
        found == (n > 0).then(|| [part(1, n), part(2, n)].concat())
    });
    let (source, target) = (run.get("c/source"), run.get("c/target"));
    let copied = run.settle("copy", |n| target == (n > 0).then(|| body(4, n)));
    // The source is that of the copy or of a later step.
    let tried = run
        .progress
        .lock()
        .unwrap()
        .get("copy")
        .map_or(0, |own| own.tried);
    assert!(
        (copied..=tried).any(|n| source == (n > 0).then(|| body(4, n))),
        "round {round}: the source is of no step from {copied} to {tried}"
    );
    let found = run.get("d");
    run.settle("delete", |n| found == (n % 2 == 1).then(|| body(5, n)));
    // It may have ended, but never without its bytes or with others.
    if let Some(found) = run.get("t") {
        run.settle("ttl", |n| n > 0 && found == body(6, n));
    }
}

/// INVARIANTS 1 and 2. A defect it catches: the entries of a batch committed one by one.
#[test]
fn every_kind_of_write_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let progress: Arc<Mutex<HashMap<String, Progress>>> = Arc::default();
    for round in 0..=ROUNDS {
        let mut server = Server::start(&data);
        let run = Arc::new(Run {
            listen: server.listen.clone(),
            profile: server.profile(),
            stop: AtomicBool::new(false),
            acks: AtomicUsize::new(0),
            progress: Arc::clone(&progress),
        });
        if round == 0 {
            let made = Request::signed(
                &run.profile,
                "PUT",
                "/v1/mixed",
                &[],
                br#"{"versions":{"keep":5}}"#,
            );
            assert_eq!(made.send(&run.listen).status, 201);
        }
        check(&run, round);
        is_verified_sound(&server);
        if round == ROUNDS {
            wait_until(Duration::from_secs(20), "the last time to live to end", || {
                run.get("t").is_none()
            });
            assert!(server.terminate().success());
            break;
        }
        std::thread::scope(|scope| {
            for w in 0..3 {
                let run = &run;
                scope.spawn(move || run.work(&format!("batch{w}"), |run, n| batch_step(run, w, n)));
            }
            scope.spawn(|| run.work("parts", multipart_step));
            scope.spawn(|| run.work("copy", copy_step));
            scope.spawn(|| run.work("delete", delete_step));
            scope.spawn(|| run.work("ttl", ttl_step));
            wait_until(Duration::from_mins(2), "acknowledgements", || {
                run.acks.load(Ordering::SeqCst) >= ACKS
            });
            run.stop.store(true, Ordering::SeqCst);
            server.kill();
        });
    }
    let progress = progress.lock().unwrap();
    let mut kinds: Vec<_> = progress
        .iter()
        .map(|(name, own)| format!("{name} {}", own.done))
        .collect();
    kinds.sort();
    eprintln!("{ROUNDS} kills; steps done: {}", kinds.join(", "));
}
