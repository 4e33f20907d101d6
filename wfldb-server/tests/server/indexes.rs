//! `_index`: making, listing and dropping indexes, and what a unique one refuses.

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Answer, Ask, BOTH, Store};

const INDEX: &str = "/v1/people/_index";

async fn people() -> Store {
    let store = Store::new().await;
    let made = Ask::new("PUT", "/v1/people").body(r#"{"kind":"documents"}"#);
    store.send(made).await.ok(StatusCode::CREATED);
    store
}

async fn put(store: &Store, key: &str, document: &Value) -> Answer {
    let ask = Ask::new("PUT", &format!("/v1/people/{key}")).header("content-type", "application/json");
    store.send(ask.body(document.to_string())).await
}

fn index(query: &str, body: &Value) -> Ask {
    Ask::new("POST", &format!("{INDEX}{query}"))
        .header("content-type", "application/json")
        .body(body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_made_listed_and_dropped_in_couchdbs_shapes() {
    let store = people().await;
    for n in 0..30 {
        put(
            &store,
            &format!("k{n}"),
            &json!({"age": n, "name": {"last": "x"}}),
        )
        .await
        .ok(StatusCode::CREATED);
    }
    for http in BOTH {
        let definition = json!({"index": {"fields": ["age", {"name.last": "desc"}]}, "name": "by-age", "type": "json", "ddoc": "d"});
        let made = store
            .send(index("?wait=true", &definition).over(http))
            .await
            .ok(StatusCode::OK)
            .json();
        assert_eq!(
            made,
            json!({"result": "created", "id": "by-age", "name": "by-age", "state": "ready"})
        );
        let again = store
            .send(index("", &definition).over(http))
            .await
            .ok(StatusCode::OK)
            .json();
        assert_eq!(again["result"], "exists");
        let list = store
            .send(Ask::new("GET", INDEX).over(http))
            .await
            .ok(StatusCode::OK)
            .json();
        assert_eq!(
            list,
            json!({"total_rows": 2, "indexes": [
                {"ddoc": null, "name": "_all_docs", "type": "special", "def": {"fields": [{"_id": "asc"}]}, "state": "ready"},
                {"ddoc": null, "name": "by-age", "type": "json", "def": {"fields": [{"age": "asc"}, {"name.last": "desc"}]}, "state": "ready"},
            ]})
        );
        let other = json!({"index": {"fields": ["other"]}, "name": "by-age"});
        store.send(index("", &other)).await.is(409, "IndexExists");
        let dropped = Ask::new("DELETE", &format!("{INDEX}?name=by-age")).over(http);
        assert_eq!(
            store.send(dropped).await.ok(StatusCode::OK).json(),
            json!({"ok": true})
        );
        let dropped = Ask::new("DELETE", &format!("{INDEX}?name=by-age")).over(http);
        store.send(dropped).await.is(404, "NoSuchIndex");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_index_is_refused_with_its_place() {
    let store = people().await;
    for (body, code, pointer) in [
        (json!({"index": {"fields": []}}), "BadIndex", "/index/fields"),
        (
            json!({"index": {"fields": ["a"]}, "name": "a b"}),
            "BadIndex",
            "/name",
        ),
        (
            json!({"index": {"fields": ["a"]}, "unique": "yes"}),
            "BadIndex",
            "/unique",
        ),
        (
            json!({"index": {"fields": ["a"], "partial_filter_selector": {"a": {"$near": 1}}}}),
            "UnknownOperator",
            "/index/partial_filter_selector/a/$near",
        ),
    ] {
        let refused = store.send(index("", &body)).await;
        refused.is(400, code);
        assert_eq!(refused.json()["pointer"], pointer);
    }
    let twice = Ask::new("POST", INDEX).body(r#"{"index":{"fields":["a"]},"index":{"fields":["b"]}}"#);
    store.send(twice).await.is(400, "BadJson");
    store
        .send(index("?wait=false", &json!({})))
        .await
        .is(400, "BadParameter");
    store
        .send(Ask::new("DELETE", INDEX))
        .await
        .is(400, "BadParameter");
    store
        .send(Ask::new("PUT", INDEX).body("{}"))
        .await
        .is(400, "ReservedKey");
    let objects = Ask::new("PUT", "/v1/objects").body("{}");
    store.send(objects).await.ok(StatusCode::CREATED);
    store
        .send(Ask::new("GET", "/v1/objects/_index"))
        .await
        .is(400, "NotDocuments");
    // Needs `manage` of the whole bucket.
    for grant in [
        r#"{"b":"people","p":"","ops":["get","list","put","delete","query"]}"#,
        r#"{"b":"people","p":"a/","ops":["get","list","put","delete","query"]}"#,
    ] {
        let holder = store.holder(&[grant]);
        store
            .send_as(&holder, Ask::new("GET", INDEX))
            .await
            .is(403, "Forbidden");
    }
}

/// DEFECT: a refusal that tells somebody who may write below a prefix which indexes there are.
#[tokio::test(flavor = "multi_thread")]
async fn a_violation_is_409_names_the_index_to_some_and_changes_nothing() {
    let store = people().await;
    let unique = json!({"index": {"fields": ["mail"]}, "name": "by-mail", "unique": true});
    store.send(index("?wait=true", &unique)).await.ok(StatusCode::OK);
    put(&store, "a", &json!({"mail": "x"}))
        .await
        .ok(StatusCode::CREATED);
    let refused = put(&store, "b", &json!({"mail": "x"})).await;
    refused.is(409, "UniqueViolation");
    assert!(refused.json()["detail"].as_str().unwrap().contains("by-mail"));
    let below = store.holder(&[r#"{"b":"people","p":"b","ops":["get","put"]}"#]);
    let ask = Ask::new("PUT", "/v1/people/b").header("content-type", "application/json");
    let refused = store.send_as(&below, ask.body(r#"{"mail":"x"}"#)).await;
    refused.is(409, "UniqueViolation");
    assert!(
        !refused.json().to_string().contains("by-mail"),
        "{}",
        refused.json()
    );
    let ops = json!({"ops": [
        {"op": "put", "key": "c", "body": {"mail": "y"}},
        {"op": "put", "key": "d", "body": {"mail": "y"}},
    ]});
    let batch = Ask::new("POST", "/v1/people/batch").header("content-type", "application/json");
    let refused = store.send(batch.body(ops.to_string())).await;
    refused.is(409, "UniqueViolation");
    assert_eq!(refused.json()["entry"], 1);
    let bucket = store.send(Ask::new("GET", "/v1/people")).await.json();
    assert_eq!(bucket["usage"]["versions"], 1);
    store
        .send(Ask::new("GET", "/v1/people/c"))
        .await
        .is(404, "NoSuchKey");
}
