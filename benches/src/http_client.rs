//! One HTTP client for everything that is not reached through the SDK: kept connections, `TCP_NODELAY`, and no wait
//! for a peer that holds back its last packet until the one before is acknowledged.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::Failure;
use crate::body::Outgoing;

/// Largest answer that is kept.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// The version of HTTP that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// One connection for each client.
    Http1,
    /// Some connections that the clients share, with prior knowledge.
    Http2,
}

enum Sender {
    Http1(http1::SendRequest<Outgoing>),
    Http2(http2::SendRequest<Outgoing>),
}

/// Connections to one address.
pub(crate) struct HttpClient {
    address: String,
    version: Version,
    prompt: bool,
    slots: Vec<Mutex<Option<Sender>>>,
}

/// What is done with an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// It is counted.
    Count,
    /// It is kept, at most 4 MiB.
    Bytes,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) len: u64,
    pub(crate) kept: Bytes,
}

impl HttpClient {
    pub(crate) fn new(address: &str, version: Version, connections: usize) -> Self {
        Self {
            address: address.to_owned(),
            version,
            prompt: false,
            slots: std::iter::repeat_with(|| Mutex::new(None))
                .take(connections.max(1))
                .collect(),
        }
    }

    /// Acknowledges at once what it reads, for a peer that may not set `TCP_NODELAY`.
    pub(crate) fn prompt(self) -> Self {
        Self { prompt: true, ..self }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request on the connection of this client and reads the whole answer.
    pub(crate) async fn send(
        &self,
        client: usize,
        request: Request<Outgoing>,
        keep: Keep,
    ) -> Result<Answer, Failure> {
        let slot = self.slots.get(client % self.slots.len()).ok_or("no connection")?;
        let mut held = slot.lock().await;
        if held.as_ref().is_none_or(Sender::is_closed) {
            *held = Some(self.connect().await?);
        }
        match held.as_mut() {
            // One request at a time: the connection is held until its answer is read.
            Some(Sender::Http1(sender)) => {
                sender.ready().await?;
                read(sender.send_request(request).await?, keep).await
            }
            Some(Sender::Http2(sender)) => {
                let mut sender = sender.clone();
                drop(held);
                sender.ready().await?;
                read(sender.send_request(request).await?, keep).await
            }
            None => Err("no connection".into()),
        }
    }

    async fn connect(&self) -> Result<Sender, Failure> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(Prompt {
            stream,
            at_once: self.prompt,
        });
        if self.version == Version::Http1 {
            let (sender, connection) = http1::handshake(io).await?;
            tokio::spawn(connection);
            return Ok(Sender::Http1(sender));
        }
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(8 << 20)
            .initial_connection_window_size(16 << 20)
            .max_frame_size(256 << 10)
            .max_send_buf_size(4 << 20)
            .handshake(io)
            .await?;
        tokio::spawn(connection);
        Ok(Sender::Http2(sender))
    }
}

impl Sender {
    fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }
}

async fn read(answer: Response<Incoming>, keep: Keep) -> Result<Answer, Failure> {
    let status = answer.status();
    let mut body = answer.into_body();
    let mut len = 0;
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        len += data.len() as u64;
        // What a failure says is always kept.
        if keep == Keep::Bytes || !status.is_success() {
            if kept.len() + data.len() > KEPT_BYTES_MAX {
                return Err("the answer is larger than 4 MiB".into());
            }
            kept.extend_from_slice(&data);
        }
    }
    Ok(Answer {
        status,
        len,
        kept: kept.freeze(),
    })
}

impl Answer {
    /// This answer if it says that all is well.
    pub(crate) fn success(self, what: &str) -> Result<Self, Failure> {
        if self.status.is_success() {
            return Ok(self);
        }
        let said: String = String::from_utf8_lossy(&self.kept).chars().take(300).collect();
        Err(format!("{what} was answered {}: {said}", self.status).into())
    }

    /// This answer if its body has the right length.
    pub(crate) fn of_len(self, len: u64) -> Result<Self, Failure> {
        if self.len == len {
            return Ok(self);
        }
        Err(format!("{len} bytes were stored, {} came back", self.len).into())
    }
}

/// A connection that can acknowledge at once what it reads. Without that, a peer that does not set `TCP_NODELAY` waits
/// up to 40 ms for the acknowledgement of a packet before it sends the next small one, and we would seem faster. With
/// it, both sides handle more packets, so it is for such peers only.
struct Prompt {
    stream: TcpStream,
    at_once: bool,
}

impl AsyncRead for Prompt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.at_once && read.is_ready() {
            // The kernel forgets the wish after a while. Where it is not known, nothing is lost but promptness.
            let _ = rustix::net::sockopt::set_tcp_quickack(&self.stream, true);
        }
        read
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
