//! A request for every route, from the router's own table: a new route does not compile here without its line.

use wfldb_core::auth::{Method, Op, RouteKind, required};
use wfldb_net::route;

use crate::harness::Ask;

const UPLOAD: &str = "multipart=00112233445566778899aabbccddeeff";
const BUCKET_BODY: &str = "{}";

/// A target of the route, in a store with bucket `photos` and its key `k`.
pub(crate) fn target(kind: RouteKind) -> String {
    let key = |query: &str| format!("/v1/photos/k?{query}");
    match kind {
        RouteKind::Buckets => "/v1".to_owned(),
        RouteKind::Bucket => "/v1/photos".to_owned(),
        RouteKind::BucketForce => "/v1/photos?force=true".to_owned(),
        RouteKind::Object => "/v1/photos/k".to_owned(),
        RouteKind::ObjectVersion => key("version=01JGFJJZ00AAAAAAAAAAAAAAAA"),
        RouteKind::ObjectVersions => key("versions=true"),
        RouteKind::ObjectHistory => key("history=true"),
        RouteKind::Bulk => "/v1/photos/_bulk".to_owned(),
        RouteKind::Schema => "/v1/photos/_schema".to_owned(),
        RouteKind::ObjectUndelete => key("undelete=true"),
        RouteKind::ObjectAt => key("at=2026-01-02T03%3A04%3A05.006Z"),
        RouteKind::ObjectCopy => key("copy=%2Fphotos%2Fsource"),
        RouteKind::UploadStart => key("multipart=start&part_bytes=5242880"),
        RouteKind::Upload => key(UPLOAD),
        RouteKind::UploadPart => key(&format!("{UPLOAD}&part=1")),
        RouteKind::Scan => "/v1/photos/scan".to_owned(),
        RouteKind::Find => "/v1/photos/_find".to_owned(),
        RouteKind::Explain => "/v1/photos/_explain".to_owned(),
        RouteKind::Batch => "/v1/photos/batch".to_owned(),
        RouteKind::Indexes => "/v1/photos/_index".to_owned(),
        RouteKind::Aggregate => "/v1/photos/_aggregate".to_owned(),
        RouteKind::Changes => "/v1/photos/_changes".to_owned(),
        RouteKind::Search => "/v1/photos/_search".to_owned(),
        RouteKind::SearchRebuild => "/v1/photos/_search?rebuild=true".to_owned(),
        RouteKind::Stats => "/v1/_stats".to_owned(),
        RouteKind::Admin => "/v1/_admin".to_owned(),
        RouteKind::Backup => "/v1/_backup".to_owned(),
        RouteKind::DryRun => "/v1/_dryrun".to_owned(),
        RouteKind::Session => "/v1/_session".to_owned(),
        RouteKind::Keys => "/v1/_keys".to_owned(),
        RouteKind::Tx => "/v1/_tx".to_owned(),
        RouteKind::AuditLog => "/v1/_audit/checkpoint".to_owned(),
        RouteKind::ObjectLink => key("link=e30.e30.c2ln"),
        RouteKind::AuditProof => "/v1/_audit/proof?leaf=0".to_owned(),
        RouteKind::AuditConsistency => "/v1/_audit/consistency?from=0&to=0".to_owned(),
        RouteKind::AuditReceipt => {
            "/v1/_audit/receipt?bucket=photos&key=k&version=01JGFJJZ00AAAAAAAAAAAAAAAA".to_owned()
        }
    }
}

