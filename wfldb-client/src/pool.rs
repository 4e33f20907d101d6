//! The connections: a few HTTP/2 connections (prior knowledge), opened when first needed, shared by all requests,
//! and opened again after they failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::outgoing::{Meter, OutgoingBody};

const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const FRAME_BYTES: u32 = 256 * 1024;
const SEND_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Answers carry at most what requests may: 24 KiB of headers.
const HEADER_LIST_BYTES: u32 = 24 * 1024;
/// Requests in flight on one connection. Beyond it a request waits here, before it is stamped and signed, rather
/// than in the HTTP library, where its time stamp would grow old.
const STREAMS_PER_CONNECTION: usize = 128;
const CONNECT_WAIT: Duration = Duration::from_secs(5);
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_WAIT: Duration = Duration::from_secs(20);
/// How long neither side may move before a request counts as lost.
pub(crate) const SILENCE_MAX: Duration = Duration::from_mins(1);

/// A fixed number of connection slots.
#[derive(Debug)]
pub(crate) struct Pool {
    endpoint: Endpoint,
    slots: Vec<Slot>,
    next: AtomicUsize,
    reached: AtomicBool,
}

#[derive(Debug)]
struct Slot {
    sender: Mutex<Option<SendRequest<OutgoingBody>>>,
    streams: Arc<Semaphore>,
}

/// Why no answer came.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The server surely did not act on the request.
    NotSent(String),
    /// It may have.
    NoAnswer(String),
}

impl Pool {
    pub(crate) fn new(endpoint: Endpoint, connections: usize) -> Self {
        let slot = || Slot {
            sender: Mutex::new(None),
            streams: Arc::new(Semaphore::new(STREAMS_PER_CONNECTION)),
        };
        let slots = std::iter::repeat_with(slot).take(connections.max(1)).collect();
        Self {
            endpoint,
            slots,
            next: AtomicUsize::new(0),
            reached: AtomicBool::new(false),
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether a connection was ever made.
    pub(crate) fn reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    /// A place on a live connection. Sign after this, not before.
    pub(crate) async fn lease(&self) -> Result<Lease, Lost> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len().max(1);
        let closed = || Lost::NotSent("the client is closed".to_owned());
        let slot = self.slots.get(turn).ok_or_else(closed)?;
        let permit = Arc::clone(&slot.streams)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let mut current = slot.sender.lock().await;
        if let Some(mut sender) = current.as_ref().filter(|sender| !sender.is_closed()).cloned()
            && sender.ready().await.is_ok()
        {
            return Ok(Lease { sender, permit });
        }
        // The lock is held while connecting, so that a hundred waiting requests make one connection, not a hundred.
        *current = None;
        let mut sender = self.connect().await.map_err(Lost::NotSent)?;
        sender
            .ready()
            .await
            .map_err(|error| Lost::NotSent(self.sentence(&error)))?;
        *current = Some(sender.clone());
        self.reached.store(true, Ordering::Relaxed);
        Ok(Lease { sender, permit })
    }

    async fn connect(&self) -> Result<SendRequest<OutgoingBody>, String> {
        let connecting = async {
            let stream = TcpStream::connect(self.endpoint.address())
                .await
                .map_err(|error| error.to_string())?;
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .max_frame_size(FRAME_BYTES)
                .max_send_buf_size(SEND_BUFFER_BYTES)
                .max_header_list_size(HEADER_LIST_BYTES)
                .keep_alive_interval(PING_INTERVAL)
                .keep_alive_timeout(PING_WAIT)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(|error| error.to_string())
        };
        let (sender, connection) = timeout(CONNECT_WAIT, connecting)
            .await
            .unwrap_or_else(|_| Err(format!("no connection within {} s", CONNECT_WAIT.as_secs())))
            .map_err(|why| format!("cannot connect to {}: {why}", self.endpoint))?;
        // Its errors reach each request that was on it; there is nobody else to tell.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn sentence(&self, error: &hyper::Error) -> String {
        let mut text = format!("connection to {} failed: {error}", self.endpoint);
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            source = inner.source();
        }
        text
    }

    /// Sends a request and waits for the head of its answer, as long as either side moves.
    pub(crate) async fn send(
        &self,
        lease: &mut Lease,
        request: Request<OutgoingBody>,
        meter: &Meter,
        silence_max: Duration,
    ) -> Result<Response<Incoming>, Lost> {
        let mut answer = std::pin::pin!(lease.sender.try_send_request(request));
        let mut left = meter.left();
        loop {
            match timeout(silence_max, &mut answer).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(mut failed)) => {
                    let untouched = failed.take_message().is_some();
                    return Err(lost(
                        untouched || !meter.finished(),
                        self.sentence(failed.error()),
                    ));
                }
                Err(_) if meter.left() != left => left = meter.left(),
                Err(_) => {
                    let why = format!("{} did not answer for {} s", self.endpoint, silence_max.as_secs());
                    return Err(lost(!meter.finished(), why));
                }
            }
        }
    }
}

/// A body of which not all bytes were handed over cannot match its signed length, so the server leaves nothing.
fn lost(incomplete: bool, why: String) -> Lost {
    if incomplete {
        Lost::NotSent(why)
    } else {
        Lost::NoAnswer(why)
    }
}

/// The right to one stream on one connection.
#[derive(Debug)]
pub(crate) struct Lease {
    sender: SendRequest<OutgoingBody>,
    permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Keeps the place taken while the answer's body is read.
    pub(crate) fn into_permit(self) -> OwnedSemaphorePermit {
        self.permit
    }
}
