//! What a packet does not allow is 403, and looks the same whether or not the thing exists.

use http::StatusCode;

use crate::harness::{Ask, BOTH, Store, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_does_not_tell_what_exists() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/photos/there").body("x"))
        .await
        .ok(StatusCode::CREATED);
    let holder = store.holder(&[r#"{"b":"photos","p":"mine/","ops":["get","put","delete"]}"#]);
    for http in BOTH {
        let mut bodies = Vec::new();
        for target in ["/v1/photos/there", "/v1/photos/absent", "/v1/none-such/k"] {
            for method in ["GET", "PUT", "DELETE"] {
                let refused = store.send_as(&holder, Ask::new(method, target).over(http)).await;
                refused.is(403, "Forbidden");
                let mut problem = refused.json();
                problem["request_id"] = serde_json::Value::Null;
                bodies.push(problem);
            }
        }
        assert!(bodies.iter().all(|body| *body == bodies[0]));
        for target in ["/v1/photos", "/v1/none-such"] {
            for method in ["GET", "PUT", "DELETE"] {
                store
                    .send_as(&holder, Ask::new(method, target).over(http))
                    .await
                    .is(403, "Forbidden");
            }
        }
        // Capability goes before parameters.
        store
            .send_as(&holder, Ask::new("GET", "/v1/photos/scan?limit=0").over(http))
            .await
            .is(403, "Forbidden");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_without_get_or_list_is_always_200() {
    let store = Store::photos().await;
    let blind = store.holder(&[r#"{"b":"photos","p":"","ops":["put","delete"]}"#]);
    for _ in 0..2 {
        store
            .send_as(&blind, Ask::new("PUT", "/v1/photos/k").body("x"))
            .await
            .ok(StatusCode::OK);
    }
    let etag = format!("\"{}\"", "0".repeat(64));
    let guess = Ask::new("PUT", "/v1/photos/k")
        .body("y")
        .header("if-match", &etag);
    store.send_as(&blind, guess).await.is(403, "Forbidden");
    let guess = Ask::new("PUT", "/v1/photos/k")
        .body("y")
        .header("if-none-match", "*");
    store.send_as(&blind, guess).await.is(412, "PreconditionFailed");
    let deleted = store
        .send_as(&blind, Ask::new("DELETE", "/v1/photos/k"))
        .await
        .ok(StatusCode::NO_CONTENT);
    let nothing = store
        .send_as(&blind, Ask::new("DELETE", "/v1/photos/k"))
        .await
        .ok(StatusCode::NO_CONTENT);
    assert_eq!(
        (
            deleted.header("x-wfldb-version"),
            nothing.header("x-wfldb-version")
        ),
        ("", "")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_show_only_what_the_packet_covers() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/others"))
        .await
        .ok(StatusCode::CREATED);
    for key in ["a/1", "a/2", "b/1", "c/1"] {
        store
            .send(Ask::new("PUT", &format!("/v1/photos/{key}")).body(key))
            .await
            .ok(StatusCode::CREATED);
    }
    let holder = store.holder(&[
        r#"{"b":"photos","p":"a/","ops":["list"]}"#,
        r#"{"b":"photos","p":"c/","ops":["list"]}"#,
    ]);
    let page = store
        .send_as(&holder, Ask::new("GET", "/v1/photos/scan?delimiter=%2F"))
        .await
        .json();
    assert_eq!(page["prefixes"], serde_json::json!(["a/", "c/"]));
    let page = store
        .send_as(&holder, Ask::new("GET", "/v1/photos/scan?prefix=b"))
        .await
        .json();
    assert_eq!(page["items"], serde_json::json!([]));
    let page = store
        .send_as(&holder, Ask::new("GET", "/v1/photos/scan?limit=1"))
        .await
        .json();
    let cursor = text(&page["cursor"]);
    let next = format!("/v1/photos/scan?cursor={cursor}&limit=2");
    let rest = store.send_as(&holder, Ask::new("GET", &next)).await.json();
    let keys: Vec<_> = rest["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| text(&item["key"]))
        .collect();
    assert_eq!(keys, ["a/2", "c/1"]);
    // A cursor is its caller's.
    store.send(Ask::new("GET", &next)).await.is(400, "BadCursor");
    let buckets = store.send_as(&holder, Ask::new("GET", "/v1")).await.json();
    let names: Vec<_> = buckets["buckets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bucket| text(&bucket["name"]))
        .collect();
    assert_eq!(names, ["photos"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_grants_hold() {
    let store = Store::photos().await;
    let put = |key: &str, body: &'static str| Ask::new("PUT", &format!("/v1/photos/{key}")).body(body);
    let sized = store.holder(&[r#"{"b":"photos","p":"","ops":["put","get"],"max_bytes":3}"#]);
    store
        .send_as(&sized, put("a", "abc"))
        .await
        .ok(StatusCode::CREATED);
    store.send_as(&sized, put("a", "abcd")).await.is(403, "Forbidden");
    let typed = store.holder(&[r#"{"b":"photos","p":"","ops":["put"],"content_type":["image/png"]}"#]);
    store
        .send_as(&typed, put("b", "x").header("content-type", "image/png"))
        .await
        .ok(StatusCode::OK);
    store
        .send_as(&typed, put("b", "x").header("content-type", "text/html"))
        .await
        .is(403, "Forbidden");
    store.send_as(&typed, put("b", "x")).await.is(403, "Forbidden");
    let elsewhere = store.holder(&[r#"{"b":"photos","p":"","ops":["put"],"cidr":["10.0.0.0/8"]}"#]);
    store
        .send_as(&elsewhere, put("c", "x"))
        .await
        .is(403, "Forbidden");
    let here = store.holder(&[r#"{"b":"photos","p":"","ops":["put"],"cidr":["127.0.0.0/8"]}"#]);
    store.send_as(&here, put("c", "x")).await.ok(StatusCode::OK);
    let create_only = store.holder(&[r#"{"b":"photos","p":"","ops":["put","get"],"create_only":true}"#]);
    store
        .send_as(&create_only, put("d", "x"))
        .await
        .ok(StatusCode::CREATED);
    store
        .send_as(&create_only, put("d", "y"))
        .await
        .is(403, "Forbidden");
    let quota = store.holder(&[r#"{"b":"photos","p":"","ops":["put","get"],"quota_bytes":4}"#]);
    store
        .send_as(&quota, put("e", "abc"))
        .await
        .ok(StatusCode::CREATED);
    assert_eq!(
        store.send_as(&quota, put("f", "abc")).await.code(),
        "QuotaExceeded"
    );
}

/// A defect it catches: only the grant that let the batch in charged, and not those that its entries need.
#[tokio::test(flavor = "multi_thread")]
async fn the_rates_of_all_grants_that_entries_and_sources_need_are_charged() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/photos/b/source").body("x"))
        .await
        .ok(StatusCode::CREATED);
    let holder = || {
        store.holder(&[
            r#"{"b":"photos","p":"a/","ops":["put"]}"#,
            r#"{"b":"photos","p":"b/","ops":["put","get"],"rate":1}"#,
        ])
    };
    let batch = |keys: &[&str]| {
        let ops = keys
            .iter()
            .map(|key| format!(r#"{{"op":"put","key":"{key}","body":""}}"#));
        let ops = ops.collect::<Vec<_>>().join(",");
        Ask::new("POST", "/v1/photos/batch").body(format!(r#"{{"ops":[{ops}]}}"#))
    };
    let entries = || batch(&["a/1", "b/1", "b/2"]);
    let copy = || Ask::new("POST", "/v1/photos/a/copy?copy=%2Fphotos%2Fb%2Fsource");
    for ask in [&entries as &dyn Fn() -> Ask, &copy] {
        let holder = holder();
        let mut statuses = Vec::new();
        for _ in 0..6 {
            statuses.push(store.send_as(&holder, ask()).await.status);
        }
        // A request counts once, however many entries fall to the grant.
        assert_eq!(statuses[0], 200, "{statuses:?}");
        assert!(statuses[1..].contains(&429), "{statuses:?}");
        // Who needs less goes on.
        store.send_as(&holder, batch(&["a/2"])).await.ok(StatusCode::OK);
    }
}
