//! Key packets. An input is a packet as sent, or one JSON text of claims a line: the links of a chain, whose encoding the
//! fuzzer need not find. In a line, `@` stands for the packet of the line before.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use wfldb_core::encoding::base64url;
use wfldb_core::limits::{LINKS_MAX, PACKET_BYTES_MAX};
use wfldb_core::packet::{Grant, Link, Packet, effective, widening};
use wfldb_fuzz::text;

/// The names that a link's claims have, `prf` beside them.
const CLAIMS: [&str; 9] = ["iss", "sub", "aud", "iat", "nbf", "exp", "jti", "cap", "dlg"];

fuzz_target!(|input: &[u8]| {
    let Some(input) = text(input) else { return };
    let token = if input.starts_with('{') {
        let Some(token) = input.lines().try_fold(String::new(), |parent, claims| encoded(claims, &parent)) else {
            return;
        };
        token
    } else {
        input.to_owned()
    };
    let Ok(packet) = Packet::parse(&token) else { return };
    assert!(token.len() <= PACKET_BYTES_MAX);
    assert_eq!(&**packet.token(), token);
    let links: Vec<&Link> = packet.links().collect();
    assert!((1..=LINKS_MAX).contains(&links.len()));
    for pair in links.windows(2) {
        pair[1].claims().check_follows(pair[0].claims()).expect("a chain that does not hang together");
    }
    for link in &links {
        link.claims().check().expect("claims that break their own rules");
    }
    // A lenient reader sees the same: nothing is passed over, nothing is read another way.
    let claims = token.split('.').nth(1).and_then(|part| base64url::decode(part).ok()).unwrap();
    let seen: Map<String, Value> = serde_json::from_slice(&claims).expect("not JSON for others");
    let last = packet.claims();
    let members = CLAIMS.len() + usize::from(links.len() > 1);
    assert_eq!(seen.len(), members, "a claim too many or too few");
    for (name, expected) in [("iat", last.iat), ("nbf", last.nbf), ("exp", last.exp), ("dlg", last.dlg.into())] {
        assert_eq!(seen[name].as_u64(), Some(expected), "{name}");
    }
    for (name, expected) in [("iss", last.iss.to_string()), ("sub", last.sub.to_string()), ("jti", last.jti.clone())] {
        assert_eq!(seen[name].as_str(), Some(expected.as_str()), "{name}");
    }
    assert_eq!(seen["cap"].as_array().map(Vec::len), Some(last.cap.len()));
    // What a chain comes to is within each of its links.
    if links.iter().map(|link| link.claims().cap.len()).product::<usize>() <= 64 {
        for grant in effective(links.iter().map(|link| link.claims())) {
            let text = grant.to_json();
            assert_eq!(Grant::parse_json(&text).as_ref(), Ok(&grant), "an effective grant that is none: {text}");
            for link in &links {
                assert_eq!(widening(&link.claims().cap, &grant), None, "wider than a link");
            }
        }
    }
});

/// The packet with these claims and a signature of zeros; the header names the claims' `iss`.
fn encoded(claims: &str, parent: &str) -> Option<String> {
    let claims = claims.replace('@', parent);
    let iss = claims.split("\"iss\":\"").nth(1)?.split('"').next()?;
    let header = format!(r#"{{"alg":"EdDSA","kid":"{iss}","typ":"wfldb-kp+jwt"}}"#);
    let part = |text: &str| base64url::encode(text.as_bytes());
    Some(format!("{}.{}.{}", part(&header), part(&claims), "A".repeat(86)))
}
