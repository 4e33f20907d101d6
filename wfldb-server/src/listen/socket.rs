//! What HTTP reads, in the clear: two guards read along. Above TLS where there is any, so that they see what the HTTP
//! library sees.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use wfldb_net::control::ControlGuard;
use wfldb_net::framing::HeadGuard;

use super::connection::Shared;

/// A stream of plain bytes as HTTP sees it.
#[derive(Debug)]
pub(super) struct Socket<S> {
    stream: S,
    guard: HeadGuard,
    control: ControlGuard,
    opened: Instant,
    shared: Arc<Shared>,
}

impl<S> Socket<S> {
    pub(super) fn new(stream: S, shared: Arc<Shared>) -> Self {
        Self {
            stream,
            guard: HeadGuard::new(),
            control: ControlGuard::new(),
            opened: Instant::now(),
            shared,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if !this.guard.is_done() {
            this.guard.observe(fresh, |verdict| this.shared.push(verdict));
        }
        let now_ms = u64::try_from(this.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        this.control.observe(fresh, now_ms).map_err(io::Error::other)?;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
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
