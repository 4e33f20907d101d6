//! Paths and queries in other spellings, each honestly signed as it is sent: what is refused is refused for its spelling.

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wfldb_security::{AnyRequest, count};

use crate::harness::{Ask, Store, nonce, now};

/// Targets that a lenient server would take for a key or a parameter.
const TARGETS: &[&str] = &[
    // Encoded separators and dots.
    "/v1/photos%2Fk",
    "/v1/photos/a%2Fb",
    "/v1/photos/a%2fb",
    "/v1/photos/%2E",
    "/v1/photos/%2e%2e/others/k",
    "/v1/photos/%2E%2E%2Fothers",
    "/v1%2Fphotos%2Fk",
    // Dot segments, plain.
    "/v1/photos/.",
    "/v1/photos/..",
    "/v1/photos/../others/k",
    "/v1/photos/a/./b",
    "/v1/./photos/k",
    "/v1/../v1/photos/k",
    "/../v1/photos/k",
    // NUL and other control characters.
    "/v1/photos/%00",
    "/v1/photos/k%00.jpg",
    "/v1/photos/k%0A",
    "/v1/photos/k%0D%0Ax",
    "/v1/photos/%7F",
    "/v1/photos/%1f",
    // Hexadecimal digits in lower case, cut, or none.
    "/v1/photos/%c3%bc",
    "/v1/photos/%C3%bC",
    "/v1/photos/%3a",
    "/v1/photos/%",
    "/v1/photos/%4",
    "/v1/photos/%zz",
    "/v1/photos/%u0041",
    // What has a literal spelling.
    "/v1/photos/%6B",
    "/v1/photos/%7E",
    "/v1/photos/%2D",
    "/%76%31/photos/k",
    // Overlong, cut and foreign UTF-8.
    "/v1/photos/%C0%AF",
    "/v1/photos/%C0%80",
    "/v1/photos/%C1%BF",
    "/v1/photos/%E0%80%AF",
    "/v1/photos/%E0%9F%BF",
    "/v1/photos/%F0%80%80%AF",
    "/v1/photos/%F8%80%80%80%AF",
    "/v1/photos/%ED%A0%80",
    "/v1/photos/%ED%BF%BF",
    "/v1/photos/%F4%90%80%80",
    "/v1/photos/%C3",
    "/v1/photos/%BC",
    "/v1/photos/%FF",
    "/v1/photos/%FE%FF",
    // Characters that have to be encoded.
    "/v1/photos/a+b",
    "/v1/photos/a!b",
    "/v1/photos/a'b",
    "/v1/photos/a(b)",
    "/v1/photos/a*b",
    "/v1/photos/a:b",
    "/v1/photos/a;b",
    "/v1/photos/a@b",
    "/v1/photos/a,b",
    "/v1/photos/a=b",
    "/v1/photos/a&b",
    "/v1/photos/a$b",
    "/v1/photos/a\\b",
    "/v1/photos/a|b",
    "/v1/photos/a\"b",
    "/v1/photos/",
    "//v1/photos/k",
    "/V1/photos/k",
    "/v1//photos/k",
    // Queries.
    "/v1/photos/k?",
    "/v1/photos/k?at",
    "/v1/photos/k?versions=true&",
    "/v1/photos/k?&versions=true",
    "/v1/photos/k?versions=true&versions=true",
    "/v1/photos/k?versions=true&limit=1",
    "/v1/photos/k?%76ersions=true",
    "/v1/photos/k?versions=%74rue",
    "/v1/photos/k?versions=true;limit=1",
    "/v1/photos/scan?prefix=a/b",
    "/v1/photos/scan?prefix=a+b",
    "/v1/photos/scan?prefix=%c3%bc",
    "/v1/photos/scan?prefix=%C0%AF",
    "/v1/photos/scan?prefix=%00",
    "/v1/photos/k?copy=/others/k",
    "/v1/photos/k?versions=true?limit=1",
];

async fn status(store: &Store, method: &str, target: &str) -> u16 {
    let body = if method == "PUT" { "x" } else { "" };
    let request = AnyRequest {
        method: method.to_owned(),
        target: target.to_owned(),
        timestamp: now().to_string(),
        nonce: nonce().to_string(),
        content: wfldb_core::object::ContentDigest::of(body.as_bytes()).to_string(),
        signed: Vec::new(),
    };
    let holder = &store.admin;
    let headers = request.sign(&holder.packet, holder.audience.as_str(), &holder.key);
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.extend([name.as_str(), ": ", &value, "\r\n"]);
    }
    let mut stream = store.connect().await;
    let wire = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(wire.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // An early refusal may reset the connection behind its answer.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("{method} {target}: {answer}"))
}

/// Defects it catches: normalising in place of refusing, so that one signature is for two keys or a check sees another key
/// than the storage; a second decoding.
#[tokio::test(flavor = "multi_thread")]
async fn no_other_spelling_of_a_path_or_query_is_taken() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/others"))
        .await
        .ok(StatusCode::CREATED);
    for target in ["/v1/photos/k", "/v1/others/k", "/v1/photos/a/b"] {
        store
            .send(Ask::new("PUT", target).body("honest"))
            .await
            .ok(StatusCode::CREATED);
    }
    let before = store.contents().await;
    // The signer is honest: with the one spelling its requests are taken.
    assert_eq!(status(&store, "GET", "/v1/photos/k").await, 200);
    assert_eq!(status(&store, "GET", "/v1/photos/a/b?versions=true").await, 200);
    let mut cases = 0;
    for target in TARGETS {
        for method in ["GET", "PUT", "DELETE"] {
            let status = status(&store, method, target).await;
            assert!(matches!(status, 400 | 404 | 405), "{method} {target} is {status}");
            cases += 1;
        }
    }
    assert_eq!(
        store.contents().await,
        before,
        "a refused spelling changed something"
    );
    // What is only unusual is a key like any other.
    for target in [
        "/v1/photos/%25",
        "/v1/photos/%252F",
        "/v1/photos/...",
        "/v1/photos//",
        "/v1/photos/a//b",
        "/v1/photos/~",
        "/v1/photos/%5C..%5C",
    ] {
        let put = status(&store, "PUT", target).await;
        assert!(put == 200 || put == 201, "{target} is {put}");
        cases += 1;
    }
    count("spellings of paths and queries", cases);
}
