//! Documents over HTTP: what a bucket of them takes, gives and refuses.

use http::StatusCode;
use serde_json::{Value, json};
use wfldb_core::doc;
use wfldb_core::name::{BucketName, ObjectKey};

use crate::harness::{Answer, Ask, BOTH, Store, text};

const MERGE: &str = "application/merge-patch+json";
const PATCH: &str = "application/json-patch+json";

async fn documents() -> Store {
    let store = Store::photos().await;
    let bucket = Ask::new("PUT", "/v1/users").body(r#"{"kind":"documents"}"#);
    store.send(bucket).await.ok(StatusCode::CREATED);
    store
}

fn put(key: &str, document: &Value) -> Ask {
    Ask::new("PUT", &format!("/v1/users/{key}"))
        .header("content-type", "application/json")
        .body(document.to_string())
}

fn get(key: &str) -> Ask {
    Ask::new("GET", &format!("/v1/users/{key}"))
}

/// The members of a document that was read, which is verified as a stranger would.
#[track_caller]
fn verified(key: &str, answer: &Answer) -> Value {
    let (document, signature) = doc::split_signature(doc::parse_object(&answer.body).unwrap()).unwrap();
    let bucket = BucketName::parse("users").unwrap();
    doc::verify(&bucket, &ObjectKey::parse(key).unwrap(), &document, &signature).unwrap();
    let etag = blake3::hash(&doc::canonical(&document)).to_hex().to_string();
    assert_eq!(answer.header("etag"), format!("\"{etag}\""));
    Value::Object(document)
}

#[track_caller]
fn at(answer: &Answer, status: u16, code: &str, pointer: &str) {
    answer.is(status, code);
    assert_eq!(answer.json()["pointer"], pointer, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_stored_read_patched_deleted_and_restored() {
    let store = documents().await;
    for http in BOTH {
        let key = format!("{http:?}/1").to_lowercase();
        let first = store
            .send(put(&key, &json!({"name": "Ann", "n": 1})).over(http))
            .await
            .ok(StatusCode::CREATED);
        let read = store.send(get(&key).over(http)).await.ok(StatusCode::OK);
        assert_eq!(read.header("content-type"), "application/json");
        assert_eq!(read.header("etag"), first.header("etag"));
        assert_eq!(read.header("accept-ranges"), "");
        let document = verified(&key, &read);
        assert_eq!((&document["name"], &document["_v"]), (&json!("Ann"), &json!(1)));
        // Once more, from memory; a HEAD says the same; a range is passed over.
        let again = store
            .send(get(&key).over(http).header("range", "bytes=0-1"))
            .await;
        assert_eq!(again.ok(StatusCode::OK).body, read.body);
        let head = store
            .send(Ask::new("HEAD", &format!("/v1/users/{key}")).over(http))
            .await
            .ok(StatusCode::OK);
        assert_eq!(head.header("content-length"), read.body.len().to_string());
        let known = get(&key).over(http).header("if-none-match", first.header("etag"));
        store.send(known).await.ok(StatusCode::NOT_MODIFIED);

        let patch = |content_type: &str, body: Value| {
            Ask::new("PATCH", &format!("/v1/users/{key}"))
                .over(http)
                .header("content-type", content_type)
                .body(body.to_string())
        };
        store
            .send(patch(MERGE, json!({"n": 2, "name": null})))
            .await
            .ok(StatusCode::OK);
        let tested = json!([{"op": "test", "path": "/_v", "value": 2}, {"op": "add", "path": "/tags", "value": ["a"]}]);
        store.send(patch(PATCH, tested.clone())).await.ok(StatusCode::OK);
        at(
            &store.send(patch(PATCH, tested)).await,
            409,
            "PatchConflict",
            "/0",
        );
        at(&store.send(patch(PATCH, json!({}))).await, 400, "BadPatch", "");
        at(
            &store.send(patch(MERGE, json!({"_v": 9}))).await,
            409,
            "NotCurrent",
            "/_v",
        );
        store
            .send(patch("application/json", json!({})))
            .await
            .is(415, "ContentTypeNotSupported");
        let read = store.send(get(&key)).await.ok(StatusCode::OK);
        let document = verified(&key, &read);
        assert_eq!(document["n"], 2);
        assert_eq!(
            (&document["tags"], &document["name"]),
            (&json!(["a"]), &Value::Null)
        );
        assert_eq!(document["_v"], 3);

        let delete = Ask::new("DELETE", &format!("/v1/users/{key}")).over(http);
        store.send(delete).await.ok(StatusCode::NO_CONTENT);
        store.send(get(&key)).await.is(404, "NoSuchKey");
        store.send(patch(MERGE, json!({}))).await.is(404, "NoSuchKey");
        let undelete = Ask::new("POST", &format!("/v1/users/{key}?undelete=true")).over(http);
        store.send(undelete).await.ok(StatusCode::OK);
        assert_eq!(verified(&key, &store.send(get(&key)).await)["_v"], 4);

        let history = Ask::new(
            "GET",
            &format!("/v1/users/{key}?history=true&limit=3&verify=true"),
        );
        let page = store.send(history).await.ok(StatusCode::OK).json();
        let versions = page["versions"].as_array().unwrap();
        assert_eq!(versions.len(), 3);
        assert_eq!(
            (&versions[0]["document"]["_v"], &versions[0]["verified"]),
            (&json!(4), &json!(true))
        );
        assert_eq!(
            (&versions[1]["deleted"], &versions[1]["document"]),
            (&json!(true), &Value::Null)
        );
        assert_eq!(versions[2]["document"]["_v"], 3);
        let cursor = text(&page["cursor"]);
        let next = Ask::new(
            "GET",
            &format!("/v1/users/{key}?cursor={cursor}&history=true&limit=3"),
        );
        let next = store.send(next).await.ok(StatusCode::OK).json();
        assert_eq!(next["versions"].as_array().unwrap().len(), 2);
        assert_eq!(next["cursor"], Value::Null);
        assert_eq!(next["versions"][1]["document"]["_v"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_document_is_refused_with_its_place() {
    let store = documents().await;
    let body = |body: &str| Ask::new("PUT", "/v1/users/a").body(body);
    at(
        &store.send(body(r#"{"a":{"b":1,"b":2}}"#)).await,
        400,
        "BadJson",
        "/a/b",
    );
    at(
        &store.send(body(r#"{"a":[0,9007199254740992]}"#)).await,
        400,
        "BadJson",
        "/a/1",
    );
    at(&store.send(body("[]")).await, 400, "BadJson", "");
    at(
        &store.send(body(r#"{"_x":1}"#)).await,
        400,
        "ReservedMember",
        "/_x",
    );
    at(&store.send(body(r#"{"_id":"b"}"#)).await, 400, "WrongId", "/_id");
    at(&store.send(body(r#"{"_v":1}"#)).await, 409, "NotCurrent", "/_v");
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(1 << 20));
    store.send(body(&large)).await.is(413, "TooLarge");
    let text = body("{}").header("content-type", "text/plain");
    store.send(text).await.is(415, "ContentTypeNotSupported");
    let meta = body("{}").header("x-wfldb-meta-a", "b");
    store.send(meta).await.is(400, "NotForDocuments");
    let parts = Ask::new("POST", "/v1/users/a?multipart=start&part_bytes=5242880");
    store.send(parts).await.is(400, "NotForDocuments");
    store.send(get("a")).await.is(404, "NoSuchKey");
    // And what only documents have.
    store
        .send(Ask::new("PUT", "/v1/photos/a").body("x"))
        .await
        .ok(StatusCode::CREATED);
    let patch = Ask::new("PATCH", "/v1/photos/a")
        .header("content-type", MERGE)
        .body("{}");
    store.send(patch).await.is(400, "NotDocuments");
    store
        .send(Ask::new("GET", "/v1/photos/a?history=true"))
        .await
        .is(400, "NotDocuments");
    let bulk = Ask::new("POST", "/v1/photos/_bulk").body(r#"{"ops":[{"op":"delete","key":"a"}]}"#);
    store.send(bulk).await.is(400, "NotDocuments");
    let batch = Ask::new("POST", "/v1/photos/batch").body(r#"{"ops":[{"op":"put","key":"b","body":{}}]}"#);
    store.send(batch).await.is(400, "NotDocuments");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_one_outcome_and_a_bulk_request_one_for_each_entry() {
    let store = documents().await;
    let batch = |ops: Value| Ask::new("POST", "/v1/users/batch").body(json!({ "ops": ops }).to_string());
    let refused =
        json!([{"op": "put", "key": "a", "body": {"n": 1}}, {"op": "put", "key": "b", "body": {"_x": 1}}]);
    let refused = store.send(batch(refused)).await;
    at(&refused, 400, "ReservedMember", "/_x");
    assert_eq!(refused.json()["entry"], 1);
    store.send(get("a")).await.is(404, "NoSuchKey");
    let done =
        json!([{"op": "put", "key": "a", "body": {"n": 1}}, {"op": "put", "key": "b", "body": {"n": 2}}]);
    store.send(batch(done)).await.ok(StatusCode::OK);

    let bulk = |ops: Value| Ask::new("POST", "/v1/users/_bulk").body(json!({ "ops": ops }).to_string());
    let ops = json!([
        {"op": "insert", "key": "a", "document": {"n": 3}},
        {"op": "update", "key": "a", "document": {"n": 4}},
        {"op": "update", "key": "a", "document": {"n": 5}},
        {"op": "update", "key": "none", "document": {"n": 6}},
        {"op": "insert", "key": "c", "document": {"n": 7, "_q": 1}},
        {"op": "insert", "key": "d", "document": {"n": 8}},
        {"op": "delete", "key": "b"},
        {"op": "delete", "key": "nothing"},
    ]);
    let done = store.send(bulk(ops)).await.ok(StatusCode::OK).json();
    let results = done["results"].as_array().unwrap();
    let code = |n: usize| results[n]["error"]["code"].clone();
    assert_eq!(code(0), "PreconditionFailed");
    assert_eq!(code(3), "PreconditionFailed");
    assert_eq!(
        (code(4), &results[4]["error"]["pointer"]),
        (json!("ReservedMember"), &json!("/_q"))
    );
    for stored in [1, 2, 5, 6] {
        assert_eq!(code(stored), Value::Null, "{results:?}");
        assert!(results[stored]["version"].is_string());
    }
    assert_eq!(results[7], json!({"key": "nothing"}));
    let a = verified("a", &store.send(get("a")).await);
    assert_eq!((&a["n"], &a["_v"]), (&json!(5), &json!(3)));
    store.send(get("b")).await.is(404, "NoSuchKey");
    // SECURITY: what the caller may not write refuses all of it.
    let reader = store.holder(&[r#"{"b":"users","p":"d","ops":["get","put"]}"#]);
    let ops = json!([{"op": "put", "key": "d", "document": {}}, {"op": "put", "key": "a", "document": {}}]);
    store.send_as(&reader, bulk(ops)).await.is(403, "Forbidden");
    assert_eq!(verified("d", &store.send(get("d")).await)["_v"], 1);
    // A patch tells what was there.
    let writer = store.holder(&[r#"{"b":"users","p":"","ops":["put"]}"#]);
    let patch = Ask::new("PATCH", "/v1/users/a")
        .header("content-type", MERGE)
        .body("{}");
    store.send_as(&writer, patch).await.is(403, "Forbidden");
}
