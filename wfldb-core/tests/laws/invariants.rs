//! The laws of the design that live in this crate, by their numbers there. Beside each: a defect that
//! was seeded once, and that the test caught.

use std::path::Path;

use proptest::prelude::*;
use wfldb_core::Kind;
use wfldb_core::audit::Resource;
use wfldb_core::auth::{
    AuditPart, Method, ObjectAttributes, RouteKind, Service, Target, Written, authorize, required,
};
use wfldb_core::encoding::base64url;
use wfldb_core::limits::{
    HEADER_FIELDS_MAX, HEADER_LIST_BYTES_MAX, KEY_BYTES_MAX, PACKET_BYTES_MAX, PATH_BYTES_MAX,
};
use wfldb_core::name::{BucketName, KeyPrefix, ObjectKey};
use wfldb_core::object::{BucketConfig, HeaderText, ObjectHeaders, Tags};
use wfldb_core::packet::{Grant, Packet, PacketError};
use wfldb_core::request::{RequestError, SignedRequest};

use crate::support::{fresh, issue};

fn object_target(key: &str) -> Target {
    Target::Key(
        BucketName::parse("photos").unwrap(),
        ObjectKey::parse(key).unwrap(),
    )
}

/// Invariant 6. A packet that allows everything still allows only what was signed, on a route that has
/// a row. (That nothing else makes the proof, the `compile_fail` examples of `auth` show.)
///
/// Seeded defect: the comparison with the signed path taken out of `authorize`; the second assertion
/// failed. The same for the method, with the third.
#[test]
fn no_access_without_an_authorized_proof_of_what_was_signed() {
    let peer = "127.0.0.1".parse().unwrap();
    let everything = || vec![Grant::everything()];
    let ask = |signed: (Method, &str), method, route, target| {
        authorize(
            fresh(signed.0, signed.1, everything()),
            method,
            route,
            target,
            peer,
            Written::Later,
        )
    };
    let signed = (Method::Get, "/v1/photos/cat");
    let proof = ask(signed, Method::Get, RouteKind::Object, object_target("cat")).unwrap();
    assert_eq!(
        proof.actor().to_string(),
        crate::support::claims(Vec::new()).sub.to_string()
    );
    assert!(ask(signed, Method::Get, RouteKind::Object, object_target("dog")).is_err());
    assert!(ask(signed, Method::Head, RouteKind::Object, object_target("cat")).is_err());
    assert!(ask(signed, Method::Delete, RouteKind::Object, object_target("cat")).is_err());
    assert!(ask(signed, Method::Get, RouteKind::Scan, object_target("cat")).is_err());
    let bucket = || Target::Bucket(BucketName::parse("photos").unwrap());
    assert!(ask(signed, Method::Get, RouteKind::Bucket, bucket()).is_err());
    for route in RouteKind::ALL {
        for method in Method::ALL {
            let target = match route {
                RouteKind::Buckets => Target::Store,
                RouteKind::Bucket | RouteKind::BucketForce => bucket(),
                RouteKind::Scan => Target::Listing(BucketName::parse("photos").unwrap()),
                RouteKind::Find => Target::Find(BucketName::parse("photos").unwrap()),
                RouteKind::Explain => Target::Explain(BucketName::parse("photos").unwrap()),
                RouteKind::Changes => Target::Changes(BucketName::parse("photos").unwrap()),
                RouteKind::Search | RouteKind::SearchRebuild => {
                    Target::Search(BucketName::parse("photos").unwrap())
                }
                RouteKind::Batch => Target::Batch(BucketName::parse("photos").unwrap()),
                RouteKind::Indexes => Target::Indexes(BucketName::parse("photos").unwrap()),
                RouteKind::Aggregate => Target::Aggregate(BucketName::parse("photos").unwrap()),
                RouteKind::Bulk => Target::Bulk(BucketName::parse("photos").unwrap()),
                RouteKind::Schema => Target::Schema(BucketName::parse("photos").unwrap()),
                RouteKind::Stats => Target::Service(Service::Stats),
                RouteKind::Admin => Target::Service(Service::Admin),
                RouteKind::Backup => Target::Service(Service::Backup),
                RouteKind::DryRun => Target::Service(Service::DryRun),
                RouteKind::Session => Target::Service(Service::Session),
                RouteKind::Keys => Target::Service(Service::Keys),
                RouteKind::Tx => Target::Service(Service::Tx),
                RouteKind::AuditLog => Target::Audit(AuditPart::Published(Resource::Checkpoint)),
                RouteKind::AuditProof => Target::Audit(AuditPart::Proof),
                RouteKind::AuditConsistency => Target::Audit(AuditPart::Consistency),
                RouteKind::AuditReceipt => Target::Audit(AuditPart::Receipt),
                _ => object_target("cat"),
            };
            let allowed = ask((method, &target.path()), method, route, target.clone()).is_ok();
            // What only a link opens is shut to a signature.
            let expected = required(method, route).is_some() && route != RouteKind::ObjectLink;
            assert_eq!(allowed, expected, "{method} {route:?}");
        }
    }
    let put = ObjectAttributes {
        content_type: None,
        len: 0,
    };
    let nothing = fresh(Method::Put, "/v1/photos/cat", Vec::new());
    assert!(
        authorize(
            nothing,
            Method::Put,
            RouteKind::Object,
            object_target("cat"),
            peer,
            Written::Known(put)
        )
        .is_err()
    );
}

