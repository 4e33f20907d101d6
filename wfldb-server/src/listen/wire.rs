//! The bare connection, below TLS where there is any: a peer that takes nothing is given up, a close waits for the
//! peer to read the last answer.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
/// A peer that takes no byte for this long is given up.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// After our last byte, what the peer still sends is read and thrown away for this long, and this much of it: a close
/// with unread bytes resets the connection, and the peer may lose an answer that it has not read yet.
const LINGER: Duration = Duration::from_secs(3);
const LINGER_BYTES_MAX: usize = 16 << 20;

/// A TCP stream that does not wait for ever.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    stall: Option<Pin<Box<Sleep>>>,
    linger: Option<Linger>,
}

#[derive(Debug)]
struct Linger {
    until: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            stall: None,
            linger: None,
        }
    }

    /// Passes a write's outcome on; one that has to wait too long fails.
    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stall = None;
            return polled;
        }
        let stall = self
            .stall
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_STALL)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            let until = Box::pin(tokio::time::sleep_until(Instant::now() + LINGER));
            this.linger = Some(Linger {
                until,
                bytes_left: LINGER_BYTES_MAX,
            });
        }
        let Some(linger) = &mut this.linger else {
            return Poll::Ready(Ok(()));
        };
        let mut space = [0; 16 * 1024];
        while linger.bytes_left > 0 && linger.until.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf));
            let bytes = buf.filled().len();
            if read.is_err() || bytes == 0 {
                break;
            }
            linger.bytes_left = linger.bytes_left.saturating_sub(bytes);
        }
        Poll::Ready(Ok(()))
    }
}
