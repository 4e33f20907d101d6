//! HTTP/1.1 as bytes: what a proxy could read another way is refused, and the connection ends.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Ask, Http, Store};

/// Sends bytes and reads until the server closes.
async fn exchange(store: &Store, bytes: &[u8]) -> String {
    let mut stream = store.connect().await;
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_in_doubt_are_refused_and_the_connection_ends() {
    let store = Store::photos().await;
    let smuggled = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    for (head, status, code) in [
        (
            "POST /v1 HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "TwoLengths",
        ),
        (
            "POST /v1 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
            400,
            "TwoLengths",
        ),
        ("GET /v1#x HTTP/1.1\r\nhost: x\r\n\r\n", 400, "BadTarget"),
        ("GET http://x/v1 HTTP/1.1\r\nhost: x\r\n\r\n", 400, "BadTarget"),
        ("OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", 400, "BadTarget"),
        ("CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n", 400, "BadTarget"),
        (
            "GET /v1 HTTP/1.0\r\nhost: x\r\n\r\n",
            400,
            "HttpVersionNotSupported",
        ),
        (
            "GET /v1 HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
            400,
            "UpgradeNotSupported",
        ),
        ("GET /v1 HTTP/1.1\r\n\r\n", 400, "BadHeader"),
        ("GET /v1 HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", 400, "BadHeader"),
    ] {
        let answer = exchange(&store, format!("{head}{smuggled}").as_bytes()).await;
        assert!(answer.contains(&format!(" {status} ")), "{head:?}: {answer:?}");
        assert!(
            answer.contains(&format!("\"code\":\"{code}\"")),
            "{head:?}: {answer:?}"
        );
        assert_eq!(
            answer.matches("x-wfldb-request-id: ").count(),
            1,
            "{head:?}: {answer:?}"
        );
        assert!(
            answer.to_lowercase().contains("connection: close"),
            "{head:?}: {answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_library_refuses_has_a_bare_status() {
    let store = Store::photos().await;
    for (head, status) in [
        ("GET /v1 HTTP/1.1\r\nhost : x\r\n\r\n".to_owned(), 400),
        ("GET /v1 HTTP/1.1\r\nhost: x\r\n folded\r\n\r\n".to_owned(), 400),
        ("G@T /v1 HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 400),
        (
            "PUT /v1 HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n".to_owned(),
            400,
        ),
        (
            "PUT /v1 HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_owned(),
            400,
        ),
        (
            "PUT /v1 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n".to_owned(),
            400,
        ),
        (format!("GET /v1 HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200)), 431),
    ] {
        let answer = exchange(&store, head.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head:?}: {answer:?}"
        );
        assert!(!answer.contains("x-wfldb-request-id"), "{answer}");
    }
    // The server is still there.
    assert_eq!(store.plain(Http::One, "/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let store = Store::photos().await;
    let mut wire = Vec::new();
    for body in ["one", "two"] {
        let ask = Ask::new("PUT", &format!("/v1/photos/{body}"))
            .over(Http::One)
            .body(body);
        wire.extend(
            format!(
                "PUT {} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n",
                ask.target(),
                body.len()
            )
            .bytes(),
        );
        for (name, value) in ask.sign(&store.admin) {
            wire.extend(format!("{name}: {value}\r\n").bytes());
        }
        wire.extend(format!("\r\n{body}").bytes());
    }
    wire.extend(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answer = exchange(&store, &wire).await;
    assert_eq!(answer.matches("HTTP/1.1 201 ").count(), 2, "{answer}");
    assert!(answer.ends_with("ok"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_refusal_reaches_a_client_that_is_still_sending() {
    let store = Store::photos().await;
    let mut stream = store.connect().await;
    let head = "PUT /v1/photos/k HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // The answer is on its way while the body comes.
    for _ in 0..8 {
        if stream.write_all(&vec![7; 50_000]).await.is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 401 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_control_frames_ends_its_connection_only() {
    let store = Store::photos().await;
    let mut stream = store.connect().await;
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let ping = b"\0\0\x08\x06\0\0\0\0\0abcdefgh";
    let (mut reader, mut writer) = stream.split();
    let flood = async {
        // Writing fails once the server has closed.
        for _ in 0..100_000 {
            if writer.write_all(ping).await.is_err() {
                return;
            }
        }
    };
    let mut answered = Vec::new();
    let ((), _) = tokio::join!(flood, reader.read_to_end(&mut answered));
    let pongs = answered.windows(8).filter(|bytes| bytes == b"abcdefgh").count();
    assert!(pongs <= 1000, "{pongs} pings were answered");
    assert_eq!(store.plain(Http::Two, "/healthz").await.status, 200);
}
