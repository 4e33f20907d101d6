//! Walks the whole corpus in `schemas/vectors/`. It was written by another implementation.

use std::net::IpAddr;
use std::path::Path;

use serde_json::Value;
use wfldb_core::Kind;
use wfldb_core::auth::{Method, ObjectAttributes, RouteKind, Target, Written, authorize};
use wfldb_core::id::{ContentHash, KeyId, Nonce, PacketHash, SecretKey, SignatureBytes, VersionId};
use wfldb_core::limits::LINKS_MAX;
use wfldb_core::name::{Audience, BucketName, KeyPrefix, ObjectKey, Realm};
use wfldb_core::object::{BucketConfig, ContentDigest, EtagCondition, Tags, format_etag};
use wfldb_core::packet::{self, Grant, PacketError, UrlLink, VerifiedUrlLink};
use wfldb_core::replay::ReplayMemory;
use wfldb_core::request::Window;
use wfldb_core::revocation::{Revocations, Revoked, Terms};
use wfldb_core::time::UnixMillis;
use wfldb_core::verifier::Verifier;

use crate::support::{self, Wire, audience, trust};

/// Code, reason and hint of a refusal.
type Refusal = (&'static str, &'static str, Option<&'static str>);

pub(crate) fn corpus(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../schemas/vectors")
        .join(file);
    let json: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let vectors = json["vectors"].as_array().unwrap().clone();
    assert!(vectors.len() > 20, "{file} holds a corpus");
    assert!(
        vectors.iter().any(|vector| vector.get("code").is_none()),
        "{file} has positive vectors"
    );
    vectors
}

pub(crate) fn text<'a>(vector: &'a Value, member: &str) -> &'a str {
    vector[member]
        .as_str()
        .unwrap_or_else(|| panic!("{member} of {vector}"))
}

/// Every file of the corpus is walked by one of the tests here.
#[test]
fn no_file_of_the_corpus_is_left_out() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/vectors");
    let mut files: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "content.json",
            "grants.json",
            "ids.json",
            "links.json",
            "names.json",
            "packets.json",
            "requests.json",
            "revocations.json",
            "sessions.json",
            "times.json"
        ]
    );
}

/// Reads a text as its kind; gives its wire form, or the code of the refusal.
fn read_text(kind: &str, text: &str) -> Result<String, &'static str> {
    macro_rules! read {
        ($parse:expr) => {
            $parse.map(|value| value.to_string()).map_err(|error| {
                assert_eq!(error.kind(), Kind::Invalid);
                error.code()
            })
        };
    }
    match kind {
        "bucket" => read!(BucketName::parse(text)),
        "key" => read!(ObjectKey::parse(text)),
        "writable_key" => read!(ObjectKey::parse(text).and_then(|key| key.check_writable().map(|()| key))),
        "prefix" => read!(KeyPrefix::parse(text)),
        "realm" => read!(Realm::parse(text)),
        "audience" => read!(Audience::parse(text)),
        "key_id" => read!(KeyId::parse(text)),
        "secret_key" => read!(SecretKey::parse(text).map(|key| key.to_wire().as_str().to_owned())),
        "version" => read!(VersionId::parse(text)),
        "nonce" => read!(Nonce::parse(text)),
        "signature" => read!(SignatureBytes::parse(text)),
        "hash" => read!(ContentHash::parse(text)),
        "time" => read!(UnixMillis::parse(text)),
        "content" => read!(ContentDigest::parse(text)),
        "tags" => read!(Tags::parse(text)),
        "if_match" => read!(EtagCondition::parse(text).map(|condition| match condition {
            EtagCondition::Any => "*".to_owned(),
            EtagCondition::Is(etag) => format_etag(&etag),
        })),
        "bucket_config" => read!(BucketConfig::parse_json(text.as_bytes()).map(|_| text)),
        _ => panic!("unknown kind {kind}"),
    }
}

#[test]
fn texts_of_the_corpus_are_read_or_refused_as_it_says() {
    for file in ["names.json", "ids.json", "times.json", "content.json"] {
        for vector in corpus(file) {
            let expected = match vector.get("code") {
                None => Ok(text(&vector, "text").to_owned()),
                Some(code) => Err(code.as_str().unwrap()),
            };
            let found = read_text(text(&vector, "kind"), text(&vector, "text"));
            assert_eq!(
                found.as_ref().map_err(|code| *code),
                expected.as_ref().map_err(|code| *code),
                "{vector}"
            );
        }
    }
}

pub(crate) fn expected_refusal(vector: &Value) -> Option<(String, String, Option<String>)> {
    let member = |name: &str| vector.get(name).map(|value| value.as_str().unwrap().to_owned());
    Some((member("code")?, member("reason")?, member("hint")))
}

fn owned((code, reason, hint): Refusal) -> (String, String, Option<String>) {
    (code.to_owned(), reason.to_owned(), hint.map(str::to_owned))
}

