//! Sessions: both sides of the exchange agree, and a tag holds everything that it covers together.

use std::net::IpAddr;

use serde_json::Value;
use wfldb_core::auth::{Method, RouteKind, Service, Target, Written, authorize};
use wfldb_core::encoding::hex;
use wfldb_core::id::{KeyId, PacketHash, Role, SecretKey, SessionId, SignatureBytes};
use wfldb_core::limits::SESSION_WINDOW;
use wfldb_core::name::{Audience, BucketName, ObjectKey};
use wfldb_core::object::ContentDigest;
use wfldb_core::packet::Grant;
use wfldb_core::replay::ReplayError;
use wfldb_core::request::{
    ArrivedRequest, FreshError, FreshRequest, RequestError, RequestToTag, Window, tag,
};
use wfldb_core::session::{
    CounterWindow, ExchangeError, ExchangeKey, ExchangeSecret, Offer, Session, SessionKey, accept, complete,
};
use wfldb_core::time::UnixMillis;

use crate::support::{self, NOW, Wire, audience, issue, verified};
use crate::vectors::{corpus, expected_refusal, text};

type Refusal = (String, String, Option<String>);

fn exchange_secret(vector: &Value, side: &str) -> ExchangeSecret {
    ExchangeSecret::from_bytes(hex::decode_array(text(vector, side)).unwrap())
}

/// The server's side of a vector's exchange.
fn offered(vector: &Value) -> Result<(Offer, SessionKey), ExchangeError> {
    accept(
        ExchangeKey::parse(text(vector, "client_key")).unwrap(),
        exchange_secret(vector, "server_secret"),
        SessionId::parse(text(vector, "session")).unwrap(),
        UnixMillis::parse(text(vector, "expires")).unwrap(),
        &Audience::parse(text(vector, "aud")).unwrap(),
        PacketHash::parse(text(vector, "packet_hash")).unwrap(),
        &SecretKey::from_seed(hex::decode_array(text(vector, "node_seed")).unwrap()),
    )
}

/// The tag of a first request for the list of buckets.
fn first_tag(session: SessionId, key: &SessionKey) -> String {
    let first = RequestToTag {
        method: Method::Get,
        path: "/v1",
        query: "",
        timestamp: NOW,
        counter: 1,
        content: ContentDigest::None,
        headers: &[],
    };
    let headers = tag(&first, session, &audience(), key).unwrap();
    assert_eq!(headers.len(), 1, "a read without headers carries one of ours");
    headers[0].1.rsplit('.').next().unwrap().to_owned()
}

#[test]
fn exchanges_of_the_corpus_come_out_as_it_says_on_both_sides() {
    let mut weak = 0;
    for vector in corpus("sessions.json")
        .iter()
        .filter(|v| text(v, "kind") == "exchange")
    {
        let (offer, server_key) = match offered(vector) {
            Ok(offered) => offered,
            Err(error) => {
                assert_eq!((error, text(vector, "code")), (ExchangeError::WeakKey, "WeakKey"));
                weak += 1;
                continue;
            }
        };
        assert_eq!(vector.get("code"), None, "{vector}");
        assert_eq!(offer.key.to_string(), text(vector, "server_key"));
        assert_eq!(offer.node.to_string(), text(vector, "node"));
        assert_eq!(offer.signature.to_string(), text(vector, "signature"), "{vector}");
        let packet = PacketHash::parse(text(vector, "packet_hash")).unwrap();
        let client_key = complete(
            &offer,
            exchange_secret(vector, "client_secret"),
            &audience(),
            packet,
        )
        .unwrap();
        for key in [&server_key, &client_key] {
            assert_eq!(
                first_tag(offer.session, key),
                text(vector, "tag_of_first"),
                "{vector}"
            );
        }
    }
    assert_eq!(weak, 8, "every point of small order");
}