/// A body that the route takes.
fn body(method: Method, kind: RouteKind) -> String {
    match (method, kind) {
        (Method::Put, RouteKind::Schema) | (Method::Patch, _) => "{}".to_owned(),
        (Method::Post, RouteKind::Bulk) => r#"{"ops":[{"op":"put","key":"k","document":{}}]}"#.to_owned(),
        (Method::Put, RouteKind::Bucket) => BUCKET_BODY.to_owned(),
        (Method::Put, _) => "forged".to_owned(),
        (Method::Post, RouteKind::Batch) => r#"{"ops":[{"op":"put","key":"k","body":"forged"}]}"#.to_owned(),
        (Method::Post, RouteKind::Find | RouteKind::Explain) => r#"{"selector":{}}"#.to_owned(),
        (Method::Post, RouteKind::Indexes) => r#"{"index":{"fields":["forged"]}}"#.to_owned(),
        (Method::Post, RouteKind::Aggregate) => r#"{"pipeline":[{"group":{}}]}"#.to_owned(),
        (Method::Post, RouteKind::Search) => r#"{"query":"forged"}"#.to_owned(),
        (Method::Post, RouteKind::Admin) => r#"{"do":"compact"}"#.to_owned(),
        (Method::Post, RouteKind::Backup) => r#"{"path":"/backups"}"#.to_owned(),
        (Method::Post, RouteKind::DryRun) => r#"{"method":"GET","target":"/v1/photos/k"}"#.to_owned(),
        (Method::Post, RouteKind::Session) => {
            r#"{"key":"UKYUCbHd0DJemxa3AOcZ6XcsBwALG9d4bpB8ZT0gSV0"}"#.to_owned()
        }
        // What only an administrator may: the hash of a packet that is not shown.
        (Method::Post, RouteKind::Keys) => format!(r#"{{"packet_hash":"{}"}}"#, "0".repeat(64)),
        (Method::Post, RouteKind::Tx) => r#"{"do":"begin"}"#.to_owned(),
        (Method::Post, RouteKind::Upload) => {
            format!(r#"[{{"part":1,"etag":"{}"}}]"#, "0".repeat(64))
        }
        _ => String::new(),
    }
}

/// Every method on every route that has it, with the operations that it needs.
pub(crate) fn all() -> impl Iterator<Item = (Method, RouteKind, &'static [Op])> {
    RouteKind::ALL.into_iter().flat_map(|kind| {
        Method::ALL
            .into_iter()
            .filter_map(move |method| Some((method, kind, required(method, kind)?)))
    })
}

/// A request of the route that succeeds or fails for what it asks, not for its form.
pub(crate) fn ask(method: Method, kind: RouteKind) -> Ask {
    let mut target = target(kind);
    if (method, kind) == (Method::Delete, RouteKind::Indexes) {
        target.push_str("?name=forged");
    }
    let parsed = route::parse(method.as_str(), &target).unwrap();
    assert_eq!((parsed.method, parsed.kind), (method, kind), "{target}");
    assert!(parsed.parameters().is_ok(), "{target}");
    Ask::new(method.as_str(), &target).body(body(method, kind))
}

/// Whether any grant at all opens the route; what it answers is then cut to the grants.
pub(crate) fn opens_to_any_grant(kind: RouteKind) -> bool {
    match kind {
        RouteKind::Buckets | RouteKind::DryRun | RouteKind::Session | RouteKind::Tx => true,
        RouteKind::Bucket
        | RouteKind::BucketForce
        | RouteKind::Object
        | RouteKind::ObjectVersion
        | RouteKind::ObjectVersions
        | RouteKind::ObjectUndelete
        | RouteKind::ObjectAt
        | RouteKind::ObjectCopy
        | RouteKind::UploadStart
        | RouteKind::Upload
        | RouteKind::UploadPart
        | RouteKind::ObjectHistory
        | RouteKind::Bulk
        | RouteKind::Schema
        | RouteKind::Scan
        | RouteKind::Find
        | RouteKind::Explain
        | RouteKind::Batch
        | RouteKind::Indexes
        | RouteKind::Aggregate
        | RouteKind::Changes
        | RouteKind::Search
        | RouteKind::SearchRebuild
        | RouteKind::Stats
        | RouteKind::Admin
        | RouteKind::Backup
        | RouteKind::Keys
        | RouteKind::ObjectLink
        | RouteKind::AuditLog
        | RouteKind::AuditProof
        | RouteKind::AuditConsistency
        | RouteKind::AuditReceipt => false,
    }
}
