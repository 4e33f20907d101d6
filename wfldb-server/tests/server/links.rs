//! Links over the wire: what they open, what they do not, how often, and what a browser is told.

use std::task::Poll;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wfldb_core::auth::{Method, RouteKind, required};
use wfldb_core::id::Role;
use wfldb_core::name::{BucketName, KeyPrefix, ObjectKey};
use wfldb_core::packet::{Packet, UrlLinkClaims, UrlLinkKeys, UrlLinkMethod, issue_url_link};

use crate::harness::{Answer, Ask, BOTH, Holder, Http, Store, nonce, now};

const ALL: &str = r#"{"b":"photos","p":"","ops":["get","list","put","delete","erase","manage"]}"#;

pub(crate) fn maker(store: &Store, grants: &[&str]) -> Holder {
    store.holder_with(grants, |claims| claims.dlg = 1)
}

fn key(text: &str) -> UrlLinkKeys {
    UrlLinkKeys::Key(ObjectKey::parse(text).unwrap())
}

fn link_with(
    holder: &Holder,
    method: UrlLinkMethod,
    keys: UrlLinkKeys,
    change: impl FnOnce(&mut UrlLinkClaims),
) -> String {
    let packet = Packet::parse(&holder.packet).unwrap();
    let mut claims = UrlLinkClaims {
        iss: holder.key.key_id(Role::Client),
        aud: holder.audience.clone(),
        iat: now().seconds(),
        exp: now().seconds() + 60,
        jti: nonce().to_string(),
        method,
        bucket: BucketName::parse("photos").unwrap(),
        keys,
        uses: None,
        max_bytes: None,
    };
    change(&mut claims);
    issue_url_link(&holder.key, &packet, &claims).unwrap()
}

pub(crate) fn to_read(holder: &Holder, name: &str) -> String {
    link_with(holder, UrlLinkMethod::Get, key(name), |_| {})
}

/// Sends a request without any header of ours.
pub(crate) async fn plain(store: &Store, http: Http, method: &str, target: &str, body: &str) -> Answer {
    with_headers(store, http, method, target, body, &[]).await
}

async fn with_headers(
    store: &Store,
    http: Http,
    method: &str,
    target: &str,
    body: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let ask = Ask::new(method, target).over(http);
    let mut headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    if method == "PUT" && !headers.iter().any(|(name, _)| name == "content-length") {
        headers.push(("content-length".to_owned(), body.len().to_string()));
    }
    store
        .deliver_body(&ask, headers, Full::new(Bytes::from(body.to_owned())))
        .await
}

async fn store_cat(store: &Store, content_type: &str) {
    let put = Ask::new("PUT", "/v1/photos/cat").header("content-type", content_type);
    let stored = store.send(put.body("meow")).await;
    assert!(stored.status < 300, "{stored:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_reads_its_key_and_nothing_else() {
    let store = Store::photos().await;
    store_cat(&store, "text/plain").await;
    store
        .send(Ask::new("PUT", "/v1/photos/cats").body("more"))
        .await
        .ok(StatusCode::CREATED);
    let maker = maker(&store, &[ALL]);
    let link = to_read(&maker, "cat");
    let prefix = UrlLinkKeys::Prefix(KeyPrefix::parse("cat").unwrap());
    let below = link_with(&maker, UrlLinkMethod::Get, prefix, |_| {});
    for http in BOTH {
        let read = plain(&store, http, "GET", &format!("/v1/photos/cat?link={link}"), "").await;
        assert_eq!((read.status, &read.body[..]), (200, b"meow".as_slice()));
        for (name, value) in [
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "private, no-store"),
            ("content-disposition", ""),
            ("content-security-policy", ""),
            ("content-type", "text/plain"),
        ] {
            assert_eq!(read.header(name), value, "{name}");
        }
        let head = plain(&store, http, "HEAD", &format!("/v1/photos/cat?link={link}"), "").await;
        assert_eq!(
            (head.status, head.header("content-length"), head.body.len()),
            (200, "4", 0)
        );
        let etag = read.header("etag").to_owned();
        let headers = [("range", "bytes=1-2"), ("if-range", etag.as_str())];
        let target = format!("/v1/photos/cat?link={link}");
        let part = with_headers(&store, http, "GET", &target, "", &headers).await;
        assert_eq!((part.status, &part.body[..]), (206, b"eo".as_slice()));
        let same = with_headers(&store, http, "GET", &target, "", &[("if-none-match", &etag)]).await;
        assert_eq!(
            (same.status, same.header("cache-control")),
            (304, "private, no-store")
        );
        for (name, status) in [
            ("cat", 200),
            ("cats", 200),
            ("ca", 403),
            ("dog", 403),
            ("catalogue", 404),
        ] {
            let found = plain(
                &store,
                http,
                "GET",
                &format!("/v1/photos/{name}?link={below}"),
                "",
            )
            .await;
            assert_eq!(found.status, status, "{name} {found:?}");
            assert_eq!(found.header("referrer-policy"), "no-referrer", "{name}");
            assert_eq!(found.header("cache-control"), "private, no-store", "{name}");
        }
        for (method, target) in [
            ("GET", "/v1/photos/cats"),
            ("GET", "/v1/others/cat"),
            ("PUT", "/v1/photos/cat"),
        ] {
            let body = if method == "PUT" { "x" } else { "" };
            let refused = plain(&store, http, method, &format!("{target}?link={link}"), body).await;
            refused.is(403, "Forbidden");
        }
    }
    assert_eq!(store.contents().await.1, 2, "nothing was written");
}

