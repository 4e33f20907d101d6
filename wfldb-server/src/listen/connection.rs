//! One connection: its requests, its idle time, its end.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
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
use crate::body::Progress;
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
    /// The requests that run, each until its answer is taken.
    running: Mutex<HashMap<u64, Arc<Progress>>>,
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
            running: Mutex::default(),
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

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Progress>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>) -> Running {
        let mut last = self.last();
        *last = LastUse {
            at: Instant::now(),
            requests: last.requests.saturating_add(1),
        };
        let number = last.requests;
        drop(last);
        let progress = Arc::<Progress>::default();
        self.running().insert(number, Arc::clone(&progress));
        Running {
            shared: Arc::clone(self),
            number,
            progress,
        }
    }

    /// What the connection is of use for. `stopping`: since when the server is.
    fn state(&self, now: Instant, stopping: Option<Instant>) -> State {
        let running = self.running();
        let stalled = running
            .values()
            .filter(|progress| progress.is_stalled(now, stopping))
            .count();
        if stalled > 0 {
            return if stalled == running.len() {
                State::Stuck
            } else {
                State::Stalls
            };
        }
        let is_used = !running.is_empty();
        drop(running);
        let last = *self.last();
        let unused = now.saturating_duration_since(last.at);
        if is_used {
            State::InUse
        } else if last.requests == 0 && unused >= FIRST_REQUEST {
            State::Never
        } else if last.requests > 0 && unused >= IDLE {
            State::Idle
        } else {
            State::InUse
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Somebody uses it, or did so lately.
    InUse,
    /// It brought requests once.
    Idle,
    /// It never brought one.
    Never,
    /// The peer does not take one of its answers; others get on.
    Stalls,
    /// The peer takes none of them.
    Stuck,
}

/// A request that runs until this is dropped, with its answer.
struct Running {
    shared: Arc<Shared>,
    number: u64,
    progress: Arc<Progress>,
}

impl AsRef<Progress> for Running {
    fn as_ref(&self) -> &Progress {
        &self.progress
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.running().remove(&self.number);
        self.shared.last().at = Instant::now();
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
    let mut stopping_since = None;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    // A peer's doing nearly always.
                    tracing::debug!(%peer, %error, "a connection ended with an error");
                }
                return;
            }
            _ = stopping.wait_for(|stopping| *stopping), if stopping_since.is_none() => {
                stopping_since = Some(Instant::now());
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = look.tick() => match shared.state(Instant::now(), stopping_since) {
                // Whoever takes an answer gets it whole; there are no new ones.
                State::Idle | State::Stalls if !ending => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                State::InUse | State::Stalls => {}
                State::Idle | State::Never | State::Stuck => return,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Defects it catches: a reader that starves its answers and keeps the connection; one that cuts off the others.
    #[test]
    fn a_connection_is_of_use_as_long_as_one_of_its_answers_gets_on() {
        let shared = Arc::new(Shared::new());
        let later = || Instant::now() + Duration::from_hours(1);
        assert_eq!(shared.state(Instant::now(), None), State::InUse);
        assert_eq!(shared.state(later(), None), State::Never);
        let (one, other) = (shared.begin(), shared.begin());
        assert_eq!(shared.state(later(), None), State::InUse, "we may take our time");
        one.progress.offered();
        assert_eq!(shared.state(Instant::now(), None), State::InUse);
        assert_eq!(shared.state(later(), None), State::Stalls);
        drop(other);
        assert_eq!(shared.state(later(), None), State::Stuck);
        drop(one);
        assert_eq!(shared.state(later(), None), State::Idle);
    }
}