#[test]
fn packets_of_the_corpus_are_verified_or_refused_as_it_says() {
    for vector in corpus("packets.json") {
        let now = UnixMillis::parse(text(&vector, "now")).unwrap();
        let found = packet::verify(text(&vector, "token"), &trust(), &audience(), now);
        match (expected_refusal(&vector), found) {
            (None, Ok(packet)) => {
                assert_eq!(packet.hash(), PacketHash::parse(text(&vector, "hash")).unwrap());
                let parsed = packet::Packet::parse(text(&vector, "token")).unwrap();
                let links: Vec<_> = parsed.links().map(|link| link.claims().clone()).collect();
                assert_eq!(packet.links(), links);
                assert!(packet.links().len() <= LINKS_MAX);
            }
            (Some((code, reason, _)), Err(error)) => {
                assert_eq!(
                    (error.code(), error.reason()),
                    (code.as_str(), reason.as_str()),
                    "{vector}"
                );
                assert_eq!(error.kind(), Kind::Unauthenticated);
            }
            (_, found) => panic!("{vector} gave {found:?}"),
        }
    }
}

fn url_link(token: &str, now: Option<UnixMillis>) -> Result<VerifiedUrlLink, PacketError> {
    let link = UrlLink::parse(token)?;
    let packet = packet::verify_signatures(link.packet_token(), &trust(), &audience())?;
    let link = link.verify(&packet)?;
    now.map_or(Ok(()), |now| link.check_time(now))?;
    Ok(link)
}

#[test]
fn links_of_the_corpus_are_verified_or_refused_as_it_says() {
    for vector in corpus("links.json") {
        let now = UnixMillis::parse(text(&vector, "now")).unwrap();
        match (
            expected_refusal(&vector),
            url_link(text(&vector, "token"), Some(now)),
        ) {
            (None, Ok(link)) => {
                assert_eq!(link.hash(), PacketHash::parse(text(&vector, "hash")).unwrap());
            }
            (Some((code, reason, _)), Err(error)) => {
                assert_eq!(
                    (error.code(), error.reason()),
                    (code.as_str(), reason.as_str()),
                    "{vector}"
                );
            }
            (_, found) => panic!("{vector} gave {found:?}"),
        }
    }
}

/// A defect it catches: the hash of a link that is no part of its chain.
#[test]
fn what_the_corpus_revokes_ends_what_it_says() {
    for vector in corpus("revocations.json") {
        let mut set = Revocations::default();
        for pair in vector["revoked"].as_array().unwrap() {
            let what = Revoked::parse(pair[0].as_str().unwrap()).unwrap();
            let terms = Terms {
                issued_until: pair[1].as_u64().unwrap(),
                kept_until: None,
                share: None,
            };
            set.insert(what, terms);
        }
        let chain = if vector.get("link").is_some() {
            url_link(text(&vector, "link"), None).unwrap().chain().clone()
        } else {
            let token = text(&vector, "token");
            let packet = packet::verify_signatures(token, &trust(), &audience()).unwrap();
            packet.chain().clone()
        };
        assert_eq!(set.covers(&chain), vector["covered"], "{vector}");
    }
}

fn receive(wire: &Wire, now: UnixMillis, memory: &mut ReplayMemory) -> Result<Vec<u8>, Refusal> {
    macro_rules! refusal {
        () => {
            |error| (error.code(), error.reason(), error.hint())
        };
    }
    let request = wire.parse().map_err(refusal!())?;
    request.check_time(now, Window::default()).map_err(refusal!())?;
    let packet =
        packet::verify_signatures(request.packet_token(), &trust(), &audience()).map_err(refusal!())?;
    let canonical = request.canonical_bytes(&audience(), &packet);
    let request = request
        .verify(&packet, &audience(), &Verifier::default())
        .map_err(refusal!())?;
    assert_eq!(request.evidence().canonical, canonical);
    let request = request.fresh(memory, now).map_err(refusal!())?;
    Ok(request.evidence().unwrap().canonical.clone())
}

#[test]
fn requests_of_the_corpus_are_accepted_or_refused_as_it_says() {
    for vector in corpus("requests.json") {
        let header = |pair: &Value| {
            (
                pair[0].as_str().unwrap().to_owned(),
                pair[1].as_str().unwrap().as_bytes().to_vec(),
            )
        };
        let wire = Wire {
            method: text(&vector, "method").to_owned(),
            target: text(&vector, "target").to_owned(),
            headers: vector["headers"].as_array().unwrap().iter().map(header).collect(),
        };
        let now = UnixMillis::parse(text(&vector, "now")).unwrap();
        let mut memory = ReplayMemory::new(10, 10);
        let times = vector.get("times").map_or(1, |times| times.as_u64().unwrap());
        let mut verdict = receive(&wire, now, &mut memory);
        for _ in 1..times {
            verdict = receive(&wire, now, &mut memory);
        }
        match (expected_refusal(&vector), verdict) {
            (None, Ok(canonical)) => {
                assert_eq!(
                    canonical.len() as u64,
                    vector["canonical_bytes"].as_u64().unwrap(),
                    "{vector}"
                );
                assert_eq!(
                    ContentHash::of(&canonical).to_string(),
                    text(&vector, "canonical_blake3"),
                    "{vector}"
                );
            }
            (Some(expected), Err(refusal)) => assert_eq!(owned(refusal), expected, "{vector}"),
            (_, verdict) => panic!("{vector} gave {verdict:?}"),
        }
    }
}

