//! `POST /v1/_tx`: transactions over the wire, whose they are, what they may, and how they end.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use wfldb_core::id::PacketHash;

use crate::harness::{Answer, Ask, BOTH, Holder, Store, text, until};

const TX: &str = "/v1/_tx";

async fn ask(store: &Store, holder: &Holder, body: &Value) -> Answer {
    let ask = Ask::new("POST", TX).header("content-type", "application/json");
    store.send_as(holder, ask.body(body.to_string())).await
}

async fn begin(store: &Store, holder: &Holder) -> String {
    let begun = ask(store, holder, &json!({"do": "begin"})).await;
    text(&begun.ok(StatusCode::OK).json()["tx"])
}

async fn run(store: &Store, tx: &str, ops: Value) -> Answer {
    ask(store, &store.admin, &json!({"do": "run", "tx": tx, "ops": ops})).await
}

async fn commit(store: &Store, tx: &str) -> Answer {
    ask(store, &store.admin, &json!({"do": "commit", "tx": tx})).await
}

async fn read(store: &Store, target: &str) -> Answer {
    store.send(Ask::new("GET", target)).await
}

fn put(key: &str, body: &str) -> Value {
    json!({"op": "put", "bucket": "photos", "key": key, "body": body})
}

fn get(key: &str) -> Value {
    json!({"op": "get", "bucket": "photos", "key": key})
}

