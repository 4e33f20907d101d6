//! Rates and connections.

use http::StatusCode;

use crate::harness::{Ask, Store};

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_429_with_retry_after_and_recovers() {
    let store = Store::photos().await;
    let holder = store.holder(&[r#"{"b":"photos","p":"","ops":["list"],"rate":2}"#]);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let answer = store.send_as(&holder, Ask::new("GET", "/v1/photos/scan")).await;
        if answer.status == 429 {
            answer.is(429, "RateExceeded");
            assert_eq!(answer.header("retry-after"), "1");
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses[..2], [200, 200]);
    assert!(statuses.contains(&429), "{statuses:?}");
    // Another holder of the same rights has its own.
    let other = store.holder(&[r#"{"b":"photos","p":"","ops":["list"],"rate":2}"#]);
    store
        .send_as(&other, Ask::new("GET", "/v1/photos/scan"))
        .await
        .ok(StatusCode::OK);
    crate::harness::until("the rate to recover", async || {
        store
            .send_as(&holder, Ask::new("GET", "/v1/photos/scan"))
            .await
            .status
            == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_on_one_connection_are_all_answered() {
    let store = Store::photos().await;
    let stream = hyper_util::rt::TokioIo::new(store.connect().await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (sender, connection) = hyper::client::conn::http2::handshake(executor, stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    let host = store.server.listen();
    let mut running = Vec::new();
    for index in 0..500 {
        let ask = Ask::new("PUT", &format!("/v1/photos/{index}")).body(vec![7; 4096]);
        let mut request = http::Request::builder()
            .method("PUT")
            .uri(format!("http://{host}{}", ask.target()));
        for (name, value) in ask.sign(&store.admin) {
            request = request.header(name, value);
        }
        let request = request
            .body(http_body_util::Full::new(bytes::Bytes::from(ask.body)))
            .unwrap();
        let mut sender = sender.clone();
        running.push(tokio::spawn(async move {
            sender.send_request(request).await.unwrap().status()
        }));
    }
    for request in running {
        assert_eq!(request.await.unwrap(), StatusCode::CREATED);
    }
    assert_eq!(store.contents().await.1, 500);
}