fn route(name: &str) -> RouteKind {
    match name {
        "buckets" => RouteKind::Buckets,
        "bucket" => RouteKind::Bucket,
        "force" => RouteKind::BucketForce,
        "object" => RouteKind::Object,
        "version" => RouteKind::ObjectVersion,
        "versions" => RouteKind::ObjectVersions,
        "undelete" => RouteKind::ObjectUndelete,
        "scan" => RouteKind::Scan,
        _ => panic!("unknown route {name}"),
    }
}

fn grants(list: &Value) -> Vec<Grant> {
    let grants = list.as_array().unwrap().iter();
    grants
        .map(|grant| Grant::parse_json(&grant.to_string()).unwrap())
        .collect()
}

#[test]
fn grants_of_the_corpus_allow_or_forbid_as_it_says() {
    for vector in corpus("grants.json") {
        // A list of grants, or one for each link of a chain.
        let caps: Vec<Vec<Grant>> = match vector.get("chain") {
            Some(chain) => chain.as_array().unwrap().iter().map(grants).collect(),
            None => vec![grants(&vector["cap"])],
        };
        let route = route(text(&vector, "route"));
        let bucket = vector
            .get("bucket")
            .map(|name| BucketName::parse(name.as_str().unwrap()).unwrap());
        let key = vector
            .get("key")
            .map(|key| ObjectKey::parse(key.as_str().unwrap()).unwrap());
        let target = match (bucket, key) {
            (None, _) => Target::Store,
            (Some(bucket), Some(key)) => Target::Key(bucket, key),
            (Some(bucket), None) if route == RouteKind::Scan => Target::Listing(bucket),
            (Some(bucket), None) => Target::Bucket(bucket),
        };
        let put = vector.get("put").map(|put| ObjectAttributes {
            content_type: put.get("content_type").map(|kind| kind.as_str().unwrap()),
            len: put["len"].as_u64().unwrap(),
        });
        let method = Method::parse(text(&vector, "method")).unwrap();
        let peer: IpAddr = text(&vector, "peer").parse().unwrap();
        let links = support::chain_claims(&caps);
        let request = support::fresh_with(&support::issue_chain(&links), method, &target.path());
        match (
            vector.get("code"),
            authorize(
                request,
                method,
                route,
                target,
                peer,
                put.map_or(Written::Later, Written::Known),
            ),
        ) {
            (Some(code), Err(error)) => assert_eq!(error.code(), code.as_str().unwrap()),
            (None, Ok(proof)) => {
                assert_eq!(proof.op().as_str(), text(&vector, "op"), "{vector}");
                let charged: Vec<_> = proof.charges().iter().map(|charge| charge.grant).collect();
                let expected = vector["charged"].as_array().unwrap().iter().enumerate();
                let expected: Vec<_> = expected
                    .map(|(place, index)| {
                        let link = &links[if vector.get("chain").is_some() { place } else { 0 }];
                        link.cap[usize::try_from(index.as_u64().unwrap()).unwrap()].id(&link.iss, &link.sub)
                    })
                    .collect();
                assert_eq!(charged, expected, "{vector}");
                let create_only = vector
                    .get("create_only")
                    .is_some_and(|value| value.as_bool().unwrap());
                assert_eq!(proof.create_only(), create_only, "{vector}");
                let max = vector
                    .get("object_bytes_max")
                    .map(|value| value.as_u64().unwrap());
                assert_eq!(proof.object_bytes_max(), max, "{vector}");
                if let Some(prefixes) = vector.get("prefixes") {
                    let found = proof.visible_prefixes();
                    let found = found.map(|list| list.iter().map(KeyPrefix::to_string).collect::<Vec<_>>());
                    assert_eq!(serde_json::json!(found), *prefixes, "{vector}");
                }
                if let Some(buckets) = vector.get("buckets") {
                    for name in ["docs", "photos", "third"] {
                        let listed = buckets
                            .as_array()
                            .is_none_or(|list| list.contains(&Value::from(name)));
                        assert_eq!(
                            proof.sees_bucket(&BucketName::parse(name).unwrap()),
                            listed,
                            "{vector}"
                        );
                    }
                }
            }
            (_, verdict) => panic!("{vector} gave {verdict:?}"),
        }
    }
}
