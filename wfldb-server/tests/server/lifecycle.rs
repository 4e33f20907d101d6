//! Starting, stopping, and who may start at all.

use std::os::unix::fs::PermissionsExt as _;

use http::StatusCode;
use wfldb_server::{Server, StartError};

use crate::harness::{Ask, Http, Store, config, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_leaves_a_profile_for_its_owner_only() {
    let store = Store::new().await;
    let bootstrap = store.server.bootstrap().unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&store.dir().join("bootstrap")), 0o700);
    assert_eq!(
        (mode(&bootstrap.root_key), mode(&bootstrap.profile)),
        (0o600, 0o600)
    );
    assert!(!store.dir().join("bootstrap/unfinished").exists());
    let profile: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&bootstrap.profile).unwrap()).unwrap();
    assert_eq!(profile["url"], format!("http://{}", store.server.listen()));
    assert_eq!(profile["realm"], store.server.realm().as_str());
    assert!(store.server.realm().as_str().starts_with("local-"));
    assert_eq!(store.server.realm().as_str().len(), "local-".len() + 16);

    // The card is there when requests are served, and gone after a clean stop.
    let card = store.dir().join("server.json");
    until("the card", async || card.exists()).await;
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(&card).unwrap()).unwrap();
    assert_eq!(told["listen"], store.server.listen().to_string());
    assert_eq!(told["metrics"], store.server.metrics().to_string());
    assert_eq!(told["realm"], store.server.realm().as_str());
    assert_eq!(told["pid"], std::process::id());

    let store = store.restart().await;
    assert!(store.server.bootstrap().is_none());
    store
        .send(Ask::new("PUT", "/v1/photos"))
        .await
        .ok(StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_was_cut_off_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(config(dir.path())).await.unwrap();
    server.stop().await.unwrap();
    // As when the process ended between the store and the profile.
    std::fs::remove_file(dir.path().join("bootstrap/admin.json")).unwrap();
    std::fs::write(dir.path().join("bootstrap/unfinished"), "").unwrap();
    let server = Server::start(config(dir.path())).await.unwrap();
    assert!(server.bootstrap().unwrap().profile.exists());
    server.stop().await.unwrap();
    // Without the marker, a profile that was moved away is not made again.
    std::fs::remove_file(dir.path().join("bootstrap/admin.json")).unwrap();
    let server = Server::start(config(dir.path())).await.unwrap();
    assert!(server.bootstrap().is_none() && !dir.path().join("bootstrap/admin.json").exists());
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_with_given_trust_makes_no_root_key() {
    let dir = tempfile::tempdir().unwrap();
    let root = wfldb_core::id::SecretKey::from_seed([9; 32]).key_id(wfldb_core::id::Role::Root);
    let mut with_trust = config(dir.path());
    with_trust.trust = vec![root];
    let server = Server::start(with_trust).await.unwrap();
    assert!(server.bootstrap().is_none() && !dir.path().join("bootstrap").exists());
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_directory_is_refused() {
    let store = Store::new().await;
    let error = Server::start(config(store.dir())).await.unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    // The first one did not notice.
    store
        .send(Ask::new("PUT", "/v1/photos"))
        .await
        .ok(StatusCode::CREATED);
    let mut other_realm = config(store.dir());
    other_realm.realm = Some(wfldb_core::name::Realm::parse("other").unwrap());
    store.server.stop().await.unwrap();
    let error = Server::start(other_realm).await.unwrap_err();
    assert!(error.to_string().contains("realm"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_others_reach_needs_a_flag() {
    let dir = tempfile::tempdir().unwrap();
    let mut open = config(dir.path());
    open.listen = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(
        Server::start(open.clone()).await,
        Err(StartError::Plaintext(_))
    ));
    open.danger_plaintext = true;
    open.metrics_listen = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(
        Server::start(open.clone()).await,
        Err(StartError::OpenMetrics(_))
    ));
    assert!(!dir.path().join("STORE").exists());
    open.danger_metrics = true;
    Server::start(open).await.unwrap().stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_running_requests_finish() {
    let store = Store::photos().await;
    let body: Vec<u8> = vec![5; 6 << 20];
    let ask = Ask::new("PUT", "/v1/photos/k").body(body.clone());
    let headers = ask.sign(&store.admin);
    let (send, receive) = tokio::sync::mpsc::channel::<bytes::Bytes>(1);
    let running = {
        let address = store.server.listen();
        let target = format!("http://{address}/v1/photos/k");
        let stream = hyper_util::rt::TokioIo::new(store.connect().await);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::builder().method("PUT").uri(target);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Channel(receive)).unwrap();
        tokio::spawn(async move { sender.send_request(request).await.unwrap().status() })
    };
    let half = bytes::Bytes::from(body).split_to(3 << 20);
    send.send(half.clone()).await.unwrap();
    until("the upload to begin", async || send.capacity() == 1).await;
    let address = store.server.listen();
    let Store { server, .. } = store;
    let stopping = tokio::spawn(server.stop());
    until("the port to close", async || {
        tokio::net::TcpStream::connect(address).await.is_err()
    })
    .await;
    send.send(half).await.unwrap();
    drop(send);
    assert_eq!(running.await.unwrap(), StatusCode::CREATED);
    stopping.await.unwrap().unwrap();
}

/// A body that comes from a channel.
struct Channel(tokio::sync::mpsc::Receiver<bytes::Bytes>);

impl http_body::Body for Channel {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        self.0
            .poll_recv(cx)
            .map(|bytes| bytes.map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_is_there_after_a_restart() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/photos/k").body("one"))
        .await
        .ok(StatusCode::CREATED);
    let before = store.contents().await;
    let store = store.restart().await;
    assert_eq!(store.contents().await, before);
    assert_eq!(
        &store
            .send(Ask::new("GET", "/v1/photos/k").over(Http::One))
            .await
            .body[..],
        b"one"
    );
}
