//! Full text: what a server that has it answers, and what one that was built without it says.

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Ask, BOTH, Store};

const CONFIG: &str = r#"{"text":{"fields":["title","body"],"language":"english"}}"#;

fn search(body: &Value) -> Ask {
    Ask::new("POST", "/v1/notes/_search")
        .header("content-type", "application/json")
        .body(body.to_string())
}

#[cfg(not(feature = "text"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_full_text_says_how_to_get_it() {
    let store = Store::new().await;
    let refused = store.send(Ask::new("PUT", "/v1/notes").body(CONFIG)).await;
    refused.is(400, "TextNotBuilt");
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("--features text")
    );
    store
        .send(Ask::new("PUT", "/v1/notes").body("{}"))
        .await
        .ok(StatusCode::CREATED);
    for http in BOTH {
        for ask in [
            search(&json!({"query": "fox"})),
            Ask::new("POST", "/v1/notes/_search?wait=1").body(r#"{"query":"fox"}"#),
            Ask::new("GET", "/v1/notes/_search"),
            Ask::new("POST", "/v1/notes/_search?rebuild=true"),
        ] {
            store.send(ask.over(http)).await.is(400, "TextNotBuilt");
        }
        // What is wrong with the request itself comes first.
        store
            .send(search(&json!({"query": 1})).over(http))
            .await
            .is(400, "BadBody");
    }
    let narrow = store.holder(&[r#"{"b":"notes","p":"a/","ops":["get"]}"#]);
    store
        .send_as(&narrow, search(&json!({"query": "fox"})))
        .await
        .is(403, "Forbidden");
}

#[cfg(feature = "text")]
mod built {
    use super::{Ask, BOTH, CONFIG, StatusCode, Store, Value, json, search};
    use crate::harness::Answer;

    /// A store with a bucket that has an index, and some documents in it. Answers the last `seq` too.
    async fn notes() -> (Store, u64) {
        let store = Store::new().await;
        store
            .send(Ask::new("PUT", "/v1/notes").body(CONFIG))
            .await
            .ok(StatusCode::CREATED);
        let mut seq = 0;
        for (key, title, body) in [
            (
                "a/1",
                "The foxes of the den",
                "They were running, and <b>hunting</b>.",
            ),
            ("a/2", "A hound", "It hunts a fox"),
            ("b/1", "Layoffs", "A fox"),
        ] {
            seq = put(&store, key, &json!({"title": title, "body": body})).await;
        }
        (store, seq)
    }

    async fn put(store: &Store, key: &str, document: &Value) -> u64 {
        let ask = Ask::new("PUT", &format!("/v1/notes/{key}")).header("content-type", "application/json");
        let answer = store.send(ask.body(document.to_string())).await;
        assert!(answer.status < 300, "{answer:?}");
        answer.header("x-wfldb-seq").parse().unwrap()
    }

    /// Sends until the index is there.
    async fn sent(store: &Store, seq: u64, body: &Value) -> Answer {
        loop {
            let ask = Ask::new("POST", &format!("/v1/notes/_search?wait={seq}")).body(body.to_string());
            let answer = store.send(ask).await;
            if answer.status != 503 {
                return answer;
            }
            assert_eq!(answer.header("retry-after"), "1");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    fn keys(answer: &Answer) -> Vec<String> {
        let json = answer.json();
        let items = json["items"].as_array().unwrap().iter();
        items
            .map(|item| item["key"].as_str().unwrap().to_owned())
            .collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_search_answers_as_the_protocol_says() {
        let (store, seq) = notes().await;
        let all = json!({"query": "title:fox den hunting", "highlight": true, "documents": true, "limit": 1});
        let answer = sent(&store, seq, &all).await.ok(StatusCode::OK).json();
        assert_eq!(
            (&answer["more"], answer["seq"].as_u64()),
            (&json!(true), Some(seq))
        );
        let item = &answer["items"][0];
        assert_eq!(item["key"], "a/1");
        assert!(item["score"].as_f64().unwrap() > 0.0 && item["version"].as_str().unwrap().len() == 26);
        assert_eq!(
            item["highlights"],
            json!([
                {"field": "title", "pieces": ["The ", "foxes", " of the ", "den", ""]},
                {"field": "body", "pieces": ["They were running, and <b>", "hunting", "</b>."]},
            ])
        );
        assert_eq!(item["document"]["title"], "The foxes of the den");
        let pages = json!({"query": "fox", "operator": "and", "skip": 1, "limit": 1});
        assert_eq!(keys(&sent(&store, seq, &pages).await).len(), 1);
        // What is deleted is gone at once, and found again when it is restored.
        store
            .send(Ask::new("DELETE", "/v1/notes/a/1"))
            .await
            .ok(StatusCode::NO_CONTENT);
        assert!(keys(&store.send(search(&json!({"query": "den"}))).await).is_empty());
        let restored = store.send(Ask::new("POST", "/v1/notes/a/1?undelete=true")).await;
        let seq = restored.header("x-wfldb-seq").parse().unwrap();
        assert_eq!(keys(&sent(&store, seq, &json!({"query": "den"})).await), ["a/1"]);
        let status = store
            .send(Ask::new("GET", "/v1/notes/_search"))
            .await
            .ok(StatusCode::OK)
            .json();
        assert_eq!(
            (
                &status["state"],
                &status["seq"],
                &status["behind"],
                &status["documents"]
            ),
            (&json!("ready"), &json!(seq), &json!(0), &json!(3))
        );
        let rebuild = Ask::new("POST", "/v1/notes/_search?rebuild=true");
        store.send(rebuild).await.ok(StatusCode::ACCEPTED);
        assert_eq!(keys(&sent(&store, seq, &json!({"query": "den"})).await), ["a/1"]);
        // It is taken up again after a restart.
        let store = store.restart().await;
        assert_eq!(keys(&sent(&store, seq, &json!({"query": "den"})).await), ["a/1"]);
    }

    /// A defect it catches: a hit, a score or a status that tells of what the caller may not see.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_caller_finds_what_it_may_query() {
        let (store, seq) = notes().await;
        sent(&store, seq, &json!({"query": "fox"}))
            .await
            .ok(StatusCode::OK);
        let narrow = store.holder(&[r#"{"b":"notes","p":"b/","ops":["query","manage"]}"#]);
        let found = store.send_as(&narrow, search(&json!({"query": "fox"}))).await;
        assert_eq!(keys(&found), ["b/1"]);
        assert!(
            keys(
                &store
                    .send_as(&narrow, search(&json!({"query": "den hound"})))
                    .await
            )
            .is_empty()
        );
        for (method, path) in [
            ("GET", "/v1/notes/_search"),
            ("POST", "/v1/notes/_search?rebuild=true"),
        ] {
            store
                .send_as(&narrow, Ask::new(method, path))
                .await
                .is(403, "Forbidden");
        }
        let reader = store.holder(&[r#"{"b":"notes","p":"","ops":["get","list"]}"#]);
        store
            .send_as(&reader, search(&json!({"query": "fox"})))
            .await
            .is(403, "Forbidden");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_bad_search_is_refused_with_its_place() {
        let (store, seq) = notes().await;
        sent(&store, seq, &json!({"query": "fox"}))
            .await
            .ok(StatusCode::OK);
        for http in BOTH {
            for (query, detail) in [
                ("fox (den", "a parenthesis is not closed at character 5"),
                ("color:red", "this field is not indexed at character 1"),
                ("fox~3", "the distance of a fuzzy word is 1 or 2 at character 4"),
                (
                    "-fox",
                    "what is excluded needs something beside it to be taken from at character 1",
                ),
                ("", "there is nothing to search for at character 1"),
            ] {
                let refused = store.send(search(&json!({"query": query})).over(http)).await;
                refused.is(400, "BadSearch");
                assert_eq!(refused.json()["detail"], detail, "{query}");
            }
            for body in [
                json!({"query": "a", "limit": 0}),
                json!({"query": "a", "sort": []}),
                json!([]),
            ] {
                store.send(search(&body).over(http)).await.is(400, "BadBody");
            }
            let large = json!({"query": "a", "operator": "x".repeat(70_000)});
            store.send(search(&large).over(http)).await.is(413, "TooLarge");
            for query in ["wait=x", "wait=-1", "rebuild=false", "rebuild=true&wait=1"] {
                let ask = Ask::new("POST", &format!("/v1/notes/_search?{query}"));
                store.send(ask.over(http)).await.is(400, "BadParameter");
            }
        }
        store
            .send(Ask::new("PUT", "/v1/plain").body("{}"))
            .await
            .ok(StatusCode::CREATED);
        let ask = Ask::new("POST", "/v1/plain/_search").body(r#"{"query":"a"}"#);
        store.send(ask).await.is(400, "NotIndexed");
        let ask = Ask::new("POST", "/v1/nowhere/_search").body(r#"{"query":"a"}"#);
        store.send(ask).await.is(404, "NoSuchBucket");
    }
}
