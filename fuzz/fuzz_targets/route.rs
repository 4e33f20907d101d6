//! Routes: method and canonical path with query. An input is `METHOD target`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_core::auth::{Op, Target, required};
use wfldb_core::request::ArrivedRequest;
use wfldb_fuzz::text;
use wfldb_net::route;

fuzz_target!(|input: &[u8]| {
    let Some((method, target)) = text(input).and_then(|text| text.split_once(' ')) else { return };
    let Ok(route) = route::parse(method, target) else { return };
    assert_eq!(route.path_and_query(), target, "another spelling was accepted");
    assert_eq!(route.method.as_str(), method);
    let ops: &[Op] = required(route.method, route.kind).expect("a route without operations");
    assert!(!ops.is_empty());
    // A reader of its own comes to the same bucket and key.
    if let Target::Key(bucket, key) = &route.target {
        let path = target.split('?').next().unwrap();
        let rest = path.strip_prefix("/v1/").unwrap();
        let (first, second) = rest.split_once('/').unwrap();
        assert_eq!(decoded(first), bucket.as_str().as_bytes());
        assert_eq!(decoded(second), key.as_str().as_bytes());
        assert!(key.as_str().split('/').all(|segment| segment != "." && segment != ".."));
    }
    let _ = route.parameters();
    // What has a route is canonical for the signature too: the two readings of a path never part.
    let digest = ["put", "post", "delete"].contains(&method.to_lowercase().as_str());
    let content = if digest { wfldb_core::object::ContentDigest::of(b"x").to_string() } else { "none 0 -".to_owned() };
    let headers: [(&str, &[u8]); 6] = [
        ("authorization", b"Bearer a.b.c"),
        ("x-wfldb-timestamp", b"2026-01-02T03:04:05.006Z"),
        ("x-wfldb-nonce", b"AAECAwQFBgcICQoLDA0ODw"),
        ("x-wfldb-content", content.as_bytes()),
        ("x-wfldb-signed-headers", b""),
        ("x-wfldb-signature", &[b'A'; 86]),
    ];
    let request = ArrivedRequest::parse(method, target, &headers);
    // Who comes by a link, to whatever route, may show nothing else.
    if route::carries_link(target) {
        assert!(request.is_err(), "a link and a signature at once");
        return;
    }
    let request = request.expect("a route that cannot be signed");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    assert_eq!((request.head().path(), request.head().query()), (path, query));
});

/// Percent-decoding as plain as it gets.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'%' {
            let digits = std::str::from_utf8(&tail[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(*first);
        }
    }
    bytes
}