/// A defect it catches: a transcript without the packet's hash; a client that did not look at the node's role.
#[test]
fn a_client_takes_no_offer_but_the_one_that_was_made_to_it() {
    let vectors = corpus("sessions.json");
    let vector = &vectors[0];
    let (offer, _) = offered(vector).unwrap();
    let packet = PacketHash::parse(text(vector, "packet_hash")).unwrap();
    let secret = || exchange_secret(vector, "client_secret");
    let refused = |offer: &Offer| complete(offer, secret(), &audience(), packet).unwrap_err();
    let changed: [fn(&mut Offer); 6] = [
        |offer| offer.session = SessionId::from_bytes([9; 16]),
        |offer| offer.key = ExchangeSecret::from_bytes([9; 32]).public(),
        |offer| offer.expires = offer.expires.plus_ms(1),
        |offer| offer.node = SecretKey::from_seed([9; 32]).key_id(Role::Node),
        |offer| offer.node = KeyId::new(Role::Client, offer.node.public_key().clone()),
        |offer| offer.signature = SignatureBytes::from_bytes([0; 64]),
    ];
    for change in changed {
        let mut offer = offer.clone();
        change(&mut offer);
        assert_eq!(refused(&offer), ExchangeError::Signature, "{offer:?}");
    }
    // Signed for what it says, by a key that is not a server's.
    let mut by_client = offer.clone();
    let key = SecretKey::from_seed([9; 32]);
    by_client.node = key.key_id(Role::Client);
    let said = format!(
        "WFLDB-SESSION-1\n{}\n{packet}\n{}\n{}\n{}\n{}\n{}\n",
        audience(),
        secret().public(),
        offer.key,
        offer.session,
        offer.expires,
        by_client.node
    );
    by_client.signature = key.sign(said.as_bytes());
    assert_eq!(refused(&by_client), ExchangeError::Signature);
    let other = Audience::parse("wfldb:other").unwrap();
    assert!(complete(&offer, secret(), &other, packet).is_err());
    assert!(complete(&offer, secret(), &audience(), PacketHash::of(b"other")).is_err());
    let others = ExchangeSecret::from_bytes([9; 32]);
    assert!(complete(&offer, others, &audience(), packet).is_err());
    assert!(complete(&offer, secret(), &audience(), packet).is_ok());
}

/// The session that the requests of the corpus are of.
fn corpus_session(vectors: &[Value]) -> Session {
    let packets = corpus("packets.json");
    let plain = packets.iter().find(|v| text(v, "name") == "plain").unwrap();
    let (offer, key) = offered(&vectors[0]).unwrap();
    Session {
        id: offer.session,
        packet: verified(text(plain, "token")),
        expires: offer.expires,
        key,
    }
}

fn receive(
    wire: &Wire,
    session: &Session,
    counters: &mut CounterWindow,
    now: UnixMillis,
) -> Result<FreshRequest, Refusal> {
    macro_rules! refusal {
        () => {
            |error| {
                (
                    error.code().to_owned(),
                    error.reason().to_owned(),
                    error.hint().map(str::to_owned),
                )
            }
        };
    }
    let headers: Vec<_> = wire
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()))
        .collect();
    let arrived = ArrivedRequest::parse(&wire.method, &wire.target, &headers).map_err(refusal!())?;
    arrived
        .head()
        .check_time(now, Window::default())
        .map_err(refusal!())?;
    match arrived {
        ArrivedRequest::Signed(_) | ArrivedRequest::Link(_) => panic!("no request of a session"),
        ArrivedRequest::Session(request) => {
            let tagged = request.verify(session, &audience()).map_err(refusal!())?;
            tagged.fresh(counters, now).map_err(refusal!())
        }
    }
}

#[test]
fn session_requests_of_the_corpus_are_accepted_or_refused_as_it_says() {
    let vectors = corpus("sessions.json");
    let session = corpus_session(&vectors);
    for vector in vectors.iter().filter(|v| text(v, "kind") == "request") {
        let header = |pair: &Value| {
            (
                pair[0].as_str().unwrap().to_owned(),
                pair[1].as_str().unwrap().as_bytes().to_vec(),
            )
        };
        let wire = Wire {
            method: text(vector, "method").to_owned(),
            target: text(vector, "target").to_owned(),
            headers: vector["headers"].as_array().unwrap().iter().map(header).collect(),
        };
        let now = UnixMillis::parse(text(vector, "now")).unwrap();
        let mut counters = CounterWindow::default();
        let times = vector.get("times").map_or(1, |times| times.as_u64().unwrap());
        let mut verdict = receive(&wire, &session, &mut counters, now);
        for _ in 1..times {
            verdict = receive(&wire, &session, &mut counters, now);
        }
        match (expected_refusal(vector), verdict) {
            (None, Ok(request)) => {
                assert!(request.is_of_session(), "a tag is no evidence for a third party");
                assert_eq!(request.subject(), session.subject());
            }
            (Some(expected), Err(found)) => assert_eq!(found, expected, "{vector}"),
            (_, verdict) => panic!("{vector} gave {verdict:?}"),
        }
    }
}

