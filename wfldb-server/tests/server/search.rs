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
        for path in ["_find", "_find?wait=1", "_explain"] {
            let ask = Ask::new("POST", &format!("/v1/notes/{path}")).body(r#"{"selector":{"$text":"fox"}}"#);
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

    /// A bucket of documents that has an index.
    async fn documents() -> (Store, u64) {
        let store = Store::new().await;
        let config = r#"{"kind":"documents","text":{"fields":["title","body"],"language":"english"}}"#;
        store
            .send(Ask::new("PUT", "/v1/notes").body(config))
            .await
            .ok(StatusCode::CREATED);
        let mut seq = 0;
        for (key, year, title, body) in [
            ("a/1", 1999, "Foxes", "A fox, another fox, and foxes"),
            (
                "a/2",
                2001,
                "A hound",
                "It hunts a fox that is the only one in a longer text",
            ),
            ("a/3", 2003, "A den", "Nobody is at home"),
            ("b/1", 2005, "A fox", "It sleeps"),
        ] {
            seq = put(&store, key, &json!({"year": year, "title": title, "body": body})).await;
        }
        sent(&store, seq, &json!({"query": "fox"}))
            .await
            .ok(StatusCode::OK);
        (store, seq)
    }

    fn find(body: &Value) -> Ask {
        Ask::new("POST", "/v1/notes/_find").body(body.to_string())
    }

    fn ids(answer: &Answer) -> Vec<String> {
        let json = answer.json();
        let docs = json["docs"].as_array().unwrap().iter();
        docs.map(|document| document["_id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// DEFECT: a hit that the rest of the selector does not want, or an order other than that of the search.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_selector_finds_what_its_text_and_the_rest_of_it_want() {
        let (store, seq) = documents().await;
        let best = keys(&store.send(search(&json!({"query": "fox"}))).await);
        assert_eq!(best.len(), 3);
        for http in BOTH {
            for (selector, sort, expected) in [
                (json!({"$text": "fox"}), json!([]), best.clone()),
                (
                    json!({"$text": "fox"}),
                    json!([{"year": "desc"}]),
                    ["b/1", "a/2", "a/1"].map(str::to_owned).into(),
                ),
                (
                    json!({"$and": [{"year": {"$gt": 2000}}, {"$text": {"query": "hound fox", "operator": "and"}}]}),
                    json!([]),
                    vec!["a/2".to_owned()],
                ),
                (
                    json!({"title": {"$text": "fox"}, "year": {"$lt": 2004}}),
                    json!([]),
                    vec!["a/1".to_owned()],
                ),
                (json!({"$text": "home -den"}), json!([]), Vec::new()),
            ] {
                let body = json!({"selector": selector, "sort": sort, "count": true});
                let answer = store.send(find(&body).over(http)).await.ok(StatusCode::OK);
                assert_eq!(ids(&answer), expected, "{body}");
                let json = answer.json();
                assert_eq!(
                    (&json["count"], &json["seq"]),
                    (&json!(expected.len()), &json!(seq))
                );
            }
            let explain =
                Ask::new("POST", "/v1/notes/_explain").body(r#"{"selector":{"$text":"fox","year":2005}}"#);
            let explained = store.send(explain.over(http)).await.json();
            assert_eq!(
                (&explained["index"], &explained["in_order"], explained.get("wish")),
                (&json!("_text"), &json!(true), None)
            );
            assert_eq!(explained["execution_stats"]["total_keys_examined"], 3);
            assert_eq!(explained["execution_stats"]["results_returned"], 1);
        }
        // A bookmark goes on behind the last hit, in either order.
        for sort in [json!([]), json!(["year"])] {
            let mut body = json!({"selector": {"$text": "fox"}, "sort": sort, "limit": 2});
            let first = store.send(find(&body)).await;
            body["bookmark"] = first.json()["bookmark"].clone();
            let second = store.send(find(&body)).await;
            assert_eq!(second.json().get("bookmark"), None);
            let mut all = [ids(&first), ids(&second)].concat();
            assert_eq!(all.len(), 3);
            if sort == json!([]) {
                assert_eq!(all, best);
            }
            all.sort();
            assert_eq!(all, ["a/1", "a/2", "b/1"]);
        }
    }

    /// DEFECT: an answer that does not know the write whose `seq` it was to wait for.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_selector_with_text_waits_for_a_change() {
        let (store, _) = documents().await;
        for number in 0..20 {
            let word = format!("stoat{number}");
            let seq = put(&store, "c/1", &json!({"title": word})).await;
            let ask = Ask::new("POST", &format!("/v1/notes/_find?wait={seq}"));
            let answer = store
                .send(ask.body(json!({"selector": {"$text": word}}).to_string()))
                .await;
            assert_eq!(ids(&answer), ["c/1"], "{number}");
            assert!(answer.json()["seq"].as_u64() >= Some(seq));
        }
        let never = Ask::new("POST", "/v1/notes/_find?wait=1").body(r#"{"selector":{"year":1999}}"#);
        store.send(never).await.is(400, "BadParameter");
    }

    /// DEFECT: a caller of one prefix whom a selector tells what a search of theirs would not.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_selector_with_text_tells_what_its_caller_may_query() {
        let (store, _) = documents().await;
        let narrow = store.holder(&[r#"{"b":"notes","p":"b/","ops":["query"]}"#]);
        let reader = store.holder(&[r#"{"b":"notes","p":"","ops":["get","list"]}"#]);
        for (selector, sort, expected) in [
            (json!({"$text": "fox"}), json!([]), vec!["b/1".to_owned()]),
            (json!({"$text": "fox"}), json!(["year"]), vec!["b/1".to_owned()]),
            (json!({"$text": "hound den"}), json!([]), Vec::new()),
        ] {
            let body = json!({"selector": selector, "sort": sort, "count": true, "execution_stats": true});
            let answer = store.send_as(&narrow, find(&body)).await.ok(StatusCode::OK);
            assert_eq!(ids(&answer), expected);
            let json = answer.json();
            assert_eq!(json["count"], expected.len());
            assert_eq!(json["execution_stats"].get("total_keys_examined"), None);
            store.send_as(&reader, find(&body)).await.is(403, "Forbidden");
        }
        let explain = || Ask::new("POST", "/v1/notes/_explain").body(r#"{"selector":{"$text":"fox"}}"#);
        store.send_as(&narrow, explain()).await.is(403, "Forbidden");
        store.send(explain()).await.ok(StatusCode::OK);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_bad_text_in_a_selector_is_refused() {
        let (store, _) = documents().await;
        for (body, code, pointer) in [
            (
                json!({"selector": {"$text": {"words": "fox"}}}),
                "BadQuery",
                json!("/selector/$text"),
            ),
            (
                json!({"selector": {"$or": [{"$text": "fox"}]}}),
                "BadQuery",
                json!("/selector/$or/0/$text"),
            ),
            (
                json!({"selector": {"$text": "fox"}, "use_index": "year"}),
                "BadQuery",
                json!("/use_index"),
            ),
            (
                json!({"selector": {"$text": "fox (den"}}),
                "BadSearch",
                Value::Null,
            ),
            (
                json!({"selector": {"color": {"$text": "red"}}}),
                "BadSearch",
                Value::Null,
            ),
        ] {
            let answer = store.send(find(&body)).await;
            answer.is(400, code);
            assert_eq!(
                answer.json().get("pointer").unwrap_or(&Value::Null),
                &pointer,
                "{body}"
            );
        }
        store
            .send(Ask::new("PUT", "/v1/plain").body(r#"{"kind":"documents"}"#))
            .await
            .ok(StatusCode::CREATED);
        let ask = Ask::new("POST", "/v1/plain/_find").body(r#"{"selector":{"$text":"a"}}"#);
        store.send(ask).await.is(400, "NotIndexed");
    }

    /// DEFECT: a document of a search that nobody can verify.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_documents_of_a_search_are_those_that_are_read() {
        let (store, _) = documents().await;
        let body = json!({"query": "fox", "documents": true});
        let found = store.send(search(&body)).await.json();
        let items = found["items"].as_array().unwrap();
        assert_eq!(items.len(), 3);
        for item in items {
            let key = item["key"].as_str().unwrap();
            let read = store
                .send(Ask::new("GET", &format!("/v1/notes/{key}")))
                .await
                .json();
            assert!(read["_sig"].as_str().unwrap().starts_with("ed25519:"));
            assert_eq!(item["document"], read);
        }
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
