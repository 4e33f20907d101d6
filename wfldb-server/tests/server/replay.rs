//! A request is carried out once: within one run, and across restarts.

use http::StatusCode;
use wfldb_server::Server;

use crate::harness::{Ask, BOTH, Store, config, now, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_use_of_a_nonce_is_refused() {
    let store = Store::photos().await;
    for http in BOTH {
        let put = Ask::new("PUT", "/v1/photos/k").over(http).body("one");
        store.send(put.clone()).await;
        let again = store.send(put.clone()).await;
        again.is(401, "Unauthenticated");
        assert_eq!(again.json()["hint"], "Replayed");
        assert_eq!(again.header("x-wfldb-time").len(), 24);
        // The nonce alone is spent, whatever else the request says.
        let other = Ask {
            method: "GET".to_owned(),
            body: Vec::new(),
            ..put
        };
        assert_eq!(store.send(other).await.json()["hint"], "Replayed");
        // It is the key's nonce: another key may use the same bytes.
        let holder = store.holder(&[r#"{"b":"photos","p":"","ops":["get"]}"#]);
        let same = Ask::new("GET", "/v1/photos/k").over(http);
        store.send(same.clone()).await.ok(StatusCode::OK);
        store.send_as(&holder, same).await.ok(StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_spent_whatever_follows() {
    let store = Store::photos().await;
    let holder = store.holder(&[r#"{"b":"photos","p":"","ops":["get"]}"#]);
    let forbidden = Ask::new("PUT", "/v1/photos/k").body("x");
    store
        .send_as(&holder, forbidden.clone())
        .await
        .is(403, "Forbidden");
    assert_eq!(store.send_as(&holder, forbidden).await.json()["hint"], "Replayed");
    let bad = Ask::new("GET", "/v1/photos/k?colour=red");
    store.send(bad.clone()).await.is(400, "BadParameter");
    assert_eq!(store.send(bad).await.json()["hint"], "Replayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timestamp_is_near_the_servers_time() {
    let store = Store::photos().await;
    for http in BOTH {
        let at = |timestamp| Ask::new("GET", "/v1/photos/scan").over(http).at(timestamp);
        store.send(at(now().minus_ms(50_000))).await.ok(StatusCode::OK);
        store.send(at(now().plus_ms(4_000))).await.ok(StatusCode::OK);
        for skewed in [
            now().minus_ms(61_000),
            now().plus_ms(7_000),
            wfldb_core::time::UnixMillis::new(0),
        ] {
            let refused = store.send(at(skewed)).await;
            refused.is(401, "Unauthenticated");
            assert_eq!(refused.json()["hint"], "ClockSkew");
            let told = wfldb_core::time::UnixMillis::parse(refused.header("x-wfldb-time")).unwrap();
            assert!(told.get().abs_diff(now().get()) < 5_000);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_about_the_packet_need_a_signature_that_verifies() {
    let store = Store::photos().await;
    let grants = [r#"{"b":"*","p":"","ops":["list"]}"#];
    let expired = store.holder_with(&grants, |claims| {
        claims.iat -= 7200;
        claims.nbf -= 7200;
        claims.exp = claims.nbf + 60;
    });
    let ask = Ask::new("GET", "/v1/photos/scan");
    let refused = store.send_as(&expired, ask.clone()).await;
    refused.is(401, "Unauthenticated");
    assert_eq!(refused.json()["hint"], "Expired");
    // Whoever merely found the packet is told nothing.
    let mut thief = store.holder(&[]);
    thief.packet = expired.packet;
    assert!(
        store
            .send_as(&thief, ask.clone())
            .await
            .json()
            .get("hint")
            .is_none()
    );
    let future = store.holder_with(&grants, |claims| {
        claims.nbf += 3600;
        claims.exp += 3600;
    });
    let refused = store.send_as(&future, ask).await;
    refused.is(401, "Unauthenticated");
    assert!(refused.json().get("hint").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_not_carried_out_again_after_a_clean_restart() {
    let store = Store::photos().await;
    let put = Ask::new("PUT", "/v1/photos/k").body("one");
    store.send(put.clone()).await.ok(StatusCode::CREATED);
    let store = store.restart().await;
    let refused = store.send(put).await;
    refused.is(401, "Unauthenticated");
    assert_eq!(refused.json()["hint"], "ClockSkew");
    // A clean stop left an exact mark, so nobody has to wait.
    let ready = store.plain(crate::harness::Http::One, "/readyz").await;
    assert_eq!(ready.status, 200);
    store
        .send(Ask::new("PUT", "/v1/photos/k").body("two"))
        .await
        .ok(StatusCode::OK);
}

/// A copy of the directory while the server runs is what a crash leaves (of the marks, which are synced).
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_not_carried_out_again_after_a_crash() {
    let store = Store::photos().await;
    let ahead = Ask::new("PUT", "/v1/photos/ahead")
        .body("one")
        .at(now().plus_ms(3_000));
    store.send(ahead.clone()).await.ok(StatusCode::CREATED);
    let last = Ask::new("DELETE", "/v1/photos/ahead");
    store.send(last.clone()).await.ok(StatusCode::NO_CONTENT);
    let crashed = tempfile::tempdir().unwrap();
    copy(store.dir(), crashed.path());
    std::fs::remove_file(crashed.path().join("server.json")).unwrap();
    store.server.stop().await.unwrap();

    let server = Server::start(config(crashed.path())).await.unwrap();
    let address = server.listen();
    let resend = async |ask: &Ask| {
        let stream = hyper_util::rt::TokioIo::new(tokio::net::TcpStream::connect(address).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::builder()
            .method(ask.method.as_str())
            .uri(ask.target())
            .header("host", "x");
        for (name, value) in ask.sign(&store.admin) {
            request = request.header(name, value);
        }
        let body = http_body_util::Full::new(bytes::Bytes::from(ask.body.clone()));
        sender
            .send_request(request.body(body).unwrap())
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    // Until the mark is passed, nothing is served and `/readyz` says so; the card is written when it is.
    let plain = async |path: &str| {
        let stream = hyper_util::rt::TokioIo::new(tokio::net::TcpStream::connect(address).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get(path)
            .header("host", "x")
            .body(http_body_util::Empty::<bytes::Bytes>::new());
        sender
            .send_request(request.unwrap())
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(plain("/readyz").await, 503);
    assert!(!crashed.path().join("server.json").exists());
    for ask in [&ahead, &last] {
        assert_eq!(resend(ask).await, 401);
    }
    until("the mark to pass", async || plain("/readyz").await == 200).await;
    until("the card", async || crashed.path().join("server.json").exists()).await;
    for ask in [&ahead, &last] {
        assert_eq!(resend(ask).await, 401);
    }
    assert_eq!(resend(&Ask::new("PUT", "/v1/photos/new").body("x")).await, 201);
    server.stop().await.unwrap();
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