/// A session with everything allowed, made here.
fn session() -> Session {
    let packet = verified(&issue(vec![Grant::everything()]));
    let client = ExchangeSecret::from_bytes([5; 32]);
    let (offer, key) = accept(
        client.public(),
        ExchangeSecret::from_bytes([6; 32]),
        SessionId::from_bytes([1; 16]),
        NOW.plus_ms(900_000),
        &audience(),
        packet.hash(),
        &SecretKey::from_seed([4; 32]),
    )
    .unwrap();
    Session {
        id: offer.session,
        packet,
        expires: offer.expires,
        key,
    }
}

fn tagged(session: &Session, method: Method, path: &str, counter: u64, headers: &[(&str, &str)]) -> Wire {
    let request = RequestToTag {
        method,
        path,
        query: "a=1&b=%2F",
        timestamp: NOW,
        counter,
        content: ContentDigest::None,
        headers,
    };
    let ours = tag(&request, session.id, &audience(), &session.key).unwrap();
    let plain = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Wire {
        method: method.to_string(),
        target: format!("{path}?a=1&b=%2F"),
        headers: ours
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .chain(plain)
            .map(|(name, value)| (name, value.into_bytes()))
            .collect(),
    }
}

/// Every byte of method, target and headers, replaced, doubled and removed.
#[test]
fn a_change_of_any_tagged_byte_is_refused() {
    let session = session();
    let headers = [("if-none-match", "*"), ("range", "bytes=0-9")];
    let wire = tagged(&session, Method::Get, "/v1/photos/a%20b", 7, &headers);
    let accepted = |wire: &Wire| {
        // Changed schemes are signed requests without their six headers; those are refused as such.
        let headers: Vec<_> = wire
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        match ArrivedRequest::parse(&wire.method, &wire.target, &headers) {
            Ok(ArrivedRequest::Session(_)) => {
                receive(wire, &session, &mut CounterWindow::default(), NOW).is_ok()
            }
            _ => false,
        }
    };
    assert!(accepted(&wire));
    let variants = |bytes: &[u8]| -> Vec<Vec<u8>> {
        (0..bytes.len())
            .flat_map(|place| {
                [
                    [&bytes[..place], &[bytes[place] ^ 1], &bytes[place + 1..]].concat(),
                    [&bytes[..place], b"0", &bytes[place + 1..]].concat(),
                    [&bytes[..place], &bytes[place + 1..]].concat(),
                    [&bytes[..=place], &bytes[place..]].concat(),
                ]
            })
            .filter(|changed| changed != bytes)
            .collect()
    };
    for method in ["HEAD", "PUT", "POST", "DELETE"] {
        let method = method.to_owned();
        assert!(!accepted(&Wire {
            method,
            ..wire.clone()
        }));
    }
    for target in variants(wire.target.as_bytes()) {
        let Ok(target) = String::from_utf8(target) else {
            continue;
        };
        assert!(
            !accepted(&Wire {
                target: target.clone(),
                ..wire.clone()
            }),
            "{target}"
        );
    }
    for (index, (name, value)) in wire.headers.iter().enumerate() {
        for value in variants(value) {
            let mut changed = wire.clone();
            changed.headers[index].1 = value;
            assert!(
                !accepted(&changed),
                "{name}: {:?}",
                String::from_utf8_lossy(&changed.headers[index].1)
            );
        }
        let mut removed = wire.clone();
        removed.headers.remove(index);
        assert!(!accepted(&removed), "without {name}");
        let mut doubled = wire.clone();
        doubled.headers.push(wire.headers[index].clone());
        assert!(!accepted(&doubled), "{name} twice");
    }
}

/// A defect it catches: the tag checked after the counter was taken, so that a stranger could use up a session's counters.
#[test]
fn a_counter_is_taken_only_by_a_request_that_is_good_otherwise() {
    let mut session = session();
    let mut counters = CounterWindow::default();
    let good = tagged(&session, Method::Get, "/v1/photos/a", 5, &[]);
    let mut bad = good.clone();
    bad.target = "/v1/photos/b?a=1&b=%2F".to_owned();
    let far = tagged(&session, Method::Get, "/v1/photos/a", 5 + 2 * SESSION_WINDOW, &[]);
    assert_eq!(
        receive(&bad, &session, &mut counters, NOW).unwrap_err().1,
        "RequestTag"
    );
    receive(&good, &session, &mut counters, NOW).unwrap();
    receive(&far, &session, &mut counters, NOW).unwrap();
    let late = tagged(&session, Method::Get, "/v1/photos/a", 6, &[]);
    let refused = receive(&late, &session, &mut counters, NOW).unwrap_err();
    assert_eq!(
        (refused.1.as_str(), refused.2.as_deref()),
        ("CounterTooOld", Some("Replayed"))
    );
    // A table that gives the wrong session is caught, even if the key were the same.
    let next = tagged(&session, Method::Get, "/v1/photos/a", 6 + 2 * SESSION_WINDOW, &[]);
    session.id = SessionId::from_bytes([2; 16]);
    let refused = receive(&next, &session, &mut counters, NOW).unwrap_err();
    assert_eq!(refused.1, "RequestTag");
}

