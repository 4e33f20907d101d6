//! Large bodies cost a bounded number of bytes of memory, whatever their size.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use wfldb_core::object::ContentDigest;

use crate::harness::{Ask, BOTH, Store, alone};

/// A body of given frames.
pub(crate) struct Frames<I>(pub(crate) I);

impl<I: Iterator<Item = Frame<Bytes>> + Unpin> Body for Frames<I> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}

const MIB: u64 = 1 << 20;

/// A piece of 1 MiB that no other index has.
fn piece(index: u64) -> Bytes {
    let mut bytes = vec![0; 1 << 20];
    blake3::Hasher::new_derive_key("piece")
        .update(&index.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes.into()
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_streams_both_ways() {
    const PIECES: u64 = 256;
    if !alone("streaming::a_large_body_streams_both_ways") {
        return;
    }
    let store = Store::photos().await;
    let mut hasher = blake3::Hasher::new();
    (0..PIECES).for_each(|index| {
        hasher.update(&piece(index));
    });
    let hash = wfldb_core::id::ContentHash::from_bytes(*hasher.finalize().as_bytes());
    // What a first, small request costs is not this test's matter.
    store
        .send(Ask::new("PUT", "/v1/photos/warm").body(vec![1; 5 << 20]))
        .await
        .ok(StatusCode::CREATED);
    store
        .send(Ask::new("GET", "/v1/photos/warm"))
        .await
        .ok(StatusCode::OK);
    let before = resident_kib();
    for http in BOTH {
        let target = format!("/v1/photos/large-{http:?}");
        let mut ask = Ask::new("PUT", &target).over(http);
        ask.content = Some(ContentDigest::blake3(PIECES * MIB, hash));
        let headers = ask.sign(&store.admin);
        let body = Frames((0..PIECES).map(|index| Frame::data(piece(index))));
        let stored = store
            .deliver_body(&ask, headers, body)
            .await
            .ok(StatusCode::CREATED);
        assert_eq!(stored.header("etag"), format!("\"{hash}\""));

        let ask = Ask::new("GET", &target).over(http);
        let headers = ask.sign(&store.admin);
        let response = store
            .open(&ask, headers, http_body_util::Empty::<Bytes>::new())
            .await;
        assert_eq!(
            response.headers()["content-length"],
            (PIECES * MIB).to_string().as_str()
        );
        let mut body = response.into_body();
        let mut hasher = blake3::Hasher::new();
        while let Some(frame) = body.frame().await {
            hasher.update(&frame.unwrap().into_data().unwrap());
        }
        assert_eq!(hasher.finalize().as_bytes(), hash.as_bytes());
    }
    // The process holds the client's side too, which is why the bound is not tighter; 512 MiB went through.
    let grown = resident_kib().saturating_sub(before) / 1024;
    assert!(grown < 96, "memory grew by {grown} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_reading_stops_the_disk() {
    if !alone("streaming::a_reader_that_stops_reading_stops_the_disk") {
        return;
    }
    let store = Store::photos().await;
    let body: Vec<u8> = (0..32).flat_map(|index| piece(index).to_vec()).collect();
    store
        .send(Ask::new("PUT", "/v1/photos/k").body(body))
        .await
        .ok(StatusCode::CREATED);
    let before = resident_kib();
    let mut held = Vec::new();
    for http in BOTH {
        for _ in 0..4 {
            let ask = Ask::new("GET", "/v1/photos/k").over(http);
            let headers = ask.sign(&store.admin);
            held.push(
                store
                    .open(&ask, headers, http_body_util::Empty::<Bytes>::new())
                    .await,
            );
        }
    }
    // Others are served meanwhile.
    store
        .send(Ask::new("GET", "/v1/photos/scan"))
        .await
        .ok(StatusCode::OK);
    let grown = resident_kib().saturating_sub(before) / 1024;
    assert!(grown < 128, "memory grew by {grown} MiB");
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_nothing_and_the_server_up() {
    let store = Store::photos().await;
    for http in BOTH {
        let mut ask = Ask::new("PUT", "/v1/photos/k").over(http);
        ask.content = Some(ContentDigest::blake3(
            64 * MIB,
            wfldb_core::id::ContentHash::of(b""),
        ));
        let headers = ask.sign(&store.admin);
        // The body ends with an error, as when the client's disk fails: the connection or stream is reset.
        let body = Failing(9);
        let stream = hyper_util::rt::TokioIo::new(store.connect().await);
        let mut request = http::Request::builder()
            .method("PUT")
            .uri(format!("http://{}/v1/photos/k", store.server.listen()));
        if http == crate::harness::Http::One {
            request = http::Request::builder()
                .method("PUT")
                .uri("/v1/photos/k")
                .header("host", "x");
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(body).unwrap();
        match http {
            crate::harness::Http::One => {
                let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
                tokio::spawn(connection);
                sender.send_request(request).await.unwrap_err();
            }
            crate::harness::Http::Two => {
                let executor = hyper_util::rt::TokioExecutor::new();
                let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream)
                    .await
                    .unwrap();
                tokio::spawn(connection);
                sender.send_request(request).await.unwrap_err();
            }
        }
    }
    assert_eq!(store.contents().await, (Vec::new(), 0));
}

/// A body of so many pieces, and then an error.
struct Failing(u64);

impl Body for Failing {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let left = self.0;
        self.0 = left.saturating_sub(1);
        Poll::Ready(Some(if left == 0 {
            Err(std::io::Error::other("broken"))
        } else {
            Ok(Frame::data(piece(left)))
        }))
    }
}
