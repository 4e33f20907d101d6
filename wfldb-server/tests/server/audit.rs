//! The audit log over the wire: what it publishes and to whom, receipts, restarts.

use http::StatusCode;
use wfldb_core::audit::{
    BundleId, GrowingTree, Receipt, SignedCheckpoint, TreeHash, VerifierKey, leaf_hash, parse_bundle,
    verify_consistency,
};
use wfldb_core::id::SecretKey;

use crate::harness::{Ask, Store, text, until};

fn get(path: &str) -> Ask {
    Ask::new("GET", path)
}

fn put(key: &str) -> Ask {
    Ask::new("PUT", &format!("/v1/photos/{key}")).body("abc")
}

/// What a stranger is given.
pub(crate) fn key(store: &Store) -> VerifierKey {
    let secret = std::fs::read_to_string(store.dir().join("keys/node.key")).unwrap();
    let id = std::fs::read_to_string(store.dir().join("STORE")).unwrap();
    let id = serde_json::from_str::<serde_json::Value>(id.lines().next().unwrap()).unwrap();
    let name = format!("wfldb/{}/{}", text(&id["realm"]), text(&id["store"]));
    VerifierKey::new(
        wfldb_core::audit::LogName::parse(&name).unwrap(),
        SecretKey::parse(secret.trim_end()).unwrap().public_key(),
    )
}

async fn checkpoint(store: &Store, key: &VerifierKey) -> SignedCheckpoint {
    let answer = store.send(get("/v1/_audit/checkpoint")).await.ok(StatusCode::OK);
    SignedCheckpoint::open(&answer.body, key).unwrap()
}

pub(crate) async fn covers(store: &Store, key: &VerifierKey, size: u64) -> SignedCheckpoint {
    until("a checkpoint", async || {
        checkpoint(store, key).await.size() >= size
    })
    .await;
    checkpoint(store, key).await
}

/// The tree of all entries that the server publishes.
async fn tree(store: &Store, size: u64) -> GrowingTree {
    let mut tree = GrowingTree::new();
    for bundle in BundleId::all_in_tree(size) {
        let answer = store
            .send(get(&format!("/v1/_audit/{bundle}")))
            .await
            .ok(StatusCode::OK);
        for entry in parse_bundle(bundle, &answer.body).unwrap() {
            tree.push(leaf_hash(entry));
        }
    }
    tree
}

/// Defects it catches: a checkpoint of what is not in the tiles; a log that begins again with the process.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_published_and_only_grows_across_a_restart() {
    let store = Store::photos().await;
    let key = key(&store);
    for n in 0..5 {
        store.send(put(&format!("k{n}"))).await.ok(StatusCode::CREATED);
    }
    let old = covers(&store, &key, 6).await;
    assert_eq!(tree(&store, old.size()).await.root(), old.root());
    let store = store.restart().await;
    // The key is the directory's, so the log goes on under it.
    assert_eq!(covers(&store, &key, 6).await, old);
    store.send(put("more")).await.ok(StatusCode::CREATED);
    let new = covers(&store, &key, old.size() + 1).await;
    assert_eq!(tree(&store, new.size()).await.root(), new.root());
    let path = format!("/v1/_audit/consistency?from={}&to={}", old.size(), new.size());
    let proof = store.send(get(&path)).await.ok(StatusCode::OK).json();
    let hashes: Vec<_> = proof["hashes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hash| TreeHash::parse(&text(hash)).unwrap())
        .collect();
    verify_consistency(old.size(), old.root(), new.size(), new.root(), &hashes).unwrap();
    let tile = store
        .send(get(&format!("/v1/_audit/tile/0/000.p/{}", new.size())))
        .await
        .ok(StatusCode::OK);
    assert_eq!(tile.body.len() as u64, 32 * new.size());
    let beyond = format!("/v1/_audit/tile/0/000.p/{}", new.size() + 1);
    store.send(get(&beyond)).await.is(404, "OutsideTree");
}

