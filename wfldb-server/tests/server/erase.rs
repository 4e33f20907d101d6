//! `DELETE ?version=`: one version goes for good, for those who may erase.

use http::StatusCode;

use crate::harness::{Ask, BOTH, Store};

#[tokio::test(flavor = "multi_thread")]
async fn one_version_goes_for_good() {
    let store = Store::photos().await;
    for http in BOTH {
        let target = format!("/v1/photos/{http:?}");
        let mut versions = Vec::new();
        for body in ["one", "two", "three"] {
            let put = store.send(Ask::new("PUT", &target).over(http).body(body)).await;
            versions.push(put.header("x-wfldb-version").to_owned());
        }
        let erase = |version: &str| Ask::new("DELETE", &format!("{target}?version={version}")).over(http);
        let erased = store.send(erase(&versions[2])).await.ok(StatusCode::NO_CONTENT);
        assert_ne!(erased.header("x-wfldb-seq"), "");
        assert!(erased.body.is_empty());
        // What was before it is the newest now.
        let newest = store.send(Ask::new("GET", &target).over(http)).await;
        assert_eq!(
            (&newest.body[..], newest.header("x-wfldb-version")),
            (b"two".as_slice(), versions[1].as_str())
        );
        store
            .send(Ask::new("GET", &format!("{target}?version={}", versions[2])).over(http))
            .await
            .is(404, "NoSuchVersion");
        let again = store.send(erase(&versions[2])).await.ok(StatusCode::NO_CONTENT);
        assert_eq!(
            again.header("x-wfldb-seq"),
            "",
            "nothing was there, nothing was written"
        );

        let guarded = erase(&versions[0]).header("x-wfldb-if-version", &versions[0]);
        store.send(guarded).await.is(412, "PreconditionFailed");
        for version in &versions[..2] {
            store.send(erase(version)).await.ok(StatusCode::NO_CONTENT);
        }
        store
            .send(Ask::new("GET", &target).over(http))
            .await
            .is(404, "NoSuchKey");
        store.send(erase("lower-case")).await.is(400, "BadParameter");
    }
    let bucket = store.send(Ask::new("GET", "/v1/photos")).await.json();
    assert_eq!(bucket["usage"]["stored_bytes"], 0);
    // Nothing is left, so the bucket goes without force.
    store
        .send(Ask::new("DELETE", "/v1/photos"))
        .await
        .ok(StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_needs_erase_and_tells_nothing_to_the_blind() {
    let store = Store::photos().await;
    let put = store.send(Ask::new("PUT", "/v1/photos/k").body("x")).await;
    let version = put.header("x-wfldb-version").to_owned();
    let erase = |key: &str, version: &str| Ask::new("DELETE", &format!("/v1/photos/{key}?version={version}"));
    let all_but = store.holder(&[r#"{"b":"photos","p":"","ops":["get","list","put","delete"]}"#]);
    store
        .send_as(&all_but, erase("k", &version))
        .await
        .is(403, "Forbidden");
    let blind = store.holder(&[r#"{"b":"photos","p":"","ops":["erase"]}"#]);
    let absent = store.send_as(&blind, erase("absent", &version)).await;
    let there = store.send_as(&blind, erase("k", &version)).await;
    for answer in [&absent, &there] {
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(answer.header("x-wfldb-seq"), "");
    }
    store
        .send(Ask::new("GET", "/v1/photos/k"))
        .await
        .is(404, "NoSuchKey");
}

/// A defect it catches: `create_only` looked at for a put alone, so that its holder can delete or erase what is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_create_only_grant_removes_nothing() {
    let store = Store::photos().await;
    let put = store.send(Ask::new("PUT", "/v1/photos/k").body("x")).await;
    let version = put.header("x-wfldb-version").to_owned();
    let new_only =
        store.holder(&[r#"{"b":"photos","p":"","ops":["put","delete","erase"],"create_only":true}"#]);
    let erase = format!("/v1/photos/k?version={version}");
    for ask in [
        Ask::new("DELETE", "/v1/photos/k"),
        Ask::new("DELETE", &erase),
        Ask::new("PUT", "/v1/photos/k").body("y"),
    ] {
        store.send_as(&new_only, ask).await.is(403, "Forbidden");
    }
    let kept = store.send(Ask::new("GET", "/v1/photos/k")).await;
    assert_eq!(&kept.body[..], b"x");
}
