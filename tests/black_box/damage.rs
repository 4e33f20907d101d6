//! A damaged store under the real binary: read-only, and it says so.

use std::fs;
use std::path::Path;
use std::time::Duration;

use wfldb_client::{GetOptions, PutOptions};
use wfldb_core::object::BucketConfig;
use wfldb_tests::{Request, Server, bucket, copy_dir, key, send_raw, wait_until};

fn ready_status(server: &Server) -> u16 {
    send_raw(
        &server.listen,
        b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .unwrap()
    .status
}

fn journal(data: &Path) -> std::path::PathBuf {
    let mut journals: Vec<_> = fs::read_dir(data.join("db"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jnl"))
        .collect();
    journals.sort();
    journals.pop().unwrap()
}

fn store(data: &Path) {
    let server = Server::start(data);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = server.client();
        client
            .create_bucket(&bucket("kept"), &BucketConfig::default())
            .await
            .unwrap();
        for n in 0..40 {
            client
                .put(
                    &bucket("kept"),
                    &key(&format!("k{n}")),
                    format!("{n}"),
                    PutOptions::default(),
                )
                .await
                .unwrap();
        }
    });
    assert!(server.terminate().success());
}

/// Read-only, readiness gone, reads served, writes refused with the right word, the reason in the log.
fn is_read_only(data: &Path, reads: bool) {
    let server = Server::start(data);
    assert_eq!(ready_status(&server), 503);
    let refused =
        || Request::signed(&server.profile(), "PUT", "/v1/kept/new", &[], b"x").send(&server.listen);
    // Until the clock has passed the replay mark every request is refused as too old.
    let mut answer = refused();
    wait_until(Duration::from_secs(15), "the replay mark to pass", || {
        if answer.status == 401 {
            answer = refused();
        }
        answer.status != 401
    });
    assert_eq!((answer.status, answer.code().as_deref()), (503, Some("ReadOnly")));
    if reads {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let client = server.client();
        let body = runtime.block_on(async {
            let object = client
                .get(&bucket("kept"), &key("k0"), GetOptions::default())
                .await
                .unwrap();
            object.bytes(100).await.unwrap()
        });
        assert_eq!(body, "0");
    }
    assert!(server.log().contains("read-only"), "{}", server.log());
}

#[test]
fn a_cut_journal_starts_read_only() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    store(&data);
    let path = journal(&data);
    let bytes = fs::read(&path).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    fs::write(&path, bytes.get(..used - used / 5).unwrap()).unwrap();
    is_read_only(&data, true);
    is_read_only(&data, true);
}

#[test]
fn a_flipped_tag_byte_in_the_middle_of_the_journal_starts_read_only() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    store(&data);
    let path = journal(&data);
    let whole = fs::read(&path).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    // An item's tag is 2; what follows the damage is cut off by the storage without a word. Find such a place: a 2 within
    // an item's bytes keeps the storage from opening at all, and then nobody knows what was revoked (`rot.rs`).
    let mut cut_somewhere = false;
    for at in (used * 2 / 3..used)
        .filter(|at| whole.get(*at) == Some(&2))
        .take(40)
    {
        let copy = dir.path().join(format!("copy{at}"));
        copy_dir(&data, &copy);
        let mut bytes = whole.clone();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = 0x7f;
        }
        fs::write(journal(&copy), &bytes).unwrap();
        let server = Server::start(&copy);
        let log = server.log();
        if log.contains("read-only") && !log.contains("every request is refused") {
            cut_somewhere = true;
            drop(server);
            is_read_only(&copy, false);
            break;
        }
    }
    assert!(cut_somewhere, "no flip had an effect");
}

#[test]
fn a_lost_keyspace_starts_read_only() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    store(&data);
    fs::remove_file(data.join("db/keyspaces/3/current")).unwrap();
    is_read_only(&data, false);
}
