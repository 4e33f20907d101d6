//! Buckets with `audit_reads`: every read and refusal is in the audit log before it is answered, or is not answered.

use http::StatusCode;
use wfldb_core::audit::{Content, Entry, EntryOp, Outcome, Proven, Receipt, VerifierKey};
use wfldb_core::id::{ContentHash, Role};

use crate::audit::{covers, key};
use crate::harness::{Answer, Ask, Holder, Http, Store};
use crate::links::{maker, plain, to_read};
use crate::sessions::open;

const READER: &str = r#"{"b":"photos","p":"","ops":["get","list"]}"#;

fn get(path: &str) -> Ask {
    Ask::new("GET", path)
}

/// A bucket that wants its reads logged, with `cat` in it; the answer to its put.
async fn audited() -> (Store, Answer) {
    let store = Store::photos().await;
    let config = Ask::new("PUT", "/v1/photos").body(r#"{"audit_reads":true}"#);
    let config = store.send(config).await.ok(StatusCode::OK);
    assert_eq!(config.json()["audit_reads"], true);
    let put = Ask::new("PUT", "/v1/photos/cat").body("meow");
    let put = store.send(put).await.ok(StatusCode::CREATED);
    (store, put)
}

pub(crate) async fn leaves(store: &Store, key: &VerifierKey) -> u64 {
    // A write of our own, so that what was not waited for is before it.
    let put = Ask::new("PUT", "/v1/marks/m").header("x-wfldb-receipt", "true");
    let made = store
        .send(Ask::new("PUT", "/v1/marks").body(r#"{"versions":{"keep":1}}"#))
        .await;
    assert!(made.status < 300, "{made:?}");
    let leaf: u64 = store.send(put).await.header("x-wfldb-leaf").parse().unwrap();
    covers(store, key, leaf + 1).await;
    leaf
}

pub(crate) async fn receipt(store: &Store, leaf: u64) -> Answer {
    store.send(get(&format!("/v1/_audit/receipt?leaf={leaf}"))).await
}

/// The receipt of a leaf, verified as a stranger does.
pub(crate) async fn proven(store: &Store, key: &VerifierKey, leaf: u64) -> (Receipt, Proven) {
    covers(store, key, leaf + 1).await;
    let answer = receipt(store, leaf).await.ok(StatusCode::OK);
    let receipt = Receipt::parse(&answer.body).unwrap();
    let proven = receipt
        .verify(key)
        .unwrap_or_else(|error| panic!("{error}: {receipt:?}"));
    (receipt, proven)
}

/// The words, outcomes and signers of the leaves from one on.
pub(crate) async fn entries(
    store: &Store,
    key: &VerifierKey,
    from: u64,
    to: u64,
) -> Vec<(String, Outcome, String)> {
    let mut found = Vec::new();
    for leaf in from..to {
        let answer = receipt(store, leaf).await;
        if answer.status != 200 {
            found.push((answer.code(), Outcome::Erased, String::new()));
            continue;
        }
        let receipt = Receipt::parse(&answer.body).unwrap();
        let entry = Entry::parse(&receipt.entry).unwrap();
        if entry.is_access() {
            proven(store, key, leaf).await;
        }
        let named = receipt.key.unwrap_or_default();
        found.push((format!("{} {named}", entry.op), entry.outcome, named));
    }
    found
}

pub(crate) async fn assert_sound(store: &Store) {
    let verify = Ask::new("POST", "/v1/_admin").body(r#"{"do":"verify"}"#);
    let verdict = store.send(verify).await.ok(StatusCode::OK).json();
    assert_eq!(verdict["findings"], serde_json::json!([]), "{verdict}");
}

/// Defects it catches: a way of reading that is not logged; a leaf of another version, or of the part that was sent; a
/// receipt that no stranger believes; a bucket that did not ask and is logged.
#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_reading_has_its_leaf_and_receipt() {
    let (store, put) = audited().await;
    let version = put.header("x-wfldb-version").to_owned();
    let etag = put.header("etag").to_owned();
    let key = key(&store);
    let reader = store.holder(&[READER]);
    let reads: Vec<(u16, &str, Ask)> = vec![
        (200, "read cat", get("/v1/photos/cat")),
        (200, "read cat", get("/v1/photos/cat").over(Http::One)),
        (200, "read cat", Ask::new("HEAD", "/v1/photos/cat")),
        (
            206,
            "read cat",
            get("/v1/photos/cat").header("range", "bytes=1-2"),
        ),
        (
            304,
            "read cat",
            get("/v1/photos/cat").header("if-none-match", &etag),
        ),
        (200, "read cat", get(&format!("/v1/photos/cat?version={version}"))),
        (
            200,
            "read cat",
            get("/v1/photos/cat?at=9999-01-01T00%3A00%3A00.000Z"),
        ),
    ];
    for (status, word, ask) in reads {
        let target = ask.target();
        let answer = store.send_as(&reader, ask).await;
        assert_eq!(answer.status, status, "{target} {answer:?}");
        let leaf: u64 = answer.header("x-wfldb-leaf").parse().unwrap();
        let (receipt, proven) = proven(&store, &key, leaf).await;
        let named = receipt.key.clone().unwrap_or_default();
        assert_eq!(format!("{} {named}", proven.entry.op), word, "{target}");
        assert_eq!(proven.entry.outcome, Outcome::Ok);
        assert_eq!(proven.request.unwrap().signer, reader.key.key_id(Role::Client));
        let Some(Content::Object {
            etag,
            len,
            version: shown,
        }) = receipt.content
        else {
            panic!("{target} shows no version");
        };
        assert_eq!((etag, len), (Some(ContentHash::of(b"meow")), 4), "{target}");
        assert_eq!(shown.unwrap().to_string(), version, "{target}");
    }
    for (target, word) in [
        ("/v1/photos/cat?versions=true", "read"),
        ("/v1/photos/scan", "list"),
    ] {
        let answer = store.send_as(&reader, get(target)).await.ok(StatusCode::OK);
        let leaf: u64 = answer.header("x-wfldb-leaf").parse().unwrap();
        let (receipt, proven) = proven(&store, &key, leaf).await;
        assert_eq!((proven.entry.op.as_str(), receipt.content), (word, None));
        assert_eq!(receipt.key.is_some(), word == "read");
    }
    // By a link: its signer is who answers for it.
    let maker = maker(&store, &[READER]);
    let target = format!("/v1/photos/cat?link={}", to_read(&maker, "cat"));
    let answer = plain(&store, Http::One, "GET", &target, "")
        .await
        .ok(StatusCode::OK);
    let leaf: u64 = answer.header("x-wfldb-leaf").parse().unwrap();
    let (_, by_link) = proven(&store, &key, leaf).await;
    let request = by_link.request.unwrap();
    assert!(request.by_link && request.method == "GET", "{request:?}");
    assert_eq!(request.signer, maker.key.key_id(Role::Client));
    // What is read beside a request's own access: the source of a copy, what a batch only checks.
    store
        .send(Ask::new("PUT", "/v1/other"))
        .await
        .ok(StatusCode::CREATED);
    let before = leaves(&store, &key).await;
    let copy = Ask::new("POST", "/v1/other/copy?copy=%2Fphotos%2Fcat");
    store.send(copy).await.ok(StatusCode::CREATED);
    let check = format!(
        r#"{{"ops":[{{"op":"check","key":"cat","if_match":"{}"}}]}}"#,
        etag.trim_matches('"')
    );
    let batch = Ask::new("POST", "/v1/photos/batch").body(check);
    store.send(batch).await.ok(StatusCode::OK);
    let after = leaves(&store, &key).await;
    let found = entries(&store, &key, before + 1, after).await;
    let words: Vec<&str> = found.iter().map(|(word, ..)| word.as_str()).collect();
    assert_eq!(words, ["read cat", "put copy", "read ", "bucket-configure marks"]);
    // Nobody asked for it there.
    let plain = store.send(get("/v1/other/copy")).await.ok(StatusCode::OK);
    assert_eq!(plain.header("x-wfldb-leaf"), "");
    assert_sound(&store).await;
    let store = store.restart().await;
    assert_sound(&store).await;
}

/// What a read is answered with although nothing is shown tells something too. Defects it catches: a miss that is only
/// logged as far as the rate of refusals goes; a leaf that says it was shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_miss_is_logged_like_a_read() {
    let (store, _) = audited().await;
    let key = key(&store);
    let reader = store.holder(&[READER]);
    let before = leaves(&store, &key).await;
    let other = format!("\"{}\"", ContentHash::of(b"other"));
    for _ in 0..8 {
        store
            .send_as(&reader, get("/v1/photos/absent"))
            .await
            .is(404, "NoSuchKey");
        let condition = get("/v1/photos/cat").header("if-match", &other);
        store
            .send_as(&reader, condition)
            .await
            .is(412, "PreconditionFailed");
        let range = get("/v1/photos/cat").header("range", "bytes=9-");
        store.send_as(&reader, range).await.is(416, "RangeNotSatisfiable");
    }
    let after = leaves(&store, &key).await;
    let found = entries(&store, &key, before + 1, after).await;
    let misses = found
        .iter()
        .filter(|(word, outcome, _)| word.starts_with("read") && *outcome == Outcome::Refused);
    assert_eq!(misses.count(), 24, "{found:?}");
    assert_sound(&store).await;
}

async fn replayed(store: &Store, holder: &Holder) {
    let ask = get("/v1/photos/cat");
    let headers = ask.sign(holder);
    store.deliver(&ask, headers.clone()).await.ok(StatusCode::OK);
    store.deliver(&ask, headers).await.is(401, "Unauthenticated");
}

/// Defects it catches: a refusal that leaves nothing; one that leaves a leaf though nobody signed; refusals that fill the
/// log.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_logged_at_a_bounded_rate_and_only_after_the_signature() {
    let (store, _) = audited().await;
    let key = key(&store);
    let reader = store.holder(&[READER]);
    let stranger = store.holder(&[r#"{"b":"other","p":"","ops":["get","put"]}"#]);
    let before = leaves(&store, &key).await;
    // Nobody is known to have signed these.
    let mut forged = get("/v1/photos/cat").sign(&reader);
    for (name, value) in &mut forged {
        if name == "x-wfldb-signature" {
            *value = "A".repeat(86);
        }
    }
    store
        .deliver(&get("/v1/photos/cat"), forged)
        .await
        .is(401, "Unauthenticated");
    replayed(&store, &reader).await;
    let put = Ask::new("PUT", "/v1/photos/cat").body("x");
    store.send_as(&stranger, put).await.is(403, "Forbidden");
    let delete = Ask::new("DELETE", "/v1/photos/cat").header("if-none-match", "*");
    store.send(delete).await.is(412, "PreconditionFailed");
    let after = leaves(&store, &key).await;
    let found = entries(&store, &key, before + 1, after).await;
    let refused: Vec<&str> = found
        .iter()
        .filter(|(_, outcome, _)| *outcome == Outcome::Refused)
        .map(|(word, ..)| word.as_str())
        .collect();
    assert_eq!(refused, ["read cat", "put cat", "delete cat"], "{found:?}");
    let who: Vec<_> = found.iter().filter(|(word, ..)| word == "read cat").collect();
    assert_eq!(who.len(), 2, "the one that was answered and its repetition");
    // And no more than so many.
    let flooder = store.holder(&[r#"{"b":"other","p":"","ops":["get"]}"#]);
    let began = std::time::Instant::now();
    for _ in 0..40 {
        store
            .send_as(&flooder, get("/v1/photos/cat"))
            .await
            .is(403, "Forbidden");
    }
    let seconds = began.elapsed().as_secs() + 1;
    let last = leaves(&store, &key).await;
    let logged = last - after - 2;
    let most = 2 * (seconds + 1);
    assert!(
        (1..=most.min(39)).contains(&logged),
        "{logged} of 40 in {seconds} s"
    );
    // Elsewhere nothing is logged.
    store
        .send_as(&stranger, get("/v1/marks/m"))
        .await
        .is(403, "Forbidden");
    assert_eq!(leaves(&store, &key).await, last + 2);
    assert_sound(&store).await;
}

/// A defect it catches: a read that is served although its leaf could not be written.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_logged_is_not_served() {
    let (store, _) = audited().await;
    let plain = Ask::new("PUT", "/v1/plain");
    store.send(plain).await.ok(StatusCode::CREATED);
    let put = Ask::new("PUT", "/v1/plain/k").body("k");
    store.send(put).await.ok(StatusCode::CREATED);
    let store = store
        .restart_with(|config| config.min_free_bytes = u64::MAX)
        .await;
    store.send(get("/v1/plain/k")).await.ok(StatusCode::OK);
    for target in [
        "/v1/photos/cat",
        "/v1/photos/absent",
        "/v1/photos/cat?versions=true",
        "/v1/photos/scan",
    ] {
        let answer = store.send(get(target)).await;
        answer.is(503, "ReadNotLogged");
        assert!(!answer.body.windows(4).any(|bytes| bytes == b"meow"));
        assert_eq!(answer.header("etag"), "");
    }
    // What is refused is refused all the same.
    let stranger = store.holder(&[r#"{"b":"plain","p":"","ops":["get"]}"#]);
    store
        .send_as(&stranger, get("/v1/photos/cat"))
        .await
        .is(403, "Forbidden");
}

/// A defect it catches: reads over a session, which leave nothing that proves who read.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_do_not_read_such_a_bucket() {
    let (store, _) = audited().await;
    let session = open(&store, &store.admin).await;
    for target in [
        "/v1/photos/cat",
        "/v1/photos/scan",
        "/v1/photos/cat?versions=true",
    ] {
        session
            .send(&store, get(target))
            .await
            .is(401, "SignatureRequired");
    }
    let off = Ask::new("PUT", "/v1/photos").body("{}");
    store.send(off).await.ok(StatusCode::OK);
    session
        .send(&store, get("/v1/photos/cat"))
        .await
        .ok(StatusCode::OK);
}

/// What was signed to read a version names its key and hash. Defects it catches: it stays when the version is erased; it
/// takes the leaf along.
#[tokio::test(flavor = "multi_thread")]
async fn who_read_a_version_is_forgotten_with_it() {
    let (store, put) = audited().await;
    let key = key(&store);
    let version = put.header("x-wfldb-version").to_owned();
    // More than go in the commit that erases it.
    let mut read = Vec::new();
    for _ in 0..70 {
        let answer = store.send(get("/v1/photos/cat")).await.ok(StatusCode::OK);
        read.push(answer.header("x-wfldb-leaf").parse::<u64>().unwrap());
    }
    let listed = store.send(get("/v1/photos/scan")).await.ok(StatusCode::OK);
    let listed: u64 = listed.header("x-wfldb-leaf").parse().unwrap();
    proven(&store, &key, read[0]).await;
    let erase = Ask::new("DELETE", &format!("/v1/photos/cat?version={version}"));
    let erase = erase.header("x-wfldb-receipt", "true");
    let erased = store.send(erase).await.ok(StatusCode::OK);
    let of_erase = Receipt::parse(&erased.body).unwrap().verify(&key).unwrap();
    assert_eq!(of_erase.entry.op, EntryOp::ERASE);
    receipt(&store, read[0]).await.is(404, "EvidenceErased");
    crate::harness::until("the rest", async || receipt(&store, read[69]).await.status == 404).await;
    proven(&store, &key, listed).await;
    assert_sound(&store).await;
}

/// Changes of buckets bring their receipts. Defects it catches: a leaf that is another change's; a receipt for whoever
/// asks.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_buckets_have_receipts() {
    let store = Store::photos().await;
    let key = key(&store);
    let asks = [
        (
            "bucket-create",
            201,
            Ask::new("PUT", "/v1/fresh").body(r#"{"quota_bytes":1000}"#),
        ),
        ("bucket-configure", 200, Ask::new("PUT", "/v1/fresh").body("{}")),
        ("bucket-delete", 200, Ask::new("DELETE", "/v1/fresh")),
    ];
    for (word, status, ask) in asks {
        let answer = store.send(ask.header("x-wfldb-receipt", "true")).await;
        assert_eq!(answer.status, status, "{answer:?}");
        let receipt = Receipt::parse(&answer.body).unwrap();
        let leaf = answer.header("x-wfldb-leaf").parse::<u64>().unwrap();
        let by_header = receipt.verify(&key).unwrap();
        assert_eq!(
            (by_header.entry.op.as_str(), by_header.entry.leaf.get()),
            (word, leaf)
        );
        assert_eq!(receipt.key.as_deref(), Some("fresh"));
        let (by_leaf, again) = proven(&store, &key, leaf).await;
        assert_eq!((by_leaf.entry, again.entry), (receipt.entry, by_header.entry));
    }
    let auditor = store.holder(&[r#"{"b":"fresh","p":"","ops":["audit"]}"#]);
    let ask = get("/v1/_audit/receipt?leaf=1");
    store.send_as(&auditor, ask).await.is(403, "Forbidden");
    receipt(&store, 1_000_000).await.is(404, "OutsideTree");
    let both = get("/v1/_audit/receipt?bucket=fresh&leaf=1");
    store.send(both).await.is(400, "BadParameter");
}
