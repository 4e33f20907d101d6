//! The load: our server through the SDK, the empty handler through bare hyper, with the same bodies.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use wfldb_client::{Client, ClientOptions, GetOptions, PutOptions, ScanQuery};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::BucketConfig;

use crate::measure::{Measured, side_by_side};
use crate::peer::Peer;
use crate::{Options, cpu};

type Failure = Box<dyn Error + Send + Sync>;

/// The error as `main` returns it.
fn plain(error: Failure) -> Box<dyn Error> {
    error
}

async fn timed<F, Fut>(
    name: &'static str,
    pid: u32,
    clients: usize,
    time: Duration,
    operation: F,
) -> Result<Measured, Box<dyn Error>>
where
    F: Fn(u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    // Connections, caches and the allocator settle first.
    side_by_side(clients, time / 5, operation.clone())
        .await
        .map_err(plain)?;
    let (meter, own) = (cpu::Meter::of_process(pid)?, cpu::Meter::of_self()?);
    let start = Instant::now();
    let latencies = side_by_side(clients, time, operation).await.map_err(plain)?;
    let wall = start.elapsed();
    let (spent, own) = (meter.spent()?, own.spent()?);
    Ok(Measured::new(name, latencies, wall, &spent).generated_with(own.cpu))
}

/// PUT, GET and scan of a page of 100 keys.
pub(crate) async fn server(
    peer: &Peer,
    options: &Options,
    time: Duration,
) -> Result<Vec<Measured>, Box<dyn Error>> {
    let client_options = ClientOptions {
        connections: options.connections,
        ..ClientOptions::default()
    };
    let client = Client::with_options(peer.profile()?, client_options);
    let bucket = BucketName::parse("bench")?;
    client.create_bucket(&bucket, &BucketConfig::default()).await?;
    let body = Bytes::from(vec![b'x'; options.size]);
    let key =
        |number: u64| ObjectKey::parse(&format!("{:08x}", number.wrapping_mul(0x9E37_79B1) & 0xFFFF_FFFF));

    let put = {
        let (client, bucket) = (client.clone(), bucket.clone());
        timed("put", peer.pid(), options.clients, time, move |number| {
            let (client, bucket, body) = (client.clone(), bucket.clone(), body.clone());
            async move {
                client
                    .put(&bucket, &key(number)?, body, PutOptions::default())
                    .await?;
                Ok(())
            }
        })
        .await?
    };
    let keys = put.ops.min(options.keys);
    let get = {
        let (client, bucket) = (client.clone(), bucket.clone());
        let size = options.size as u64;
        timed("get", peer.pid(), options.clients, time, move |number| {
            let (client, bucket) = (client.clone(), bucket.clone());
            async move {
                // The same keys in another order.
                let key = key(number.wrapping_mul(7919) % keys)?;
                client
                    .get(&bucket, &key, GetOptions::default())
                    .await?
                    .bytes(size)
                    .await?;
                Ok(())
            }
        })
        .await?
    };
    let scan = timed("scan_100", peer.pid(), options.clients, time, move |number| {
        let (client, bucket) = (client.clone(), bucket.clone());
        async move {
            let after = Some(format!("{:08x}", number.wrapping_mul(0x9E37_79B1) & 0xFFFF_FFFF));
            let query = ScanQuery {
                after,
                page: 100,
                ..ScanQuery::default()
            };
            client.scan(&bucket, &query).next_page().await?;
            Ok(())
        }
    })
    .await?;
    Ok(vec![put, get, scan])
}

/// The same bodies against a handler that does nothing.
pub(crate) async fn empty_handler(
    peer: &Peer,
    options: &Options,
    time: Duration,
) -> Result<Vec<Measured>, Box<dyn Error>> {
    let mut senders = Vec::new();
    for _ in 0..options.connections.max(1) {
        let stream = tokio::net::TcpStream::connect(&peer.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(8 << 20)
            .initial_connection_window_size(16 << 20)
            .max_frame_size(256 << 10)
            .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await?;
        tokio::spawn(connection);
        senders.push(sender);
    }
    let senders = Arc::new(senders);
    let body = Bytes::from(vec![b'x'; options.size]);
    let uri = format!("http://{}/v1/bench/key", peer.address);
    let mut measured = Vec::new();
    for (name, method, body) in [("empty_put", "PUT", body), ("empty_get", "GET", Bytes::new())] {
        let (senders, uri) = (Arc::clone(&senders), uri.clone());
        let one = timed(name, peer.pid(), options.clients, time, move |number| {
            let (senders, uri, body) = (Arc::clone(&senders), uri.clone(), body.clone());
            async move {
                let index = usize::try_from(number)? % senders.len();
                let mut sender = senders.get(index).ok_or("no connection")?.clone();
                let request = Request::builder()
                    .method(method)
                    .uri(&uri)
                    .body(Full::new(body))?;
                sender.ready().await?;
                let mut answer = sender.send_request(request).await?.into_body();
                while let Some(frame) = answer.frame().await {
                    frame?;
                }
                Ok(())
            }
        })
        .await?;
        measured.push(one);
    }
    Ok(measured)
}
