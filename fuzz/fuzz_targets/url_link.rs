//! Links in URLs. An input is a link as sent, or the JSON of its claims, whose encoding the fuzzer need not find.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use wfldb_core::encoding::base64url;
use wfldb_core::limits::{LINK_SECONDS_MAX, PATH_BYTES_MAX};
use wfldb_core::packet::{Packet, UrlLink};
use wfldb_fuzz::text;

fuzz_target!(|input: &[u8]| {
    let Some(input) = text(input) else { return };
    let token = if input.starts_with('{') {
        let Some(token) = encoded(input) else { return };
        token
    } else {
        input.to_owned()
    };
    // SECURITY: what is one is never the other.
    assert!(UrlLink::parse(&token).is_err() || Packet::parse(&token).is_err());
    let Ok(link) = UrlLink::parse(&token) else { return };
    assert!(token.len() <= PATH_BYTES_MAX);
    let claims = link.claims();
    claims.check().expect("claims that break their own rules");
    assert!(claims.iat < claims.exp && claims.exp - claims.iat <= LINK_SECONDS_MAX);
    // A lenient reader sees the same.
    let seen = token.split('.').nth(1).and_then(|part| base64url::decode(part).ok()).unwrap();
    let seen: Value = serde_json::from_slice(&seen).expect("not JSON for others");
    assert_eq!(seen["iat"].as_u64(), Some(claims.iat));
    assert_eq!(seen["exp"].as_u64(), Some(claims.exp));
    assert_eq!(seen["b"].as_str(), Some(claims.bucket.as_str()));
    assert_eq!(seen["m"].as_str(), Some(claims.method.as_str()));
    assert_eq!(seen["prf"].as_str(), Some(link.packet_token()));
    assert_eq!(seen["uses"].as_u64(), claims.uses);
    assert_eq!(seen["max_bytes"].as_u64(), claims.max_bytes);
});

/// The link with these claims and a signature of zeros; the header names the claims' `iss`.
fn encoded(claims: &str) -> Option<String> {
    let iss = claims.split("\"iss\":\"").nth(1)?.split('"').next()?;
    let header = format!(r#"{{"alg":"EdDSA","kid":"{iss}","typ":"wfldb-link+jwt"}}"#);
    let part = |text: &str| base64url::encode(text.as_bytes());
    Some(format!("{}.{}.{}", part(&header), part(claims), "A".repeat(86)))
}
