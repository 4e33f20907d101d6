//! `POST /v1/{bucket}/batch`: several keys in one commit, or none; every entry decided by itself.

use http::StatusCode;
use serde_json::json;
use wfldb_core::name::ObjectKey;
use wfldb_core::object::{Preconditions, Tags};
use wfldb_net::batch::{BatchAction, BatchEntry};
use wfldb_net::{accept, codec};

use crate::harness::{Answer, Ask, BOTH, Holder, Store, text};

const BATCH: &str = "/v1/photos/batch";

fn batch(ops: &serde_json::Value) -> Ask {
    Ask::new("POST", BATCH)
        .header("content-type", "application/json")
        .body(json!({ "ops": ops }).to_string())
}

fn etag(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

async fn put(store: &Store, key: &str, body: &str) -> String {
    let put = Ask::new("PUT", &format!("/v1/photos/{key}")).body(body);
    let put = store.send(put).await;
    put.header("x-wfldb-version").to_owned()
}

/// The refusal of one entry: its code as if it stood alone, and its place.
#[track_caller]
fn is_refused(answer: &Answer, status: u16, code: &str, entry: u64) {
    answer.is(status, code);
    assert_eq!(answer.json()["entry"], entry, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_one_commit_with_one_seq() {
    let store = Store::photos().await;
    for http in BOTH {
        let live = put(&store, &format!("{http:?}/c"), "c").await;
        put(&store, &format!("{http:?}/d"), "d").await;
        let key = |key: &str| format!("{http:?}/{key}");
        let ops = json!([
            {"op": "put", "key": key("a"), "body": "text", "content_type": "text/plain",
             "tags": {"colour": "red"}, "if_none_match": "*"},
            {"op": "put", "key": key("b"), "body_base64": "AAEC"},
            {"op": "delete", "key": key("c"), "if_version": live},
            {"op": "check", "key": key("d"), "if_match": etag(b"d")},
            {"op": "delete", "key": key("nothing")},
        ]);
        let done = store.send(batch(&ops).over(http)).await.ok(StatusCode::OK);
        assert_eq!(done.header("content-type"), "application/json");
        let done = done.json();
        let versions: Vec<_> = (0..3).map(|n| text(&done["results"][n]["version"])).collect();
        assert!(versions.is_sorted());
        let seq = done["seq"].as_u64().unwrap();
        assert_eq!(
            done,
            json!({"seq": seq, "results": [
                {"key": key("a"), "version": versions[0], "etag": etag(b"text")},
                {"key": key("b"), "version": versions[1], "etag": etag(&[0, 1, 2])},
                {"key": key("c"), "version": versions[2]},
                {"key": key("d")},
                {"key": key("nothing")},
            ]})
        );
        let get = |key: &str| Ask::new("GET", &format!("/v1/photos/{http:?}/{key}")).over(http);
        let a = store.send(get("a")).await.ok(StatusCode::OK);
        assert_eq!(
            (&a.body[..], a.header("content-type"), a.header("x-wfldb-tags")),
            (b"text".as_slice(), "text/plain", "colour=red")
        );
        let b = store.send(get("b")).await.ok(StatusCode::OK);
        assert_eq!(&b.body[..], [0, 1, 2]);
        for answer in [&a, &b] {
            assert_eq!(answer.header("x-wfldb-seq"), seq.to_string());
        }
        store.send(get("c")).await.is(404, "NoSuchKey");
        // What writes nothing has no seq, and the next write has the next one.
        let nothing = json!([{"op": "check", "key": key("d")}, {"op": "delete", "key": key("nothing")}]);
        let nothing = store
            .send(batch(&nothing).over(http))
            .await
            .ok(StatusCode::OK)
            .json();
        assert_eq!(
            nothing,
            json!({"results": [{"key": key("d")}, {"key": key("nothing")}]})
        );
        let next = store
            .send(Ask::new("PUT", &format!("/v1/photos/{http:?}/e")))
            .await;
        assert_eq!(next.header("x-wfldb-seq"), (seq + 1).to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_in_flatbuffers_does_the_same() {
    let store = Store::photos().await;
    for http in BOTH {
        let key = |key: &str| ObjectKey::parse(&format!("{http:?}/{key}")).unwrap();
        // A large body goes through chunk files.
        let large = vec![7; 200_000];
        let entry = |key, action| BatchEntry {
            key,
            preconditions: Preconditions {
                if_none_match_any: true,
                ..Preconditions::default()
            },
            action,
        };
        let store_body = |body: &[u8]| BatchAction::Put {
            body: body.to_vec().into(),
            content_type: None,
            tags: Tags::parse("n=1").unwrap(),
        };
        let entries = [
            entry(key("small"), store_body(b"x")),
            entry(key("large"), store_body(&large)),
            entry(key("none"), BatchAction::Check),
        ];
        let ask = Ask::new("POST", BATCH)
            .over(http)
            .header("content-type", accept::FLATBUFFERS)
            .body(codec::encode_batch(&entries));
        let mut headers = ask.sign(&store.admin);
        headers.push(("accept".to_owned(), accept::FLATBUFFERS.to_owned()));
        let done = store.deliver(&ask, headers).await.ok(StatusCode::OK);
        assert_eq!(done.header("content-type"), accept::FLATBUFFERS);
        let results = codec::decode_batch_results(&done.body).unwrap();
        assert!(results.seq.is_some());
        assert_eq!(results.results[1].etag.unwrap().to_string(), etag(&large));
        assert_eq!(results.results[2].version, None);
        let got = store
            .send(Ask::new("GET", &format!("/v1/photos/{http:?}/large")).over(http))
            .await;
        assert_eq!(got.body, large);
        // The same again fails at its first entry, and says so in the form that was asked for.
        let again = Ask {
            nonce: crate::harness::nonce(),
            ..ask
        };
        let mut headers = again.sign(&store.admin);
        headers.push(("accept".to_owned(), accept::FLATBUFFERS.to_owned()));
        let refused = store.deliver(&again, headers).await;
        let problem = codec::decode_problem(&refused.body).unwrap();
        assert_eq!(
            (refused.status, &*problem.code, problem.entry),
            (412, "PreconditionFailed", Some(0))
        );
    }
}

/// A defect it catches: the place of the refused entry left out of the problem.
#[tokio::test(flavor = "multi_thread")]
async fn one_refused_entry_refuses_all_and_is_named() {
    let store = Store::photos().await;
    put(&store, "there", "x").await;
    store
        .send(Ask::new("PUT", "/v1/photos").body(r#"{"quota_objects":2,"object_bytes_max":10}"#))
        .await
        .ok(StatusCode::OK);
    let before = store.contents().await;
    let first = json!({"op": "put", "key": "first", "body": "1"});
    for http in BOTH {
        for (second, status, code) in [
            (
                json!({"op": "put", "key": "there", "body": "y", "if_none_match": "*"}),
                412,
                "PreconditionFailed",
            ),
            (
                json!({"op": "check", "key": "absent", "if_match": "*"}),
                412,
                "PreconditionFailed",
            ),
            (
                json!({"op": "delete", "key": "there", "if_match": etag(b"y")}),
                412,
                "PreconditionFailed",
            ),
            (
                json!({"op": "delete", "key": "there", "if_version": "01JGFJJZ00AAAAAAAAAAAAAAAA"}),
                412,
                "PreconditionFailed",
            ),
            (
                json!({"op": "put", "key": "second", "body": "2"}),
                403,
                "QuotaExceeded",
            ),
            (
                json!({"op": "put", "key": "there", "body": "12345678901"}),
                413,
                "TooLarge",
            ),
            (
                json!({"op": "put", "key": "scan", "body": ""}),
                400,
                "ReservedKey",
            ),
            (
                json!({"op": "put", "key": "_find/x", "body": ""}),
                400,
                "ReservedKey",
            ),
            (json!({"op": "delete", "key": "first"}), 400, "RepeatedKey"),
        ] {
            let refused = store.send(batch(&json!([first, second])).over(http)).await;
            is_refused(&refused, status, code, 1);
        }
        assert_eq!(store.contents().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_batch_is_refused_before_anything_happens() {
    let store = Store::photos().await;
    for http in BOTH {
        let ask = |body: &str| Ask::new("POST", BATCH).over(http).body(body);
        for body in [
            "",
            "[]",
            "{}",
            r#"{"ops":[["put","k","x"]]}"#,
            r#"{"ops":[]}"#,
            r#"{"ops":[{"op":"put","key":"k"}]}"#,
            r#"{"ops":[{"op":"put","key":"k","body":"x","ttl":1}]}"#,
            r#"{"ops":[{"op":"put","key":"k","body_base64":"AA=="}]}"#,
            r#"{"ops":[{"op":"put","key":"k","body":"x"},{"op":"put","key":"/../k","body":"x"}]}"#,
            r#"{"ops":[{"op":"check","key":"k","if_match":"00ff"}]}"#,
        ] {
            store.send(ask(body)).await.is(400, "BadBatch");
        }
        let good = r#"{"ops":[{"op":"put","key":"k","body":"x"}]}"#;
        let typed = ask(good).header("content-type", "text/plain");
        store.send(typed).await.is(415, "ContentTypeNotSupported");
        let other_form = ask(good).header("content-type", accept::FLATBUFFERS);
        store.send(other_form).await.is(400, "BadBatch");
        let conditional = ask(good).header("if-none-match", "*");
        store.send(conditional).await.is(400, "BadHeader");
        let parameter = Ask {
            query: "limit=1".to_owned(),
            ..ask(good)
        };
        store.send(parameter).await.is(400, "BadParameter");
        let large = format!(
            r#"{{"ops":[{{"op":"put","key":"k","body":"{}"}}]}}"#,
            "x".repeat(8 << 20)
        );
        // Over HTTP/1.1 the answer comes while the body is still being sent; the signed length alone is enough.
        let headers = ask(&large).sign(&store.admin);
        if http == crate::harness::Http::Two {
            store.deliver(&ask(&large), headers).await.is(413, "TooLarge");
        }
        let elsewhere = Ask {
            path: "/v1/none-such/batch".to_owned(),
            ..ask(good)
        };
        store.send(elsewhere).await.is(404, "NoSuchBucket");
        let got = store.send(Ask::new("GET", BATCH).over(http)).await;
        got.is(405, "MethodNotAllowed");
        assert_eq!(got.header("allow"), "POST");
    }
    assert_eq!(store.contents().await, (Vec::new(), 0));
}

/// PROTOCOL 3: entry by entry, all before any is looked at. A defect it catches: bucket or entries looked at
/// before the rights of all, so that a 404 or 412 tells what the caller may not see.
#[tokio::test(flavor = "multi_thread")]
async fn every_entrys_right_comes_before_anything_is_looked_at() {
    let store = Store::photos().await;
    put(&store, "there", "x").await;
    put(&store, "mine/there", "x").await;
    let putter = store.holder(&[r#"{"b":"photos","p":"","ops":["put"]}"#]);
    let mine = store.holder(&[r#"{"b":"photos","p":"mine/","ops":["get","put","delete"]}"#]);
    // It would fail by itself, with 412.
    let fails = json!({"op": "put", "key": "mine/there", "body": "y", "if_none_match": "*"});
    let refused = async |holder: &Holder, second: serde_json::Value| {
        let answer = store.send_as(holder, batch(&json!([fails, second]))).await;
        is_refused(&answer, 403, "Forbidden", 1);
        let mut problem = answer.json();
        problem["request_id"] = serde_json::Value::Null;
        problem
    };
    let mut problems = Vec::new();
    for key in ["there", "absent"] {
        problems.push(refused(&putter, json!({"op": "delete", "key": key})).await);
        problems.push(refused(&putter, json!({"op": "check", "key": key})).await);
        let guess = json!({"op": "put", "key": key, "body": "", "if_match": etag(b"x")});
        problems.push(refused(&putter, guess).await);
        let guess = json!({"op": "put", "key": key, "body": "", "if_version": "01JGFJJZ00AAAAAAAAAAAAAAAA"});
        problems.push(refused(&putter, guess).await);
        problems.push(refused(&mine, json!({"op": "put", "key": key, "body": ""})).await);
        problems.push(refused(&mine, json!({"op": "delete", "key": key})).await);
        problems.push(refused(&mine, json!({"op": "check", "key": key})).await);
    }
    assert!(problems.iter().all(|problem| *problem == problems[0]));
    // Nor does it tell whether the bucket is there.
    let elsewhere = Ask {
        path: "/v1/none-such/batch".to_owned(),
        ..batch(&json!([{"op": "put", "key": "k", "body": ""}]))
    };
    store.send_as(&mine, elsewhere).await.is(403, "Forbidden");
    let everywhere = store.holder(&[r#"{"b":"*","p":"mine/","ops":["get","put","delete"]}"#]);
    for bucket in ["photos", "none-such"] {
        let elsewhere = Ask {
            path: format!("/v1/{bucket}/batch"),
            ..batch(&json!([{"op": "check", "key": "mine/k"}, {"op": "put", "key": "k", "body": ""}]))
        };
        is_refused(&store.send_as(&everywhere, elsewhere).await, 403, "Forbidden", 1);
    }
    // What is allowed entry by entry goes through; `if_none_match` needs no `get`.
    let both = store.holder(&[
        r#"{"b":"photos","p":"a/","ops":["put"]}"#,
        r#"{"b":"photos","p":"mine/","ops":["delete"]}"#,
    ]);
    let ops = json!([
        {"op": "put", "key": "a/1", "body": "1", "if_none_match": "*"},
        {"op": "delete", "key": "mine/there"},
        {"op": "delete", "key": "mine/absent"},
    ]);
    let done = store.send_as(&both, batch(&ops)).await.ok(StatusCode::OK).json();
    assert_eq!(done["results"][0]["etag"], etag(b"1"));
    // That there was something to delete is not for those who may neither get nor list it.
    assert_eq!(done["results"][1], json!({"key": "mine/there"}));
    assert_eq!(done["results"][2], json!({"key": "mine/absent"}));
    store
        .send(Ask::new("GET", "/v1/photos/mine/there"))
        .await
        .is(404, "NoSuchKey");
}

/// PROTOCOL 3: "Limits hold for the final object whatever way it is written."
/// A defect it catches: entries authorised as batches only, without what is written.
#[tokio::test(flavor = "multi_thread")]
async fn limits_of_grants_hold_for_each_entry() {
    let store = Store::photos().await;
    put(&store, "there", "x").await;
    let grant = |limit: &str| {
        let ops = r#"["get","put","delete"]"#;
        store.holder(&[&format!(r#"{{"b":"photos","p":"","ops":{ops},{limit}}}"#)])
    };
    let good = json!({"op": "put", "key": "good", "body": "abc", "content_type": "image/png"});
    let cases = [
        (
            r#""max_bytes":3"#,
            json!({"op": "put", "key": "k", "body": "abcd"}),
            "Forbidden",
        ),
        (
            r#""content_type":["image/png"]"#,
            json!({"op": "put", "key": "k", "body": "", "content_type": "text/html"}),
            "Forbidden",
        ),
        (
            r#""content_type":["image/png"]"#,
            json!({"op": "put", "key": "k", "body": ""}),
            "Forbidden",
        ),
        (
            r#""create_only":true"#,
            json!({"op": "put", "key": "there", "body": "y"}),
            "Forbidden",
        ),
        (
            r#""create_only":true"#,
            json!({"op": "delete", "key": "there"}),
            "Forbidden",
        ),
        // The first entry is charged too.
        (
            r#""quota_bytes":5"#,
            json!({"op": "put", "key": "k", "body": "abc"}),
            "QuotaExceeded",
        ),
    ];
    for (n, (limit, bad, code)) in cases.into_iter().enumerate() {
        let holder = grant(limit);
        let before = store.contents().await;
        let refused = store.send_as(&holder, batch(&json!([good, bad]))).await;
        is_refused(&refused, 403, code, 1);
        assert_eq!(store.contents().await, before);
        // By itself the good one is allowed.
        let mut good = good.clone();
        good["key"] = format!("good {n}").into();
        let done = store.send_as(&holder, batch(&json!([good]))).await;
        done.ok(StatusCode::OK);
    }
}
