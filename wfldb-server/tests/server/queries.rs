//! Questions over HTTP: what callers are answered who see all of a bucket, a part of it, or nothing.

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Ask, BOTH, Holder, Store};

async fn store() -> Store {
    let store = Store::new().await;
    let bucket = Ask::new("PUT", "/v1/films").body(r#"{"kind":"documents"}"#);
    store.send(bucket).await.ok(StatusCode::CREATED);
    for place in 0..12 {
        let folder = if place % 2 == 0 { "a" } else { "b" };
        let document = json!({"year": 2000 + place % 4, "place": place});
        let put = Ask::new("PUT", &format!("/v1/films/{folder}/{place:02}")).body(document.to_string());
        store.send(put).await.ok(StatusCode::CREATED);
    }
    let index = json!({"index": {"fields": ["year"]}, "name": "year"});
    let index = Ask::new("POST", "/v1/films/_index?wait=true").body(index.to_string());
    store.send(index).await.ok(StatusCode::OK);
    store
}

fn find(body: &Value) -> Ask {
    Ask::new("POST", "/v1/films/_find").body(body.to_string())
}

fn explain(body: &Value) -> Ask {
    Ask::new("POST", "/v1/films/_explain").body(body.to_string())
}

fn ids(answer: &Value) -> Vec<&str> {
    let documents = answer["docs"].as_array().unwrap();
    documents
        .iter()
        .map(|document| document["_id"].as_str().unwrap())
        .collect()
}

/// DEFECT: a caller of one prefix who is answered, counted or told of what is below another.
#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_answered_from_what_they_may_query() {
    let store = store().await;
    let part = store.holder(&[r#"{"b":"films","p":"a/","ops":["query"]}"#]);
    let reader = store.holder(&[r#"{"b":"films","p":"","ops":["get","list","put"]}"#]);
    for http in BOTH {
        // By an index, by the keys, and sorted in memory.
        for (body, all, some) in [
            (json!({"selector": {"year": 2001}}), 3, 0),
            (json!({"selector": {"year": 2002}}), 3, 3),
            (json!({"selector": {}, "sort": ["year"]}), 12, 6),
            (json!({"selector": {"_id": {"$gte": "a/04"}}}), 10, 4),
            (
                json!({"selector": {}, "sort": [{"place": "desc"}], "limit": 20}),
                12,
                6,
            ),
        ] {
            let mut body = body;
            body["count"] = json!(true);
            body["execution_stats"] = json!(true);
            let answer = store.send(find(&body).over(http)).await.json();
            assert_eq!(
                (ids(&answer).len(), &answer["count"]),
                (all, &json!(all)),
                "{body}"
            );
            assert!(answer["execution_stats"]["total_docs_examined"].is_u64());
            let answer = store.send_as(&part, find(&body).over(http)).await.json();
            assert_eq!(
                (ids(&answer).len(), &answer["count"]),
                (some, &json!(some)),
                "{body}"
            );
            assert!(ids(&answer).iter().all(|id| id.starts_with("a/")));
            // What it takes to find them says what else is there.
            assert_eq!(answer["execution_stats"].get("total_docs_examined"), None);
            assert_eq!(answer["execution_stats"].get("total_keys_examined"), None);
        }
        let question = json!({"selector": {"year": 2002}});
        let named = json!({"selector": {"year": 2002}, "use_index": "year"});
        store
            .send_as(&part, find(&named).over(http))
            .await
            .is(403, "Forbidden");
        store
            .send_as(&part, explain(&question).over(http))
            .await
            .is(403, "Forbidden");
        store
            .send_as(&reader, find(&question).over(http))
            .await
            .is(403, "Forbidden");
        let explained = store.send(explain(&question).over(http)).await.json();
        assert_eq!(explained["index"], "year");
        assert_eq!(explained["execution_stats"]["total_docs_examined"], 3);
    }
}

/// DEFECT: a bookmark that is good for another caller or question.
#[tokio::test(flavor = "multi_thread")]
async fn bookmarks_lead_through_all_pages_and_belong_to_their_caller_and_question() {
    let store = store().await;
    let other = store.holder(&[r#"{"b":"films","p":"","ops":["query"]}"#]);
    for sort in [json!([]), json!(["year"]), json!(["place"])] {
        let mut body = json!({"selector": {"year": {"$gte": 2000}}, "sort": sort, "limit": 5});
        let mut found = Vec::new();
        loop {
            let answer = store.send(find(&body)).await.json();
            found.extend(ids(&answer).into_iter().map(str::to_owned));
            let Some(bookmark) = answer.get("bookmark") else {
                break;
            };
            body["bookmark"] = bookmark.clone();
            store.send_as(&other, find(&body)).await.is(400, "BadCursor");
            let mut another = body.clone();
            another["selector"] = json!({});
            store.send(find(&another)).await.is(400, "BadCursor");
        }
        assert_eq!(found.len(), 12);
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 12);
    }
    let forged = json!({"selector": {}, "bookmark": "AAAA"});
    store.send(find(&forged)).await.is(400, "BadCursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_none_is_refused_with_its_place() {
    let store = store().await;
    let admin: &Holder = &store.admin;
    store
        .send(Ask::new("PUT", "/v1/plain"))
        .await
        .ok(StatusCode::CREATED);
    let plain = Ask::new("POST", "/v1/plain/_find").body(r#"{"selector":{}}"#);
    store.send(plain).await.is(400, "NotDocuments");
    store
        .send(Ask::new("GET", "/v1/films/_find"))
        .await
        .is(405, "MethodNotAllowed");
    let large = format!(r#"{{"selector":{{"a":"{}"}}}}"#, "x".repeat(70_000));
    store
        .send(Ask::new("POST", "/v1/films/_find").body(large))
        .await
        .is(413, "TooLarge");
    for (body, code, pointer) in [
        (
            r#"{"selector":{"a":{"$near":1}}}"#,
            "UnknownOperator",
            "/selector/a/$near",
        ),
        (r#"{"selector":{"a":1,"a":2}}"#, "BadJson", "/selector/a"),
        (r#"{"selector":{},"limit":1001}"#, "BadQuery", "/limit"),
        (
            r#"{"selector":{"$or":[{"a":{"$regex":"("}}]}}"#,
            "BadQuery",
            "/selector/$or/0/a/$regex",
        ),
        (r#"{"selector":{},"r":1}"#, "BadQuery", "/r"),
        (r#"{"selector":{},"use_index":"none"}"#, "BadQuery", "/use_index"),
    ] {
        let ask = Ask::new("POST", "/v1/films/_find").body(body.to_owned());
        let answer = store.send_as(admin, ask).await;
        let problem = answer.json();
        assert_eq!(
            (problem["code"].as_str(), problem["pointer"].as_str()),
            (Some(code), Some(pointer)),
            "{body}"
        );
    }
}
