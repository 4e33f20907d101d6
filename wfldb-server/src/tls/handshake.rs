//! One handshake: how long it may take, how many run at once, and how a failed one ends.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Tls;
use crate::listen::Wire;

/// Waiting for a turn included. A client needs two round trips.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes that run at the same time; more wait.
pub(super) const HANDSHAKES_MAX: usize = 256;
/// Of them, those of one address, so that one that lets its own hang holds up nobody else.
pub(crate) const HANDSHAKES_PER_ADDRESS: usize = 64;

/// Why a connection has no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// It took too long, or its turn did not come.
    #[error("no handshake within 5 s")]
    TimedOut,
    /// The peer broke the protocol, did not trust us, or is not trusted.
    #[error("{0}")]
    Failed(std::io::Error),
}

impl HandshakeError {
    /// A label for figures.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::TimedOut => "timeout",
            Self::Failed(_) => "failed",
        }
    }
}

impl Tls {
    /// Performs the server's side. `address_turns` are shared by the connections of the peer's address.
    pub(crate) async fn accept(
        &self,
        wire: Wire,
        address_turns: &Semaphore,
    ) -> Result<TlsStream<Wire>, HandshakeError> {
        let deadline = Instant::now() + HANDSHAKE;
        let handshake = timeout_at(deadline, async {
            // ORDER: the address first: its crowd must not queue before everybody else's.
            let _of_address = address_turns.acquire().await;
            let _of_all = self.turns.acquire().await;
            TlsAcceptor::from(self.current())
                .accept(wire)
                .into_fallible()
                .await
        });
        match handshake.await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err((error, mut wire))) => {
                // Lingers a little, so that the alert that says why reaches the peer.
                let _ = wire.shutdown().await;
                Err(HandshakeError::Failed(error))
            }
            Err(_) => Err(HandshakeError::TimedOut),
        }
    }
}
