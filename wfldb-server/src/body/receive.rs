//! Receiving a body: at most the signed length, at least at a minimum rate.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::fault::Fault;
use crate::metrics::Counted;

/// A body that is slower than this on the whole is given up.
const RATE_BYTES_PER_SECOND: u64 = 16 * 1024;
/// Head start before the rate counts, and the longest silence.
const GRACE: Duration = Duration::from_secs(30);
/// Frames below this are copied together: many tiny ones would cost more to keep than they hold.
const FRAME_BYTES_MIN: usize = 16 * 1024;

/// The frames of one body of a known length.
#[derive(Debug)]
pub(crate) struct Frames {
    body: Incoming,
    declared: u64,
    received: u64,
    deadline: Instant,
    counted: Counted,
}

impl Frames {
    pub(crate) fn new(body: Incoming, declared: u64, counted: Counted) -> Self {
        Self {
            body,
            declared,
            received: 0,
            deadline: Instant::now() + GRACE,
            counted,
        }
    }

    /// The next bytes; `None` when the body has ended with the declared length.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let wait = tokio::time::timeout_at(self.deadline, self.body.frame());
            let frame = match wait.await.map_err(|_| Fault::BodyTimeout)? {
                None if self.received == self.declared => return Ok(None),
                // HTTP/1.1 reports a body that ends before its `content-length` as an error; a chunked one can be short.
                None => return Err(Fault::BodyLength),
                Some(Err(_)) => return Err(Fault::BodyBroken),
                Some(Ok(frame)) => frame,
            };
            let bytes = frame.into_data().map_err(|_| Fault::Trailers)?;
            if bytes.is_empty() {
                continue;
            }
            self.received += bytes.len() as u64;
            // The first byte beyond the signed length ends it.
            if self.received > self.declared {
                return Err(Fault::BodyLength);
            }
            self.counted.add(bytes.len() as u64);
            let earned = Duration::from_micros(bytes.len() as u64 * 1_000_000 / RATE_BYTES_PER_SECOND);
            self.deadline = (self.deadline + earned).min(Instant::now() + GRACE);
            return Ok(Some(bytes));
        }
    }

    /// Waits that are our own doing (a full disk queue, the byte budget) are not held against the sender.
    pub(crate) fn forgive(&mut self, waited: Duration) {
        self.deadline += waited;
    }

    /// Frames of about `bytes` together, or less at the end of the body; empty when it has ended.
    pub(crate) async fn gather(&mut self, bytes: usize) -> Result<Vec<Bytes>, Fault> {
        let mut parts = Vec::new();
        let mut small = BytesMut::new();
        let mut gathered = 0;
        while gathered < bytes {
            let Some(frame) = self.next().await? else { break };
            gathered += frame.len();
            if frame.len() < FRAME_BYTES_MIN {
                small.extend_from_slice(&frame);
            } else {
                if !small.is_empty() {
                    parts.push(small.split().freeze());
                }
                parts.push(frame);
            }
        }
        if !small.is_empty() {
            parts.push(small.freeze());
        }
        Ok(parts)
    }
}

/// A whole body of a declared length that the caller found small enough.
pub(crate) async fn small(body: Incoming, declared: u64, counted: Counted) -> Result<Bytes, Fault> {
    let mut frames = Frames::new(body, declared, counted);
    let Some(first) = frames.next().await? else {
        return Ok(Bytes::new());
    };
    let Some(second) = frames.next().await? else {
        return Ok(first);
    };
    let mut whole = BytesMut::with_capacity(usize::try_from(declared).unwrap_or(0).min(1 << 20));
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    while let Some(next) = frames.next().await? {
        whole.extend_from_slice(&next);
    }
    Ok(whole.freeze())
}

/// Returns when a body that was signed as none has ended without a byte.
pub(crate) async fn nothing(mut body: Incoming) -> Result<(), Fault> {
    let deadline = Instant::now() + GRACE;
    while !body.is_end_stream() {
        let wait = tokio::time::timeout_at(deadline, body.frame());
        match wait.await.map_err(|_| Fault::BodyTimeout)? {
            None => return Ok(()),
            Some(Err(_)) => return Err(Fault::BodyBroken),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(_) => return Err(Fault::BodyNotAllowed),
                Err(_) => return Err(Fault::Trailers),
            },
        }
    }
    Ok(())
}
