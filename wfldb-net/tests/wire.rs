//! Laws of the wire: what is encoded is read back, and whatever else arrives is refused without a panic.
#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use wfldb_core::Kind;
use wfldb_core::audit::{Resource, TileId};
use wfldb_core::auth::{AuditPart, Method, RouteKind, Service, Target, required};
use wfldb_core::doc::FieldPath;
use wfldb_core::encoding::percent;
use wfldb_core::id::{ContentHash, VersionId};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{BucketConfig, BucketKind, Retention};
use wfldb_core::text::TextConfig;
use wfldb_core::time::UnixMillis;
use wfldb_net::bucket::{Bucket, BucketEntry, Buckets, Usage};
use wfldb_net::codec::{self, CodecError};
use wfldb_net::framing::HeadGuard;
use wfldb_net::listing::{Item, Listing, Versions};
use wfldb_net::problem::Problem;
use wfldb_net::range::ByteRange;
use wfldb_net::route::{self, Parameters, RouteError};
use wfldb_net::{accept, condition, date};

fn bucket_name() -> impl Strategy<Value = BucketName> {
    "[a-z0-9][a-z0-9-]{1,20}[a-z0-9]".prop_map(|name| BucketName::parse(&name).unwrap())
}

fn key() -> impl Strategy<Value = ObjectKey> {
    "\\PC{1,40}|[a-c/.]{1,12}".prop_filter_map("no key", |text| ObjectKey::parse(&text).ok())
}

fn time() -> impl Strategy<Value = UnixMillis> {
    any::<u64>().prop_map(UnixMillis::new)
}

fn item() -> impl Strategy<Value = Item> {
    (
        key(),
        any::<[u8; 16]>(),
        option::of(any::<[u8; 32]>()),
        any::<u64>(),
        option::of("[ -~]{0,20}"),
        time(),
        btree_map("\\PC{1,8}", "\\PC{0,8}", 0..4),
        any::<bool>(),
    )
        .prop_map(
            |(key, version, etag, size, content_type, modified, tags, deleted)| Item {
                key,
                version: VersionId::from_bytes(version),
                etag: etag.map(ContentHash::from_bytes),
                size,
                content_type,
                modified,
                tags,
                deleted,
            },
        )
}

fn listing() -> impl Strategy<Value = Listing> {
    (
        vec(item(), 0..6),
        option::of(vec("\\PC{0,10}", 0..4)),
        option::of("[A-Za-z0-9_-]{1,40}"),
    )
        .prop_map(|(items, prefixes, cursor)| Listing {
            items,
            prefixes,
            cursor,
        })
}

fn bucket() -> impl Strategy<Value = Bucket> {
    let number = || option::of(any::<u64>());
    let config = (
        any::<[bool; 6]>(),
        number(),
        number(),
        number(),
        number(),
        number(),
        option::of(1..u64::MAX),
        option::of(1..u64::MAX),
    )
        .prop_map(
            |(
                [
                    documents,
                    mirror,
                    audit_reads,
                    require_signature,
                    append_only,
                    auto_index,
                ],
                keep,
                days,
                quota_bytes,
                quota_objects,
                object_bytes_max,
                rate,
                time_days,
            )| {
                let retention = Retention { keep, days };
                BucketConfig {
                    kind: if documents {
                        BucketKind::Documents
                    } else {
                        BucketKind::Objects
                    },
                    versions: (retention != Retention::default()).then_some(retention),
                    quota_bytes,
                    quota_objects,
                    object_bytes_max,
                    rate,
                    mirror: mirror.then_some(documents),
                    audit_reads,
                    require_signature,
                    time_field: time_days.and_then(|_| FieldPath::parse(r"a.b\.c").ok()),
                    time_days,
                    append_only,
                    auto_index,
                    text: documents.then(TextConfig::default),
                }
            },
        );
    (bucket_name(), time(), config, any::<[u64; 4]>()).prop_map(
        |(name, created, config, [objects, versions, bytes, stored_bytes])| Bucket {
            name,
            created,
            config,
            usage: Usage {
                objects,
                versions,
                bytes,
                stored_bytes,
            },
        },
    )
}

