//! Every route of the router against a bucket with `audit_reads`: what it has to leave in the audit log. A new route does not
//! compile here without its answer.

use http::StatusCode;
use wfldb_core::audit::Outcome;
use wfldb_core::auth::{Method, RouteKind, required};

use crate::audit::{covers, key};
use crate::harness::{Answer, Ask, Http, Store};
use crate::links::{maker, plain, to_read};
use crate::reads::{assert_sound, entries};

/// What a request of the route leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    /// It is to nothing in a bucket.
    Nothing,
    /// An entry before it is answered, which the answer names.
    Read(&'static str),
    /// An entry before it is answered, which the answer does not name: that of what its body or its query names.
    Also(&'static str),
    /// An entry when it is refused.
    Refusal(&'static str),
}

fn leaves(kind: RouteKind, method: Method) -> Leaves {
    use Leaves::{Also, Nothing, Read, Refusal};
    match kind {
        RouteKind::Buckets
        | RouteKind::Stats
        | RouteKind::Admin
        | RouteKind::Backup
        | RouteKind::DryRun
        | RouteKind::Session
        | RouteKind::Keys
        | RouteKind::AuditLog
        | RouteKind::AuditProof
        | RouteKind::AuditConsistency
        | RouteKind::AuditReceipt => Nothing,
        RouteKind::Object | RouteKind::ObjectVersion | RouteKind::ObjectAt | RouteKind::ObjectLink => {
            match method {
                Method::Get | Method::Head => Read("read cat"),
                Method::Put | Method::Patch | Method::Post => Refusal("put cat"),
                Method::Delete if kind == RouteKind::ObjectVersion => Refusal("erase cat"),
                Method::Delete => Refusal("delete cat"),
            }
        }
        RouteKind::ObjectVersions | RouteKind::ObjectHistory => Read("read cat"),
        RouteKind::Scan => Read("list "),
        RouteKind::Changes => Read("watch "),
        RouteKind::Find | RouteKind::Explain | RouteKind::Aggregate => Read("query "),
        RouteKind::Search if method == Method::Post => Also("query "),
        RouteKind::Tx => Also("read cat"),
        RouteKind::ObjectCopy => Also("read source"),
        // An entry of it comes to nothing.
        RouteKind::Bulk | RouteKind::Batch => Also("read "),
        RouteKind::ObjectUndelete | RouteKind::UploadStart | RouteKind::Upload | RouteKind::UploadPart => {
            Refusal("put cat")
        }
        RouteKind::Bucket | RouteKind::BucketForce => Refusal("manage photos"),
        RouteKind::Schema | RouteKind::Indexes | RouteKind::Search | RouteKind::SearchRebuild => {
            Refusal("manage ")
        }
    }
}

/// The word of the entry of a refusal.
fn refusal(kind: RouteKind, method: Method) -> Option<&'static str> {
    match (leaves(kind, method), kind) {
        // Whose link does not allow it has signed nothing that says what was asked for.
        (Leaves::Nothing, _) | (_, RouteKind::ObjectLink) => None,
        (Leaves::Also(_), RouteKind::ObjectCopy) => Some("put cat"),
        (Leaves::Also(_), RouteKind::Bulk | RouteKind::Batch) => Some("put "),
        (Leaves::Read(word) | Leaves::Also(word) | Leaves::Refusal(word), _) => Some(word),
    }
}

fn ask(kind: RouteKind, method: Method, version: &str) -> Ask {
    const UPLOAD: &str = "multipart=00112233445566778899aabbccddeeff";
    let cat = |query: &str| format!("/v1/photos/cat?{query}");
    let target = match kind {
        RouteKind::Buckets => "/v1".to_owned(),
        RouteKind::Bucket => "/v1/photos".to_owned(),
        RouteKind::BucketForce => "/v1/photos?force=true".to_owned(),
        RouteKind::Object => "/v1/photos/cat".to_owned(),
        RouteKind::ObjectVersion => cat(&format!("version={version}")),
        RouteKind::ObjectVersions => cat("versions=true"),
        RouteKind::ObjectHistory => cat("history=true"),
        RouteKind::ObjectUndelete => cat("undelete=true"),
        RouteKind::ObjectAt => cat("at=9999-01-02T03%3A04%3A05.006Z"),
        RouteKind::ObjectCopy => cat("copy=%2Fphotos%2Fsource"),
        RouteKind::ObjectLink => cat("link=e30.e30.c2ln"),
        RouteKind::UploadStart => cat("multipart=start&part_bytes=5242880"),
        RouteKind::Upload => cat(UPLOAD),
        RouteKind::UploadPart => cat(&format!("{UPLOAD}&part=1")),
        RouteKind::Scan => "/v1/photos/scan".to_owned(),
        RouteKind::Batch => "/v1/photos/batch".to_owned(),
        RouteKind::Find => "/v1/photos/_find".to_owned(),
        RouteKind::Explain => "/v1/photos/_explain".to_owned(),
        RouteKind::Indexes if method == Method::Delete => "/v1/photos/_index?name=none".to_owned(),
        RouteKind::Indexes => "/v1/photos/_index".to_owned(),
        RouteKind::Aggregate => "/v1/photos/_aggregate".to_owned(),
        RouteKind::Changes => "/v1/photos/_changes".to_owned(),
        RouteKind::Search => "/v1/photos/_search".to_owned(),
        RouteKind::SearchRebuild => "/v1/photos/_search?rebuild=true".to_owned(),
        RouteKind::Bulk => "/v1/photos/_bulk".to_owned(),
        RouteKind::Schema => "/v1/photos/_schema".to_owned(),
        RouteKind::Stats => "/v1/_stats".to_owned(),
        RouteKind::Admin => "/v1/_admin".to_owned(),
        RouteKind::Backup => "/v1/_backup".to_owned(),
        RouteKind::DryRun => "/v1/_dryrun".to_owned(),
        RouteKind::Session => "/v1/_session".to_owned(),
        RouteKind::Keys => "/v1/_keys".to_owned(),
        RouteKind::Tx => "/v1/_tx".to_owned(),
        RouteKind::AuditLog => "/v1/_audit/checkpoint".to_owned(),
        RouteKind::AuditProof => "/v1/_audit/proof?leaf=0".to_owned(),
        RouteKind::AuditConsistency => "/v1/_audit/consistency?from=0&to=0".to_owned(),
        RouteKind::AuditReceipt => format!("/v1/_audit/receipt?bucket=photos&key=cat&version={version}"),
    };
    let body = match (method, kind) {
        (Method::Patch, _) => "{}",
        (Method::Put, RouteKind::Schema) => r#"{"type":"object"}"#,
        (Method::Put, RouteKind::Bucket) => r#"{"kind":"documents","audit_reads":true}"#,
        (Method::Put, _) => r#"{"n":2}"#,
        (Method::Post, RouteKind::Batch) => r#"{"ops":[{"op":"delete","key":"none"}]}"#,
        (Method::Post, RouteKind::Bulk) => r#"{"ops":[{"op":"insert","key":"cat","document":{}}]}"#,
        (Method::Post, RouteKind::Find | RouteKind::Explain) => r#"{"selector":{}}"#,
        (Method::Post, RouteKind::Indexes) => r#"{"index":{"fields":["n"]}}"#,
        (Method::Post, RouteKind::Aggregate) => r#"{"pipeline":[{"group":{}}]}"#,
        (Method::Post, RouteKind::Search) => r#"{"query":"cat"}"#,
        (Method::Post, RouteKind::Admin) => r#"{"do":"compact"}"#,
        (Method::Post, RouteKind::Backup) => r#"{"path":"/none"}"#,
        (Method::Post, RouteKind::DryRun) => r#"{"method":"GET","target":"/v1/photos/cat"}"#,
        (Method::Post, RouteKind::Session) => r#"{"key":"UKYUCbHd0DJemxa3AOcZ6XcsBwALG9d4bpB8ZT0gSV0"}"#,
        (Method::Post, RouteKind::Keys) => {
            r#"{"packet_hash":"0000000000000000000000000000000000000000000000000000000000000000"}"#
        }
        (Method::Post, RouteKind::Tx) => {
            r#"{"do":"begin","ops":[{"op":"get","bucket":"photos","key":"cat"}]}"#
        }
        _ => "",
    };
    let ask = Ask::new(method.as_str(), &target).body(body);
    if method == Method::Patch {
        ask.header("content-type", "application/merge-patch+json")
    } else {
        ask
    }
}

/// The bucket as it is before each request; the version of `cat` in it.
async fn bucket(store: &Store) -> String {
    store.send(Ask::new("DELETE", "/v1/photos?force=true")).await;
    let config = r#"{"kind":"documents","audit_reads":true}"#;
    store
        .send(Ask::new("PUT", "/v1/photos").body(config))
        .await
        .ok(StatusCode::CREATED);
    let put = |key: &str| Ask::new("PUT", &format!("/v1/photos/{key}")).body(r#"{"n":1}"#);
    store.send(put("source")).await.ok(StatusCode::CREATED);
    let cat = store.send(put("cat")).await.ok(StatusCode::CREATED);
    cat.header("x-wfldb-version").to_owned()
}

/// A leaf that stands behind everything that was submitted before.
async fn mark(store: &Store) -> u64 {
    let put = Ask::new("POST", "/v1/marks/batch").header("x-wfldb-receipt", "true");
    let put = put.body(r#"{"ops":[{"op":"put","key":"m","body":"m"}]}"#);
    let marked = store.send(put).await.ok(StatusCode::OK);
    marked.header("x-wfldb-leaf").parse().unwrap()
}

struct Sent {
    kind: RouteKind,
    method: Method,
    answer: Answer,
    from: u64,
    to: u64,
}

async fn send_to_all(store: &Store, send: impl AsyncFn(RouteKind, Method, Ask) -> Answer) -> Vec<Sent> {
    store
        .send(Ask::new("PUT", "/v1/marks").body(r#"{"versions":{"keep":1}}"#))
        .await;
    let mut asked = Vec::new();
    for kind in RouteKind::ALL {
        for method in Method::ALL {
            if required(method, kind).is_none() {
                continue;
            }
            let version = bucket(store).await;
            let from = mark(store).await;
            let answer = send(kind, method, ask(kind, method, &version)).await;
            let to = mark(store).await;
            asked.push(Sent {
                kind,
                method,
                answer,
                from,
                to,
            });
        }
    }
    assert!(asked.len() > RouteKind::ALL.len());
    asked
}

const WORDS: [&str; 5] = ["read ", "list ", "query ", "watch ", "audit "];

/// Defects it catches: a route whose handler answers past the log; an answer that names another leaf; reads that nobody
/// asked to have logged.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_that_reads_is_logged() {
    let store = Store::new().await;
    let key = key(&store);
    let maker = maker(&store, &[r#"{"b":"photos","p":"","ops":["get","put"]}"#]);
    let sent = send_to_all(&store, async |kind, method, ask| {
        if kind == RouteKind::ObjectLink && method != Method::Put {
            let target = format!("/v1/photos/cat?link={}", to_read(&maker, "cat"));
            return plain(&store, Http::One, method.as_str(), &target, "").await;
        }
        store.send(ask).await
    });
    let sent = sent.await;
    covers(&store, &key, sent.last().unwrap().to + 1).await;
    for it in &sent {
        let what = format!("{} {:?} {:?}", it.method, it.kind, it.answer);
        let found = entries(&store, &key, it.from + 1, it.to).await;
        let is_read = |word: &str| WORDS.iter().any(|read| word.starts_with(read));
        let reads: Vec<&str> = found
            .iter()
            .map(|(word, ..)| word.as_str())
            .filter(|word| is_read(word))
            .collect();
        match leaves(it.kind, it.method) {
            Leaves::Read(word) => {
                assert_eq!(it.answer.status, 200, "{what}");
                assert_eq!(reads, [word], "{what}");
                assert_eq!(found[0].1, Outcome::Ok, "{what}");
                let leaf: u64 = it.answer.header("x-wfldb-leaf").parse().expect(&what);
                assert_eq!(leaf, it.from + 1, "{what}");
            }
            Leaves::Also(word) => {
                assert_eq!(reads, [word], "{what}");
                assert_eq!(it.answer.header("x-wfldb-leaf"), "", "{what}");
            }
            Leaves::Nothing | Leaves::Refusal(_) => {
                assert!(reads.is_empty(), "{what}: {reads:?}");
                assert_eq!(it.answer.header("x-wfldb-leaf"), "", "{what}");
            }
        }
    }
    assert_sound(&store).await;
}

/// Defects it catches: a route whose refusals leave nothing; one that says it was carried out.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_into_a_bucket_has_its_refusals_logged() {
    let store = Store::new().await;
    let key = key(&store);
    let sent = send_to_all(&store, async |_, _, ask| {
        let ops = r#""get","list","put","delete","erase","query","watch","manage""#;
        // Each by another key: so many of one are logged in a second.
        let stranger = store.holder(&[&format!(r#"{{"b":"other","p":"","ops":[{ops}]}}"#)]);
        store.send_as(&stranger, ask).await
    });
    let sent = sent.await;
    covers(&store, &key, sent.last().unwrap().to + 1).await;
    for it in &sent {
        let what = format!("{} {:?} {:?}", it.method, it.kind, it.answer);
        let found = entries(&store, &key, it.from + 1, it.to).await;
        let found: Vec<_> = found
            .iter()
            .map(|(word, outcome, _)| (word.as_str(), *outcome))
            .collect();
        match refusal(it.kind, it.method) {
            Some(word) => {
                assert_eq!(it.answer.status, 403, "{what}");
                assert_eq!(found, [(word, Outcome::Refused)], "{what}");
            }
            None => assert!(found.is_empty(), "{what}: {found:?}"),
        }
    }
    assert_sound(&store).await;
}
