//! The connections: a few HTTP/2 connections (over TLS, or with prior knowledge in the clear), opened when first needed, shared by all requests,
//! and opened again after they failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::outgoing::{Meter, OutgoingBody};
use crate::tls::{Connector, Fault, NoTls, TlsFailure, TlsOptions, Watched};

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
    connector: Connector,
    slots: Vec<Slot>,
    next: AtomicUsize,
    reached: AtomicBool,
}

#[derive(Debug)]
struct Slot {
    open: Mutex<Option<Connection>>,
    streams: Arc<Semaphore>,
}

/// An open connection.
#[derive(Debug, Clone)]
struct Connection {
    sender: SendRequest<OutgoingBody>,
    fault: Fault,
}

/// Why no answer came.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The server surely did not act on the request.
    NotSent(String),
    /// It may have.
    NoAnswer(String),
    /// One side refused the other before any request was read.
    Refused(TlsFailure),
}

impl Pool {
    pub(crate) fn new(endpoint: Endpoint, connections: usize, tls: TlsOptions) -> Self {
        let slot = || Slot {
            open: Mutex::new(None),
            streams: Arc::new(Semaphore::new(STREAMS_PER_CONNECTION)),
        };
        let slots = std::iter::repeat_with(slot).take(connections.max(1)).collect();
        Self {
            endpoint,
            connector: Connector::new(tls),
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
        let mut current = slot.open.lock().await;
        let usable = |open: &&Connection| !open.sender.is_closed();
        if let Some(mut connection) = current.as_ref().filter(usable).cloned()
            && connection.sender.ready().await.is_ok()
        {
            return Ok(Lease { connection, permit });
        }
        // The lock is held while connecting, so that a hundred waiting requests make one connection, not a hundred.
        *current = None;
        let mut connection = self.connect().await?;
        connection
            .sender
            .ready()
            .await
            .map_err(|error| self.lost(&connection.fault, true, &error))?;
        *current = Some(connection.clone());
        self.reached.store(true, Ordering::Relaxed);
        Ok(Lease { connection, permit })
    }

    async fn connect(&self) -> Result<Connection, Lost> {
        let away = |why: String| Lost::NotSent(format!("cannot connect to {}: {why}", self.endpoint));
        let connecting = async {
            let (host, port) = self.endpoint.address();
            let stream = TcpStream::connect((host, port))
                .await
                .map_err(|error| away(error.to_string()))?;
            stream
                .set_nodelay(true)
                .map_err(|error| away(error.to_string()))?;
            if !self.endpoint.is_secure() {
                let (stream, fault) = Watched::plaintext(stream);
                return speak(stream, fault).await.map_err(away);
            }
            let stream = self.connector.connect(host, stream).await;
            let (stream, fault) = Watched::secure(stream.map_err(|error| match error {
                NoTls::Refused(failure) => Lost::Refused(failure),
                NoTls::Broken(error) => away(error.to_string()),
            })?);
            speak(stream, fault).await.map_err(away)
        };
        let too_late = |_| Err(away(format!("no connection within {} s", CONNECT_WAIT.as_secs())));
        // On the heap: a handshake is large, and every request's future would carry the room for it.
        timeout(CONNECT_WAIT, Box::pin(connecting))
            .await
            .unwrap_or_else(too_late)
    }

    /// What a failed request means, by what the connection remembers.
    fn lost(&self, fault: &Fault, unsent: bool, error: &hyper::Error) -> Lost {
        match fault.get() {
            Some(failure) => Lost::Refused(failure.clone()),
            None => lost(unsent, self.sentence(error)),
        }
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
        let fault = Arc::clone(&lease.connection.fault);
        let mut answer = std::pin::pin!(lease.connection.sender.try_send_request(request));
        let mut left = meter.left();
        loop {
            match timeout(silence_max, &mut answer).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(mut failed)) => {
                    let untouched = failed.take_message().is_some();
                    return Err(self.lost(&fault, untouched || !meter.finished(), failed.error()));
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

/// HTTP/2 on an open stream. Its errors reach each request that was on it; there is nobody else to tell.
async fn speak<S>(stream: S, fault: Fault) -> Result<Connection, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = Builder::new(TokioExecutor::new())
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
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    Ok(Connection { sender, fault })
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
    connection: Connection,
    permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Keeps the place taken while the answer's body is read.
    pub(crate) fn into_permit(self) -> OwnedSemaphorePermit {
        self.permit
    }
}
