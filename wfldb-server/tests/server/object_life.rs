//! What ends, what was, and what is found: `x-wfldb-ttl`, `?at=`, retention, tags in `scan`, `HEAD`.

use http::StatusCode;
use serde_json::json;

use crate::harness::{Ask, BOTH, Store, text, until};

async fn keys(store: &Store, target: &str) -> Vec<String> {
    let page = store
        .send(Ask::new("GET", target))
        .await
        .ok(StatusCode::OK)
        .json();
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| text(&item["key"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_ends_with_its_time_to_live() {
    let store = Store::photos().await;
    for http in BOTH {
        let target = format!("/v1/photos/{http:?}");
        store
            .send(Ask::new("PUT", &target).over(http).body("before"))
            .await
            .ok(StatusCode::CREATED);
        for wrong in ["0", "-1", "01", "1.5", "3162240001", "x"] {
            let ask = Ask::new("PUT", &target).over(http).header("x-wfldb-ttl", wrong);
            store.send(ask).await.is(400, "BadTtl");
        }
        let short = Ask::new("PUT", &target)
            .over(http)
            .header("x-wfldb-ttl", "2")
            .body("short");
        let put = store.send(short).await.ok(StatusCode::OK);
        let version = put.header("x-wfldb-version").to_owned();
        for method in ["GET", "HEAD"] {
            let got = store.send(Ask::new(method, &target).over(http)).await;
            assert_eq!((got.status, got.header("x-wfldb-ttl")), (200, "2"), "{method}");
        }
        until("the version to end", async || {
            store.send(Ask::new("GET", &target).over(http)).await.status == 404
        })
        .await;
        // It is absent in every way, though the version before it is not.
        let by_version = format!("{target}?version={version}");
        let got = store.send(Ask::new("GET", &by_version).over(http)).await;
        got.is(404, "NoSuchVersion");
        assert!(
            !keys(&store, "/v1/photos/scan")
                .await
                .contains(&format!("{http:?}"))
        );
        let condition = Ask::new("DELETE", &target).over(http).header("if-match", "*");
        store.send(condition).await.is(412, "PreconditionFailed");
        // Then a tombstone stands in its place, and its bytes are gone for good.
        let mut items = json!([]);
        until("the tombstone", async || {
            let versions = format!("{target}?versions=true");
            items = store.send(Ask::new("GET", &versions).over(http)).await.json()["items"].clone();
            items[0]["deleted"] == true
        })
        .await;
        let items = items.as_array().unwrap();
        assert_eq!((items.len(), &items[1]["size"]), (2, &json!(6)), "{items:?}");
        let undelete = Ask::new("POST", &format!("{target}?undelete=true")).over(http);
        store.send(undelete).await.ok(StatusCode::OK);
        let got = store.send(Ask::new("GET", &target).over(http)).await;
        assert_eq!(
            (&got.body[..], got.header("x-wfldb-ttl")),
            (b"before".as_slice(), "")
        );
    }
}

/// A defect it catches: the version at `at` itself taken for later than `at`.
#[tokio::test(flavor = "multi_thread")]
async fn at_is_what_was_current_then_inclusive() {
    let store = Store::photos().await;
    let before = crate::harness::now();
    for body in ["one", "two"] {
        store.send(Ask::new("PUT", "/v1/photos/k").body(body)).await;
        // The next version has a later millisecond.
        let now = crate::harness::now();
        until("the clock", async || crate::harness::now() > now).await;
    }
    store.send(Ask::new("DELETE", "/v1/photos/k")).await;
    let items = store
        .send(Ask::new("GET", "/v1/photos/k?versions=true"))
        .await
        .json()["items"]
        .clone();
    let time = |n: usize| text(&items[n]["modified"]).replace(':', "%3A");
    let version = |n: usize| text(&items[n]["version"]);
    for http in BOTH {
        let at = |method: &str, time: &str| Ask::new(method, &format!("/v1/photos/k?at={time}")).over(http);
        for (n, body) in [(2, "one"), (1, "two")] {
            let got = store.send(at("GET", &time(n))).await.ok(StatusCode::OK);
            assert_eq!(
                (&got.body[..], got.header("x-wfldb-version")),
                (body.as_bytes(), version(n).as_str())
            );
            let head = store.send(at("HEAD", &time(n))).await.ok(StatusCode::OK);
            assert_eq!(head.header("x-wfldb-version"), version(n));
            let range = at("GET", &time(n)).header("range", "bytes=1-");
            let range = store.send(range).await.ok(StatusCode::PARTIAL_CONTENT);
            assert_eq!(&range.body[..], &body.as_bytes()[1..]);
        }
        store.send(at("GET", &time(0))).await.is(404, "NoSuchKey");
        let earlier = before.to_string().replace(':', "%3A");
        store.send(at("GET", &earlier)).await.is(404, "NoSuchKey");
        for wrong in [
            "",
            "now",
            "2026-01-02T03%3A04%3A05Z",
            "2026-02-30T03%3A04%3A05.000Z",
        ] {
            store.send(at("GET", wrong)).await.is(400, "BadParameter");
        }
    }
    // Where a version that stood there is gone, that is said.
    let erase = format!("/v1/photos/k?version={}", version(2));
    store
        .send(Ask::new("DELETE", &erase))
        .await
        .ok(StatusCode::NO_CONTENT);
    let at = format!("/v1/photos/k?at={}", time(2));
    store.send(Ask::new("GET", &at)).await.is(404, "VersionPruned");
}

/// A defect it catches: `erase` not asked when a configuration makes versions go that were kept.
#[tokio::test(flavor = "multi_thread")]
async fn lowering_retention_needs_erase() {
    let store = Store::photos().await;
    let manager = store.holder(&[r#"{"b":"photos","p":"","ops":["manage","get","put"]}"#]);
    let configure = |config: &'static str| Ask::new("PUT", "/v1/photos").body(config);
    let first = store.send(Ask::new("PUT", "/v1/photos/k").body("1")).await;
    let first = first.header("x-wfldb-version").to_owned();
    for body in ["2", "3"] {
        store.send(Ask::new("PUT", "/v1/photos/k").body(body)).await;
    }
    for lower in [
        r#"{"versions":{"keep":2}}"#,
        r#"{"versions":{"days":1}}"#,
        r#"{"versions":{"keep":1000000,"days":36500}}"#,
    ] {
        let refused = store.send_as(&manager, configure(lower)).await;
        refused.is(403, "Forbidden");
    }
    // `{}` keeps everything, as before; with `erase` it may be less, and more again without.
    store.send_as(&manager, configure("{}")).await.ok(StatusCode::OK);
    let made = store.send(configure(r#"{"versions":{"keep":2}}"#)).await;
    assert_eq!(made.ok(StatusCode::OK).json()["versions"], json!({"keep": 2}));
    until("the first version to go", async || {
        let old = format!("/v1/photos/k?version={first}");
        store.send(Ask::new("GET", &old)).await.status == 404
    })
    .await;
    let versions = store.send(Ask::new("GET", "/v1/photos/k?versions=true")).await;
    assert_eq!(versions.json()["items"].as_array().unwrap().len(), 2);
    for (config, status) in [
        (r#"{"versions":{"keep":1}}"#, 403),
        (r#"{"versions":{"days":10}}"#, 403),
        (r#"{"versions":{"keep":2,"days":0}}"#, 200),
        (r#"{"versions":{"keep":3,"days":1}}"#, 200),
        (r#"{"versions":{"keep":3}}"#, 403),
        ("{}", 200),
        (r#"{"versions":{"keep":0}}"#, 400),
    ] {
        let answer = store.send_as(&manager, configure(config)).await;
        assert_eq!(answer.status, status, "{config}: {answer:?}");
    }
}

/// A defect it catches: the tags left out of what a cursor is sealed with, so that a cursor of one query goes on in another.
#[tokio::test(flavor = "multi_thread")]
async fn scans_by_tags_find_what_has_all_of_them() {
    let store = Store::photos().await;
    for n in 0..30 {
        let tags = match n % 3 {
            0 => "colour=red",
            1 => "colour=red&size=5%2F6",
            _ => "colour=blue&size=5%2F6",
        };
        let folder = if n < 15 { "a" } else { "b" };
        let put = Ask::new("PUT", &format!("/v1/photos/{folder}/{n:02}")).header("x-wfldb-tags", tags);
        store.send(put).await.ok(StatusCode::CREATED);
    }
    // Another version without tags is not found by the old ones.
    store
        .send(Ask::new("PUT", "/v1/photos/a/00"))
        .await
        .ok(StatusCode::OK);
    store
        .send(Ask::new("DELETE", "/v1/photos/a/01"))
        .await
        .ok(StatusCode::NO_CONTENT);
    let red = "tag=colour%3Dred";
    // The value is encoded once as a tag and once more as a query value.
    let red_and_sized = "tag=colour%3Dred%26size%3D5%252F6";
    let red_keys = keys(&store, &format!("/v1/photos/scan?{red}")).await;
    assert_eq!(red_keys.len(), 18);
    let both = keys(&store, &format!("/v1/photos/scan?{red_and_sized}")).await;
    assert_eq!(both.len(), 9);
    assert_eq!(both[..2], ["a/04", "a/07"]);
    let below = keys(&store, &format!("/v1/photos/scan?prefix=b%2F&{red_and_sized}")).await;
    assert_eq!(below, ["b/16", "b/19", "b/22", "b/25", "b/28"]);
    for http in BOTH {
        let mut found = Vec::new();
        let mut query = format!("limit=4&{red}");
        let mut first_cursor = String::new();
        loop {
            let page = Ask::new("GET", &format!("/v1/photos/scan?{query}")).over(http);
            let page = store.send(page).await.ok(StatusCode::OK).json();
            for item in page["items"].as_array().unwrap() {
                assert_eq!(item["tags"]["colour"], "red");
                found.push(text(&item["key"]));
            }
            let Some(cursor) = page["cursor"].as_str() else {
                break;
            };
            if first_cursor.is_empty() {
                first_cursor = cursor.to_owned();
            }
            query = format!("cursor={cursor}&limit=4&{red}");
        }
        assert_eq!(found, red_keys);
        for other in [
            String::new(),
            format!("&{red_and_sized}"),
            "&tag=colour%3Dblue".to_owned(),
            format!("&prefix=a&{red}"),
            format!("&reverse=true&{red}"),
        ] {
            let other = format!("/v1/photos/scan?cursor={first_cursor}{other}");
            let refused = store.send(Ask::new("GET", &other).over(http)).await;
            refused.is(400, "BadCursor");
        }
        for wrong in ["", "%3Db", "a%3Db%26a%3Dc", "a", "b%3D1%26a%3D1"] {
            let wrong = Ask::new("GET", &format!("/v1/photos/scan?tag={wrong}")).over(http);
            store.send(wrong).await.is(400, "BadParameter");
        }
    }
    let holder = store.holder(&[r#"{"b":"photos","p":"b/","ops":["list"]}"#]);
    let seen = store
        .send_as(&holder, Ask::new("GET", &format!("/v1/photos/scan?{red}")))
        .await
        .json();
    assert!(
        seen["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|item| text(&item["key"]).starts_with("b/"))
    );
}

/// PROTOCOL 5: "HEAD is signed as HEAD and answers GET's status and headers".
#[tokio::test(flavor = "multi_thread")]
async fn head_answers_gets_status_and_headers_without_a_body() {
    let store = Store::photos().await;
    let small = Ask::new("PUT", "/v1/photos/small")
        .header("content-type", "text/plain")
        .header("x-wfldb-ttl", "1000")
        .body("hello");
    let small = store.send(small).await.ok(StatusCode::CREATED);
    let (version, etag) = (
        small.header("x-wfldb-version").to_owned(),
        small.header("etag").to_owned(),
    );
    let large = Ask::new("PUT", "/v1/photos/large").body(vec![1; 300_000]);
    store.send(large).await.ok(StatusCode::CREATED);
    let now = crate::harness::now().to_string().replace(':', "%3A");
    let cases: Vec<(String, &str, String)> = vec![
        ("small".into(), "", String::new()),
        ("large".into(), "", String::new()),
        (format!("small?version={version}"), "", String::new()),
        (format!("small?at={now}"), "", String::new()),
        ("small".into(), "range", "bytes=1-2".into()),
        ("large".into(), "range", "bytes=-5".into()),
        ("small".into(), "range", "bytes=9-".into()),
        ("small".into(), "if-none-match", etag.clone()),
        ("small".into(), "if-match", format!("\"{}\"", "0".repeat(64))),
        ("absent".into(), "", String::new()),
        (
            "small?version=01JGFJJZ00AAAAAAAAAAAAAAAA".into(),
            "",
            String::new(),
        ),
        ("small?version=x".into(), "", String::new()),
        ("small?at=2020-01-01T00%3A00%3A00.000Z".into(), "", String::new()),
    ];
    for http in BOTH {
        for (target, name, value) in &cases {
            let ask = |method: &str| {
                let ask = Ask::new(method, &format!("/v1/photos/{target}")).over(http);
                if name.is_empty() {
                    ask
                } else {
                    ask.header(name, value)
                }
            };
            let (get, head) = (store.send(ask("GET")).await, store.send(ask("HEAD")).await);
            assert!(head.body.is_empty(), "{target}");
            assert_eq!(get.status, head.status, "{target}");
            for header in [
                "etag",
                "x-wfldb-version",
                "x-wfldb-seq",
                "x-wfldb-ttl",
                "last-modified",
                "content-range",
                "accept-ranges",
                "x-content-type-options",
            ] {
                assert_eq!(get.header(header), head.header(header), "{target}: {header}");
            }
            if get.status < 400 {
                for header in ["content-length", "content-type"] {
                    assert_eq!(get.header(header), head.header(header), "{target}: {header}");
                }
            }
        }
        for target in [
            "/v1",
            "/v1/photos",
            "/v1/photos/scan",
            "/v1/photos/small?versions=true",
        ] {
            let head = store.send(Ask::new("HEAD", target).over(http)).await;
            assert_eq!(head.status, 405, "{target}");
            assert_ne!(head.header("allow"), "", "{target}");
        }
    }
}
