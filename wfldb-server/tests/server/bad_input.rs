//! What is wrong with a request is said with the right problem, nothing is stored, and the server stays up.

use http::StatusCode;
use wfldb_core::object::ContentDigest;

use crate::harness::{Ask, BOTH, Http, Store};

fn put() -> Ask {
    Ask::new("PUT", "/v1/photos/k").body("abc")
}

/// Signs with what is there and then breaks it, so that only the named thing is wrong.
fn broken(
    ask: Ask,
    store: &Store,
    change: impl FnOnce(&mut Ask, &mut Vec<(String, String)>),
) -> (Ask, Vec<(String, String)>) {
    let mut ask = ask;
    let mut headers = ask.sign(&store.admin);
    change(&mut ask, &mut headers);
    (ask, headers)
}

fn replace(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    headers.retain(|(known, _)| known != name);
    headers.push((name.to_owned(), value.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_routes_parameters_and_headers_have_their_codes() {
    let store = Store::photos().await;
    let long_key = format!("/v1/photos/{}", "k".repeat(1025));
    let config = |json: &str| Ask::new("PUT", "/v1/photos").body(json);
    let cases: Vec<(Ask, u16, &str)> = vec![
        (Ask::new("GET", "/v2/photos"), 404, "NoSuchRoute"),
        (Ask::new("GET", "/v1/photos/k?multipart=x"), 400, "BadParameter"),
        (Ask::new("GET", "/v1/photos/_tx"), 405, "NotSupportedYet"),
        (Ask::new("POST", "/v1/photos/batch").body("{}"), 400, "BadBatch"),
        (Ask::new("POST", "/v1/_dryrun").body("{}"), 400, "BadBody"),
        (Ask::new("GET", "/v1/_audit/tile/0/1"), 404, "NoSuchRoute"),
        (Ask::new("GET", "/v1/_audit/proof?leaf=-1"), 400, "BadParameter"),
        (
            Ask::new("GET", "/v1/_audit/consistency?from=1"),
            400,
            "BadParameter",
        ),
        (
            Ask::new("GET", "/v1/_audit/receipt?bucket=photos&key=k"),
            400,
            "BadParameter",
        ),
        (put().header("x-wfldb-receipt", "yes"), 400, "BadHeader"),
        (Ask::new("POST", "/v1/photos/k"), 405, "MethodNotAllowed"),
        (Ask::new("PUT", "/v1/photos/_find/x"), 400, "ReservedKey"),
        (Ask::new("PUT", "/v1/photos/scan"), 400, "ReservedKey"),
        (Ask::new("PUT", &long_key), 400, "BadKey"),
        (Ask::new("GET", "/v1/photos/k?version=1"), 400, "BadParameter"),
        (Ask::new("GET", "/v1/photos/k?colour=red"), 400, "BadParameter"),
        (Ask::new("GET", "/v1/photos/scan?limit=1001"), 400, "BadParameter"),
        (
            Ask::new("GET", "/v1/photos/scan?limit=1&versions=true"),
            400,
            "BadParameter",
        ),
        (Ask::new("GET", "/v1/photos/scan?tag=a"), 400, "BadParameter"),
        (Ask::new("GET", "/v1/photos/scan?cursor=AAAA"), 400, "BadCursor"),
        (Ask::new("GET", "/v1?limit=1"), 400, "BadParameter"),
        (Ask::new("GET", "/v1/photos/none"), 404, "NoSuchKey"),
        (Ask::new("GET", "/v1/none-such/k"), 404, "NoSuchBucket"),
        (
            Ask::new("PUT", "/v1/none-such/k").body("abc"),
            404,
            "NoSuchBucket",
        ),
        (put().header("x-wfldb-ttl", "0"), 400, "BadTtl"),
        (put().header("x-wfldb-idempotency", "1"), 400, "NotSupportedYet"),
        (put().header("x-wfldb-other", "1"), 400, "BadHeader"),
        (put().header("range", "bytes=0-1"), 400, "BadHeader"),
        (
            put().header("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
            400,
            "BadHeader",
        ),
        (put().header("x-wfldb-tags", "b=1&a=2"), 400, "BadTags"),
        (
            put().header("x-wfldb-meta-a", &"x".repeat(8193)),
            400,
            "NotCanonical",
        ),
        (
            Ask::new("DELETE", "/v1/photos/k").header("content-type", "text/plain"),
            400,
            "BadHeader",
        ),
        (
            Ask::new("GET", "/v1/photos/k").header("if-match", "*, *"),
            400,
            "BadHeader",
        ),
        (config("{"), 400, "BadBucketConfig"),
        (config("[]"), 400, "BadBucketConfig"),
        (config(r#"{"quota":1}"#), 400, "BadBucketConfig"),
        (config(r#"{"mirror":1}"#), 400, "BadBucketConfig"),
        (
            config(r#"{"quota_bytes":1,"quota_bytes":2}"#),
            400,
            "BadBucketConfig",
        ),
        (config(r#"{"kind":"documents"}"#), 409, "KindFixed"),
        (config(r#"{"versions":{"keep":0}}"#), 400, "BadBucketConfig"),
        (config(&" ".repeat(20_000)), 413, "TooLarge"),
        (
            config("{}").header("content-type", "text/xml"),
            415,
            "ContentTypeNotSupported",
        ),
    ];
    for http in BOTH {
        for (ask, status, code) in &cases {
            let ask = Ask {
                nonce: crate::harness::nonce(),
                timestamp: crate::harness::now(),
                ..ask.clone()
            }
            .over(http);
            let about = format!("{} {} {:?} over {http:?}", ask.method, ask.target(), ask.headers);
            let answer = store.send(ask).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (*status, *code),
                "{about}"
            );
            assert!(
                !String::from_utf8_lossy(&answer.body).contains("/tmp"),
                "{about}: {answer:?}"
            );
        }
        let refused = store.send(Ask::new("POST", "/v1/photos/k").over(http)).await;
        assert_eq!(refused.header("allow"), "GET, HEAD, PUT, DELETE, PATCH");
    }
    assert_eq!(store.contents().await, (Vec::new(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_signature_headers_have_their_codes() {
    let store = Store::photos().await;
    let cases: Vec<(&str, fn(&mut Ask, &mut Vec<(String, String)>), u16, &str)> = vec![
        (
            "no packet",
            |_, headers| headers.retain(|(name, _)| name != "authorization"),
            401,
            "Unauthenticated",
        ),
        (
            "no timestamp",
            |_, headers| headers.retain(|(name, _)| name != "x-wfldb-timestamp"),
            401,
            "Unauthenticated",
        ),
        (
            "no nonce",
            |_, headers| headers.retain(|(name, _)| name != "x-wfldb-nonce"),
            401,
            "Unauthenticated",
        ),
        (
            "no signature",
            |_, headers| headers.retain(|(name, _)| name != "x-wfldb-signature"),
            401,
            "Unauthenticated",
        ),
        (
            "no content",
            |_, headers| headers.retain(|(name, _)| name != "x-wfldb-content"),
            401,
            "Unauthenticated",
        ),
        (
            "no list",
            |_, headers| headers.retain(|(name, _)| name != "x-wfldb-signed-headers"),
            401,
            "Unauthenticated",
        ),
        (
            "two nonces",
            |_, headers| headers.push(("x-wfldb-nonce".to_owned(), "AAECAwQFBgcICQoLDA0ODw".to_owned())),
            400,
            "NotCanonical",
        ),
        (
            "two packets",
            |_, headers| headers.push(("authorization".to_owned(), "Bearer a.b.c".to_owned())),
            400,
            "NotCanonical",
        ),
        (
            "padded nonce",
            |_, headers| replace(headers, "x-wfldb-nonce", "AAECAwQFBgcICQoLDA0ODw=="),
            400,
            "NotCanonical",
        ),
        (
            "short time",
            |_, headers| replace(headers, "x-wfldb-timestamp", "2026-01-02T03:04:05Z"),
            400,
            "NotCanonical",
        ),
        (
            "unsorted list",
            |_, headers| replace(headers, "x-wfldb-signed-headers", "b;a"),
            400,
            "NotCanonical",
        ),
        (
            "length with zero",
            |_, headers| replace(headers, "x-wfldb-content", &format!("b3 03 {}", "0".repeat(64))),
            400,
            "NotCanonical",
        ),
        (
            "content of upper case",
            |_, headers| replace(headers, "x-wfldb-content", &format!("b3 3 {}", "A".repeat(64))),
            400,
            "NotCanonical",
        ),
        (
            "basic",
            |_, headers| replace(headers, "authorization", "Basic abc"),
            401,
            "Unauthenticated",
        ),
        (
            "garbage packet",
            |_, headers| replace(headers, "authorization", "Bearer aaaa.bbbb.cccc"),
            401,
            "Unauthenticated",
        ),
        (
            "large packet",
            |_, headers| {
                replace(
                    headers,
                    "authorization",
                    &format!("Bearer {}", "a".repeat(12 * 1024 + 1)),
                );
            },
            401,
            "Unauthenticated",
        ),
        (
            "encoding",
            |_, headers| headers.push(("content-encoding".to_owned(), "gzip".to_owned())),
            415,
            "ContentEncodingNotSupported",
        ),
        (
            "two spaces",
            |_, headers| {
                headers.push(("content-type".to_owned(), "a  b".to_owned()));
                replace(headers, "x-wfldb-signed-headers", "content-type");
            },
            400,
            "NotCanonical",
        ),
        (
            "many fields",
            |_, headers| headers.extend((0..70).map(|n| (format!("x-{n}"), "y".to_owned()))),
            431,
            "HeadersTooLarge",
        ),
        (
            "long path",
            |ask, _| ask.path = format!("/v1/photos/{}", "k/".repeat(4200)),
            414,
            "UriTooLong",
        ),
        (
            "not canonical",
            |ask, _| ask.path = "/v1/photos/%6b".to_owned(),
            400,
            "NotCanonical",
        ),
        (
            "dots",
            |ask, _| ask.path = "/v1/photos/a/../k".to_owned(),
            400,
            "BadKey",
        ),
        (
            "unknown method",
            |ask, _| ask.method = "LINK".to_owned(),
            405,
            "MethodNotAllowed",
        ),
    ];
    for http in BOTH {
        for (name, change, status, code) in &cases {
            let (ask, headers) = broken(put().over(http), &store, change);
            let answer = store.deliver(&ask, headers).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (*status, *code),
                "{name} over {http:?}"
            );
        }
    }
    // A list of 24 KiB: the library itself answers over HTTP/2, we over HTTP/1.1.
    for http in BOTH {
        let (ask, headers) = broken(put().over(http), &store, |_, headers| {
            headers.push(("x-large".to_owned(), "y".repeat(24 * 1024)));
        });
        let answer = store.deliver(&ask, headers).await;
        assert_eq!(answer.status, 431);
        if http == Http::One {
            answer.is(431, "HeadersTooLarge");
        }
    }
    assert_eq!(store.contents().await, (Vec::new(), 0));
    store.send(put()).await.ok(StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bodies_leave_nothing() {
    let store = Store::photos().await;
    let config = Ask::new("PUT", "/v1/photos").body(r#"{"object_bytes_max":10000000}"#);
    store.send(config).await.ok(StatusCode::OK);
    let small = b"hello wflDB".to_vec();
    let large = vec![7_u8; 5 << 20];
    for http in BOTH {
        for body in [&small, &large] {
            let right = Ask::new("PUT", "/v1/photos/k").over(http).body(body.clone());
            let other = ContentDigest::blake3(body.len() as u64, wfldb_core::id::ContentHash::of(b"other"));
            let shorter = ContentDigest::blake3(body.len() as u64 - 1, wfldb_core::id::ContentHash::of(body));

            let wrong_hash = Ask {
                content: Some(other),
                ..right.clone()
            };
            store.send(wrong_hash).await.is(400, "HashMismatch");

            // With a `content-length` that contradicts: seen before the body.
            let wrong_length = Ask {
                content: Some(shorter),
                nonce: crate::harness::nonce(),
                ..right.clone()
            };
            store.send(wrong_length.clone()).await.is(400, "LengthMismatch");

            // Without one: seen at the first byte beyond.
            let wrong_length = Ask {
                nonce: crate::harness::nonce(),
                ..wrong_length
            };
            let headers = wrong_length.sign(&store.admin);
            let frames = wrong_length
                .body
                .chunks(1 << 20)
                .map(|part| http_body::Frame::data(bytes::Bytes::copy_from_slice(part)));
            let frames: Vec<_> = frames.collect();
            let answer = store
                .deliver_body(
                    &wrong_length,
                    headers,
                    crate::streaming::Frames(frames.into_iter()),
                )
                .await;
            answer.is(400, "LengthMismatch");

            // Fewer bytes than were signed, properly ended.
            let mut cut = Ask {
                nonce: crate::harness::nonce(),
                ..right.clone()
            };
            let headers = cut.sign(&store.admin);
            cut.body.truncate(body.len() / 2);
            let frames = [http_body::Frame::data(bytes::Bytes::from(cut.body.clone()))];
            let answer = store
                .deliver_body(&cut, headers, crate::streaming::Frames(frames.into_iter()))
                .await;
            answer.is(400, "LengthMismatch");

            // Trailers.
            let ask = Ask {
                nonce: crate::harness::nonce(),
                ..right.clone()
            };
            let mut headers = ask.sign(&store.admin);
            headers.push(("trailer".to_owned(), "x-after".to_owned()));
            let mut trailers = http::HeaderMap::new();
            trailers.insert("x-after", http::HeaderValue::from_static("1"));
            let frames = [
                http_body::Frame::data(bytes::Bytes::from(body.clone())),
                http_body::Frame::trailers(trailers),
            ];
            let answer = store
                .deliver_body(&ask, headers, crate::streaming::Frames(frames.into_iter()))
                .await;
            answer.is(400, "TrailersNotAllowed");
        }
        // Over a limit: refused by the declared length, whatever follows.
        let mut huge = Ask::new("PUT", "/v1/photos/k").over(http);
        huge.content = Some(ContentDigest::blake3(
            10_000_001,
            wfldb_core::id::ContentHash::of(b""),
        ));
        let headers = huge.sign(&store.admin);
        let body = crate::streaming::Frames(Vec::<http_body::Frame<bytes::Bytes>>::new().into_iter());
        store.deliver_body(&huge, headers, body).await.is(413, "TooLarge");

        // A body where none was signed.
        for (method, target) in [
            ("PUT", "/v1/photos/k"),
            ("GET", "/v1/photos/scan"),
            ("DELETE", "/v1/photos/k"),
            ("POST", "/v1/photos/k?undelete=true"),
        ] {
            let ask = Ask::new(method, target).over(http);
            let mut headers = ask.sign(&store.admin);
            if http == Http::One {
                // The client library sends no body with a GET unless it is told how.
                headers.push(("transfer-encoding".to_owned(), "chunked".to_owned()));
            }
            let frames = [http_body::Frame::data(bytes::Bytes::from("x"))];
            let answer = store
                .deliver_body(&ask, headers, crate::streaming::Frames(frames.into_iter()))
                .await;
            answer.is(400, "BodyNotAllowed");
        }
        let mut read = Ask::new("GET", "/v1/photos/scan").over(http);
        read.content = Some(ContentDigest::of(b"x"));
        store.send(read).await.is(400, "BodyNotAllowed");
    }
    assert_eq!(store.contents().await, (Vec::new(), 0));
    // A refusal does not wait for the removal of what had come by then.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let left = || walk(&store.dir().join("chunks"));
    while left() > 0 && std::time::Instant::now() < deadline {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(left(), 0, "chunk files of refused bodies are left");
}

fn walk(path: &std::path::Path) -> usize {
    if !path.is_dir() {
        return 1;
    }
    std::fs::read_dir(path)
        .unwrap()
        .map(|entry| walk(&entry.unwrap().path()))
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_free_space_floor_is_507() {
    let store = Store::with(|config| config.min_free_bytes = u64::MAX / 2).await;
    let refused = store.send(Ask::new("PUT", "/v1/photos")).await;
    refused.is(507, "StorageFull");
}
