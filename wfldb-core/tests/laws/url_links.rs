//! Links: never more than their signer has, for one method and their keys, on their route, for a while.

use std::net::IpAddr;
use std::sync::OnceLock;

use proptest::prelude::*;
use wfldb_core::auth::{
    Authorized, Method, ObjectAttributes, Op, RouteKind, Service, Target, Written, authorize, required,
};
use wfldb_core::encoding::base64url;
use wfldb_core::id::{Role, SecretKey};
use wfldb_core::limits::{LINK_SECONDS_MAX, LINK_USES_MAX};
use wfldb_core::name::{BucketName, KeyPrefix, ObjectKey};
use wfldb_core::object::ContentDigest;
use wfldb_core::packet::{
    self, Grant, GrantLimits, Packet, PacketError, UrlLink, UrlLinkClaims, UrlLinkKeys, UrlLinkMethod,
    issue_url_link,
};
use wfldb_core::request::{ArrivedRequest, FreshError, FreshRequest, RequestError};
use wfldb_core::time::UnixMillis;

use crate::authorization::{Question, grant, question};
use crate::support::{NOW, audience, chain_claims, client, fresh_with, issue_chain, middle, trust, verified};

fn peer() -> IpAddr {
    "10.1.2.3".parse().unwrap()
}

fn photos() -> BucketName {
    BucketName::parse("photos").unwrap()
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

/// A chain of at most three links that may be passed on once more.
fn chain(caps: &[Vec<Grant>]) -> String {
    let mut claims = chain_claims(caps);
    for link in &mut claims {
        link.dlg += 1;
    }
    issue_chain(&claims)
}

fn everything() -> String {
    chain(&[vec![Grant::everything()]])
}

fn claims(method: UrlLinkMethod, keys: UrlLinkKeys) -> UrlLinkClaims {
    UrlLinkClaims {
        iss: client().key_id(Role::Client),
        aud: audience(),
        iat: NOW.seconds(),
        exp: NOW.seconds() + 600,
        jti: "AAECAwQFBgcICQoLDA0ODw".to_owned(),
        method,
        bucket: photos(),
        keys,
        uses: None,
        max_bytes: None,
    }
}

fn to_read(name: &str) -> UrlLinkClaims {
    claims(UrlLinkMethod::Get, UrlLinkKeys::Key(key(name)))
}

fn link(packet: &str, claims: &UrlLinkClaims) -> String {
    issue_url_link(&client(), &Packet::parse(packet).unwrap(), claims).unwrap()
}

fn arrive(
    method: &str,
    path: &str,
    token: &str,
    headers: &[(&str, &str)],
) -> Result<ArrivedRequest, RequestError> {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    ArrivedRequest::parse(method, &format!("{path}?link={token}"), &headers)
}

fn fresh(method: Method, path: &str, token: &str) -> FreshRequest {
    let headers: &[(&str, &str)] = match method {
        Method::Put => &[("content-length", "0")],
        _ => &[],
    };
    let Ok(ArrivedRequest::Link(request)) = arrive(method.as_str(), path, token, headers) else {
        panic!("not by a link");
    };
    let link = UrlLink::parse(request.token()).unwrap();
    let packet = verified(link.packet_token());
    request.fresh(link.verify(&packet).unwrap(), NOW).unwrap()
}

fn ask(
    method: Method,
    route: RouteKind,
    target: &Target,
    token: &str,
    written: Written<'_>,
) -> Option<Authorized> {
    let request = fresh(method, &target.path(), token);
    authorize(request, method, route, target.clone(), peer(), written).ok()
}

fn caps() -> impl Strategy<Value = Vec<Vec<Grant>>> {
    let wide = grant().prop_map(|narrow| Grant {
        ops: Op::ALL.into_iter().filter(|op| *op != Op::Admin).collect(),
        limits: GrantLimits::default(),
        ..narrow
    });
    let either = prop_oneof![grant(), wide];
    proptest::collection::vec(proptest::collection::vec(either, 0..5), 1..=3)
}

fn some_claims() -> impl Strategy<Value = UrlLinkClaims> {
    let keys = prop_oneof![
        prop_oneof![Just("a"), Just("ab"), Just("a/b"), Just("b")]
            .prop_map(|name| UrlLinkKeys::Key(key(name))),
        prop_oneof![Just("a"), Just("a/"), Just("b")]
            .prop_map(|prefix| UrlLinkKeys::Prefix(KeyPrefix::parse(prefix).unwrap())),
    ];
    let bucket = prop_oneof![3 => Just("photos"), 1 => Just("docs")];
    (
        keys,
        any::<bool>(),
        bucket,
        proptest::option::weighted(0.3, 0_u64..6),
    )
        .prop_map(|(keys, reads, bucket, max_bytes)| {
            let reads = reads || matches!(keys, UrlLinkKeys::Prefix(_));
            let method = if reads {
                UrlLinkMethod::Get
            } else {
                UrlLinkMethod::Put
            };
            UrlLinkClaims {
                bucket: BucketName::parse(bucket).unwrap(),
                max_bytes: max_bytes.filter(|_| !reads),
                ..claims(method, keys)
            }
        })
}

fn on_an_object() -> impl Strategy<Value = Question> {
    question().prop_filter("no link is for it", |question| {
        question.route == RouteKind::Object && question.method != Method::Delete
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Defects it catches: the packet's grants not asked; the link's keys not asked; the key compared as a
    /// prefix; the operation not asked, so that a link to read writes.
    #[test]
    fn a_link_gives_what_it_names_and_never_more_than_its_signer_has(
        caps in caps(), question in on_an_object(), claims in some_claims()
    ) {
        let packet = chain(&caps);
        let token = link(&packet, &claims);
        let Question { method, route, target, put } = question;
        let written = put.map_or(Written::Later, |(content_type, len)| {
            Written::Known(ObjectAttributes { content_type, len })
        });
        let own = authorize(
            fresh_with(&packet, method, &target.path()), method, route, target.clone(), peer(), written,
        ).ok();
        let by_link = ask(method, RouteKind::ObjectLink, &target, &token, written);
        let op = if method == Method::Put { Op::Put } else { Op::Get };
        let small = put.is_none_or(|(_, len)| claims.max_bytes.is_none_or(|max| len <= max));
        let named = claims.bucket == photos() && claims.method.op() == op && small && match &claims.keys {
            UrlLinkKeys::Key(only) => target.key() == Some(only),
            UrlLinkKeys::Prefix(prefix) => target.key().unwrap().as_str().starts_with(prefix.as_str()),
        };
        prop_assert_eq!(by_link.is_some(), own.is_some() && named);
        if let Some((by_link, own)) = by_link.zip(own) {
            prop_assert_eq!(by_link.charges(), own.charges());
            prop_assert_eq!(by_link.create_only(), own.create_only());
            prop_assert_eq!(by_link.actor(), own.actor());
            prop_assert!(
                by_link.object_bytes_max().unwrap_or(u64::MAX) <= own.object_bytes_max().unwrap_or(u64::MAX)
            );
            for other in Op::ALL {
                prop_assert_eq!(by_link.may_also(other), other == op);
                // Whatever a handler goes on to do.
                let elsewhere = Target::Key(photos(), key("elsewhere"));
                prop_assert!(by_link.further(other, elsewhere, Written::Later).is_err());
                let same = by_link.further(other, target.clone(), written).is_ok();
                prop_assert_eq!(same, other == op);
            }
        }
    }

    /// Defects it catches: `verify_strict` left out, so that every altered link is believed.
    #[test]
    fn no_altered_link_is_believed(place in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]") {
        static GOOD: OnceLock<String> = OnceLock::new();
        let token = GOOD.get_or_init(|| link(&everything(), &to_read("a")));
        let believed = |token: &str| UrlLink::parse(token).and_then(|link| {
            let packet = packet::verify(link.packet_token(), &trust(), &audience(), NOW)?;
            link.verify(&packet)
        });
        prop_assert!(believed(token).is_ok());
        let at = place.index(token.len());
        let (before, rest) = token.split_at(at);
        let after: String = rest.chars().skip(1).collect();
        let altered = format!("{before}{with}{after}");
        prop_assume!(altered != *token);
        prop_assert!(believed(&altered).is_err());
    }
}

/// Defects it catches: the link not asked for in `authorize`, so that a link opens every route of its key; a signature taken
/// on the route of links.
#[test]
fn a_link_opens_its_route_and_nothing_else_does() {
    let object = Target::Key(photos(), key("a"));
    let mut opened = Vec::new();
    for link_method in [UrlLinkMethod::Get, UrlLinkMethod::Put] {
        let token = link(&everything(), &claims(link_method, UrlLinkKeys::Key(key("a"))));
        for route in RouteKind::ALL {
            for method in Method::ALL {
                let target = match route {
                    RouteKind::Buckets => Target::Store,
                    RouteKind::Bucket | RouteKind::BucketForce => Target::Bucket(photos()),
                    RouteKind::Scan => Target::Listing(photos()),
                    RouteKind::Find => Target::Find(photos()),
                    RouteKind::Explain => Target::Explain(photos()),
                    RouteKind::Changes => Target::Changes(photos()),
                    RouteKind::Search | RouteKind::SearchRebuild => Target::Search(photos()),
                    RouteKind::Batch => Target::Batch(photos()),
                    RouteKind::Indexes => Target::Indexes(photos()),
                    RouteKind::Aggregate => Target::Aggregate(photos()),
                    RouteKind::Bulk => Target::Bulk(photos()),
                    RouteKind::Schema => Target::Schema(photos()),
                    RouteKind::Stats => Target::Service(Service::Stats),
                    RouteKind::Admin => Target::Service(Service::Admin),
                    RouteKind::Backup => Target::Service(Service::Backup),
                    RouteKind::DryRun => Target::Service(Service::DryRun),
                    RouteKind::Session => Target::Service(Service::Session),
                    _ => object.clone(),
                };
                if ask(method, route, &target, &token, Written::Later).is_some() {
                    opened.push((link_method, method, route));
                }
                if route == RouteKind::ObjectLink && required(method, route).is_some() {
                    let signed = fresh_with(&everything(), method, &target.path());
                    let refused = authorize(signed, method, route, target, peer(), Written::Later);
                    assert!(refused.is_err(), "{method}");
                }
            }
        }
    }
    let expected = [
        (UrlLinkMethod::Get, Method::Get, RouteKind::ObjectLink),
        (UrlLinkMethod::Get, Method::Head, RouteKind::ObjectLink),
        (UrlLinkMethod::Put, Method::Put, RouteKind::ObjectLink),
    ];
    assert_eq!(opened, expected);
}

/// A link whose JSON is written by hand, signed by a key.
fn forged(secret: &SecretKey, header: &str, claims: &str) -> String {
    let signed = format!(
        "{}.{}",
        base64url::encode(header.as_bytes()),
        base64url::encode(claims.as_bytes())
    );
    format!("{signed}.{}", secret.sign(signed.as_bytes()))
}

/// Defects it catches: a member that is passed over or misread; a link of eight days; a signer that is not the holder; a
/// packet that may not be passed on; algorithms and types that are chosen by the sender.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases reads best as one")]
fn what_is_not_exactly_a_link_is_refused() {
    let packet = everything();
    let id = client().key_id(Role::Client).to_string();
    let header = format!(r#"{{"alg":"EdDSA","kid":"{id}","typ":"wfldb-link+jwt"}}"#);
    let (iat, exp) = (NOW.seconds(), NOW.seconds() + 600);
    let good = format!(
        r#"{{"iss":"{id}","aud":"wfldb:test-cluster","iat":{iat},"exp":{exp},"jti":"AAECAwQFBgcICQoLDA0ODw","m":"GET","b":"photos","k":"a","prf":"{packet}"}}"#
    );
    let outcome = |header: &str, claims: &str, packet: &str| {
        UrlLink::parse(&forged(&client(), header, claims)).and_then(|link| link.verify(&verified(packet)))
    };
    assert!(
        outcome(&header, &good, &packet).is_ok(),
        "what is altered below is good"
    );
    let week = format!(r#""exp":{}"#, iat + LINK_SECONDS_MAX);
    let longer = format!(r#""exp":{}"#, iat + LINK_SECONDS_MAX + 1);
    let now_to = |text: &str| good.replace(&format!(r#""exp":{exp}"#), text);
    let many = LINK_USES_MAX + 1;
    for (claims, claim) in [
        (now_to(&longer), "exp"),
        (now_to(&format!(r#""exp":{iat}"#)), "exp"),
        (now_to(r#""exp":18446744073709551615"#), "exp"),
        (good.replace(r#""m":"GET""#, r#""m":"POST""#), "m"),
        (good.replace(r#""m":"GET""#, r#""m":"HEAD""#), "m"),
        (good.replace(r#""m":"GET","#, ""), "m"),
        (good.replace(r#""k":"a""#, r#""k":"a","p":"a""#), "k"),
        (good.replace(r#""k":"a","#, ""), "k"),
        (good.replace(r#""k":"a""#, r#""k":"""#), "k"),
        (good.replace(r#""k":"a""#, r#""k":"scan""#), "k"),
        (good.replace(r#""k":"a""#, r#""p":"""#), "k"),
        (
            good.replace(
                r#""m":"GET","b":"photos","k":"a""#,
                r#""m":"PUT","b":"photos","p":"a""#,
            ),
            "k",
        ),
        (good.replace(r#""b":"photos""#, r#""b":"*""#), "b"),
        (good.replace(r#""k":"a""#, r#""k":"a","uses":0"#), "uses"),
        (
            good.replace(r#""k":"a""#, &format!(r#""k":"a","uses":{many}"#)),
            "uses",
        ),
        (good.replace(r#""k":"a""#, r#""k":"a","uses":"1""#), "uses"),
        (
            good.replace(r#""k":"a""#, r#""k":"a","max_bytes":1"#),
            "max_bytes",
        ),
        (good.replace(r#""k":"a""#, r#""k":"a","x":1"#), "unknown"),
        (good.replace(r#""k":"a""#, r#""k":"a","sub":"x""#), "unknown"),
        (good.replace(r#""jti":"A"#, r#""jti":""#), "jti"),
        (good.replace(&format!(r#","prf":"{packet}""#), ""), "prf"),
        (good.replace(&packet, ""), "prf"),
    ] {
        let refused = outcome(&header, &claims, &packet);
        let chain = claim == "prf" && refused.as_ref().err() == Some(&PacketError::Chain("prf"));
        assert!(
            chain || refused.as_ref().err() == Some(&PacketError::Claim(claim)),
            "{claim}: {refused:?}"
        );
    }
    for claims in [
        good.replace(r#""k":"a""#, r#""k":"a","k":"a""#),
        good.replace(r#""iat":"#, r#""iat":1."#),
        format!("{good} x"),
    ] {
        assert_eq!(
            outcome(&header, &claims, &packet).unwrap_err(),
            PacketError::Json,
            "{claims}"
        );
    }
    for header in [
        header.replace("EdDSA", "none"),
        header.replace("EdDSA", "HS256"),
        header.replace("wfldb-link+jwt", "wfldb-kp+jwt"),
        header.replace("wfldb-link+jwt", "JWT"),
        header.replace('}', r#","crit":[]}"#),
        header.replace('}', r#","jwk":"x"}"#),
    ] {
        assert_eq!(
            outcome(&header, &good, &packet).unwrap_err(),
            PacketError::Header,
            "{header}"
        );
    }
    // Where a packet's links would not follow, a link does not either.
    let follows = |claims: String| outcome(&header, &claims, &packet).unwrap_err();
    assert_eq!(
        follows(good.replace("test-cluster", "other")),
        PacketError::Chain("aud")
    );
    assert_eq!(
        follows(good.replace(&format!(r#""iat":{iat}"#), r#""iat":1767323044"#)),
        PacketError::Chain("iat")
    );
    // The packet ends after an hour.
    assert_eq!(follows(now_to(&week)), PacketError::Chain("exp"));
    let narrow = chain_claims(&[vec![Grant::everything()]]);
    let last = issue_chain(&narrow);
    let of_last = good.replace(&packet, &last);
    assert_eq!(
        outcome(&header, &of_last, &last).unwrap_err(),
        PacketError::Chain("dlg")
    );
    // Another's signature, and another's name with it.
    let other = forged(&middle(0), &header, &good);
    let unsigned = UrlLink::parse(&other).and_then(|link| link.verify(&verified(&packet)));
    assert_eq!(unsigned.unwrap_err(), PacketError::Signature);
    let name = middle(0).key_id(Role::Client).to_string();
    let theirs = forged(&middle(0), &header.replace(&id, &name), &good.replace(&id, &name));
    let theirs = UrlLink::parse(&theirs).and_then(|link| link.verify(&verified(&packet)));
    assert_eq!(theirs.unwrap_err(), PacketError::Chain("iss"));
    // Neither is the other.
    assert_eq!(UrlLink::parse(&packet).unwrap_err(), PacketError::Header);
    assert_eq!(
        Packet::parse(&link(&packet, &to_read("a"))).unwrap_err(),
        PacketError::Header
    );
    let unsigned = link(&packet, &to_read("a"));
    let (signed, _) = unsigned.rsplit_once('.').unwrap();
    for token in [
        signed.to_owned(),
        format!("{signed}."),
        String::new(),
        "..".to_owned(),
    ] {
        assert_eq!(UrlLink::parse(&token).unwrap_err(), PacketError::Form, "{token}");
    }
}

/// Defects it catches: the tolerance of packets given to links too; the packet's own end not asked.
#[test]
fn a_link_is_valid_from_its_beginning_to_its_end() {
    let token = link(&everything(), &to_read("a"));
    let at = |seconds: u64| {
        let Ok(ArrivedRequest::Link(request)) = arrive("GET", "/v1/photos/a", &token, &[]) else {
            panic!("not by a link");
        };
        let link = UrlLink::parse(&token).unwrap();
        let packet = verified(link.packet_token());
        let link = link.verify(&packet).unwrap();
        request.fresh(link, UnixMillis::new(seconds * 1000)).err()
    };
    let begins = NOW.seconds();
    assert_eq!(at(begins - 60), None);
    assert_eq!(
        at(begins - 61),
        Some(FreshError::Packet(PacketError::NotYetValid))
    );
    assert_eq!(at(begins + 599), None);
    assert_eq!(at(begins + 600), Some(FreshError::Packet(PacketError::Expired)));
}

/// Defects it catches: a second credential that is passed over; a header of ours that nobody signed; a put without a
/// length.
#[test]
fn a_request_by_a_link_has_no_header_of_ours() {
    let token = link(&everything(), &to_read("a"));
    let get = |headers: &[(&str, &str)]| arrive("GET", "/v1/photos/a", &token, headers);
    let arrived = get(&[
        ("range", "bytes=0-1"),
        ("cookie", "a=b"),
        ("origin", "https://example.org"),
        ("cache-control", "no-cache"),
        ("content-type", "text/plain"),
        ("accept", "*/*"),
    ])
    .unwrap();
    let names: Vec<_> = arrived.head().signed_headers().collect();
    assert_eq!(names, [("range", "bytes=0-1")]);
    for name in wfldb_core::request::header::ALL {
        assert_eq!(get(&[(name, "x")]).err(), Some(RequestError::NotCanonical(name)));
    }
    for name in ["x-wfldb-ttl", "x-wfldb-meta-a", "x-wfldb-tags", "x-wfldb-new"] {
        assert_eq!(get(&[(name, "1")]).err(), Some(RequestError::UnsignedHeader));
    }
    let twice = get(&[("range", "bytes=0-1"), ("range", "bytes=2-3")]);
    assert_eq!(twice.err(), Some(RequestError::NotCanonical("header")));
    assert_eq!(get(&[("content-length", "3")]).err(), Some(RequestError::Length));
    assert!(get(&[("content-length", "0")]).is_ok());
    let put = |headers: &[(&str, &str)]| arrive("PUT", "/v1/photos/a", &token, headers);
    assert_eq!(put(&[]).err(), Some(RequestError::LengthRequired));
    assert_eq!(
        put(&[("content-length", "03")]).err(),
        Some(RequestError::LengthRequired)
    );
    let known = put(&[("content-length", "3"), ("content-type", "a/b"), ("range", "x")]).unwrap();
    assert_eq!(known.head().content(), &ContentDigest::Unhashed { len: 3 });
    assert_eq!(known.head().header("content-type"), Some("a/b"));
    assert_eq!(known.head().header("range"), None);
    let coded = put(&[("content-length", "3"), ("content-encoding", "gzip")]);
    assert_eq!(coded.err(), Some(RequestError::ContentEncoding));
}

/// What a later verifier has: who signed, what, and that it was a link.
#[test]
fn the_evidence_of_a_link_is_what_its_signer_signed() {
    let packet = everything();
    let token = link(&packet, &claims(UrlLinkMethod::Put, UrlLinkKeys::Key(key("a"))));
    let target = Target::Key(photos(), key("a"));
    let proof = ask(
        Method::Put,
        RouteKind::ObjectLink,
        &target,
        &token,
        Written::Later,
    )
    .unwrap();
    let evidence = proof.evidence().unwrap();
    assert_eq!(*evidence.packet, *packet);
    let signer = evidence.key.public_key();
    assert!(signer.verify_strict(&evidence.canonical, &evidence.signature));
    let again = format!(
        "{}.{}",
        std::str::from_utf8(&evidence.canonical).unwrap(),
        evidence.signature
    );
    assert_eq!(again, token);
}