/// Invariant 6, the other half: the source of this crate has three functions that give the proof.
///
/// Seeded defect: `impl Default for Authorized`; the count was four.
#[test]
fn the_proof_has_three_constructors() {
    let mut makers = Vec::new();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            let in_type = source.contains("pub struct Authorized ");
            for line in source
                .lines()
                .filter(|line| line.contains("fn ") && !line.starts_with("//"))
            {
                let result = line.split("->").nth(1).unwrap_or_default();
                let gives_proof =
                    result.contains("Authorized") || (in_type && result.trim_start().starts_with("Self"));
                if gives_proof && !line.contains("fn unrestricted") {
                    makers.push(line.trim().split('(').next().unwrap().to_owned());
                }
            }
            // `authorize` spans several lines; its result stands on a line of its own.
            for line in source
                .lines()
                .filter(|line| line.starts_with(") -> Result<Authorized"))
            {
                makers.push(line.to_owned());
            }
        }
    }
    makers.sort();
    assert_eq!(
        makers,
        [
            ") -> Result<Authorized, Forbidden> {",
            "pub fn local",
            "pub fn system"
        ]
    );
}

/// Invariant 9, first half. Everything here is too large and malformed at once; that the answer is
/// about the size shows that the size was looked at first.
///
/// Seeded defect: the size check of `Packet::parse` moved below the decoding; the packet was
/// refused as `Form`. The same for `check_sizes` in `SignedRequest::parse`: `Method` came first.
#[test]
fn what_comes_from_outside_is_bounded_before_it_is_parsed() {
    let huge = "\u{1}".repeat(1 << 20);
    assert_eq!(Packet::parse(&huge).unwrap_err(), PacketError::TooLarge);
    assert_eq!(
        Packet::parse(&"!".repeat(PACKET_BYTES_MAX + 1)).unwrap_err(),
        PacketError::TooLarge
    );
    assert_eq!(
        Packet::parse(&"!".repeat(PACKET_BYTES_MAX)).unwrap_err(),
        PacketError::Form
    );

    let long = format!("bad{}", "%".repeat(PATH_BYTES_MAX));
    assert_eq!(
        SignedRequest::parse("BREW", &long, &[]).unwrap_err(),
        RequestError::UriTooLong
    );
    let many = vec![("bad header", &b"\n"[..]); HEADER_FIELDS_MAX + 1];
    assert_eq!(
        SignedRequest::parse("BREW", "bad", &many).unwrap_err(),
        RequestError::HeadersTooLarge
    );
    let large = vec![b'\n'; HEADER_LIST_BYTES_MAX];
    assert_eq!(
        SignedRequest::parse("BREW", "bad", &[("bad header", &large)]).unwrap_err(),
        RequestError::HeadersTooLarge
    );
    assert_eq!(RequestError::UriTooLong.kind(), Kind::UriTooLong);

    assert!(ObjectKey::parse(&"k".repeat(KEY_BYTES_MAX + 1)).is_err());
    assert!(HeaderText::parse(&"v".repeat(8 * 1024 + 1)).is_err());
    assert!(BucketConfig::parse_json(format!("{{{}}}", " ".repeat(16 * 1024)).as_bytes()).is_err());
    // Depth costs nothing: it is refused at the limit, not by the end of the stack.
    let deep = format!("{{\"b\":{}", "[".repeat(1 << 20));
    assert_eq!(Grant::parse_json(&deep).unwrap_err(), PacketError::Json);
    let claims = base64url::encode("[".repeat(6000).as_bytes());
    let token = issue(Vec::new());
    let (head, signature) = (
        token.split('.').next().unwrap(),
        token.rsplit('.').next().unwrap(),
    );
    assert_eq!(
        Packet::parse(&format!("{head}.{claims}.{signature}")).unwrap_err(),
        PacketError::Json
    );
}

proptest! {
    /// Invariant 9, second half. Whatever a parser accepts satisfies the rule of its type, stated here
    /// a second time, and no text makes one panic.
    ///
    /// Seeded defect: the check of segments left out of `ObjectKey::parse`; `..` was found.
    #[test]
    fn what_was_parsed_cannot_hold_a_bad_value(text in prop_oneof![any::<String>(), "[a-z./_ü\\x00-\\x20\\x7f-]{0,12}", "(\\.|\\.\\.|/|a){0,5}"]) {
        let control = text.chars().any(|character| character.is_ascii_control());
        let dots = text.split('/').any(|segment| segment == "." || segment == "..");
        let key_fits = !text.is_empty() && text.len() <= 1024 && !control && !dots;
        prop_assert_eq!(ObjectKey::parse(&text).is_ok(), key_fits);
        if let Ok(bucket) = BucketName::parse(&text) {
            prop_assert!((3..=63).contains(&bucket.as_str().len()));
            prop_assert!(bucket.as_str().trim_matches('-') == bucket.as_str());
        }
        // A prefix is exactly what some key begins with: one more character shows it.
        let grows = ["", "x"].iter().any(|more| ObjectKey::parse(&format!("{text}{more}")).is_ok());
        prop_assert_eq!(KeyPrefix::parse(&text).is_ok(), grows);
        let _ = (Tags::parse(&text), Grant::parse_json(&text), Packet::parse(&text), HeaderText::parse(&text));
        let _ = ObjectHeaders::parse([("content-type", text.as_str()), ("x-wfldb-meta-a", text.as_str())]);
    }
}
