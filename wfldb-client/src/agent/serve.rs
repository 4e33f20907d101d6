//! The loop: one connection, one request, signed and sent on, its answer passed back as it comes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use wfldb_net::framing::{HeadGuard, Verdict};

use super::place::{Listener, Place};
use super::rules::{Door, Refusal, decide};
use super::spool::{gather, too_large};
use crate::call::Call;
use crate::outgoing::Source;
use crate::{Client, Error};

/// Connections at once; more wait.
const CONNECTIONS_MAX: usize = 64;
/// How long a head may take.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// Largest head: a path of 8 KiB and headers of 24 KiB.
const HEAD_BYTES_MAX: usize = 40 * 1024;
/// Between two tries to accept, when the system has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What concerns one connection alone, and is not passed back.
const HOP_BY_HOP: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
];

/// The bounds of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentOptions {
    /// The largest body that is gathered, in bytes.
    pub body_bytes_max: u64,
}

impl Default for AgentOptions {
    fn default() -> Self {
        Self {
            body_bytes_max: 5 * 1024 * 1024 * 1024,
        }
    }
}

/// A process that signs for others.
#[derive(Debug)]
pub struct Agent {
    client: Client,
    options: AgentOptions,
}

impl Agent {
    /// An agent that signs with the client's profile.
    pub fn new(client: Client, options: AgentOptions) -> Self {
        Self { client, options }
    }

    /// Serves until `stop` is there; then connections end, and the place goes.
    pub async fn serve(self, place: Place, stop: impl Future<Output = ()>) {
        let agent = Arc::new(self);
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = async {
                let room = Arc::clone(&room).acquire_owned().await.ok()?;
                Some((place.accept().await, room))
            };
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                accepted = accepted => {
                    let Some((stream, room)) = accepted else { break };
                    match stream {
                        Ok(stream) => {
                            let agent = Arc::clone(&agent);
                            let door = Arc::clone(&place.door);
                            connections.spawn(async move {
                                agent.connection(door, stream).await;
                                drop(room);
                            });
                        }
                        Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                    }
                }
            }
        }
        connections.shutdown().await;
    }

    async fn connection(self: Arc<Self>, door: Arc<Door>, stream: Stream) {
        let verdicts = Verdicts::default();
        let stream = Guarded {
            stream,
            guard: HeadGuard::new(),
            verdicts: Arc::clone(&verdicts),
        };
        let service = service_fn(move |request| {
            let (agent, door) = (Arc::clone(&self), Arc::clone(&door));
            let verdict = verdicts
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            async move { Ok::<_, Infallible>(agent.answer(&door, request, verdict).await) }
        });
        // Each connection is for one request: nobody has to agree with us on where the next one begins.
        let served = http1::Builder::new()
            .keep_alive(false)
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        // A caller that goes away, or speaks something else, is told nothing and costs nothing.
        drop(served);
    }

    async fn answer(
        &self,
        door: &Door,
        request: Request<Incoming>,
        verdict: Option<Verdict>,
    ) -> Response<ReplyBody> {
        match self.forward(door, request, verdict).await {
            Ok(response) => response,
            Err(refusal) => refused(&refusal),
        }
    }

    async fn forward(
        &self,
        door: &Door,
        request: Request<Incoming>,
        verdict: Option<Verdict>,
    ) -> Result<Response<ReplyBody>, Refusal> {
        let (head, body) = request.into_parts();
        let wanted = decide(door, &head, verdict)?;
        let most = self.options.body_bytes_max;
        if wanted.announced.is_some_and(|announced| announced > most) {
            return Err(too_large(most));
        }
        let mut call = Call::new(wanted.method, wanted.path);
        call.query = wanted.query;
        call.headers = wanted.headers;
        call.source = gather(body, most).await?;
        let reads = matches!(
            wanted.method,
            wfldb_core::auth::Method::Get | wfldb_core::auth::Method::Head
        );
        if reads && !matches!(call.source, Source::Empty) {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "GET and HEAD have no body"));
        }
        let answer = self
            .client
            .caller
            .forward(&call)
            .await
            .map_err(|error| failed(&error))?;
        let mut response = Response::new(Either::Left(Relay {
            body: answer.body,
            _permit: answer.permit,
        }));
        *response.status_mut() = answer.parts.status;
        *response.headers_mut() = answer.parts.headers;
        for name in HOP_BY_HOP {
            response.headers_mut().remove(name);
        }
        Ok(response)
    }
}

fn failed(error: &Error) -> Refusal {
    let status = match error {
        Error::Local(_) => StatusCode::BAD_REQUEST,
        _ => StatusCode::BAD_GATEWAY,
    };
    Refusal::new(status, error.to_string())
}

/// The agent's own answers are plain text, so that they are not taken for the server's.
fn refused(refusal: &Refusal) -> Response<ReplyBody> {
    let text = format!("wfldb agent: {}\n", refusal.why);
    let mut response = Response::new(Either::Right(Full::new(Bytes::from(text))));
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

type ReplyBody = Either<Relay, Full<Bytes>>;

/// The server's answer on its way through.
struct Relay {
    body: Incoming,
    /// Keeps the place on the connection to the server.
    _permit: OwnedSemaphorePermit,
}

impl Body for Relay {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Place {
    async fn accept(&self) -> io::Result<Stream> {
        match &self.listener {
            Listener::Socket(listener) => {
                let (stream, _) = listener.accept().await?;
                // SECURITY: the third lock, should the other two have been opened since.
                if stream.peer_cred()?.uid() != rustix::process::geteuid().as_raw() {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                Ok(Box::pin(stream))
            }
            Listener::Port(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Box::pin(stream))
            }
        }
    }
}

trait ReadWrite: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> ReadWrite for S {}

type Stream = Pin<Box<dyn ReadWrite>>;
type Verdicts = Arc<Mutex<VecDeque<Verdict>>>;

/// A connection that the guard reads along with.
struct Guarded {
    stream: Stream,
    guard: HeadGuard,
    verdicts: Verdicts,
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        ready!(this.stream.as_mut().poll_read(context, buffer))?;
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        let mut verdicts = this.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        this.guard.observe(fresh, |verdict| {
            // One request is served, so one verdict is enough.
            if verdicts.is_empty() {
                verdicts.push_back(verdict);
            }
        });
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }
}
