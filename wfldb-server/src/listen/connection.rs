//! One connection: its requests, its idle time, its end.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tracing::{Instrument as _, debug_span};
use wfldb_net::framing::Verdict;
use wfldb_net::tls::{ALPN_HTTP1, ALPN_HTTP2};

use super::peers::Place;
use super::socket::Socket;
use super::{Http, Port, Wire};
use crate::app::App;
use crate::service::{self, Arrival};

/// A connection that has not brought a request by now is closed.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// A connection without a request for this long is closed, gracefully.
const IDLE: Duration = Duration::from_mins(1);
/// How often the two are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What socket, service and watchdog of one connection share.
#[derive(Debug)]
pub(super) struct Shared {
    /// One for each head that was received and not taken by a request yet, in order. Bounded by the library's read
    /// buffer, which it reads from.
    verdicts: Mutex<VecDeque<Verdict>>,
    running: AtomicUsize,
    last: Mutex<LastUse>,
}

#[derive(Clone, Copy, Debug)]
struct LastUse {
    at: Instant,
    requests: u64,
}

impl Shared {
    fn new() -> Self {
        Self {
            verdicts: Mutex::default(),
            running: AtomicUsize::new(0),
            last: Mutex::new(LastUse {
                at: Instant::now(),
                requests: 0,
            }),
        }
    }

    pub(super) fn push(&self, verdict: Verdict) {
        self.verdicts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(verdict);
    }

    fn pop(&self) -> Option<Verdict> {
        self.verdicts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    fn last(&self) -> std::sync::MutexGuard<'_, LastUse> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        let mut last = self.last();
        *last = LastUse {
            at: Instant::now(),
            requests: last.requests.saturating_add(1),
        };
        drop(last);
        Running(Arc::clone(self))
    }

    /// Whether the connection is of no use to anybody.
    fn is_idle(&self, now: Instant) -> Idle {
        let last = *self.last();
        let unused = now.saturating_duration_since(last.at);
        if self.running.load(Ordering::Relaxed) > 0 {
            Idle::No
        } else if last.requests == 0 {
            if unused >= FIRST_REQUEST {
                Idle::Never
            } else {
                Idle::No
            }
        } else if unused >= IDLE {
            Idle::Lately
        } else {
            Idle::No
        }
    }
}

enum Idle {
    No,
    /// It brought requests once.
    Lately,
    /// It never brought one.
    Never,
}

/// A request that runs until this is dropped.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
        self.0.last().at = Instant::now();
    }
}

/// Serves one connection from its first byte to its end, with TLS where that is configured.
pub(super) async fn begin(
    port: &Port,
    http: &Http,
    stream: TcpStream,
    (peer, place): (SocketAddr, Place),
    stopping: watch::Receiver<bool>,
) {
    let _present = port.app.metrics.connection_begins();
    let app = Arc::clone(&port.app);
    let wire = Wire::new(stream);
    let Some(tls) = &port.tls else {
        return serve(app, &http.either, wire, peer, stopping).await;
    };
    match tls.accept(wire, place.handshakes()).await {
        Ok(stream) => {
            app.metrics.handshake("done");
            let http = match stream.get_ref().1.alpn_protocol() {
                Some(ALPN_HTTP2) => &http.two,
                Some(ALPN_HTTP1) => &http.one,
                _ => &http.either,
            };
            // On the heap: the state of TLS is large, and not every connection has it.
            Box::pin(serve(app, http, stream, peer, stopping)).await;
        }
        Err(error) => {
            app.metrics.handshake(error.outcome());
            // A peer's doing nearly always, and anyone can do it in any number.
            tracing::debug!(%peer, %error, "a TLS handshake failed");
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    app: Arc<App>,
    http: &auto::Builder<TokioExecutor>,
    stream: S,
    peer: SocketAddr,
    mut stopping: watch::Receiver<bool>,
) {
    let span = debug_span!("listen::serve", %peer);
    let shared = Arc::new(Shared::new());
    let socket = Socket::new(stream, Arc::clone(&shared));
    let service = service_fn(|request| {
        let (app, shared, span) = (Arc::clone(&app), Arc::clone(&shared), span.clone());
        // On the heap at once: the library moves the future several times on its way to a task.
        Box::pin(async move {
            let running = shared.begin();
            let verdict = if request.version() < http::Version::HTTP_2 {
                shared.pop()
            } else {
                Some(Verdict::default())
            };
            let arrival = Arrival {
                peer: peer.ip().to_canonical(),
                verdict,
            };
            let reply = service::call(app, arrival, request).instrument(span).await;
            // A body that is still being sent keeps the connection busy.
            Ok::<_, Infallible>(reply.map(|body| body.keeping(running)))
        })
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(socket), service));
    let mut look = tokio::time::interval(LOOK);
    let mut ending = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    // A peer's doing nearly always.
                    tracing::debug!(%peer, %error, "a connection ended with an error");
                }
                return;
            }
            _ = stopping.wait_for(|stopping| *stopping), if !ending => {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = look.tick() => match shared.is_idle(Instant::now()) {
                Idle::No => {}
                Idle::Lately if !ending => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                Idle::Lately | Idle::Never => return,
            },
        }
    }
}
