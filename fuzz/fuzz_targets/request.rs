//! Signed requests and requests of a session: the line and all headers. An input is spelled as `wfldb_fuzz::request`
//! says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_core::object::ContentDigest;
use wfldb_core::request::{ArrivedRequest, header};
use wfldb_fuzz::request;

/// Headers that change what a request does, beside `x-wfldb-*`: docs/PROTOCOL.md, section 4.
const MUST_SIGN: &str = "content-type range if-match if-none-match if-modified-since if-unmodified-since if-range \
                         cache-control expires last-event-id";

fuzz_target!(|input: &[u8]| {
    let Some((method, target, headers)) = request(input) else { return };
    let Ok(arrived) = ArrivedRequest::parse(method, target, &headers) else { return };
    let head = arrived.head();
    assert_eq!(head.method().as_str(), method);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    assert_eq!((head.path(), head.query()), (path, query));
    let lower: Vec<(String, &[u8])> = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), *value)).collect();
    if let ArrivedRequest::Link(link) = &arrived {
        let credential = |name: &str| name == "authorization" || name.starts_with("x-wfldb-");
        assert!(!lower.iter().any(|(name, _)| credential(name)), "a link beside other credentials");
        assert!(query.split('&').any(|pair| pair.strip_prefix("link=") == Some(link.token())));
        return;
    }
    let signed: Vec<(&str, &str)> = head.signed_headers().collect();
    assert!(signed.is_sorted_by(|left, right| left.0 < right.0), "signed headers repeat or are out of order");
    for (name, value) in &signed {
        let there: Vec<_> = lower.iter().filter(|(known, _)| known == name).collect();
        assert_eq!(there.len(), 1, "a signed header that is not there once");
        assert_eq!(there[0].1, value.as_bytes());
        assert!(!value.bytes().any(|byte| byte < 0x20 || byte > 0x7e), "a line break could be signed");
        assert!(!header::ALL.contains(name));
    }
    for (name, _) in &lower {
        let own = name.starts_with("x-wfldb-") && !header::ALL.contains(&name.as_str());
        if own || MUST_SIGN.split(' ').any(|known| known == name) {
            assert!(head.header(name).is_some(), "an unsigned header that changes what is done");
        }
    }
    let count = |name: &str| lower.iter().filter(|(known, _)| known == name).count();
    assert_eq!(count("authorization"), 1);
    assert_eq!(count("content-encoding"), 0);
    if ["GET", "HEAD"].contains(&method) {
        assert_eq!(*head.content(), ContentDigest::None);
    }
    let once = [header::TIMESTAMP, header::NONCE, header::SIGNATURE];
    match arrived {
        ArrivedRequest::Signed(request) => {
            assert!(header::ALL.iter().all(|name| count(name) == 1), "one of the six is not there once");
            assert_eq!(request.packet_token().split(' ').count(), 1);
        }
        ArrivedRequest::Link(_) => unreachable!("looked at above"),
        ArrivedRequest::Session(_) => assert!(once.iter().all(|name| count(name) == 0)),
    }
});
