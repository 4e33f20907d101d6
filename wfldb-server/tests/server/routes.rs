//! Every route, over both versions of HTTP.

use http::StatusCode;
use wfldb_net::{accept, codec};

use crate::harness::{Ask, BOTH, Http, Store, text};

const HELLO: &str = "92494b5df54d25ceeefc946a216503aa09d6dc642c5a013c20b79e200d497b19";

#[tokio::test(flavor = "multi_thread")]
async fn an_object_goes_in_and_comes_out_with_its_headers() {
    let store = Store::photos().await;
    for http in BOTH {
        let target = format!("/v1/photos/a%20b/{http:?}.txt");
        let put = Ask::new("PUT", &target)
            .over(http)
            .header("content-type", "text/plain")
            .header("cache-control", "max-age=60")
            .header("expires", "Fri, 02 Jan 2026 03:04:05 GMT")
            .header("x-wfldb-meta-camera", "box no 2")
            .header("x-wfldb-tags", "colour=red&size=5%2F6")
            .body("hello wflDB");
        let stored = store.send(put.clone()).await.ok(StatusCode::CREATED);
        assert!(stored.body.is_empty());
        assert_eq!(stored.header("etag"), format!("\"{HELLO}\""));
        assert_eq!(stored.header("x-wfldb-version").len(), 26);
        assert!(stored.header("x-wfldb-seq").parse::<u64>().unwrap() > 0);
        assert_eq!(stored.header("x-wfldb-request-id").len(), 32);

        let got = store
            .send(Ask::new("GET", &target).over(http))
            .await
            .ok(StatusCode::OK);
        assert_eq!(&got.body[..], b"hello wflDB");
        let expected = [
            ("content-type", "text/plain"),
            ("content-length", "11"),
            ("cache-control", "max-age=60"),
            ("expires", "Fri, 02 Jan 2026 03:04:05 GMT"),
            ("x-wfldb-meta-camera", "box no 2"),
            ("x-wfldb-tags", "colour=red&size=5%2F6"),
            ("accept-ranges", "bytes"),
            ("x-content-type-options", "nosniff"),
        ];
        for (name, value) in expected {
            assert_eq!(got.header(name), value, "{name}");
        }
        for name in ["etag", "x-wfldb-version", "x-wfldb-seq", "last-modified"] {
            assert_eq!(got.header(name), stored.header(name), "{name}");
        }

        let head = store
            .send(Ask::new("HEAD", &target).over(http))
            .await
            .ok(StatusCode::OK);
        assert!(head.body.is_empty());
        for (name, value) in expected {
            assert_eq!(head.header(name), value, "{name}");
        }

        let again = Ask {
            nonce: crate::harness::nonce(),
            ..put
        }
        .body("other");
        let replaced = store.send(again).await.ok(StatusCode::OK);
        assert!(replaced.header("x-wfldb-version") > stored.header("x-wfldb-version"));
        let first = format!("{target}?version={}", stored.header("x-wfldb-version"));
        let first = store
            .send(Ask::new("GET", &first).over(http))
            .await
            .ok(StatusCode::OK);
        assert_eq!(&first.body[..], b"hello wflDB");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_and_sha256_bodies_are_stored() {
    let store = Store::photos().await;
    for http in BOTH {
        let target = format!("/v1/photos/empty-{http:?}");
        store
            .send(Ask::new("PUT", &target).over(http))
            .await
            .ok(StatusCode::CREATED);
        let got = store
            .send(Ask::new("GET", &target).over(http))
            .await
            .ok(StatusCode::OK);
        assert_eq!((got.body.len(), got.header("content-length")), (0, "0"));
        assert_eq!(got.header("content-type"), "application/octet-stream");

        let mut ask = Ask::new("PUT", &format!("/v1/photos/sha-{http:?}"))
            .over(http)
            .body("abc");
        let digest = "sha256 3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        ask.content = Some(wfldb_core::object::ContentDigest::parse(digest).unwrap());
        store.send(ask).await.ok(StatusCode::CREATED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_are_made_configured_listed_and_removed() {
    let store = Store::new().await;
    for http in BOTH {
        let name = format!("bucket-{http:?}").to_lowercase();
        let target = format!("/v1/{name}");
        let config = r#"{"quota_bytes":1000000,"object_bytes_max":100}"#;
        let put = Ask::new("PUT", &target)
            .over(http)
            .header("content-type", "application/json")
            .body(config);
        let made = store.send(put).await.ok(StatusCode::CREATED).json();
        assert_eq!(
            (made["name"].as_str(), made["quota_bytes"].as_u64()),
            (Some(name.as_str()), Some(1_000_000))
        );

        // The whole configuration is replaced.
        let again = store
            .send(Ask::new("PUT", &target).over(http))
            .await
            .ok(StatusCode::OK)
            .json();
        assert!(again.get("quota_bytes").is_none(), "{again}");
        assert_eq!(again["created"], made["created"]);

        store
            .send(Ask::new("PUT", &format!("{target}/k")).over(http).body("abc"))
            .await
            .ok(StatusCode::CREATED);
        let shown = store
            .send(Ask::new("GET", &target).over(http))
            .await
            .ok(StatusCode::OK)
            .json();
        assert_eq!(
            shown["usage"],
            serde_json::json!({"objects": 1, "versions": 1, "bytes": 3, "stored_bytes": 3})
        );
        let all = store
            .send(Ask::new("GET", "/v1").over(http))
            .await
            .ok(StatusCode::OK)
            .json();
        let entry = all["buckets"]
            .as_array()
            .unwrap()
            .iter()
            .find(|bucket| bucket["name"] == name.as_str())
            .unwrap();
        assert_eq!(
            *entry,
            serde_json::json!({"name": name, "created": made["created"], "kind": "objects"})
        );

        store
            .send(Ask::new("DELETE", &target).over(http))
            .await
            .is(409, "BucketNotEmpty");
        let forced = store
            .send(Ask::new("DELETE", &format!("{target}?force=true")).over(http))
            .await;
        forced.ok(StatusCode::NO_CONTENT);
        store
            .send(Ask::new("GET", &target).over(http))
            .await
            .is(404, "NoSuchBucket");
        store
            .send(Ask::new("GET", &format!("{target}/k")).over(http))
            .await
            .is(404, "NoSuchBucket");
        store
            .send(Ask::new("PUT", &target).over(http))
            .await
            .ok(StatusCode::CREATED);
        store
            .send(Ask::new("DELETE", &target).over(http))
            .await
            .ok(StatusCode::NO_CONTENT);
        store
            .send(Ask::new("DELETE", &target).over(http))
            .await
            .is(404, "NoSuchBucket");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_object_is_gone_listed_as_a_tombstone_and_comes_back() {
    let store = Store::photos().await;
    for http in BOTH {
        let key = format!("k-{http:?}");
        let target = format!("/v1/photos/{key}");
        let nothing = store
            .send(Ask::new("DELETE", &target).over(http))
            .await
            .ok(StatusCode::NO_CONTENT);
        assert_eq!(nothing.header("x-wfldb-version"), "");

        let put = store
            .send(Ask::new("PUT", &target).over(http).body("one"))
            .await
            .ok(StatusCode::CREATED);
        store
            .send(Ask::new("POST", &format!("{target}?undelete=true")).over(http))
            .await
            .is(409, "NotDeleted");
        let deleted = store
            .send(Ask::new("DELETE", &target).over(http))
            .await
            .ok(StatusCode::NO_CONTENT);
        let tombstone = deleted.header("x-wfldb-version").to_owned();
        store
            .send(Ask::new("GET", &target).over(http))
            .await
            .is(404, "NoSuchKey");
        let head = store
            .send(Ask::new("HEAD", &target).over(http))
            .await
            .ok(StatusCode::NOT_FOUND);
        assert!(head.body.is_empty());
        store
            .send(Ask::new("GET", &format!("{target}?version={tombstone}")).over(http))
            .await
            .is(404, "NoSuchVersion");

        let restored = store
            .send(Ask::new("POST", &format!("{target}?undelete=true")).over(http))
            .await;
        let restored = restored.ok(StatusCode::OK);
        assert_eq!(restored.header("etag"), put.header("etag"));
        let got = store
            .send(Ask::new("GET", &target).over(http))
            .await
            .ok(StatusCode::OK);
        assert_eq!(&got.body[..], b"one");

        // Three versions, newest first, one on a page.
        let mut query = format!("{target}?limit=1&versions=true");
        let mut seen = Vec::new();
        loop {
            let page = store
                .send(Ask::new("GET", &query).over(http))
                .await
                .ok(StatusCode::OK)
                .json();
            let items = page["items"].as_array().unwrap();
            assert_eq!(items.len(), 1);
            seen.push((text(&items[0]["version"]), items[0].get("deleted").is_some()));
            let Some(cursor) = page.get("cursor") else { break };
            query = format!("{target}?cursor={}&limit=1&versions=true", text(cursor));
        }
        let of = |answer: &crate::harness::Answer| answer.header("x-wfldb-version").to_owned();
        assert_eq!(
            seen,
            [(of(&restored), false), (tombstone, true), (of(&put), false)]
        );
        store
            .send(Ask::new("GET", "/v1/photos/never?versions=true").over(http))
            .await
            .is(404, "NoSuchKey");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_pages_in_order_with_prefixes_both_ways() {
    let store = Store::photos().await;
    for key in ["a", "b/1", "b/2", "b/c/3", "d", "é"] {
        let path = wfldb_core::encoding::percent::encode_path_segmentwise(key);
        let put = Ask::new("PUT", &format!("/v1/photos/{path}"))
            .header("x-wfldb-tags", "n=1")
            .body(key);
        store.send(put).await.ok(StatusCode::CREATED);
    }
    for http in BOTH {
        let all = store
            .send(Ask::new("GET", "/v1/photos/scan").over(http))
            .await
            .ok(StatusCode::OK)
            .json();
        let keys = |page: &serde_json::Value| -> Vec<String> {
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| text(&item["key"]))
                .collect()
        };
        assert_eq!(keys(&all), ["a", "b/1", "b/2", "b/c/3", "d", "é"]);
        assert!(all.get("prefixes").is_none() && all.get("cursor").is_none());
        assert_eq!(all["items"][0]["tags"], serde_json::json!({"n": "1"}));

        for (query, expected_keys, expected_prefixes) in [
            ("delimiter=%2F", vec!["a", "d", "é"], vec!["b/"]),
            ("delimiter=%2F&prefix=b%2F", vec!["b/1", "b/2"], vec!["b/c/"]),
            ("after=b%2F2", vec!["b/c/3", "d", "é"], vec![]),
            ("prefix=b%2F&reverse=true", vec!["b/c/3", "b/2", "b/1"], vec![]),
            ("after=d&delimiter=%2F&reverse=true", vec!["a"], vec!["b/"]),
        ] {
            let page = store
                .send(Ask::new("GET", &format!("/v1/photos/scan?{query}")).over(http))
                .await;
            let page = page.ok(StatusCode::OK).json();
            assert_eq!(keys(&page), expected_keys, "{query}");
            let prefixes = page
                .get("prefixes")
                .and_then(|prefixes| prefixes.as_array())
                .cloned();
            assert_eq!(prefixes.unwrap_or_default(), expected_prefixes, "{query}");

            // The same, two at a time.
            let (mut found, mut groups, mut cursor) = (Vec::new(), Vec::new(), None);
            loop {
                let mut parameters: Vec<String> = query.split('&').map(str::to_owned).collect();
                parameters.push("limit=2".to_owned());
                parameters.extend(cursor.map(|cursor| format!("cursor={cursor}")));
                parameters.sort_unstable();
                let target = format!("/v1/photos/scan?{}", parameters.join("&"));
                let page = store
                    .send(Ask::new("GET", &target).over(http))
                    .await
                    .ok(StatusCode::OK)
                    .json();
                found.extend(keys(&page));
                groups.extend(
                    page.get("prefixes")
                        .and_then(|prefixes| prefixes.as_array())
                        .cloned()
                        .unwrap_or_default(),
                );
                cursor = page.get("cursor").map(text);
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(
                (found, groups),
                (
                    expected_keys.iter().map(|key| (*key).to_owned()).collect(),
                    expected_prefixes
                        .iter()
                        .map(|prefix| serde_json::json!(prefix))
                        .collect()
                ),
                "{query}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_of_reads_and_writes_hold() {
    let store = Store::photos().await;
    let target = "/v1/photos/k";
    let etag = format!("\"{HELLO}\"");
    let other = format!("\"{}\"", "0".repeat(64));
    let put = |body: &'static str| Ask::new("PUT", target).body(body);
    store
        .send(put("x").header("if-match", "*"))
        .await
        .is(412, "PreconditionFailed");
    let first = store
        .send(put("hello wflDB").header("if-none-match", "*"))
        .await
        .ok(StatusCode::CREATED);
    store
        .send(put("x").header("if-none-match", "*"))
        .await
        .is(412, "PreconditionFailed");
    store
        .send(put("x").header("if-match", &other))
        .await
        .is(412, "PreconditionFailed");
    store
        .send(put("x").header("x-wfldb-if-version", "01JGFJJZ00AAAAAAAAAAAAAAAA"))
        .await
        .is(412, "PreconditionFailed");
    store
        .send(Ask::new("DELETE", target).header("if-match", &other))
        .await
        .is(412, "PreconditionFailed");
    store
        .send(put("x").header("if-none-match", &etag))
        .await
        .is(400, "BadCondition");
    store
        .send(put("x").header("if-match", "W/\"x\""))
        .await
        .is(400, "BadCondition");

    let modified = first.header("last-modified").to_owned();
    for http in BOTH {
        let get = |name: &str, value: &str| Ask::new("GET", target).over(http).header(name, value);
        let fresh = store
            .send(get("if-none-match", &etag))
            .await
            .ok(StatusCode::NOT_MODIFIED);
        assert!(fresh.body.is_empty());
        assert_eq!(fresh.header("etag"), etag);
        store.send(get("if-none-match", &other)).await.ok(StatusCode::OK);
        store.send(get("if-match", &etag)).await.ok(StatusCode::OK);
        store
            .send(get("if-match", &other))
            .await
            .is(412, "PreconditionFailed");
        store
            .send(get("if-modified-since", &modified))
            .await
            .ok(StatusCode::NOT_MODIFIED);
        store
            .send(get("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"))
            .await
            .is(412, "PreconditionFailed");
        store
            .send(get("if-unmodified-since", &modified))
            .await
            .ok(StatusCode::OK);
        store
            .send(get("if-modified-since", "lately"))
            .await
            .is(400, "BadHeader");
    }
    let version = first.header("x-wfldb-version");
    store
        .send(
            put("next")
                .header("x-wfldb-if-version", version)
                .header("if-match", &etag),
        )
        .await
        .ok(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_range_is_served() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/photos/k").body("hello wflDB"))
        .await
        .ok(StatusCode::CREATED);
    let large: Vec<u8> = (0..9_000_000_u32)
        .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[2])
        .collect();
    store
        .send(Ask::new("PUT", "/v1/photos/large").body(large.clone()))
        .await
        .ok(StatusCode::CREATED);
    for http in BOTH {
        let get = |target: &str, range: &str| Ask::new("GET", target).over(http).header("range", range);
        for (range, body, content_range) in [
            ("bytes=0-4", "hello", "bytes 0-4/11"),
            ("bytes=6-", "wflDB", "bytes 6-10/11"),
            ("bytes=-2", "DB", "bytes 9-10/11"),
        ] {
            let part = store
                .send(get("/v1/photos/k", range))
                .await
                .ok(StatusCode::PARTIAL_CONTENT);
            assert_eq!(
                (&part.body[..], part.header("content-range")),
                (body.as_bytes(), content_range)
            );
        }
        for range in ["bytes=11-", "bytes=0-1,3-4", "lines=1-2"] {
            let refused = store.send(get("/v1/photos/k", range)).await;
            refused.is(416, "RangeNotSatisfiable");
            assert_eq!(refused.header("content-range"), "bytes */11");
        }
        let part = store.send(get("/v1/photos/large", "bytes=4194300-8400000")).await;
        assert!(part.ok(StatusCode::PARTIAL_CONTENT).body[..] == large[4_194_300..=8_400_000]);
        let stale = get("/v1/photos/k", "bytes=0-4").header("if-range", &format!("\"{}\"", "0".repeat(64)));
        assert_eq!(store.send(stale).await.ok(StatusCode::OK).body.len(), 11);
        let fresh = get("/v1/photos/k", "bytes=0-4").header("if-range", &format!("\"{HELLO}\""));
        store.send(fresh).await.ok(StatusCode::PARTIAL_CONTENT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flatbuffers_are_sent_to_those_who_prefer_them() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/photos/k").body("abc"))
        .await
        .ok(StatusCode::CREATED);
    for http in BOTH {
        // `accept` need not be signed: it changes the form, not the deed.
        let ask = |target: &str, accept: &str| {
            let ask = Ask::new("GET", target).over(http);
            let mut headers = ask.sign(&store.admin);
            headers.push(("accept".to_owned(), accept.to_owned()));
            (ask, headers)
        };
        let send = async |target: &str, accept: &str| {
            let (ask, headers) = ask(target, accept);
            store.deliver(&ask, headers).await
        };
        let listing = send("/v1/photos/scan", accept::FLATBUFFERS)
            .await
            .ok(StatusCode::OK);
        assert_eq!(listing.header("content-type"), accept::FLATBUFFERS);
        let listing = codec::decode_listing(&listing.body).unwrap();
        assert_eq!((listing.items.len(), listing.items[0].key.as_str()), (1, "k"));
        codec::decode_buckets(&send("/v1", accept::FLATBUFFERS).await.body).unwrap();
        codec::decode_bucket(&send("/v1/photos", accept::FLATBUFFERS).await.body).unwrap();
        codec::decode_versions(&send("/v1/photos/k?versions=true", accept::FLATBUFFERS).await.body).unwrap();
        let problem = send("/v1/photos/none", accept::FLATBUFFERS)
            .await
            .ok(StatusCode::NOT_FOUND);
        assert_eq!(problem.header("content-type"), accept::FLATBUFFERS);
        assert_eq!(codec::decode_problem(&problem.body).unwrap().code, "NoSuchKey");

        send("/v1/photos/scan", "image/png")
            .await
            .is(406, "NotAcceptable");
        // Bytes of objects are sent whatever is accepted.
        assert_eq!(
            &send("/v1/photos/k", "image/png").await.ok(StatusCode::OK).body[..],
            b"abc"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_needs_no_key_and_tells_nothing() {
    let store = Store::new().await;
    for http in BOTH {
        for path in ["/healthz", "/readyz"] {
            let answer = store.plain(http, path).await.ok(StatusCode::OK);
            assert_eq!(&answer.body[..], b"ok", "{path}");
            let head = store
                .deliver(&Ask::new("HEAD", path).over(http), Vec::new())
                .await;
            assert!(head.ok(StatusCode::OK).body.is_empty());
        }
        store.plain(http, "/metrics").await.is(404, "NoSuchRoute");
        store.plain(http, "/").await.is(404, "NoSuchRoute");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_on_their_own_listener_without_names() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/photos/secret-key").body("abc"))
        .await
        .ok(StatusCode::CREATED);
    store
        .send(Ask::new("GET", "/v1/photos/none"))
        .await
        .is(404, "NoSuchKey");
    let stream = hyper_util::rt::TokioIo::new(
        tokio::net::TcpStream::connect(store.server.metrics())
            .await
            .unwrap(),
    );
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("/metrics")
        .header("host", "x")
        .body(http_body_util::Empty::<bytes::Bytes>::new());
    let response = sender.send_request(request.unwrap()).await.unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await
        .unwrap()
        .to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    for line in [
        "wfldb_requests_total{route=\"object\",method=\"PUT\",status=\"201\"} 1",
        "wfldb_faults_total{code=\"NoSuchKey\"} 1",
        "wfldb_writable 1",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    for name in [
        "wfldb_commits_total",
        "wfldb_request_seconds_bucket",
        "wfldb_received_bytes_total",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "wfldb_write_buffer_bytes",
        "wfldb_journals",
    ] {
        assert!(text.contains(name), "{name} in {text}");
    }
    assert!(!text.contains("photos") && !text.contains("secret-key"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_bodies_are_taken_over_http1() {
    let store = Store::photos().await;
    let ask = Ask::new("PUT", "/v1/photos/k")
        .over(Http::One)
        .body("hello wflDB");
    let headers = ask.sign(&store.admin);
    let frames = ["hello", " wfl", "DB"].map(|part| http_body::Frame::data(bytes::Bytes::from(part)));
    let body = crate::streaming::Frames(frames.into_iter());
    let stored = store
        .deliver_body(&ask, headers, body)
        .await
        .ok(StatusCode::CREATED);
    assert_eq!(stored.header("etag"), format!("\"{HELLO}\""));
    assert_eq!(stored.header("connection"), "close");
}