/// A request to a route that is served, as a client would write it.
#[expect(clippy::too_many_lines, reason = "one arm for each route")]
fn request() -> impl Strategy<Value = (Method, RouteKind, Target, String)> {
    let key = key().prop_filter("reserved", |key| !key.is_reserved());
    let text = || "[ -~é]{0,12}";
    (
        bucket_name(),
        key,
        any::<[u8; 16]>(),
        text(),
        text(),
        1_usize..=1000,
        any::<[bool; 5]>(),
        0..RouteKind::ALL.len(),
        0_usize..5,
    )
        .prop_filter_map(
            "no such route",
            |(bucket, key, version, prefix, after, limit, given, kind, method)| {
                let kind = *RouteKind::ALL.get(kind)?;
                let method = *Method::ALL.get(method)?;
                required(method, kind)?;
                let version = VersionId::from_bytes(version).to_string();
                let limit = limit.to_string();
                let mut pairs: Vec<(&str, &str)> = Vec::new();
                let target = match kind {
                    RouteKind::Buckets => Target::Store,
                    RouteKind::Bucket => Target::Bucket(bucket),
                    RouteKind::BucketForce => {
                        pairs.push(("force", "true"));
                        Target::Bucket(bucket)
                    }
                    RouteKind::Object => Target::Key(bucket, key),
                    RouteKind::ObjectVersion => {
                        pairs.push(("version", &version));
                        Target::Key(bucket, key)
                    }
                    RouteKind::ObjectVersions => {
                        pairs.push(("versions", "true"));
                        Target::Key(bucket, key)
                    }
                    RouteKind::ObjectUndelete => {
                        pairs.push(("undelete", "true"));
                        Target::Key(bucket, key)
                    }
                    RouteKind::ObjectAt => {
                        pairs.push(("at", "2026-01-02T03:04:05.006Z"));
                        Target::Key(bucket, key)
                    }
                    RouteKind::ObjectCopy => {
                        pairs.push(("copy", "/other/a b/c"));
                        if given[0] {
                            pairs.push(("copy_version", &version));
                        }
                        Target::Key(bucket, key)
                    }
                    RouteKind::ObjectLink => {
                        pairs.push(("link", "a.b-_.c"));
                        Target::Key(bucket, key)
                    }
                    RouteKind::UploadStart => {
                        pairs.extend([("multipart", "start"), ("part_bytes", "5242880")]);
                        Target::Key(bucket, key)
                    }
                    RouteKind::Upload => {
                        pairs.push(("multipart", "00112233445566778899aabbccddeeff"));
                        Target::Key(bucket, key)
                    }
                    RouteKind::UploadPart => {
                        pairs.extend([
                            ("multipart", "00112233445566778899aabbccddeeff"),
                            ("part", &limit),
                        ]);
                        Target::Key(bucket, key)
                    }
                    RouteKind::Find => Target::Find(bucket),
                    RouteKind::Explain => Target::Explain(bucket),
                    RouteKind::Changes => {
                        if given[0] {
                            pairs.extend([("feed", "longpoll"), ("timeout", "1000")]);
                        }
                        pairs.extend([("limit", limit.as_str()), ("since", "now")]);
                        Target::Changes(bucket)
                    }
                    RouteKind::Batch => Target::Batch(bucket),
                    RouteKind::Indexes => {
                        match method {
                            Method::Post if given[0] => pairs.push(("wait", "true")),
                            Method::Delete => pairs.push(("name", "by-age")),
                            _ => {}
                        }
                        Target::Indexes(bucket)
                    }
                    RouteKind::Aggregate => Target::Aggregate(bucket),
                    RouteKind::Search => {
                        if method == Method::Post && given[0] {
                            pairs.push(("wait", &limit));
                        }
                        Target::Search(bucket)
                    }
                    RouteKind::SearchRebuild => {
                        pairs.push(("rebuild", "true"));
                        Target::Search(bucket)
                    }
                    RouteKind::Bulk => Target::Bulk(bucket),
                    RouteKind::Schema => Target::Schema(bucket),
                    RouteKind::ObjectHistory => {
                        pairs.extend([("history", "true"), ("limit", limit.as_str())]);
                        if given[0] {
                            pairs.push(("verify", "true"));
                        }
                        Target::Key(bucket, key)
                    }
                    RouteKind::Stats => Target::Service(Service::Stats),
                    RouteKind::Admin => Target::Service(Service::Admin),
                    RouteKind::Backup => Target::Service(Service::Backup),
                    RouteKind::DryRun => Target::Service(Service::DryRun),
                    RouteKind::Session => Target::Service(Service::Session),
                    RouteKind::Keys => Target::Service(Service::Keys),
                    RouteKind::Tx => Target::Service(Service::Tx),
                    RouteKind::AuditLog => {
                        let level = u8::try_from(limit.len()).ok()?;
                        let width = u16::try_from(prefix.len() + 1).ok()?;
                        let tile = TileId::partial(level, 999 * u64::from(width), width)?;
                        Target::Audit(AuditPart::Published(Resource::Tile(tile)))
                    }
                    RouteKind::AuditProof => {
                        pairs.extend([("leaf", "0"), ("size", limit.as_str())]);
                        Target::Audit(AuditPart::Proof)
                    }
                    RouteKind::AuditConsistency => {
                        pairs.extend([("from", "0"), ("to", limit.as_str())]);
                        Target::Audit(AuditPart::Consistency)
                    }
                    RouteKind::AuditReceipt => {
                        pairs.extend([("bucket", bucket.as_str()), ("key", key.as_str())]);
                        pairs.push(("version", "01ARZ3NDEKTSV4RRFFQ69G5FAV"));
                        Target::Audit(AuditPart::Receipt)
                    }
                    RouteKind::Scan => {
                        if given[3] {
                            pairs.push(("tag", "a=b&c=d"));
                        }
                        let [with_prefix, with_after, delimiter, reverse, _] = given;
                        wfldb_core::name::KeyPrefix::parse(&prefix).ok()?;
                        if with_prefix {
                            pairs.push(("prefix", &prefix));
                        }
                        if with_after {
                            pairs.push(("after", &after));
                        }
                        if delimiter {
                            pairs.push(("delimiter", "/"));
                        }
                        if reverse {
                            pairs.push(("reverse", "true"));
                        }
                        Target::Listing(bucket)
                    }
                };
                if given[4] && matches!(kind, RouteKind::Scan | RouteKind::ObjectVersions) {
                    pairs.push(("limit", &limit));
                }
                let query = percent::encode_query(&pairs);
                let path = target.path();
                let raw = if query.is_empty() {
                    path
                } else {
                    format!("{path}?{query}")
                };
                Some((method, kind, target, raw))
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_canonical_path_is_read_back_and_written_the_same((method, kind, target, raw) in request()) {
        let route = route::parse(method.as_str(), &raw).unwrap();
        prop_assert_eq!((route.method, route.kind, &route.target), (method, kind, &target));
        prop_assert_eq!(route.path_and_query(), raw);
        prop_assert!(route.parameters().is_ok());
    }

    #[test]
    fn any_path_is_refused_or_is_the_one_spelling_of_its_route(
        method in "GET|HEAD|PUT|POST|DELETE|PATCH|get|",
        raw in "/v1(/[a-c%2Fv._~-]{0,8}){0,4}(\\?[a-z=&%0-9A-F+]{0,20})?|\\PC{0,30}|/v1/abc/(scan|_find|batch|x)(\\?(version|versions|limit|at|tag|force)=[a-z0-9]{0,5})?",
    ) {
        if let Ok(route) = route::parse(&method, &raw) {
            prop_assert_eq!(route.path_and_query(), raw);
            let _ = route.parameters();
        }
    }

    #[test]
    fn listings_are_read_back_in_both_forms(listing in listing()) {
        prop_assert_eq!(codec::decode_listing(&codec::encode_listing(&listing)), Ok(listing.clone()));
        let json = serde_json::to_vec(&listing).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Listing>(&json).unwrap(), listing.clone());
        let versions = Versions { items: listing.items, cursor: listing.cursor };
        let buffer = codec::encode_versions(&versions);
        prop_assert_eq!(codec::decode_versions(&buffer), Ok(versions.clone()));
        prop_assert_eq!(codec::decode_listing(&buffer), Err(CodecError::OtherKind));
    }

    #[test]
    fn buckets_are_read_back_in_both_forms(bucket in bucket()) {
        prop_assert_eq!(codec::decode_bucket(&codec::encode_bucket(&bucket)), Ok(bucket.clone()));
        let json = serde_json::to_vec(&bucket).unwrap();
        prop_assert_eq!(&serde_json::from_slice::<Bucket>(&json).unwrap(), &bucket);
        let entry = BucketEntry { name: bucket.name, created: bucket.created, kind: bucket.config.kind };
        let buckets = Buckets { buckets: vec![entry.clone(), entry] };
        prop_assert_eq!(codec::decode_buckets(&codec::encode_buckets(&buckets)), Ok(buckets.clone()));
        let json = serde_json::to_vec(&buckets).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Buckets>(&json).unwrap(), buckets);
    }

    #[test]
    fn a_damaged_buffer_is_refused_or_read_without_a_panic(
        listing in listing(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut buffer = codec::encode_listing(&listing);
        for (place, byte) in flips {
            let place = place.index(buffer.len());
            buffer[place] = byte;
        }
        let _ = codec::decode_listing(&buffer);
        buffer.truncate(cut.index(buffer.len()));
        let _ = codec::decode_listing(&buffer);
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in vec(any::<u8>(), 0..200), text in "\\PC{0,60}", whole in any::<u64>()) {
        prop_assert!(codec::decode_problem(&bytes).is_err());
        prop_assert!(codec::decode_buckets(&bytes).is_err());
        let _ = accept::negotiate([text.as_str()]);
        let _ = ByteRange::parse(&format!("bytes={text}"), whole);
        let _ = date::parse(&text);
        let _ = condition::ReadConditions::parse(|_| Some(&text));
        let mut guard = HeadGuard::new();
        guard.observe(&bytes, |_| {});
    }

    #[test]
    fn a_range_lies_inside_its_object(first in any::<u64>(), last in any::<u64>(), whole in any::<u64>()) {
        if let Ok(range) = ByteRange::parse(&format!("bytes={first}-{last}"), whole) {
            prop_assert!(!range.is_empty() && range.first() <= whole - range.len());
        }
    }
}

#[test]
fn a_request_without_a_route_is_told_why() {
    let long_key = "k".repeat(1025);
    let long_path = format!("/v1/abc/{}", "k".repeat(9000));
    for (method, path, code, kind) in [
        ("GET", "/", "NoSuchRoute", Kind::NotFound),
        ("GET", "", "NoSuchRoute", Kind::NotFound),
        ("GET", "/v2", "NoSuchRoute", Kind::NotFound),
        ("GET", "/v1x", "NoSuchRoute", Kind::NotFound),
        ("GET", "/v1/", "NotCanonical", Kind::Invalid),
        ("GET", "/v1?", "NotCanonical", Kind::Invalid),
        ("GET", "/v1/abc/", "NotCanonical", Kind::Invalid),
        ("GET", "/v1/abc?", "NotCanonical", Kind::Invalid),
        ("GET", "/v1/abc/a%2Fb", "NotCanonical", Kind::Invalid),
        ("GET", "/v1/abc/a%20b%2f", "NotCanonical", Kind::Invalid),
        ("GET", "/v1/abc/a+b", "NotCanonical", Kind::Invalid),
        ("GET", "/v1/abc/%61", "NotCanonical", Kind::Invalid),
        ("GET", "/v1/abc/%FF", "NotCanonical", Kind::Invalid),
        ("GET", "/v1/abc/k?b=1&a=2", "NotCanonical", Kind::Invalid),
        ("GET", "/v1/abc/k?versions", "NotCanonical", Kind::Invalid),
        ("GET", "/v1/abc/a/../b", "BadKey", Kind::Invalid),
        ("GET", "/v1/abc/a%00", "BadKey", Kind::Invalid),
        ("GET", "/v1/ab", "BadBucketName", Kind::Invalid),
        ("GET", "/v1/ABC/k", "BadBucketName", Kind::Invalid),
        ("GET", "/v1/_other", "BadBucketName", Kind::Invalid),
        ("GET", "/v1/_tx", "MethodNotAllowed", Kind::NotAllowed),
        ("GET", "/v1/_audit", "NoSuchRoute", Kind::NotFound),
        ("GET", "/v1/_audit/none", "NoSuchRoute", Kind::NotFound),
        ("GET", "/v1/_audit/tile/0/0", "NoSuchRoute", Kind::NotFound),
        (
            "GET",
            "/v1/_audit/tile/0/000.p/256",
            "NoSuchRoute",
            Kind::NotFound,
        ),
        (
            "POST",
            "/v1/_audit/checkpoint",
            "MethodNotAllowed",
            Kind::NotAllowed,
        ),
        ("GET", "/v1/abc/_find", "MethodNotAllowed", Kind::NotAllowed),
        ("GET", "/v1/abc/batch", "MethodNotAllowed", Kind::NotAllowed),
        ("PUT", "/v1/_stats", "MethodNotAllowed", Kind::NotAllowed),
        ("GET", "/v1/_dryrun", "MethodNotAllowed", Kind::NotAllowed),
        ("POST", "/v1/_dryrun/x", "BadBucketName", Kind::Invalid),
        (
            "PUT",
            "/v1/abc/k?at=2026-01-02T03%3A04%3A05.006Z",
            "MethodNotAllowed",
            Kind::NotAllowed,
        ),
        ("POST", "/v1/abc/k?link=x", "MethodNotAllowed", Kind::NotAllowed),
        ("DELETE", "/v1/abc/k?link=x", "MethodNotAllowed", Kind::NotAllowed),
        (
            "GET",
            "/v1/abc/k?copy=%2Fabc%2Fx",
            "MethodNotAllowed",
            Kind::NotAllowed,
        ),
        (
            "POST",
            "/v1/abc/k?multipart=x&part=1",
            "MethodNotAllowed",
            Kind::NotAllowed,
        ),
        (
            "PUT",
            "/v1/abc/k?version=01JGFJJZ00AAAAAAAAAAAAAAAA",
            "MethodNotAllowed",
            Kind::NotAllowed,
        ),
        ("PUT", "/v1/abc/scan", "ReservedKey", Kind::Invalid),
        ("PUT", "/v1/abc/batch", "ReservedKey", Kind::Invalid),
        ("PUT", "/v1/abc/_find/x", "ReservedKey", Kind::Invalid),
        ("DELETE", "/v1/abc/_changes", "ReservedKey", Kind::Invalid),
        ("LINK", "/v1/abc/k", "MethodNotAllowed", Kind::NotAllowed),
        ("get", "/v1", "MethodNotAllowed", Kind::NotAllowed),
        ("POST", "/v1/abc/k", "MethodNotAllowed", Kind::NotAllowed),
        ("HEAD", "/v1/abc/scan", "MethodNotAllowed", Kind::NotAllowed),
        ("PUT", "/v1/abc?force=true", "MethodNotAllowed", Kind::NotAllowed),
        ("GET", &format!("/v1/abc/{long_key}"), "BadKey", Kind::Invalid),
        ("GET", &long_path, "UriTooLong", Kind::UriTooLong),
    ] {
        let error = route::parse(method, path).unwrap_err();
        assert_eq!((error.code(), error.kind()), (code, kind), "{method} {path}");
    }
    assert_eq!(
        route::parse("POST", "/v1/abc/k"),
        Err(RouteError::Method(vec![
            Method::Get,
            Method::Head,
            Method::Put,
            Method::Delete,
            Method::Patch
        ]))
    );
}

#[test]
fn keys_that_look_like_routes_are_keys() {
    for (path, key) in [
        ("/v1/abc//", "/"),
        ("/v1/abc/scan/", "scan/"),
        ("/v1/abc/_static/x", "_static/x"),
        ("/v1/abc/a%3Fb", "a?b"),
        ("/v1/abc/v1//x", "v1//x"),
    ] {
        let route = route::parse("PUT", path).unwrap();
        assert_eq!(route.target.key().map(ObjectKey::as_str), Some(key), "{path}");
    }
}

#[test]
fn a_parameter_is_known_in_range_and_fits_the_others() {
    for (path, code) in [
        ("/v1?limit=5", "BadParameter"),
        ("/v1/abc?prefix=a", "BadParameter"),
        ("/v1/abc/k?download=true", "BadParameter"),
        ("/v1/abc/k?version=01jgfjjz00aaaaaaaaaaaaaaaa", "BadParameter"),
        ("/v1/abc/k?version=", "BadParameter"),
        (
            "/v1/abc/k?version=01JGFJJZ00AAAAAAAAAAAAAAAA&versions=true",
            "BadParameter",
        ),
        ("/v1/abc/k?versions=false", "BadParameter"),
        ("/v1/abc/k?limit=5&versions=TRUE", "BadParameter"),
        ("/v1/abc/scan?limit=0", "BadParameter"),
        ("/v1/abc/scan?limit=1001", "BadParameter"),
        ("/v1/abc/scan?limit=%2B5", "BadParameter"),
        ("/v1/abc/scan?limit=05", "BadParameter"),
        ("/v1/abc/scan?limit=", "BadParameter"),
        ("/v1/abc/scan?limit=99999999999999999999999", "BadParameter"),
        ("/v1/abc/scan?delimiter=", "BadParameter"),
        ("/v1/abc/scan?reverse=1", "BadParameter"),
        ("/v1/abc/scan?prefix=a%2F..%2F", "BadParameter"),
        ("/v1/abc/scan?after=%00", "BadParameter"),
        ("/v1/abc/scan?tag=", "BadParameter"),
        ("/v1/abc/scan?tag=b%3D1%26a%3D2", "BadParameter"),
        ("/v1/abc/k?at=2026-01-02", "BadParameter"),
        ("/v1/abc/k?limit=1&link=x", "BadParameter"),
        (
            "/v1/abc/k?link=x&version=01JGFJJZ00AAAAAAAAAAAAAAAA",
            "BadParameter",
        ),
        ("/v1/abc/scan?link=x", "BadParameter"),
        ("/v1/abc?link=x", "BadParameter"),
        (
            "/v1/abc/k?at=2026-01-02T03%3A04%3A05.006Z&limit=1",
            "BadParameter",
        ),
        ("/v1/abc/k?multipart=x", "BadParameter"),
        (
            "/v1/abc/k?at=2026-01-02T03%3A04%3A05.006Z&version=01JGFJJZ00AAAAAAAAAAAAAAAA",
            "BadParameter",
        ),
        ("/v1/abc/scan?versions=true", "BadParameter"),
    ] {
        let error = route::parse("GET", path).unwrap().parameters().unwrap_err();
        assert_eq!((error.code(), error.kind()), (code, Kind::Invalid), "{path}");
    }
    for (method, path) in [
        ("POST", "/v1/abc/k?copy="),
        ("POST", "/v1/abc/k?copy=abc%2Fx"),
        ("POST", "/v1/abc/k?copy=%2FABC%2Fx"),
        ("POST", "/v1/abc/k?copy=%2Fabc%2F"),
        ("POST", "/v1/abc/k?copy=%2Fabc%2Fscan"),
        ("POST", "/v1/abc/k?copy=%2Fabc%2Fx&copy_version=1"),
        ("POST", "/v1/abc/k?multipart=begin&part_bytes=5242880"),
        ("POST", "/v1/abc/k?multipart=start&part_bytes=x"),
        ("POST", "/v1/abc/k?multipart=start&part_bytes=05"),
        (
            "PUT",
            "/v1/abc/k?multipart=00112233445566778899aabbccddeeff&part=0",
        ),
        (
            "PUT",
            "/v1/abc/k?multipart=00112233445566778899aabbccddeeff&part=10001",
        ),
        (
            "PUT",
            "/v1/abc/k?multipart=00112233445566778899AABBCCDDEEFF&part=1",
        ),
    ] {
        let error = route::parse(method, path).unwrap().parameters().unwrap_err();
        assert_eq!(error.code(), "BadParameter", "{path}");
    }
    let route = route::parse("POST", "/v1/abc/k?copy=%2Fabc%2Fa%20b%2F%25").unwrap();
    let Parameters::Copy(source) = route.parameters().unwrap() else {
        panic!("not a copy")
    };
    assert_eq!((source.bucket.as_str(), source.key.as_str()), ("abc", "a b/%"));
    let route = route::parse(
        "GET",
        "/v1/abc/scan?after=&delimiter=%2F&limit=7&prefix=a%2F&reverse=true",
    )
    .unwrap();
    let Parameters::Scan(query) = route.parameters().unwrap() else {
        panic!("not a scan")
    };
    assert_eq!(
        (query.prefix.as_str(), query.limit, query.reverse),
        ("a/", 7, true)
    );
    assert_eq!(
        (query.after.as_deref(), query.delimiter.as_deref()),
        (Some(""), Some("/"))
    );
}

#[test]
fn a_refusal_does_not_repeat_what_the_caller_wrote() {
    let error = route::parse("GET", "/v1/abc/k?secret-word=1")
        .unwrap()
        .parameters()
        .unwrap_err();
    assert!(!error.to_string().contains("secret-word"), "{error}");
}

#[test]
fn json_shapes_are_those_of_the_document() {
    let item = Item {
        key: ObjectKey::parse("a b/cat.jpg").unwrap(),
        version: VersionId::parse("01JGFJJZ00AAAAAAAAAAAAAAAA").unwrap(),
        etag: Some(ContentHash::from_bytes([0xab; 32])),
        size: 11,
        content_type: Some("image/jpeg".to_owned()),
        modified: UnixMillis::parse("2026-01-02T03:04:05.006Z").unwrap(),
        tags: BTreeMap::from([("colour".to_owned(), "red".to_owned())]),
        deleted: false,
    };
    let tombstone = Item {
        etag: None,
        size: 0,
        content_type: None,
        tags: BTreeMap::new(),
        deleted: true,
        ..item.clone()
    };
    let listing = Listing {
        items: vec![item, tombstone],
        prefixes: Some(vec!["dogs/".to_owned()]),
        cursor: None,
    };
    assert_eq!(
        serde_json::to_string(&listing).unwrap(),
        format!(
            concat!(
                r#"{{"items":[{{"key":"a b/cat.jpg","version":"01JGFJJZ00AAAAAAAAAAAAAAAA","etag":"{}","size":11,"#,
                r#""content_type":"image/jpeg","modified":"2026-01-02T03:04:05.006Z","tags":{{"colour":"red"}}}},"#,
                r#"{{"key":"a b/cat.jpg","version":"01JGFJJZ00AAAAAAAAAAAAAAAA","size":0,"#,
                r#""modified":"2026-01-02T03:04:05.006Z","tags":{{}},"deleted":true}}],"prefixes":["dogs/"]}}"#
            ),
            "ab".repeat(32)
        )
    );
    let problem = Problem::new(
        Kind::Unauthenticated,
        "Unauthenticated",
        "not authenticated",
        "0f",
    )
    .with_hint("Expired");
    assert_eq!(
        serde_json::to_string(&problem).unwrap(),
        concat!(
            r#"{"type":"urn:wfldb:problem:Unauthenticated","title":"The request is not authenticated","status":401,"#,
            r#""code":"Unauthenticated","detail":"not authenticated","request_id":"0f","hint":"Expired"}"#
        )
    );
    let buffer = codec::encode_problem(&problem);
    assert_eq!(codec::decode_problem(&buffer).as_ref(), Ok(&problem));
    let json = serde_json::to_vec(&problem).unwrap();
    assert_eq!(serde_json::from_slice::<Problem>(&json).unwrap(), problem);
}