/// A defect it catches: tiles for whoever may audit a part of the keys.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_for_auditors_of_the_whole_store_and_receipts_for_those_of_the_key() {
    let store = Store::photos().await;
    let written = store.send(put("a/k")).await.ok(StatusCode::CREATED);
    let version = written.header("x-wfldb-version").to_owned();
    let key = key(&store);
    covers(&store, &key, 2).await;
    let whole = store.holder(&[r#"{"b":"*","p":"","ops":["audit"]}"#]);
    let narrow = store.holder(&[r#"{"b":"photos","p":"a/","ops":["audit"]}"#]);
    let other = store.holder(&[r#"{"b":"photos","p":"b/","ops":["audit"]}"#]);
    let none = store.holder(&[
        r#"{"b":"*","p":"","ops":["get","list","put","delete","erase","query","watch","manage","admin"]}"#,
    ]);
    for path in [
        "checkpoint",
        "tile/0/000.p/2",
        "tile/entries/000.p/2",
        "proof?leaf=0",
        "consistency?from=0&to=1",
    ] {
        let ask = || get(&format!("/v1/_audit/{path}"));
        store.send_as(&whole, ask()).await.ok(StatusCode::OK);
        for holder in [&narrow, &none] {
            store.send_as(holder, ask()).await.is(403, "Forbidden");
        }
    }
    let receipt = || {
        get(&format!(
            "/v1/_audit/receipt?bucket=photos&key=a%2Fk&version={version}"
        ))
    };
    for holder in [&whole, &narrow] {
        let answer = store.send_as(holder, receipt()).await.ok(StatusCode::OK);
        let proven = Receipt::parse(&answer.body).unwrap().verify(&key).unwrap();
        assert_eq!(
            proven.request.unwrap().signer,
            store.admin.key.key_id(wfldb_core::id::Role::Client)
        );
    }
    for holder in [&other, &none] {
        store.send_as(holder, receipt()).await.is(403, "Forbidden");
    }
    let absent = format!("/v1/_audit/receipt?bucket=photos&key=a%2Fx&version={version}");
    store.send(get(&absent)).await.is(404, "NoSuchVersion");
    // What opens the leaf goes with the version.
    let erase = Ask::new("DELETE", &format!("/v1/photos/a/k?version={version}"));
    store.send(erase).await.ok(StatusCode::NO_CONTENT);
    store.send(receipt()).await.is(404, "NoSuchVersion");
}

/// A batch's receipt names all its keys. A defect it catches: one for whoever may audit one of them.
#[tokio::test(flavor = "multi_thread")]
async fn the_receipt_of_a_batch_is_for_auditors_of_all_its_keys() {
    let store = Store::photos().await;
    let body = r#"{"ops":[{"op":"put","key":"a/1","body":"YQ"},{"op":"put","key":"b/1","body":"Yg"}]}"#;
    let ask = Ask::new("POST", "/v1/photos/batch")
        .header("x-wfldb-receipt", "true")
        .body(body);
    let done = store.send(ask).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(done.header("x-wfldb-leaf"), "1");
    let version = text(&done.json()["results"][0]["version"]);
    let key = key(&store);
    covers(&store, &key, 2).await;
    let narrow = store.holder(&[r#"{"b":"photos","p":"a/","ops":["audit"]}"#]);
    let both = store.holder(&[r#"{"b":"photos","p":"","ops":["audit"]}"#]);
    let receipt = || {
        get(&format!(
            "/v1/_audit/receipt?bucket=photos&key=a%2F1&version={version}"
        ))
    };
    store.send_as(&narrow, receipt()).await.is(403, "Forbidden");
    let answer = store.send_as(&both, receipt()).await.ok(StatusCode::OK);
    Receipt::parse(&answer.body).unwrap().verify(&key).unwrap();
}

/// Defects it catches: a receipt of another change of the key; one whose checkpoint does not cover its leaf.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_asks_gets_its_receipt() {
    let store = Store::photos().await;
    let key = key(&store);
    let plain = store.send(put("k")).await.ok(StatusCode::CREATED);
    assert_eq!((plain.header("x-wfldb-leaf"), plain.body.len()), ("", 0));
    // Who may not audit gets the receipt of its own write all the same.
    let writer = store.holder(&[r#"{"b":"photos","p":"","ops":["get","put","delete"]}"#]);
    let large = Ask::new("PUT", "/v1/photos/large").body(vec![7; 200_000]);
    let asks = [
        put("k"),
        Ask::new("PUT", "/v1/photos/new").body("x"),
        large,
        Ask::new("DELETE", "/v1/photos/k"),
    ];
    for (n, ask) in asks.into_iter().enumerate() {
        let answer = store
            .send_as(&writer, ask.header("x-wfldb-receipt", "true"))
            .await;
        assert!(answer.status < 300, "{answer:?}");
        assert_eq!(answer.header("x-wfldb-leaf"), (n + 2).to_string());
        let proven = Receipt::parse(&answer.body).unwrap().verify(&key).unwrap();
        assert_eq!(proven.entry.leaf.get(), n as u64 + 2);
        assert_eq!(
            proven.request.unwrap().signer,
            writer.key.key_id(wfldb_core::id::Role::Client)
        );
    }
}