/// Defects it catches: writes that are seen before the commit; a bucket that is written by itself; a commit that can be
/// repeated.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_seen_whole_after_its_commit() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/other"))
        .await
        .ok(StatusCode::CREATED);
    for http in BOTH {
        let key = format!("{http:?}");
        let tx = begin(&store, &store.admin).await;
        let ops = json!([
            put(&key, "one"),
            {"op": "put", "bucket": "other", "key": key, "body_base64": "AP8", "content_type": "a/b", "tags": {"c": "d"}},
            get(&key),
            {"op": "get", "bucket": "other", "key": key},
            {"op": "scan", "bucket": "other", "prefix": key},
            {"op": "delete", "bucket": "other", "key": "nothing"},
            get("nothing"),
        ]);
        let results = run(&store, &tx, ops).await.ok(StatusCode::OK).json();
        let results = &results["results"];
        assert_eq!(results[2]["body"], "one");
        assert_eq!(results[3]["body_base64"], "AP8");
        assert_eq!(
            (&results[3]["content_type"], &results[3]["tags"]["c"]),
            (&json!("a/b"), &json!("d"))
        );
        assert_eq!(results[4]["items"][0]["key"], key);
        assert_eq!(results[6], json!({"found": false}));
        read(&store, &format!("/v1/photos/{key}"))
            .await
            .is(404, "NoSuchKey");

        let request = Ask::new("POST", TX).over(http).header("x-wfldb-receipt", "true");
        let done = store
            .send(request.body(json!({"do": "commit", "tx": tx}).to_string()))
            .await
            .ok(StatusCode::OK);
        assert!(done.header("x-wfldb-leaf").parse::<u64>().is_ok());
        let done = done.json();
        let names: Vec<_> = done["buckets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|of| text(&of["bucket"]))
            .collect();
        assert_eq!(names, ["other", "photos"]);
        assert_eq!(done["writes"].as_array().unwrap().len(), 3);
        assert!(done["writes"][0]["version"].is_string() && done["writes"][2].get("version").is_none());
        assert_eq!(read(&store, &format!("/v1/photos/{key}")).await.body, "one");
        assert_eq!(
            read(&store, &format!("/v1/other/{key}")).await.body,
            [0u8, 255].as_slice()
        );
        commit(&store, &tx).await.is(404, "NoSuchTransaction");
    }
    let verdict = Ask::new("POST", "/v1/_admin").body(r#"{"do":"verify"}"#);
    assert_eq!(store.send(verdict).await.ok(StatusCode::OK).json()["sound"], true);
}

/// Defects it catches: a conflict that nobody finds; a hint that names what the caller has not read; savepoints that are not
/// taken back to; a refused operation whose request has half happened.
#[tokio::test(flavor = "multi_thread")]
async fn conflicts_savepoints_and_refused_operations() {
    let store = Store::photos().await;
    let tx = begin(&store, &store.admin).await;
    run(&store, &tx, json!([get("n"), put("m", "1")]))
        .await
        .ok(StatusCode::OK);
    store
        .send(Ask::new("PUT", "/v1/photos/n").body("x"))
        .await
        .ok(StatusCode::CREATED);
    let refused = commit(&store, &tx).await;
    refused.is(409, "TransactionConflict");
    assert_eq!(refused.json()["hint"], "key photos/n");
    read(&store, "/v1/photos/m").await.is(404, "NoSuchKey");

    let tx = begin(&store, &store.admin).await;
    let point = |what: &str, member: &str| json!({"do": what, "tx": tx, member: "s"});
    ask(&store, &store.admin, &point("rollback", "to"))
        .await
        .is(404, "NoSuchSavepoint");
    run(&store, &tx, json!([put("a", "1")])).await.ok(StatusCode::OK);
    ask(&store, &store.admin, &point("savepoint", "name"))
        .await
        .ok(StatusCode::OK);
    run(&store, &tx, json!([put("a", "2"), put("b", "2")]))
        .await
        .ok(StatusCode::OK);
    ask(&store, &store.admin, &point("rollback", "to"))
        .await
        .ok(StatusCode::OK);
    let ops = json!([put("c", "3"), {"op": "put", "bucket": "photos", "key": "n", "body": "", "if_none_match": "*"}]);
    let refused = run(&store, &tx, ops).await;
    refused.is(412, "PreconditionFailed");
    assert_eq!(refused.json()["entry"], 1);
    let seen = run(&store, &tx, json!([get("a"), get("b"), get("c")]))
        .await
        .ok(StatusCode::OK)
        .json();
    assert_eq!(seen["results"][0]["body"], "1");
    assert_eq!(
        (&seen["results"][1], &seen["results"][2]),
        (&json!({"found": false}), &json!({"found": false}))
    );
    commit(&store, &tx).await.ok(StatusCode::OK);
    assert_eq!(read(&store, "/v1/photos/a").await.body, "1");

    let tx = begin(&store, &store.admin).await;
    run(&store, &tx, json!([put("d", "1")])).await.ok(StatusCode::OK);
    for _ in 0..2 {
        ask(&store, &store.admin, &json!({"do": "abort", "tx": tx}))
            .await
            .ok(StatusCode::OK);
    }
    commit(&store, &tx).await.is(404, "NoSuchTransaction");
    read(&store, "/v1/photos/d").await.is(404, "NoSuchKey");
}

/// Defects it catches: an entry that the packet does not allow; a transaction that another key, or another packet of the
/// key, can go on with; that one is there being told to others.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_its_callers_and_allows_no_more_than_the_packet() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/photos/secret").body("x"))
        .await
        .ok(StatusCode::CREATED);
    let narrow = store.holder(&[r#"{"b":"photos","p":"own/","ops":["get","list","put"]}"#]);
    let tx = begin(&store, &narrow).await;
    let of = |op: Value| json!({"do": "run", "tx": tx, "ops": [put("own/a", "1"), op]});
    for op in [
        get("secret"),
        put("secret", "y"),
        json!({"op": "delete", "bucket": "photos", "key": "own/a"}),
        json!({"op": "put", "bucket": "other", "key": "own/a", "body": ""}),
        json!({"op": "lock", "bucket": "photos", "key": "secret", "mode": "shared"}),
        json!({"op": "lock", "bucket": "photos", "key": "secret", "mode": "exclusive"}),
    ] {
        let refused = ask(&store, &narrow, &of(op.clone())).await;
        refused.is(403, "Forbidden");
        assert_eq!(refused.json()["entry"], 1, "{op}");
    }
    let scanned = ask(&store, &narrow, &of(json!({"op": "scan", "bucket": "photos"}))).await;
    let scanned = scanned.ok(StatusCode::OK).json();
    assert_eq!(
        scanned["results"][1]["items"].as_array().unwrap().len(),
        1,
        "{scanned}"
    );

    let renewed = store.holder_with(&[r#"{"b":"*","p":"","ops":["get","list","put"]}"#], |claims| {
        claims.sub = narrow.key.key_id(wfldb_core::id::Role::Client);
    });
    let renewed = Holder {
        key: narrow.key.clone(),
        ..renewed
    };
    for other in [&store.admin, &renewed] {
        for what in ["commit", "run", "abort"] {
            let mut body = json!({"do": what, "tx": tx});
            if what == "run" {
                body["ops"] = json!([get("own/a")]);
            }
            let answer = ask(&store, other, &body).await;
            if what == "abort" {
                answer.ok(StatusCode::OK);
            } else {
                answer.is(404, "NoSuchTransaction");
            }
        }
    }
    let done = ask(&store, &narrow, &json!({"do": "commit", "tx": tx})).await;
    done.ok(StatusCode::OK);
    assert_eq!(read(&store, "/v1/photos/own/a").await.body, "1");
}

/// Defects it catches: an id that is looked for in any spelling; a body that is too large or of another kind; more transactions
/// than a key may have; one that begins although its first operation is refused.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_and_what_is_too_much_is_refused() {
    let store = Store::photos().await;
    for tx in [
        "",
        "0",
        "../../x",
        "00112233445566778899AABBCCDDEEFF",
        "00112233445566778899aabbccddeef\u{0}",
    ] {
        commit(&store, tx).await.is(400, "BadTransaction");
    }
    commit(&store, "00112233445566778899aabbccddeeff")
        .await
        .is(404, "NoSuchTransaction");
    let wrong = Ask::new("POST", TX)
        .header("content-type", "text/plain")
        .body(r#"{"do":"begin"}"#);
    store.send(wrong).await.is(415, "ContentTypeNotSupported");
    let large = Ask::new("POST", TX).body(vec![b' '; (8 << 20) + 1]);
    store.send(large).await.is(413, "TooLarge");

    let holder = store.holder(&[r#"{"b":"photos","p":"","ops":["get","put"]}"#]);
    let refused = json!({"do": "begin", "ops": [{"op": "get", "bucket": "none", "key": "k"}]});
    for _ in 0..20 {
        ask(&store, &holder, &refused).await.is(403, "Forbidden");
        let missing =
            json!({"do": "begin", "ops": [{"op": "put", "bucket": "photos", "key": "scan", "body": ""}]});
        ask(&store, &holder, &missing).await.is(400, "ReservedKey");
    }
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(begin(&store, &holder).await);
    }
    ask(&store, &holder, &json!({"do": "begin"}))
        .await
        .is(429, "TooManyRequests");
    begin(&store, &store.admin).await;
    ask(&store, &holder, &json!({"do": "abort", "tx": open[0]}))
        .await
        .ok(StatusCode::OK);
    begin(&store, &holder).await;
}

/// Defects it catches: a transaction that lives as long as the server; one that goes on after its packet was revoked, and
/// whose lock stands in the way of others.
#[tokio::test(flavor = "multi_thread")]
async fn transactions_end_when_they_idle_and_when_they_are_revoked() {
    let store = Store::photos().await;
    let begun = ask(&store, &store.admin, &json!({"do": "begin", "idle_ms": 1000})).await;
    let tx = text(&begun.ok(StatusCode::OK).json()["tx"]);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    commit(&store, &tx).await.is(404, "NoSuchTransaction");

    let holder = store.holder(&[r#"{"b":"photos","p":"","ops":["get","put"]}"#]);
    let lock = json!({"op": "lock", "bucket": "photos", "key": "k", "mode": "exclusive", "wait_ms": 0});
    let begun = ask(&store, &holder, &json!({"do": "begin", "ops": [lock]})).await;
    let held = text(&begun.ok(StatusCode::OK).json()["tx"]);
    let mine = begin(&store, &store.admin).await;
    run(&store, &mine, json!([lock])).await.is(409, "LockTimeout");
    let hash = PacketHash::of(holder.packet.as_bytes()).to_string();
    let revoke = Ask::new("POST", "/v1/_keys").body(json!({"packet_hash": hash}).to_string());
    store.send(revoke).await.ok(StatusCode::OK);
    let commit = ask(&store, &holder, &json!({"do": "commit", "tx": held})).await;
    commit.is(401, "Unauthenticated");
    until("its lock is let go", async || {
        run(&store, &mine, json!([lock])).await.status == 200
    })
    .await;
}

/// Who waits for a lock gets it when its holder is done, and sees what was written; the younger of two who wait for each
/// other is told so. A defect it catches: a wait on a thread of the server's; a victim whose transaction goes on.
#[tokio::test(flavor = "multi_thread")]
async fn locks_are_handed_on_and_circles_are_cut() {
    let store = Store::photos().await;
    let lock = |key: &str| json!({"op": "lock", "bucket": "photos", "key": key, "mode": "exclusive"});
    let older = begin(&store, &store.admin).await;
    let younger = begin(&store, &store.admin).await;
    run(&store, &older, json!([lock("a"), put("a", "1")]))
        .await
        .ok(StatusCode::OK);
    let waits = async { run(&store, &younger, json!([lock("a"), get("a"), lock("b")])).await };
    let hands_on = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        commit(&store, &older).await
    };
    let (seen, done) = tokio::join!(waits, hands_on);
    done.ok(StatusCode::OK);
    assert_eq!(seen.ok(StatusCode::OK).json()["results"][1]["body"], "1");

    let youngest = begin(&store, &store.admin).await;
    run(&store, &youngest, json!([lock("c")]))
        .await
        .ok(StatusCode::OK);
    let (first, second) = tokio::join!(
        run(&store, &younger, json!([lock("c")])),
        run(&store, &youngest, json!([lock("a")])),
    );
    first.ok(StatusCode::OK);
    second.is(409, "Deadlock");
    commit(&store, &youngest).await.is(404, "NoSuchTransaction");
    commit(&store, &younger).await.ok(StatusCode::OK);
}
