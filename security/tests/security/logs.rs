//! What the log says at its most talkative, while everything of value goes through the server.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use tracing_subscriber::fmt::MakeWriter;
use wfldb_core::id::{PacketHash, Role, SecretKey};
use wfldb_core::session::{ExchangeSecret, complete};
use wfldb_net::session::{decode_offer, encode_asked};
use wfldb_security::count;

use crate::harness::{Ask, BOTH, Store, alone};

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Defects it catches: a span that keeps a header; a fault whose text names a key; a library's trace of what it parsed.
#[test]
fn the_log_has_no_key_packet_signature_or_name_at_any_level() {
    if !alone("logs::the_log_has_no_key_packet_signature_or_name_at_any_level") {
        return;
    }
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_ansi(false)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let secrets = runtime.block_on(everything_of_value());
    let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(
        text.contains("TRACE") && text.contains("wfldb"),
        "the log was not on"
    );
    assert!(text.lines().count() > 100, "{text}");
    for (what, secret) in &secrets {
        assert!(secret.len() >= 8, "{what} would be found anywhere");
        let line = text.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(line, None, "the log has {what}");
    }
    count("secrets looked for in the log", secrets.len());
}

/// Sends requests that succeed and that fail, and gives what may not be in the log.
async fn everything_of_value() -> Vec<(String, String)> {
    let mut secrets: Vec<(String, String)> = Vec::new();
    let store = Store::with(|_| {}).await;
    let bucket = "bucket-of-nobody-else";
    store
        .send(Ask::new("PUT", &format!("/v1/{bucket}")))
        .await
        .ok(StatusCode::CREATED);
    let key = format!("/v1/{bucket}/name-that-is-private");
    let mut keep = |what: &str, secret: &str| secrets.push((what.to_owned(), secret.to_owned()));
    keep("the bucket's name", bucket);
    keep("the key's name", "name-that-is-private");
    for http in BOTH {
        let put = Ask::new("PUT", &key)
            .body("body-that-is-private")
            .header("content-type", "application/type-that-is-private")
            .header("x-wfldb-meta-owner", "value-that-is-private")
            .header("x-wfldb-tags", "tagname=tag-that-is-private")
            .over(http);
        let missing = Ask::new("GET", &format!("/v1/{bucket}/none-that-is-private")).over(http);
        let listing = Ask::new("GET", &format!("/v1/{bucket}/scan?limit=1&prefix=name-")).over(http);
        let batch = Ask::new("POST", &format!("/v1/{bucket}/batch"))
            .body(r#"{"ops":[{"op":"put","key":"entry-that-is-private","body":"body-that-is-private"}]}"#)
            .over(http);
        let broken = Ask::new("POST", &format!("/v1/{bucket}/batch"))
            .body(r#"{"ops":["list-that-is-private"]}"#)
            .over(http);
        let get = Ask::new("GET", &key).header("range", "bytes=0-3").over(http);
        let bad = Ask::new("GET", &format!("{key}?at=query-that-is-private")).over(http);
        for ask in [
            put,
            missing,
            listing,
            batch,
            broken,
            get,
            bad,
            Ask::new("DELETE", &key).over(http),
        ] {
            for (name, value) in ask.sign(&store.admin) {
                if ["x-wfldb-signature", "x-wfldb-nonce"].contains(&name.as_str()) {
                    keep(&name, &value);
                }
            }
            let headers = ask.sign(&store.admin);
            // Once as it is, and again with a signature that does not verify.
            let sent = store.deliver(&ask, headers.clone()).await;
            assert_ne!(sent.status, 401, "{sent:?}");
            let wrong = headers.into_iter().map(|(name, value)| match name.as_str() {
                "x-wfldb-signature" => (name, "A".repeat(86)),
                _ => (name, value),
            });
            let refused = store.deliver(&ask, wrong.collect()).await;
            assert_eq!(refused.status, 401, "{refused:?}");
        }
        // A packet that is none, and one of a stranger.
        let mut stranger = store.admin.clone();
        "packet-that.is.private".clone_into(&mut stranger.packet);
        let ask = Ask::new("GET", &key).over(http);
        assert_ne!(store.send_as(&stranger, ask).await.status, 200);
    }
    keep("a packet that is none", "packet-that.is.private");
    let names = [
        "body-that-is-private",
        "type-that-is-private",
        "value-that-is-private",
        "tag-that-is-private",
        "none-that-is-private",
        "entry-that-is-private",
        "list-that-is-private",
        "query-that-is-private",
    ];
    for name in names {
        keep(name, name);
    }
    let limited = store.holder(&[r#"{"b":"other-that-is-private","p":"","ops":["get"]}"#]);
    store
        .send_as(&limited, Ask::new("GET", &key))
        .await
        .is(403, "Forbidden");
    keep("a grant", "other-that-is-private");
    let secret = ExchangeSecret::from_bytes([7; 32]);
    let asked = Ask::new("POST", "/v1/_session").body(encode_asked(secret.public()));
    let offer = decode_offer(&store.send(asked).await.ok(StatusCode::OK).body).unwrap();
    keep("a session's id", &offer.session.to_string());
    keep("an exchanged key", &offer.key.to_string());
    keep("an offer's signature", &offer.signature.to_string());
    keep("the node's id", &offer.node.to_string());
    let packet = PacketHash::of(store.admin.packet.as_bytes());
    let _key = complete(&offer, secret, &store.admin.audience, packet).unwrap();
    keep("the packet's hash", &packet.to_string());
    for holder in [&store.admin, &limited] {
        for part in holder.packet.split('.').skip(1) {
            keep("a part of a packet", part);
        }
        keep("a holder's id", &holder.key.key_id(Role::Client).to_string());
        keep("a holder's secret", &holder.key.to_wire());
        keep("a holder's secret without its name", &holder.key.to_wire()[4..]);
    }
    for file in ["keys/node.key", "bootstrap/root.key"] {
        let text = std::fs::read_to_string(store.dir().join(file)).unwrap();
        let key = SecretKey::parse(text.trim()).unwrap();
        keep(file, text.trim());
        for role in [Role::Root, Role::Node] {
            keep(&format!("an id of {file}"), &key.key_id(role).to_string());
        }
    }
    let secret = std::fs::read(store.dir().join("keys/store.secret")).unwrap();
    keep("the store's secret", &wfldb_core::encoding::hex::encode(&secret));
    store.server.stop().await.unwrap();
    secrets
}
