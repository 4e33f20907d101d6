//! The data port: accepting connections, and HTTP/1.1 and HTTP/2 on them with every limit of the protocol.

mod connection;
mod peers;
mod socket;
mod wire;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use wfldb_core::limits::HEADER_LIST_BYTES_MAX;

use crate::app::App;
use crate::tls::{self, Tls};
use peers::Peers;
pub(crate) use wire::Wire;

/// Connections at once; more are closed at once.
pub(crate) const CONNECTIONS_MAX: u32 = 4096;
/// Pause after a failed accept (no descriptors left): trying at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
const FRAME_BYTES_MAX: u32 = 64 << 10;
const SEND_BUFFER_BYTES: usize = 1 << 20;
const STREAMS_MAX: u32 = 128;
/// Rapid reset (CVE-2023-44487): streams that a peer reset before we took them.
const PENDING_RESETS_MAX: usize = 20;
/// Resets that a peer made us send (CVE-2025-8671).
const LOCAL_ERROR_RESETS_MAX: usize = 64;
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// HTTP as the connection's peer wants it.
#[derive(Clone, Debug)]
struct Http {
    /// Told apart by the first bytes: without TLS, and for a peer that names no protocol in its handshake.
    either: auto::Builder<TokioExecutor>,
    one: auto::Builder<TokioExecutor>,
    two: auto::Builder<TokioExecutor>,
}

impl Http {
    fn new() -> Result<Self, std::num::TryFromIntError> {
        let either = http()?;
        Ok(Self {
            one: either.clone().http1_only(),
            two: either.clone().http2_only(),
            either,
        })
    }
}

/// Never `pipeline_flush` on HTTP/1.1: downloads fall to a twentieth.
fn http() -> Result<auto::Builder<TokioExecutor>, std::num::TryFromIntError> {
    let header_list_bytes = u32::try_from(HEADER_LIST_BYTES_MAX)?;
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        // A timeout without a timer panics.
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .keep_alive(true);
    http.http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .adaptive_window(false)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(header_list_bytes)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(LOCAL_ERROR_RESETS_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    Ok(http)
}

/// What connections have in common.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) app: Arc<App>,
    /// `None`: everything is in the clear.
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) connections_per_address: NonZeroU32,
}

/// Serves connections until `stopping` turns true; then ends them gracefully and returns when the last is gone.
pub(crate) async fn serve(port: Port, listener: TcpListener, mut stopping: watch::Receiver<bool>) {
    let Ok(http) = Http::new().map(Arc::new) else {
        return;
    };
    let all = usize::try_from(CONNECTIONS_MAX).unwrap_or(usize::MAX);
    let connections = Arc::new(Semaphore::new(all));
    let per_address = usize::try_from(port.connections_per_address.get()).unwrap_or(usize::MAX);
    let peers = Arc::new(Peers::new(per_address, tls::HANDSHAKES_PER_ADDRESS));
    let port = Arc::new(port);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = peers.enter(peer.ip()) else {
            port.app.metrics.connection_refused("address");
            tracing::debug!(%peer, "too many connections of one address; one was closed");
            continue;
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            port.app.metrics.connection_refused("all");
            tracing::debug!("too many connections; one was closed");
            continue;
        };
        // Small answers must not wait for the peer's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        let (port, http, stopping) = (Arc::clone(&port), Arc::clone(&http), stopping.clone());
        tokio::spawn(async move {
            let _permit = permit;
            connection::begin(&port, &http, stream, (peer, place), stopping).await;
        });
    }
    drop(listener);
    let _ = connections.acquire_many(CONNECTIONS_MAX).await;
}
