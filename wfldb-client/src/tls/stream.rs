//! A connection that remembers why TLS failed on it. The HTTP library would turn that into words, or lose it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::TlsFailure;

/// What the connection remembers; it outlives the connection.
pub(crate) type Fault = Arc<OnceLock<TlsFailure>>;

/// How a TLS record with an alert begins: its kind, and the high byte of its version.
const ALERT: [u8; 2] = [0x15, 0x03];

/// A stream, with or without TLS below it.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    fault: Fault,
    /// The first bytes, on a connection without TLS; full once they are known.
    begins: Option<Vec<u8>>,
}

impl<S> Watched<S> {
    pub(crate) fn plaintext(stream: S) -> (Self, Fault) {
        Self::new(stream, Some(Vec::new()))
    }

    pub(crate) fn secure(stream: S) -> (Self, Fault) {
        Self::new(stream, None)
    }

    fn new(stream: S, begins: Option<Vec<u8>>) -> (Self, Fault) {
        let fault = Fault::default();
        let watched = Self {
            stream,
            fault: Arc::clone(&fault),
            begins,
        };
        (watched, fault)
    }

    fn note(&self, failure: TlsFailure) {
        // The first one is the reason, later ones follow from it.
        let _ = self.fault.set(failure);
    }

    fn look(&mut self, fresh: &[u8]) {
        let Some(begins) = self.begins.as_mut().filter(|begins| begins.len() < ALERT.len()) else {
            return;
        };
        begins.extend(fresh.iter().take(ALERT.len() - begins.len()));
        if *begins == ALERT {
            self.note(TlsFailure::SpeaksTls);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut this.stream).poll_read(cx, buf));
        match &read {
            Ok(()) => this.look(buf.filled().get(before..).unwrap_or_default()),
            Err(error) => {
                if let Some(failure) = TlsFailure::of_client_certificate(error) {
                    this.note(failure);
                }
            }
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
