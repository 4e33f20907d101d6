//! What is signed cannot be changed, and nothing that matters is unsigned.

use proptest::prelude::*;
use wfldb_core::auth::Method;
use wfldb_core::object::ContentDigest;
use wfldb_core::packet::{self, Grant};
use wfldb_core::replay::ReplayMemory;
use wfldb_core::request::{RequestError, Window};
use wfldb_core::verifier::Verifier;

use crate::support::{NOW, Wire, audience, issue, signed, trust};

fn accepted(wire: &Wire) -> bool {
    let Ok(request) = wire.parse() else { return false };
    if request.check_time(NOW, Window::default()).is_err() {
        return false;
    }
    let Ok(packet) = packet::verify_signatures(request.packet_token(), &trust(), &audience()) else {
        return false;
    };
    let Ok(request) = request.verify(&packet, &audience(), &Verifier::default()) else {
        return false;
    };
    request.fresh(&mut ReplayMemory::new(1, 1), NOW).is_ok()
}

fn sample() -> Wire {
    let headers = [
        ("content-type", "image/jpeg"),
        ("if-none-match", "*"),
        ("x-wfldb-meta-note", "two words"),
    ];
    let content = ContentDigest::of(b"hello wflDB");
    let token = issue(vec![Grant::everything()]);
    let wire = signed(
        Method::Put,
        "/v1/photos/a%20b/cat.jpg",
        "a=1&b=%2F",
        content,
        &headers,
        &token,
    );
    assert!(accepted(&wire));
    wire
}

/// Every byte of every signed element, replaced, doubled and removed: about six thousand requests.
#[test]
fn a_change_of_any_signed_byte_is_refused() {
    let wire = sample();
    let variants = |bytes: &[u8]| -> Vec<Vec<u8>> {
        (0..bytes.len())
            .flat_map(|place| {
                let replaced = [
                    b'a',
                    b'A',
                    b'0',
                    b' ',
                    b'\n',
                    b'%',
                    0xff,
                    bytes[place] ^ 1,
                    bytes[place] ^ 0x20,
                ];
                let mut changed: Vec<Vec<u8>> = replaced
                    .into_iter()
                    .filter(|byte| *byte != bytes[place])
                    .map(|byte| [&bytes[..place], &[byte], &bytes[place + 1..]].concat())
                    .collect();
                changed.push([&bytes[..place], &bytes[place + 1..]].concat());
                changed.push([&bytes[..=place], &bytes[place..]].concat());
                changed.retain(|changed| changed != bytes);
                changed
            })
            .collect()
    };
    for method in ["GET", "HEAD", "POST", "DELETE", "PATCH", "put"] {
        assert!(!accepted(&Wire {
            method: method.to_owned(),
            ..wire.clone()
        }));
    }
    for target in variants(wire.target.as_bytes())
        .into_iter()
        .filter_map(|bytes| String::from_utf8(bytes).ok())
    {
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

#[test]
fn a_header_that_matters_cannot_be_added() {
    for name in [
        "range",
        "x-wfldb-tags",
        "X-WFLDB-If-Version",
        "cache-control",
        "last-event-id",
        "x-wfldb-new",
    ] {
        let mut wire = sample();
        wire.headers.push((name.to_owned(), b"1".to_vec()));
        assert_eq!(wire.parse().unwrap_err(), RequestError::UnsignedHeader, "{name}");
    }
    let mut wire = sample();
    wire.headers.push(("accept".to_owned(), b"*/*".to_vec()));
    wire.headers
        .push(("user-agent".to_owned(), b"  odd \xff value".to_vec()));
    assert!(accepted(&wire), "a header that changes nothing may be added");
}

#[test]
fn a_packet_that_came_with_another_request_is_not_taken() {
    let wire = sample();
    let other = issue(vec![Grant::everything()]);
    let packet = packet::verify(&other, &trust(), &audience(), NOW).unwrap();
    assert_eq!(
        wire.parse()
            .unwrap()
            .verify(&packet, &audience(), &Verifier::default())
            .unwrap_err(),
        RequestError::Packet
    );
}

#[test]
fn what_is_not_canonical_is_not_signed() {
    use wfldb_core::request::{RequestToSign, sign};
    let good = RequestToSign {
        method: Method::Get,
        path: "/v1/photos/a",
        query: "",
        timestamp: NOW,
        nonce: wfldb_core::id::Nonce::from_bytes([1; 16]),
        content: ContentDigest::None,
        headers: &[],
    };
    let refused =
        |request: &RequestToSign<'_>| sign(request, "p", &audience(), &crate::support::client()).is_err();
    assert!(!refused(&good));
    assert!(refused(&RequestToSign {
        path: "/v1/photos/a\nx",
        ..good.clone()
    }));
    assert!(refused(&RequestToSign {
        path: "/v1/photos/a b",
        ..good.clone()
    }));
    assert!(refused(&RequestToSign {
        query: "b=1&a=1",
        ..good.clone()
    }));
    assert!(refused(&RequestToSign {
        headers: &[("range", "a\nb:c")],
        ..good.clone()
    }));
    assert!(refused(&RequestToSign {
        headers: &[("Range", "a")],
        ..good.clone()
    }));
    assert!(refused(&RequestToSign {
        headers: &[("range", "a"), ("range", "b")],
        ..good.clone()
    }));
    assert!(refused(&RequestToSign {
        headers: &[("x-wfldb-nonce", "a")],
        ..good.clone()
    }));
}

proptest! {
    #[test]
    fn every_key_and_query_has_one_signed_spelling(
        key in "[^\\x00-\\x1f\\x7f]{1,20}",
        value in any::<String>(),
        other in "[ -~]{1,30}",
    ) {
        use wfldb_core::auth::Target;
        use wfldb_core::encoding::percent;
        use wfldb_core::name::{BucketName, ObjectKey};
        prop_assume!(ObjectKey::parse(&key).is_ok());
        let key = ObjectKey::parse(&key).unwrap();
        let path = Target::Key(BucketName::parse("photos").unwrap(), key).path();
        let query = percent::encode_query(&[("k", &value)]);
        let token = "a.b.c";
        let wire = signed(Method::Get, &path, &query, ContentDigest::None, &[], token);
        let request = wire.parse().unwrap();
        prop_assert_eq!(request.path(), path.as_str());
        prop_assert_eq!(&request.query_pairs()[0].1, &value);
        // Another text that is accepted in its place names another key.
        let target = format!("/v1/photos/{other}");
        if let Ok(request) = (Wire { target: target.clone(), ..wire }).parse() {
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            prop_assert_eq!(request.path(), path);
            prop_assert_eq!(request.query(), query);
        }
    }

    #[test]
    fn no_bytes_from_outside_make_the_parser_panic(
        method in any::<String>(),
        target in any::<String>(),
        headers in proptest::collection::vec((any::<String>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..9),
    ) {
        let wire = Wire { method, target, headers };
        prop_assert!(wire.parse().is_err());
    }
}
