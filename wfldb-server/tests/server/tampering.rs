//! Changing any signed element of a request, on the way, makes it worthless.

use http::StatusCode;

use crate::harness::{Ask, BOTH, Store};

/// A change of one element, after signing.
type Change = (
    &'static str,
    fn(&mut Ask, &mut Vec<(String, String)>),
    u16,
    &'static str,
);

fn set(headers: &mut [(String, String)], name: &str, value: &str) {
    let header = headers.iter_mut().find(|(known, _)| known == name).unwrap();
    assert_ne!(header.1, value, "the change changes nothing");
    value.clone_into(&mut header.1);
}

fn edit(headers: &mut [(String, String)], name: &str, change: impl Fn(&str) -> String) {
    let header = headers.iter_mut().find(|(known, _)| known == name).unwrap();
    let changed = change(&header.1);
    assert_ne!(header.1, changed, "the change changes nothing");
    header.1 = changed;
}

const UNAUTHENTICATED: &str = "Unauthenticated";

const CHANGES: &[Change] = &[
    (
        "method",
        |ask, _| ask.method = "DELETE".to_owned(),
        401,
        UNAUTHENTICATED,
    ),
    (
        "bucket",
        |ask, _| ask.path = "/v1/others/k".to_owned(),
        401,
        UNAUTHENTICATED,
    ),
    (
        "key",
        |ask, _| ask.path = "/v1/photos/kk".to_owned(),
        401,
        UNAUTHENTICATED,
    ),
    (
        "query",
        |ask, _| ask.query = "x=1".to_owned(),
        401,
        UNAUTHENTICATED,
    ),
    (
        "timestamp",
        |ask, headers| {
            set(
                headers,
                "x-wfldb-timestamp",
                &ask.timestamp.plus_ms(1).to_string(),
            );
        },
        401,
        UNAUTHENTICATED,
    ),
    (
        "nonce",
        |_, headers| set(headers, "x-wfldb-nonce", "AAECAwQFBgcICQoLDA0ODw"),
        401,
        UNAUTHENTICATED,
    ),
    (
        "content hash",
        |_, headers| set(headers, "x-wfldb-content", &format!("b3 11 {}", "0".repeat(64))),
        401,
        UNAUTHENTICATED,
    ),
    (
        "content length",
        |_, headers| edit(headers, "x-wfldb-content", |value| value.replace(" 11 ", " 10 ")),
        400,
        "LengthMismatch",
    ),
    (
        "content form",
        |_, headers| edit(headers, "x-wfldb-content", |value| value.replace("b3", "sha256")),
        401,
        UNAUTHENTICATED,
    ),
    (
        "signed header",
        |_, headers| set(headers, "content-type", "text/html"),
        401,
        UNAUTHENTICATED,
    ),
    (
        "signed header gone",
        |_, headers| headers.retain(|(name, _)| name != "x-wfldb-tags"),
        400,
        "NotCanonical",
    ),
    (
        "signed list cut",
        |_, headers| set(headers, "x-wfldb-signed-headers", "content-type"),
        400,
        "UnsignedHeader",
    ),
    (
        "signed list longer",
        |_, headers| {
            headers.push(("x-wfldb-meta-a".to_owned(), "b".to_owned()));
            set(
                headers,
                "x-wfldb-signed-headers",
                "content-type;x-wfldb-meta-a;x-wfldb-tags",
            );
        },
        401,
        UNAUTHENTICATED,
    ),
    (
        "unsigned header added",
        |_, headers| headers.push(("if-match".to_owned(), "*".to_owned())),
        400,
        "UnsignedHeader",
    ),
    (
        "unsigned header of ours added",
        |_, headers| headers.push(("x-wfldb-meta-a".to_owned(), "b".to_owned())),
        400,
        "UnsignedHeader",
    ),
    (
        "signature",
        |_, headers| {
            edit(headers, "x-wfldb-signature", |value| {
                let (first, rest) = value.split_at(1);
                format!("{}{rest}", if first == "A" { "B" } else { "A" })
            });
        },
        401,
        UNAUTHENTICATED,
    ),
    (
        "packet",
        |_, headers| {
            edit(headers, "authorization", |value| {
                // A character of the claims.
                let at = value.find('.').unwrap() + 5;
                let other = if &value[at..=at] == "a" { "b" } else { "a" };
                format!("{}{other}{}", &value[..at], &value[at + 1..])
            });
        },
        401,
        UNAUTHENTICATED,
    ),
    (
        "packet's signature",
        |_, headers| {
            edit(headers, "authorization", |value| {
                let at = value.rfind('.').unwrap() + 1;
                let other = if &value[at..=at] == "A" { "B" } else { "A" };
                format!("{}{other}{}", &value[..at], &value[at + 1..])
            });
        },
        401,
        UNAUTHENTICATED,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_signed_element_counts() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/others"))
        .await
        .ok(StatusCode::CREATED);
    for http in BOTH {
        for (name, change, status, code) in CHANGES {
            let mut ask = Ask::new("PUT", "/v1/photos/k")
                .over(http)
                .header("content-type", "text/plain")
                .header("x-wfldb-tags", "a=b")
                .body("hello wflDB");
            let mut headers = ask.sign(&store.admin);
            change(&mut ask, &mut headers);
            let answer = store.deliver(&ask, headers).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (*status, *code),
                "{name} over {http:?}"
            );
            if *status == 401 {
                let problem = answer.json();
                assert!(problem.get("hint").is_none(), "{name}: {problem}");
                assert_eq!(answer.header("x-wfldb-time").len(), 24);
            }
        }
        // The body is not what was signed: same length, other bytes.
        let mut ask = Ask::new("PUT", "/v1/photos/k").over(http).body("hello wflDB");
        let headers = ask.sign(&store.admin);
        ask.body = b"hello wflDb".to_vec();
        store.deliver(&ask, headers).await.is(400, "HashMismatch");
    }
    assert_eq!(store.contents().await, (Vec::new(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_store_or_another_holder_cannot_use_a_request() {
    let store = Store::photos().await;
    let ask = Ask::new("GET", "/v1/photos/scan");
    // Signed for another store.
    let mut elsewhere = store.admin.clone();
    elsewhere.audience = wfldb_core::name::Audience::parse("wfldb:elsewhere").unwrap();
    store
        .send_as(&elsewhere, ask.clone())
        .await
        .is(401, "Unauthenticated");
    // Somebody else's packet with a key of one's own.
    let mut thief = store.holder(&[]);
    thief.packet.clone_from(&store.admin.packet);
    store
        .send_as(&thief, ask.clone())
        .await
        .is(401, "Unauthenticated");
    // A packet that a stranger's root signed, for this store.
    let other = Store::new().await;
    let stranger = other.holder_with(&[r#"{"b":"*","p":"","ops":["list"]}"#], |claims| {
        claims.aud = store.admin.audience.clone();
    });
    store
        .send_as(&stranger, ask.clone())
        .await
        .is(401, "Unauthenticated");
    // A packet of this root for another store.
    let grants = [r#"{"b":"*","p":"","ops":["list"]}"#];
    let audience = elsewhere.audience.clone();
    let astray = store.holder_with(&grants, |claims| claims.aud = audience);
    store.send_as(&astray, ask).await.is(401, "Unauthenticated");
}
