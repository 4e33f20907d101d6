//! Reads that are a part of a request, and answers that last, in buckets with `audit_reads`.

use std::time::Duration;

use http::StatusCode;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use wfldb_core::audit::{Content, Outcome};

use crate::audit::key;
use crate::harness::{Answer, Ask, Store, text};
use crate::reads::{assert_sound, entries, leaves, proven, receipt};

/// A store with `notes`, documents whose reads are logged, and `plain`, whose reads are not; both have `a`.
async fn notes() -> Store {
    let store = Store::new().await;
    for (bucket, config) in [
        ("notes", r#"{"kind":"documents","audit_reads":true}"#),
        ("plain", r#"{"kind":"documents"}"#),
    ] {
        let put = Ask::new("PUT", &format!("/v1/{bucket}")).body(config);
        store.send(put).await.ok(StatusCode::CREATED);
        let put = Ask::new("PUT", &format!("/v1/{bucket}/a")).body(r#"{"n":1}"#);
        store.send(put).await.ok(StatusCode::CREATED);
    }
    store
}

async fn tx(store: &Store, body: &Value) -> Answer {
    store
        .send(Ask::new("POST", "/v1/_tx").body(body.to_string()))
        .await
}

async fn logged(store: &Store, before: u64, after: u64) -> Vec<(String, Outcome)> {
    let key = key(store);
    let found = entries(store, &key, before + 1, after).await;
    let found = found.into_iter().map(|(word, outcome, _)| (word, outcome));
    // The last one configures the bucket of the marks.
    let mut found: Vec<_> = found.collect();
    found.pop();
    found
}

/// Defects it catches: reads of a transaction that never commits; a condition as a way to read without a trace; an entry in
/// a bucket that did not ask; a refused operation that leaves nothing, since the transaction itself is in no bucket.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_has_each_of_its_reads_logged() {
    let store = notes().await;
    let key = key(&store);
    let etag = store.send(Ask::new("GET", "/v1/plain/a")).await;
    let etag = etag.header("etag").trim_matches('"').to_owned();
    let mine = store.send(Ask::new("HEAD", "/v1/notes/a")).await;
    let (mine, version) = (
        mine.header("etag").trim_matches('"').to_owned(),
        mine.header("x-wfldb-version").to_owned(),
    );
    let get = |bucket: &str, key: &str| json!({"op": "get", "bucket": bucket, "key": key});
    let before = leaves(&store, &key).await;
    let begun = tx(
        &store,
        &json!({"do": "begin", "ops": [
            get("notes", "a"),
            get("plain", "a"),
            get("notes", "none"),
            {"op": "scan", "bucket": "notes"},
            {"op": "delete", "bucket": "notes", "key": "a", "if_match": mine},
        ]}),
    )
    .await
    .ok(StatusCode::OK);
    let id = text(&begun.json()["tx"]);
    // A guess that is wrong.
    let guess = json!({"op": "delete", "bucket": "notes", "key": "b", "if_match": etag});
    let wrong = tx(&store, &json!({"do": "run", "tx": id, "ops": [guess]})).await;
    wrong.is(412, "PreconditionFailed");
    tx(&store, &json!({"do": "abort", "tx": id}))
        .await
        .ok(StatusCode::OK);
    let after = leaves(&store, &key).await;
    let expected = [
        ("read a", Outcome::Ok),
        ("read none", Outcome::Refused),
        ("list ", Outcome::Ok),
        ("read a", Outcome::Ok),
        ("read b", Outcome::Refused),
    ];
    let found = logged(&store, before, after).await;
    let found: Vec<_> = found
        .iter()
        .map(|(word, outcome)| (word.as_str(), *outcome))
        .collect();
    assert_eq!(found, expected);
    // Which version was shown.
    let (receipt_of_read, _) = proven(&store, &key, before + 1).await;
    let Some(Content::Object { version: shown, .. }) = receipt_of_read.content else {
        panic!("{receipt_of_read:?}");
    };
    assert_eq!(shown.unwrap().to_string(), version);
    // Of others.
    let stranger = store.holder(&[r#"{"b":"plain","p":"","ops":["get"]}"#]);
    let body = json!({"do": "begin", "ops": [get("plain", "a"), get("notes", "a")]});
    let ask = Ask::new("POST", "/v1/_tx").body(body.to_string());
    store.send_as(&stranger, ask).await.is(403, "Forbidden");
    let last = leaves(&store, &key).await;
    assert_eq!(
        logged(&store, after, last).await,
        [("read a".to_owned(), Outcome::Refused)]
    );
    assert_sound(&store).await;
}

/// A patch is a question too. Defects it catches: tests that fail as a way to read that is only logged as far as the rate of
/// refusals goes; the same by the conditions of a batch and the entries of a bulk request.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_write_asks_is_logged_however_often() {
    let store = notes().await;
    let key = key(&store);
    let before = leaves(&store, &key).await;
    for n in 10..16 {
        let test = json!([{"op": "test", "path": "/n", "value": n}]);
        let patch = Ask::new("PATCH", "/v1/notes/a").header("content-type", "application/json-patch+json");
        store
            .send(patch.body(test.to_string()))
            .await
            .is(409, "PatchConflict");
        let batch = json!({"ops": [{"op": "check", "key": "a", "if_match": "0".repeat(64)}]});
        let batch = Ask::new("POST", "/v1/notes/batch").body(batch.to_string());
        store.send(batch).await.is(412, "PreconditionFailed");
        let bulk = Ask::new("POST", "/v1/notes/_bulk");
        let bulk = bulk.body(r#"{"ops":[{"op":"insert","key":"a","document":{}}]}"#);
        let bulk = store.send(bulk).await.ok(StatusCode::OK);
        assert_eq!(bulk.json()["results"][0]["error"]["status"], 412, "{bulk:?}");
        let put = Ask::new("PUT", "/v1/notes/a").header("if-match", &format!("\"{}\"", "0".repeat(64)));
        store.send(put.body("{}")).await.is(412, "PreconditionFailed");
    }
    let after = leaves(&store, &key).await;
    let found = logged(&store, before, after).await;
    for (word, times) in [("put a", 12), ("put ", 6), ("read ", 6)] {
        let count = found.iter().filter(|(it, _)| it == word).count();
        assert_eq!(count, times, "{word}: {found:?}");
    }
    assert_sound(&store).await;
}

/// A question whose answer is only that it was too much tells how much there is. A defect it catches: that it is not logged.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_comes_to_nothing_is_logged() {
    let store = notes().await;
    let key = key(&store);
    let before = leaves(&store, &key).await;
    let search = Ask::new("POST", "/v1/notes/_search").body(r#"{"query":"x"}"#);
    assert_eq!(store.send(search).await.status, 400);
    let find = Ask::new("POST", "/v1/notes/_find").body(r#"{"selector":{"$text":"x"}}"#);
    assert_eq!(store.send(find).await.status, 400);
    let after = leaves(&store, &key).await;
    let refused = ("query ".to_owned(), Outcome::Refused);
    assert_eq!(logged(&store, before, after).await, [refused.clone(), refused]);
}

/// Defects it catches: a feed that began before its bucket wanted reads logged and tells on; one without an entry.
#[tokio::test(flavor = "multi_thread")]
async fn a_feed_has_its_entry_and_one_without_ends() {
    let store = notes().await;
    let key = key(&store);
    let lines = Ask::new("GET", "/v1/plain/_changes?feed=continuous");
    let headers = lines.sign(&store.admin);
    let open = store.open(&lines, headers, Full::new(bytes::Bytes::new())).await;
    assert_eq!(open.headers().get("x-wfldb-leaf"), None);
    let config = r#"{"kind":"documents","audit_reads":true}"#;
    let put = Ask::new("PUT", "/v1/plain").body(config);
    store.send(put).await.ok(StatusCode::OK);
    let put = Ask::new("PUT", "/v1/plain/secret").body("{}");
    store.send(put).await.ok(StatusCode::CREATED);
    let told = tokio::time::timeout(Duration::from_mins(1), open.into_body().collect());
    let told = told.await.unwrap().unwrap().to_bytes();
    let told = String::from_utf8(told.to_vec()).unwrap();
    assert!(told.trim_end().ends_with(r#""end":"audited"}"#), "{told}");
    assert!(!told.contains("secret"), "{told}");
    let again = Ask::new("GET", "/v1/plain/_changes?feed=continuous&limit=2");
    let again = store.send(again).await.ok(StatusCode::OK);
    let leaf: u64 = again.header("x-wfldb-leaf").parse().unwrap();
    let (_, watch) = proven(&store, &key, leaf).await;
    assert_eq!(watch.entry.op.as_str(), "watch");
}

/// Defects it catches: the receipt of what others read for whoever may audit another bucket, or a part of this one.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_of_a_read_is_for_who_audits_everything() {
    let store = notes().await;
    let key = key(&store);
    let read = store
        .send(Ask::new("GET", "/v1/notes/a"))
        .await
        .ok(StatusCode::OK);
    let leaf: u64 = read.header("x-wfldb-leaf").parse().unwrap();
    proven(&store, &key, leaf).await;
    for grants in [
        &[r#"{"b":"plain","p":"","ops":["get","audit"]}"#][..],
        &[r#"{"b":"notes","p":"","ops":["get","audit"]}"#],
        &[r#"{"b":"*","p":"a","ops":["audit"]}"#],
    ] {
        let other = store.holder(grants);
        let ask = Ask::new("GET", &format!("/v1/_audit/receipt?leaf={leaf}"));
        store.send_as(&other, ask).await.is(403, "Forbidden");
    }
    let auditor = store.holder(&[r#"{"b":"*","p":"","ops":["audit"]}"#]);
    let ask = Ask::new("GET", &format!("/v1/_audit/receipt?leaf={leaf}"));
    store.send_as(&auditor, ask).await.ok(StatusCode::OK);
    receipt(&store, leaf).await.ok(StatusCode::OK);
}
