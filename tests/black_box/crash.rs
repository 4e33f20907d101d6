//! `kill -9` under concurrent writers, again and again: what was acknowledged is there, the rest is absent or whole.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wfldb_client::{Client, Error, GetOptions, PutOptions};
use wfldb_core::id::ContentHash;
use wfldb_tests::{Server, bucket, key, noise, wait_until};

const ROUNDS: u64 = 20;
const WRITERS: u64 = 16;
/// Acknowledgements in each round before the process is killed.
const ACKS: usize = 500;

/// What a writer put under a key: every one of its writes, and the last that was acknowledged.
#[derive(Default)]
struct Written {
    tried: Vec<ContentHash>,
    acknowledged: Option<usize>,
}

type Record = Arc<Mutex<HashMap<String, Written>>>;

fn body(round: u64, writer: u64, n: u64) -> Vec<u8> {
    // Mostly small; now and then one that goes through chunk files.
    let len = if n % 40 == 39 {
        70_000 + usize::try_from(n).unwrap()
    } else {
        100 + usize::try_from(n % 7).unwrap() * 600
    };
    noise(round << 32 | writer << 24 | n, len)
}

async fn write(
    client: Client,
    record: Record,
    acks: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    round: u64,
    writer: u64,
) {
    let mut n = 0;
    while !stop.load(Ordering::SeqCst) {
        // Few keys per writer, so that overwriting is part of it.
        let name = format!("w{writer}/k{}", n % 50);
        let body = body(round, writer, n);
        let attempt = {
            let mut record = record.lock().unwrap();
            let written = record.entry(name.clone()).or_default();
            written.tried.push(ContentHash::of(&body));
            written.tried.len() - 1
        };
        match client
            .put(&bucket("crash"), &key(&name), body, PutOptions::default())
            .await
        {
            Ok(_) => {
                record.lock().unwrap().get_mut(&name).unwrap().acknowledged = Some(attempt);
                acks.fetch_add(1, Ordering::SeqCst);
            }
            // The process is gone: this write may be there or not.
            Err(_) if stop.load(Ordering::SeqCst) => return,
            Err(Error::OutcomeUnknown(_) | Error::Transport(_)) => return,
            Err(error) => panic!("{error:?}"),
        }
        n += 1;
    }
}

/// Every key holds what was acknowledged last, or one that was tried after it.
async fn check(client: &Client, record: &Record, round: u64) -> usize {
    let expected: Vec<_> = {
        let record = record.lock().unwrap();
        record
            .iter()
            .map(|(name, w)| (name.clone(), w.tried.clone(), w.acknowledged))
            .collect()
    };
    let mut unacknowledged = 0;
    for (name, tried, acknowledged) in expected {
        // The client checks the bytes against the etag.
        let found = match client
            .get(&bucket("crash"), &key(&name), GetOptions::default())
            .await
        {
            Ok(object) => {
                let etag = object.info().etag;
                object.bytes(1 << 20).await.unwrap();
                let at = tried.iter().rposition(|hash| *hash == etag);
                Some(at.unwrap_or_else(|| panic!("round {round}: {name} holds what nobody wrote")))
            }
            Err(error) if error.is_not_found() => None,
            Err(error) => panic!("round {round}: {name}: {error:?}"),
        };
        assert!(
            found >= acknowledged,
            "round {round}: {name} lost write {acknowledged:?}, it has {found:?}"
        );
        unacknowledged += usize::from(found > acknowledged);
        // What is there now is the state to go on from.
        let mut record = record.lock().unwrap();
        record.get_mut(&name).unwrap().acknowledged = found;
    }
    unacknowledged
}

/// INVARIANT 1. Defects it catches: an answer before the fsync is not caught by a process kill, but an answer before
/// the write is; so is a chunk file that is named before it is complete, and a head row without its body.
#[test]
fn acknowledged_writes_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let record: Record = Arc::default();
    let mut in_flight = 0;
    for round in 0..ROUNDS {
        let mut server = Server::start(&data);
        let client = server.client();
        let acks = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        runtime.block_on(async {
            if round == 0 {
                client
                    .create_bucket(&bucket("crash"), &wfldb_core::object::BucketConfig::default())
                    .await
                    .unwrap();
            }
            in_flight += check(&client, &record, round).await;
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                runtime.spawn(write(
                    client.clone(),
                    record.clone(),
                    acks.clone(),
                    stop.clone(),
                    round,
                    writer,
                ))
            })
            .collect();
        wait_until(Duration::from_mins(1), "500 acknowledgements", || {
            acks.load(Ordering::SeqCst) >= ACKS
        });
        // Sixteen writers never rest, so something is in flight now.
        stop.store(true, Ordering::SeqCst);
        server.kill();
        runtime.block_on(async {
            for writer in writers {
                writer.await.unwrap();
            }
        });
    }
    let server = Server::start(&data);
    runtime.block_on(async { in_flight += check(&server.client(), &record, ROUNDS).await });
    assert!(server.terminate().success());
    eprintln!("{ROUNDS} kills; {in_flight} unacknowledged writes were there afterwards, whole");
}