/// A defect it catches: `fresh` without a look at the packet's time, which a clock that is set back would need.
#[test]
fn a_session_ends_with_its_packet() {
    let mut session = session();
    session.expires = UnixMillis::new(u64::MAX);
    let request = tagged(&session, Method::Get, "/v1/photos/a", 1, &[]);
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()))
        .collect();
    let ArrivedRequest::Session(arrived) =
        ArrivedRequest::parse(&request.method, &request.target, &headers).unwrap()
    else {
        panic!("a request of a session")
    };
    let tagged = arrived.verify(&session, &audience()).unwrap();
    let later = NOW.plus_ms(3_700_000);
    let refused = tagged.fresh(&mut CounterWindow::default(), later).unwrap_err();
    assert_eq!(refused.hint(), Some("Expired"));
    assert!(matches!(refused, FreshError::Packet(_)));
    let ended = FreshError::SessionEnded;
    assert_eq!((ended.code(), ended.hint()), ("SessionUnknown", None));
    assert_eq!(ReplayError::CounterTooOld.code(), "Unauthenticated");
}

/// A defect it catches: `authorize` without a look at where the request came from; a write went through without evidence.
#[test]
fn no_write_is_authorized_over_a_session() {
    let session = session();
    let peer: IpAddr = "127.0.0.1".parse().unwrap();
    let target = || {
        Target::Key(
            BucketName::parse("photos").unwrap(),
            ObjectKey::parse("a").unwrap(),
        )
    };
    let ask = |method, route, counter| {
        let wire = tagged(&session, method, "/v1/photos/a", counter, &[]);
        let fresh = receive(&wire, &session, &mut CounterWindow::default(), NOW).unwrap();
        authorize(fresh, method, route, target(), peer, Written::Later)
    };
    let proof = ask(Method::Get, RouteKind::Object, 1).unwrap();
    assert!(proof.is_of_session() && proof.evidence().is_none());
    assert_eq!(
        proof.actor().to_string(),
        support::claims(Vec::new()).sub.to_string()
    );
    for op in [wfldb_core::auth::Op::Put, wfldb_core::auth::Op::Delete] {
        assert!(proof.further(op, target(), Written::Later).is_err(), "{op}");
    }
    for (method, route) in [
        (Method::Put, RouteKind::Object),
        (Method::Delete, RouteKind::Object),
        (Method::Delete, RouteKind::ObjectVersion),
        (Method::Post, RouteKind::ObjectUndelete),
        (Method::Post, RouteKind::ObjectCopy),
        (Method::Get, RouteKind::Upload),
    ] {
        assert!(ask(method, route, 1).is_err(), "{method} {route:?}");
    }
    // Any packet may open a session, but no session the next one.
    let wire = tagged(&session, Method::Post, "/v1/_session", 2, &[]);
    let fresh = receive(&wire, &session, &mut CounterWindow::default(), NOW).unwrap();
    let service = Target::Service(Service::Session);
    let opened = authorize(
        fresh,
        Method::Post,
        RouteKind::Session,
        service,
        peer,
        Written::Later,
    );
    assert!(opened.is_err());
}

#[test]
fn what_is_not_canonical_is_not_tagged() {
    let session = session();
    let refused = |path: &str, headers: &[(&str, &str)]| {
        let request = RequestToTag {
            method: Method::Get,
            path,
            query: "",
            timestamp: NOW,
            counter: 1,
            content: ContentDigest::None,
            headers,
        };
        tag(&request, session.id, &audience(), &session.key).unwrap_err()
    };
    for (path, headers) in [
        ("/v1/photos/a\nx", &[][..]),
        ("/v1/photos/a b", &[]),
        ("/v1/photos/a", &[("range", "a\nb:c")]),
        ("/v1/photos/a", &[("authorization", "x")]),
    ] {
        assert!(matches!(refused(path, headers), RequestError::NotCanonical(_)));
    }
}