/// Every row of the route table, and what is in no table. Defects it catches: a route that looks at its caller before it
/// asks whether a link may be one.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_accepted_by_no_other_route() {
    let store = Store::photos().await;
    store_cat(&store, "text/plain").await;
    let maker = maker(&store, &[ALL]);
    let mut tried = 0;
    for link_method in [UrlLinkMethod::Get, UrlLinkMethod::Put] {
        let link = link_with(&maker, link_method, key("cat"), |_| {});
        for route in RouteKind::ALL {
            let id = "00112233445566778899aabbccddeeff";
            let version = "version=01JGFJJZ00AAAAAAAAAAAAAAAA";
            // Parameters are sorted; `link` is among them.
            let target = match route {
                RouteKind::Buckets => format!("/v1?link={link}"),
                RouteKind::Bucket => format!("/v1/photos?link={link}"),
                RouteKind::BucketForce => format!("/v1/photos?force=true&link={link}"),
                RouteKind::Object | RouteKind::ObjectLink => continue,
                RouteKind::ObjectVersion => format!("/v1/photos/cat?link={link}&{version}"),
                RouteKind::ObjectVersions => format!("/v1/photos/cat?link={link}&versions=true"),
                RouteKind::ObjectUndelete => format!("/v1/photos/cat?link={link}&undelete=true"),
                RouteKind::ObjectAt => format!("/v1/photos/cat?at=2026-01-02T03%3A04%3A05.006Z&link={link}"),
                RouteKind::ObjectCopy => format!("/v1/photos/cat?copy=%2Fphotos%2Fcat&link={link}"),
                RouteKind::UploadStart => {
                    format!("/v1/photos/cat?link={link}&multipart=start&part_bytes=8388608")
                }
                RouteKind::Upload => format!("/v1/photos/cat?link={link}&multipart={id}"),
                RouteKind::UploadPart => format!("/v1/photos/cat?link={link}&multipart={id}&part=1"),
                RouteKind::Scan => format!("/v1/photos/scan?link={link}"),
                RouteKind::Find => format!("/v1/photos/_find?link={link}"),
                RouteKind::Explain => format!("/v1/photos/_explain?link={link}"),
                RouteKind::Changes => format!("/v1/photos/_changes?link={link}"),
                RouteKind::Batch => format!("/v1/photos/batch?link={link}"),
                RouteKind::Indexes => format!("/v1/photos/_index?link={link}"),
                RouteKind::Aggregate => format!("/v1/photos/_aggregate?link={link}"),
                RouteKind::Search => format!("/v1/photos/_search?link={link}"),
                RouteKind::SearchRebuild => format!("/v1/photos/_search?link={link}&rebuild=true"),
                RouteKind::ObjectHistory => format!("/v1/photos/cat?history=true&link={link}"),
                RouteKind::Bulk => format!("/v1/photos/_bulk?link={link}"),
                RouteKind::Schema => format!("/v1/photos/_schema?link={link}"),
                RouteKind::Stats => format!("/v1/_stats?link={link}"),
                RouteKind::Admin => format!("/v1/_admin?link={link}"),
                RouteKind::Backup => format!("/v1/_backup?link={link}"),
                RouteKind::DryRun => format!("/v1/_dryrun?link={link}"),
                RouteKind::Session => format!("/v1/_session?link={link}"),
                RouteKind::Keys => format!("/v1/_keys?link={link}"),
                RouteKind::Tx => format!("/v1/_tx?link={link}"),
                RouteKind::AuditLog => format!("/v1/_audit/checkpoint?link={link}"),
                RouteKind::AuditProof => format!("/v1/_audit/proof?leaf=0&link={link}"),
                RouteKind::AuditConsistency => format!("/v1/_audit/consistency?from=0&link={link}&to=0"),
                RouteKind::AuditReceipt => {
                    format!("/v1/_audit/receipt?bucket=photos&key=cat&link={link}&{version}")
                }
            };
            for method in Method::ALL
                .into_iter()
                .filter(|method| required(*method, route).is_some())
            {
                for http in BOTH {
                    let refused = plain(&store, http, method.as_str(), &target, "").await;
                    assert!(
                        (400..500).contains(&refused.status),
                        "{method} {route:?} {refused:?}"
                    );
                    assert_ne!(refused.status, 404, "{method} {route:?}: it was looked for");
                    assert_eq!(
                        refused.header("referrer-policy"),
                        "no-referrer",
                        "{method} {route:?}"
                    );
                    tried += 1;
                }
                // Nor beside a signature.
                let ask = Ask::new(method.as_str(), &target);
                let signed = store.send(ask).await;
                assert!(
                    (400..500).contains(&signed.status),
                    "{method} {route:?} {signed:?}"
                );
            }
        }
    }
    assert!(tried > 60, "{tried}");
    assert_eq!(store.contents().await.1, 1, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_valid_link_is_refused() {
    let store = Store::photos().await;
    store_cat(&store, "text/plain").await;
    let maker = maker(&store, &[ALL]);
    let good = to_read(&maker, "cat");
    let old = link_with(&maker, UrlLinkMethod::Get, key("cat"), |claims| {
        claims.exp = claims.iat + 1;
    });
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    let mut altered = good.clone().into_bytes();
    let middle = altered.len() / 2;
    altered[middle] = if altered[middle] == b'A' { b'B' } else { b'A' };
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    for http in BOTH {
        for (why, link) in [
            ("altered", String::from_utf8(altered.clone()).unwrap()),
            ("unsigned", unsigned.to_owned()),
            ("a packet", maker.packet.clone()),
            ("nothing", String::new()),
            ("long", "x".repeat(8000)),
        ] {
            let refused = plain(&store, http, "GET", &format!("/v1/photos/cat?link={link}"), "").await;
            refused.is(401, "Unauthenticated");
            assert!(refused.json().get("hint").is_none(), "{why}");
        }
        let over = plain(&store, http, "GET", &format!("/v1/photos/cat?link={old}"), "").await;
        over.is(401, "Unauthenticated");
        assert_eq!(over.json()["hint"], "Expired");
        let target = "/v1/photos/cat";
        let bearer = Holder {
            packet: good.clone(),
            ..maker.clone()
        };
        let as_packet = store.send_as(&bearer, Ask::new("GET", target).over(http)).await;
        as_packet.is(401, "Unauthenticated");
        // A second credential is not passed over.
        let both = [("authorization", "Bearer x")];
        let target = format!("{target}?link={good}");
        let refused = with_headers(&store, http, "GET", &target, "", &both).await;
        refused.is(400, "NotCanonical");
        let refused = with_headers(&store, http, "GET", &target, "", &[("x-wfldb-meta-a", "b")]).await;
        refused.is(400, "UnsignedHeader");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_writes_within_its_size_and_what_its_signer_may() {
    let store = Store::photos().await;
    let all = maker(&store, &[ALL]);
    let typed = maker(
        &store,
        &[r#"{"b":"photos","p":"in/","ops":["put"],"content_type":["text/plain"],"max_bytes":5}"#],
    );
    for http in BOTH {
        let name = format!("in/{http:?}");
        let target = |link: &str| format!("/v1/photos/{name}?link={link}");
        let small = link_with(&all, UrlLinkMethod::Put, key(&name), |claims| {
            claims.max_bytes = Some(4);
        });
        let stored = plain(&store, http, "PUT", &target(&small), "meow").await;
        // It tells nothing of what was there.
        assert_eq!(stored.status, 200, "{stored:?}");
        assert_eq!(stored.header("referrer-policy"), "no-referrer");
        let large = plain(&store, http, "PUT", &target(&small), "meow!").await;
        large.is(413, "TooLarge");
        let read = store.send(Ask::new("GET", &format!("/v1/photos/{name}"))).await;
        assert_eq!(&read.body[..], b"meow");
        plain(&store, http, "GET", &target(&small), "")
            .await
            .is(403, "Forbidden");
        let guess = [("if-match", read.header("etag"))];
        let probing = with_headers(&store, http, "PUT", &target(&small), "x", &guess).await;
        probing.is(403, "Forbidden");
        let there = with_headers(
            &store,
            http,
            "PUT",
            &target(&small),
            "x",
            &[("if-none-match", "*")],
        )
        .await;
        there.is(412, "PreconditionFailed");
        let limited = link_with(&typed, UrlLinkMethod::Put, key(&name), |_| {});
        let text = [("content-type", "text/plain; charset=utf-8")];
        let other = [("content-type", "text/html")];
        let status = async |headers: &[(&str, &str)], body: &str| {
            with_headers(&store, http, "PUT", &target(&limited), body, headers)
                .await
                .status
        };
        assert_eq!(status(&text, "12345").await, 200);
        assert_eq!(status(&text, "123456").await, 403, "the packet's limit holds");
        assert_eq!(status(&other, "1").await, 403, "and its types");
        assert_eq!(status(&[], "1").await, 403);
        let outside = link_with(&typed, UrlLinkMethod::Put, key("out"), |_| {});
        let outside = plain(
            &store,
            http,
            "PUT",
            &format!("/v1/photos/out?link={outside}"),
            "1",
        )
        .await;
        outside.is(403, "Forbidden");
        let big = link_with(&all, UrlLinkMethod::Put, key("big"), |_| {});
        let body = "0123456789".repeat(30_000);
        let stored = plain(&store, http, "PUT", &format!("/v1/photos/big?link={big}"), &body).await;
        assert_eq!(stored.status, 200, "{stored:?}");
        let read = store.send(Ask::new("GET", "/v1/photos/big")).await;
        assert_eq!(read.body, body.as_bytes());
    }
}

/// Defects it catches: an answer that a browser runs as a page of the server's.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_browser_could_run_is_sent_to_be_saved() {
    let store = Store::photos().await;
    let link = to_read(&maker(&store, &[ALL]), "cat");
    let target = format!("/v1/photos/cat?link={link}");
    for (content_type, active) in [
        ("text/html", true),
        ("text/html; charset=utf-8", true),
        ("image/svg+xml", true),
        ("application/pdf", true),
        ("text/plain", false),
        ("image/png", false),
    ] {
        store_cat(&store, content_type).await;
        let read = plain(&store, Http::Two, "GET", &target, "")
            .await
            .ok(StatusCode::OK);
        let (disposition, policy) = if active {
            ("attachment", "sandbox; default-src 'none'")
        } else {
            ("", "")
        };
        assert_eq!(read.header("content-disposition"), disposition, "{content_type}");
        assert_eq!(read.header("content-security-policy"), policy, "{content_type}");
    }
    let put = Ask::new("PUT", "/v1/photos/cat").header("cache-control", "max-age=60");
    store.send(put.body("x")).await.ok(StatusCode::OK);
    let read = plain(&store, Http::One, "GET", &target, "").await;
    assert_eq!(read.header("cache-control"), "max-age=60");
}

/// Defects it catches: a count that is read before the commit alone (more than N under concurrency); one that is kept in
/// memory (the restart gives them back).
#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_used_as_often_as_it_says_under_concurrency_and_across_restarts() {
    let store = Store::photos().await;
    store_cat(&store, "text/plain").await;
    let maker = maker(&store, &[ALL]);
    let counted =
        |method, name, uses| link_with(&maker, method, key(name), |claims| claims.uses = Some(uses));
    let read = counted(UrlLinkMethod::Get, "cat", 5);
    let write = counted(UrlLinkMethod::Put, "dog", 3);
    let reads = (0..20).map(|n| {
        let target = format!("/v1/photos/cat?link={read}");
        let (store, method) = (&store, ["GET", "HEAD"][n % 2]);
        async move { plain(store, BOTH[n / 2 % 2], method, &target, "").await.status }
    });
    let writes = (0..20).map(|n| {
        let target = format!("/v1/photos/dog?link={write}");
        let store = &store;
        async move { plain(store, BOTH[n % 2], "PUT", &target, "woof").await.status }
    });
    let count = |statuses: Vec<u16>, of: u16| statuses.iter().filter(|status| **status == of).count();
    let reads = all(reads).await;
    assert_eq!(
        (count(reads.clone(), 200), count(reads.clone(), 403)),
        (5, 15),
        "{reads:?}"
    );
    let writes = all(writes).await;
    assert_eq!(
        (count(writes.clone(), 200), count(writes.clone(), 403)),
        (3, 17),
        "{writes:?}"
    );
    assert_eq!(store.contents().await.1, 4);

    let half = counted(UrlLinkMethod::Get, "cat", 2);
    let target = format!("/v1/photos/cat?link={half}");
    plain(&store, Http::Two, "GET", &target, "")
        .await
        .ok(StatusCode::OK);
    let store = store.restart().await;
    plain(
        &store,
        Http::Two,
        "GET",
        &format!("/v1/photos/cat?link={read}"),
        "",
    )
    .await
    .is(403, "LinkUsedUp");
    let over = plain(
        &store,
        Http::Two,
        "PUT",
        &format!("/v1/photos/dog?link={write}"),
        "x",
    )
    .await;
    over.is(403, "LinkUsedUp");
    plain(&store, Http::Two, "GET", &target, "")
        .await
        .ok(StatusCode::OK);
    plain(&store, Http::Two, "GET", &target, "")
        .await
        .is(403, "LinkUsedUp");
    let verdict = store
        .send(Ask::new("POST", "/v1/_admin").body(r#"{"do":"verify"}"#))
        .await
        .json();
    assert_eq!(verdict["sound"], true, "{verdict}");
}

async fn all<F: Future<Output = u16>>(futures: impl Iterator<Item = F>) -> Vec<u16> {
    let mut pending: Vec<_> = futures.map(Box::pin).collect();
    let mut statuses = Vec::new();
    std::future::poll_fn(|context| {
        pending.retain_mut(|future| match future.as_mut().poll(context) {
            Poll::Ready(status) => {
                statuses.push(status);
                false
            }
            Poll::Pending => true,
        });
        if pending.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    statuses
}

/// The rule of the protocol for what fails. A defect it catches: a use spent before the object was found.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_costs_no_use() {
    let store = Store::photos().await;
    let maker = maker(&store, &[ALL]);
    let read = link_with(&maker, UrlLinkMethod::Get, key("cat"), |claims| {
        claims.uses = Some(1);
    });
    let write = link_with(&maker, UrlLinkMethod::Put, key("dog"), |claims| {
        claims.uses = Some(1);
    });
    let (read, write) = (
        format!("/v1/photos/cat?link={read}"),
        format!("/v1/photos/dog?link={write}"),
    );
    plain(&store, Http::Two, "GET", &read, "")
        .await
        .is(404, "NoSuchKey");
    store_cat(&store, "text/plain").await;
    with_headers(&store, Http::Two, "GET", &read, "", &[("if-match", "\"x\"")])
        .await
        .is(400, "BadHeader");
    let failed = [(
        "if-match",
        "\"0000000000000000000000000000000000000000000000000000000000000000\"",
    )];
    with_headers(&store, Http::Two, "GET", &read, "", &failed)
        .await
        .is(412, "PreconditionFailed");
    with_headers(&store, Http::Two, "GET", &read, "", &[("range", "bytes=9-")])
        .await
        .is(416, "RangeNotSatisfiable");
    plain(&store, Http::Two, "PUT", &read, "x")
        .await
        .is(403, "Forbidden");
    plain(&store, Http::Two, "GET", &read, "")
        .await
        .ok(StatusCode::OK);
    plain(&store, Http::Two, "GET", &read, "")
        .await
        .is(403, "LinkUsedUp");

    store
        .send(Ask::new("PUT", "/v1/photos/dog").body("x"))
        .await
        .ok(StatusCode::CREATED);
    let there = [("if-none-match", "*")];
    with_headers(&store, Http::Two, "PUT", &write, "x", &there)
        .await
        .is(412, "PreconditionFailed");
    // A body that breaks off.
    let mut stream = store.connect().await;
    let head = format!("PUT {write} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n123");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    plain(&store, Http::Two, "PUT", &write, "woof")
        .await
        .ok(StatusCode::OK);
    plain(&store, Http::Two, "PUT", &write, "woof")
        .await
        .is(403, "LinkUsedUp");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_wants_signatures_refuses_links() {
    let store = Store::photos().await;
    store_cat(&store, "text/plain").await;
    let strict = Ask::new("PUT", "/v1/photos").body(r#"{"require_signature":true}"#);
    store.send(strict).await.ok(StatusCode::OK);
    let maker = maker(&store, &[ALL]);
    for uses in [None, Some(1)] {
        let read = link_with(&maker, UrlLinkMethod::Get, key("cat"), |claims| {
            claims.uses = uses;
        });
        let write = link_with(&maker, UrlLinkMethod::Put, key("cat"), |claims| {
            claims.uses = uses;
        });
        let read = format!("/v1/photos/cat?link={read}");
        plain(&store, Http::Two, "GET", &read, "")
            .await
            .is(401, "SignatureRequired");
        let write = format!("/v1/photos/cat?link={write}");
        plain(&store, Http::Two, "PUT", &write, "x")
            .await
            .is(401, "SignatureRequired");
    }
}

/// Defects it catches: a link that works on after it was revoked, in its next request or after a restart; one that takes
/// its signer's other links along; one that whoever has it can end.
#[tokio::test(flavor = "multi_thread")]
async fn one_link_is_revoked_by_itself() {
    let store = Store::photos().await;
    store_cat(&store, "text/plain").await;
    let signer = maker(&store, &[ALL]);
    let child = Store::delegate(&signer, &[ALL]);
    let (one, other) = (to_read(&signer, "cat"), to_read(&signer, "cat"));
    let counted = link_with(&signer, UrlLinkMethod::Get, key("cat"), |claims| {
        claims.uses = Some(9);
    });
    let write = link_with(&signer, UrlLinkMethod::Put, key("new"), |_| {});
    let target = |link: &str| format!("/v1/photos/cat?link={link}");
    for link in [&one, &other, &counted] {
        plain(&store, Http::One, "GET", &target(link), "")
            .await
            .ok(StatusCode::OK);
    }
    let revoke = |link: &str| Ask::new("POST", "/v1/_keys").body(format!(r#"{{"link":"{link}"}}"#));
    // Whoever did not sign it, nor what it follows, may not.
    let stranger = maker(&store, &[ALL]);
    for by in [&stranger, &child] {
        store.send_as(by, revoke(&one)).await.is(403, "Forbidden");
    }
    let mut altered = one.clone();
    altered.pop();
    altered.push(if one.ends_with('A') { 'B' } else { 'A' });
    store.send_as(&signer, revoke(&altered)).await.is(400, "BadBody");
    store
        .send_as(&signer, revoke(&signer.packet))
        .await
        .is(400, "BadBody");
    let answer = store.send_as(&signer, revoke(&one)).await.ok(StatusCode::OK);
    let hash = wfldb_core::id::PacketHash::of(one.as_bytes()).to_string();
    let form = answer.json();
    assert_eq!((&form["packet_hash"], &form["new"]), (&hash.into(), &true.into()));
    assert!(form["kept_until"].is_string(), "{form}");
    // The administrator may, without having signed it; and those before the signer.
    for (by, link) in [(&store.admin, &counted), (&signer, &write)] {
        store.send_as(by, revoke(link)).await.ok(StatusCode::OK);
    }
    let refused = async |store: &Store| {
        for link in [&one, &counted] {
            for http in BOTH {
                let answer = plain(store, http, "GET", &target(link), "").await;
                answer.is(401, "Unauthenticated");
                assert!(answer.json().get("hint").is_none());
            }
        }
        let write = format!("/v1/photos/new?link={write}");
        plain(store, Http::Two, "PUT", &write, "x")
            .await
            .is(401, "Unauthenticated");
        plain(store, Http::Two, "GET", &target(&other), "")
            .await
            .ok(StatusCode::OK);
        store
            .send_as(&signer, Ask::new("GET", "/v1/photos/cat"))
            .await
            .ok(StatusCode::OK);
    };
    refused(&store).await;
    let store = store.restart().await;
    refused(&store).await;
}

/// Its packet's rate is charged like that of a signed request.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_charged_to_its_signer() {
    let store = Store::photos().await;
    store_cat(&store, "text/plain").await;
    let slow = maker(&store, &[r#"{"b":"photos","p":"","ops":["get"],"rate":1}"#]);
    let target = format!("/v1/photos/cat?link={}", to_read(&slow, "cat"));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(plain(&store, Http::Two, "GET", &target, "").await.status);
    }
    assert_eq!(statuses[0], 200);
    assert!(statuses.contains(&429), "{statuses:?}");
}
