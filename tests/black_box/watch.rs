//! `wfldb watch` and the stream of the SDK against a server that is killed and started again.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use wfldb_client::{PutOptions, WatchFrom, WatchOptions};
use wfldb_core::object::BucketConfig;
use wfldb_tests::{Server, binary, bucket, key, wait_until};

const ROUNDS: usize = 4;
const WRITERS: usize = 4;
const ACKS: usize = 150;

/// Defects it catches: a change that is told twice after a resume, or not at all; one that a crash took back after it was
/// told.
#[test]
fn a_stream_tells_every_change_once_across_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut server = Server::start(&data);
    // The stream comes back to the address that it knows.
    let listen = server.listen.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let follower = server.client();
    runtime.block_on(async {
        follower
            .create_bucket(&bucket("watched"), &BucketConfig::default())
            .await
            .unwrap();
    });
    let done = Arc::new(AtomicUsize::new(usize::MAX));
    let following = {
        let done = Arc::clone(&done);
        let mut changes = follower.watch(&bucket("watched"), WatchOptions::default());
        runtime.spawn(async move {
            let mut seqs = Vec::new();
            while seqs.last().copied().unwrap_or(0) < done.load(Ordering::SeqCst) as u64 {
                let change = changes.next().await.unwrap().unwrap();
                seqs.push(change.seq);
            }
            seqs
        })
    };
    for _ in 0..ROUNDS {
        let acks = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (client, acks, stop) = (server.client(), acks.clone(), stop.clone());
                runtime.spawn(async move {
                    while !stop.load(Ordering::SeqCst) {
                        let key = key(&format!("k{writer}"));
                        let watched = bucket("watched");
                        let put = client.put(&watched, &key, "x", PutOptions::default());
                        if put.await.is_err() {
                            return;
                        }
                        acks.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        wait_until(Duration::from_mins(1), "acknowledgements", || {
            acks.load(Ordering::SeqCst) >= ACKS
        });
        server.kill();
        stop.store(true, Ordering::SeqCst);
        runtime.block_on(async {
            for writer in writers {
                writer.await.unwrap();
            }
        });
        server = Server::start_with(&data, &["--listen", &listen], &[]);
    }
    let put_last = || {
        let client = server.client();
        let put = async {
            client
                .put(&bucket("watched"), &key("last"), "x", PutOptions::default())
                .await
        };
        runtime.block_on(put).unwrap().seq.get()
    };
    done.store(usize::try_from(put_last()).unwrap(), Ordering::SeqCst);
    // One more, for a stream that had come so far before it was told where to end.
    put_last();
    let seqs = runtime.block_on(async { tokio::time::timeout(Duration::from_mins(1), following).await });
    let seqs = seqs.expect("the stream stands still").unwrap();
    // Creating the bucket was 1, and is not told.
    let last = *seqs.last().unwrap();
    assert!(last >= done.load(Ordering::SeqCst) as u64);
    assert_eq!(seqs, (2..=last).collect::<Vec<_>>());
    assert!(seqs.len() >= ROUNDS * ACKS);
    // A stream that does not follow tells the same.
    let whole = runtime.block_on(async {
        let options = WatchOptions {
            from: WatchFrom::Seq(0),
            follow: false,
            ..WatchOptions::default()
        };
        let mut changes = server.client().watch(&bucket("watched"), options);
        let mut seqs = Vec::new();
        while let Some(change) = changes.next().await.unwrap() {
            seqs.push(change.seq);
        }
        seqs
    });
    assert_eq!(whole[..seqs.len()], seqs);
    assert!(server.terminate().success());
}

#[test]
fn the_command_prints_changes_as_they_come() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let profile = server.profile_file();
    let wfldb = |arguments: &[&str]| {
        let mut command = Command::new(binary("wfldb"));
        command.arg("--profile").arg(&profile).args(arguments);
        command
    };
    let ok = |arguments: &[&str]| {
        let output = wfldb(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    ok(&["mb", "watched"]);
    let file = dir.path().join("file");
    std::fs::write(&file, "hello").unwrap();
    let file = file.to_str().unwrap();
    ok(&["put", file, "watched/a/1"]);
    let human = ok(&["watch", "watched", "--since", "0", "--no-follow"]);
    let words: Vec<&str> = human.split_whitespace().collect();
    assert_eq!((words[0], words[2], words[3], words[4]), ("2", "put", "5", "a/1"));

    let mut child = wfldb(&["--json", "watch", "watched", "--prefix", "a/", "--limit", "2"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // It begins with what comes after it asked, which is not to be seen from here: written until the first line is there.
    let written = Arc::new(AtomicBool::new(false));
    let first = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !written.load(Ordering::SeqCst) {
                ok(&["put", file, "watched/b/1"]);
                ok(&["put", file, "watched/a/2"]);
            }
        });
        let first = lines.next().unwrap().unwrap();
        written.store(true, Ordering::SeqCst);
        first
    });
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(
        (&first["type"], &first["changes"][0]["key"]),
        (&"change".into(), &"a/2".into())
    );
    ok(&["rm", "watched/a/1"]);
    let second = lines.next().unwrap().unwrap();
    assert!(second.contains("a/"), "{second}");
    assert!(child.wait().unwrap().success());

    let output = wfldb(&["watch", "nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let output = wfldb(&["watch", "watched", "--since", "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
