//! `POST ?copy=`, and what copies and restores have in common: limits of grants on an object that the store knows.

use http::StatusCode;

use crate::harness::{Ask, BOTH, Store};

const LARGE: usize = 5_000_000;

fn body(store_in_chunks: bool) -> Vec<u8> {
    if store_in_chunks {
        let mut bytes = vec![0; LARGE];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    } else {
        b"small".to_vec()
    }
}

/// `POST` of a copy of `source` to `target`.
fn copy(target: &str, source: &str) -> Ask {
    Ask::new(
        "POST",
        &format!("/v1/{target}?copy={}", source.replace('/', "%2F")),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_the_sources_bytes_and_headers() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/others"))
        .await
        .ok(StatusCode::CREATED);
    for http in BOTH {
        for in_chunks in [false, true] {
            let bytes = body(in_chunks);
            let name = format!("{http:?}-{in_chunks}");
            let source = Ask::new("PUT", &format!("/v1/photos/{name}%20s"))
                .over(http)
                .header("content-type", "text/plain")
                .header("cache-control", "max-age=60")
                .header("x-wfldb-meta-camera", "box")
                .header("x-wfldb-meta-film", "35")
                .header("x-wfldb-tags", "a=b")
                .header("x-wfldb-ttl", "100000")
                .body(bytes.clone());
            let source = store.send(source).await.ok(StatusCode::CREATED);
            for bucket in ["photos", "others"] {
                let target = format!("/v1/{bucket}/{name}/copy");
                let ask = copy(&format!("{bucket}/{name}/copy"), &format!("/photos/{name}%20s")).over(http);
                let copied = store.send(ask.clone()).await.ok(StatusCode::CREATED);
                assert!(copied.body.is_empty());
                assert_eq!(copied.header("etag"), source.header("etag"));
                assert_ne!(copied.header("x-wfldb-version"), source.header("x-wfldb-version"));
                let got = store
                    .send(Ask::new("GET", &target).over(http))
                    .await
                    .ok(StatusCode::OK);
                assert!(got.body == bytes);
                for name in ["etag", "x-wfldb-version", "x-wfldb-seq", "last-modified"] {
                    assert_eq!(copied.header(name), got.header(name), "{name}");
                }
                for (name, value) in [
                    ("content-type", "text/plain"),
                    ("cache-control", "max-age=60"),
                    ("x-wfldb-meta-camera", "box"),
                    ("x-wfldb-meta-film", "35"),
                    ("x-wfldb-tags", "a=b"),
                    // Never taken over: the copy would end before its time.
                    ("x-wfldb-ttl", ""),
                ] {
                    assert_eq!(got.header(name), value, "{name}");
                }
                // What is given takes the place of the source's, metadata as a whole.
                let given = copy(&format!("{bucket}/{name}/copy"), &format!("/photos/{name}%20s"))
                    .over(http)
                    .header("content-type", "image/png")
                    .header("x-wfldb-meta-lens", "50")
                    .header("x-wfldb-ttl", "5000");
                store.send(given).await.ok(StatusCode::OK);
                let got = store.send(Ask::new("HEAD", &target).over(http)).await;
                for (name, value) in [
                    ("content-type", "image/png"),
                    ("cache-control", "max-age=60"),
                    ("x-wfldb-meta-camera", ""),
                    ("x-wfldb-meta-lens", "50"),
                    ("x-wfldb-tags", "a=b"),
                    ("x-wfldb-ttl", "5000"),
                ] {
                    assert_eq!(got.header(name), value, "{name}");
                }
            }
        }
    }
    // Within a bucket, and between its versions, bytes are kept once.
    let usage = store.send(Ask::new("GET", "/v1/photos")).await.json()["usage"].clone();
    let (bytes, stored) = (
        usage["bytes"].as_u64().unwrap(),
        usage["stored_bytes"].as_u64().unwrap(),
    );
    assert_eq!((bytes, stored), (6 * (LARGE as u64 + 5), LARGE as u64 + 6 * 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_takes_the_version_that_was_named() {
    let store = Store::photos().await;
    let put = |body: &'static str| Ask::new("PUT", "/v1/photos/s").body(body);
    let old = store.send(put("old")).await;
    let old = old.header("x-wfldb-version").to_owned();
    store.send(put("new")).await.ok(StatusCode::OK);
    let tombstone = store.send(Ask::new("DELETE", "/v1/photos/s")).await;
    let tombstone = tombstone.header("x-wfldb-version").to_owned();
    for http in BOTH {
        let of = |version: &str| {
            let target = format!("/v1/photos/t?copy=%2Fphotos%2Fs&copy_version={version}");
            Ask::new("POST", &target).over(http)
        };
        let copied = store.send(of(&old)).await;
        assert!(copied.status == 201 || copied.status == 200);
        let got = store.send(Ask::new("GET", "/v1/photos/t").over(http)).await;
        assert_eq!(&got.body[..], b"old");
        store.send(of(&tombstone)).await.is(404, "NoSuchKey");
        store
            .send(of("01JGFJJZ00AAAAAAAAAAAAAAAA"))
            .await
            .is(404, "NoSuchKey");
        // The source is deleted, the target and its bucket may be missing.
        let refused = store.send(copy("photos/t", "/photos/s").over(http)).await;
        refused.is(404, "NoSuchKey");
        for (target, source) in [("none-such/t", "/photos/t"), ("photos/t", "/none-such/s")] {
            let refused = store.send(copy(target, source).over(http)).await;
            refused.is(404, "NoSuchBucket");
        }
        for source in [
            "photos/s",
            "/photos",
            "/photos/",
            "//s",
            "/photos/scan",
            "/photos/_find/x",
        ] {
            let refused = store.send(copy("photos/t", source).over(http)).await;
            refused.is(400, "BadParameter");
        }
        store.send(of("x")).await.is(400, "BadParameter");
        let with_body = copy("photos/u", "/photos/t").over(http).body("x");
        store.send(with_body).await.is(400, "BodyNotAllowed");
        store
            .send(copy("photos/batch", "/photos/t").over(http))
            .await
            .is(400, "BadParameter");
        // Conditions are of the target.
        let refused = copy("photos/t", "/photos/t")
            .over(http)
            .header("if-none-match", "*");
        store.send(refused).await.is(412, "PreconditionFailed");
    }
}

/// PROTOCOL 10: "`get` of the source (403 whether or not it exists)".
/// A defect it catches: the source's right asked after the source was looked up.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_may_not_be_read_is_forbidden_whether_or_not_it_is_there() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/photos/secret").body("x"))
        .await
        .ok(StatusCode::CREATED);
    let holder = store.holder(&[
        r#"{"b":"photos","p":"mine/","ops":["get","list","put"]}"#,
        r#"{"b":"photos","p":"secret","ops":["list","put","delete"]}"#,
    ]);
    for http in BOTH {
        let mut problems = Vec::new();
        for source in ["/photos/secret", "/photos/absent", "/none-such/k"] {
            let refused = store
                .send_as(&holder, copy("photos/mine/t", source).over(http))
                .await;
            refused.is(403, "Forbidden");
            let mut problem = refused.json();
            problem["request_id"] = serde_json::Value::Null;
            problems.push(problem);
        }
        assert!(problems.iter().all(|problem| *problem == problems[0]));
        // The target's right comes first of all.
        let elsewhere = store
            .send_as(&holder, copy("photos/theirs", "/photos/mine/s").over(http))
            .await;
        elsewhere.is(403, "Forbidden");
        let blind = store.holder(&[
            r#"{"b":"photos","p":"secret","ops":["get"]}"#,
            r#"{"b":"photos","p":"drop/","ops":["put"]}"#,
        ]);
        let into = format!("photos/drop/{http:?}");
        let guess = copy(&into, "/photos/secret").over(http).header("if-match", "*");
        store.send_as(&blind, guess).await.is(403, "Forbidden");
        for _ in 0..2 {
            let told = store
                .send_as(&blind, copy(&into, "/photos/secret").over(http))
                .await;
            told.ok(StatusCode::OK);
        }
    }
}

/// PROTOCOL 3: "Limits hold for the final object whatever way it is written."
/// A defect it catches: a copy or a restore decided like a put without a body, which fits every limit.
#[tokio::test(flavor = "multi_thread")]
async fn limits_of_grants_hold_for_copies_and_restores() {
    let store = Store::photos().await;
    let put = Ask::new("PUT", "/v1/photos/s")
        .header("content-type", "text/html")
        .body("12345");
    store.send(put).await.ok(StatusCode::CREATED);
    let undelete = || Ask::new("POST", "/v1/photos/gone?undelete=true");
    let gone = async || {
        let put = Ask::new("PUT", "/v1/photos/gone")
            .header("content-type", "text/html")
            .body("12345");
        store.send(put).await;
        let deleted = store.send(Ask::new("DELETE", "/v1/photos/gone")).await;
        deleted.ok(StatusCode::NO_CONTENT);
    };
    for (limit, code, fits) in [
        (r#""max_bytes":4"#, "Forbidden", r#""max_bytes":5"#),
        (
            r#""content_type":["image/png"]"#,
            "Forbidden",
            r#""content_type":["text/html"]"#,
        ),
        (r#""quota_bytes":4"#, "QuotaExceeded", r#""quota_bytes":10"#),
    ] {
        let holder =
            |limit: &str| store.holder(&[&format!(r#"{{"b":"photos","p":"","ops":["put","get"],{limit}}}"#)]);
        gone().await;
        let before = store.contents().await;
        for ask in [copy("photos/t", "/photos/s"), undelete()] {
            let refused = store.send_as(&holder(limit), ask).await;
            assert_eq!((refused.status, refused.code().as_str()), (403, code), "{limit}");
        }
        assert_eq!(store.contents().await, before);
        let allowed = holder(fits);
        let copied = store.send_as(&allowed, copy("photos/t", "/photos/s")).await;
        assert!(copied.status == 200 || copied.status == 201, "{copied:?}");
        let restored = store.send_as(&allowed, undelete()).await;
        restored.ok(StatusCode::OK);
    }
    // The type that is given is the one that counts.
    let typed = store.holder(&[
        r#"{"b":"photos","p":"","ops":["get"]}"#,
        r#"{"b":"photos","p":"","ops":["put"],"content_type":["image/png"]}"#,
    ]);
    let given = copy("photos/t", "/photos/s").header("content-type", "image/png");
    store.send_as(&typed, given).await.ok(StatusCode::OK);
    gone().await;
    let new_only = store.holder(&[r#"{"b":"photos","p":"","ops":["put","get"],"create_only":true}"#]);
    for ask in [
        undelete(),
        copy("photos/gone", "/photos/s"),
        copy("photos/t", "/photos/s"),
    ] {
        store.send_as(&new_only, ask).await.is(403, "Forbidden");
    }
    store
        .send_as(&new_only, copy("photos/fresh", "/photos/s"))
        .await
        .ok(StatusCode::CREATED);
}
