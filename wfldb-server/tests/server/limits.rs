//! Rates and connections.

use std::num::{NonZeroU32, NonZeroU64};

use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;
use wfldb_core::id::Role;

use crate::harness::{Answer, Ask, Holder, Store, until};
use crate::sessions::open;

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
    until("the rate to recover", async || {
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
        let request = request.body(Full::new(Bytes::from(ask.body))).unwrap();
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

async fn scan(store: &Store, holder: &Holder) -> Answer {
    store.send_as(holder, Ask::new("GET", "/v1/photos/scan")).await
}

fn is_throttled(answer: &Answer, code: &str) {
    answer.is(429, code);
    assert_eq!(answer.header("retry-after"), "1");
}

/// The statuses of eight requests, one right after the other.
async fn eight(send: impl AsyncFn() -> Answer) -> Vec<u16> {
    let mut seen = Vec::new();
    for _ in 0..8 {
        let answer = send().await;
        if answer.status == 429 {
            is_throttled(&answer, "RateExceeded");
        }
        seen.push(answer.status);
    }
    seen
}

/// Defects it catches: a request of a session that is not counted; a refused one that is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_a_rate_whatever_it_asks_for() {
    let store = Store::with(|config| config.requests_per_key = NonZeroU64::new(4)).await;
    let list = r#"{"b":"*","p":"","ops":["list"]}"#;
    let (reads, forbidden, tagged) = (
        store.holder(&[list]),
        store.holder(&[list]),
        store.holder(&[list]),
    );
    let session = open(&store, &tagged).await;
    let found = eight(async || store.send_as(&reads, Ask::new("GET", "/v1")).await).await;
    assert_eq!(found[..4], [200; 4]);
    assert!(found.contains(&429), "{found:?}");
    let found = eight(async || store.send_as(&forbidden, Ask::new("PUT", "/v1/photos")).await).await;
    assert_eq!(found[..4], [403; 4]);
    assert!(found.contains(&429), "{found:?}");
    // Opening it was one of the four, or is long enough ago.
    let found = eight(async || session.send(&store, Ask::new("GET", "/v1")).await).await;
    assert_eq!(found[..3], [200; 3]);
    assert!(found.contains(&429), "{found:?}");
    // The key counts, not the packet: another packet of it gains nothing.
    let again = store.holder_with(&[list], |claims| claims.sub = reads.key.key_id(Role::Client));
    let again = Holder {
        key: reads.key.clone(),
        ..again
    };
    let both = async {
        let mut throttled = 0;
        for turn in 0..10 {
            let holder = if turn % 2 == 0 { &reads } else { &again };
            throttled += usize::from(store.send_as(holder, Ask::new("GET", "/v1")).await.status == 429);
        }
        throttled
    };
    assert!(both.await > 0);
    until("the rate to recover", async || {
        store.send_as(&reads, Ask::new("GET", "/v1")).await.status == 200
    })
    .await;
}

/// Defects it catches: a rate that each caller has by itself; one that `manage` is held up by too.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_has_a_rate_that_all_callers_share() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/other"))
        .await
        .ok(StatusCode::CREATED);
    let configure = |json: &str| store.send(Ask::new("PUT", "/v1/photos").body(json.to_owned()));
    configure(r#"{"rate":0}"#).await.is(400, "BadBucketConfig");
    let configured = configure(r#"{"rate":4}"#).await.ok(StatusCode::OK);
    assert_eq!(configured.json()["rate"], 4);
    let list = r#"{"b":"*","p":"","ops":["list"]}"#;
    let (one, other) = (store.holder(&[list]), store.holder(&[list]));
    let session = open(&store, &other).await;
    let mut seen = Vec::new();
    for turn in 0..12 {
        let answer = match turn % 3 {
            0 => scan(&store, &one).await,
            1 => scan(&store, &other).await,
            _ => session.send(&store, Ask::new("GET", "/v1/photos/scan")).await,
        };
        if answer.status == 429 {
            is_throttled(&answer, "RateExceeded");
        }
        seen.push(answer.status);
    }
    assert_eq!(seen[..4], [200; 4]);
    assert!(seen.contains(&429), "{seen:?}");
    // Other buckets are walls away, and whoever manages it can end it.
    for _ in 0..6 {
        store
            .send(Ask::new("GET", "/v1/other/scan"))
            .await
            .ok(StatusCode::OK);
        store.send(Ask::new("GET", "/v1/photos")).await.ok(StatusCode::OK);
    }
    until("the rate to recover", async || {
        scan(&store, &one).await.status == 200
    })
    .await;
    configure("{}").await.ok(StatusCode::OK);
    for _ in 0..12 {
        scan(&store, &one).await.ok(StatusCode::OK);
    }
}

/// A download counts for as long as it lasts.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_so_many_requests_in_flight() {
    let store = Store::with(|config| config.requests_in_flight_per_key = NonZeroU32::new(2).unwrap()).await;
    store
        .send(Ask::new("PUT", "/v1/photos"))
        .await
        .ok(StatusCode::CREATED);
    let put = Ask::new("PUT", "/v1/photos/big").body(vec![7; 32 << 20]);
    store.send(put).await.ok(StatusCode::CREATED);
    // Two grants, so that it is not one of them that is full.
    let grants = [
        r#"{"b":"photos","p":"","ops":["get"]}"#,
        r#"{"b":"photos","p":"","ops":["list"]}"#,
    ];
    let (one, other) = (store.holder(&grants), store.holder(&grants));
    let mut downloads = Vec::new();
    for _ in 0..2 {
        let ask = Ask::new("GET", "/v1/photos/big");
        let answer = store.open(&ask, ask.sign(&one), Full::<Bytes>::default()).await;
        assert_eq!(answer.status(), 200);
        downloads.push(answer);
    }
    is_throttled(&scan(&store, &one).await, "TooManyRequests");
    scan(&store, &other).await.ok(StatusCode::OK);
    drop(downloads);
    until("the downloads to end", async || {
        scan(&store, &one).await.status == 200
    })
    .await;
}
