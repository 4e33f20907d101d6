//! The body of an answer, as hyper asks for it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::Receiver;

use super::progress::Progress;
use crate::budget::InFlight;
use crate::metrics::Counted;

/// A piece of a download with its share of the byte budget, given back when hyper has taken the piece.
pub(crate) type Piece = (Bytes, OwnedSemaphorePermit);

/// The body is not what the headers promised: the stream or connection ends here, and the client can tell.
#[derive(Debug, thiserror::Error)]
#[error("the answer's body cannot be completed")]
pub(crate) struct Broken;

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    content: Content,
    /// Bytes that are still to come.
    left: u64,
    sent: Option<Counted>,
    /// Held until the last byte is taken: a download counts as in flight for as long as it lasts.
    in_flight: Option<InFlight>,
    /// Kept until the body goes: the connection is in use, and this is how this answer gets on.
    kept: Option<Kept>,
    /// Set when nothing more of it may be sent.
    cut: Option<Arc<AtomicBool>>,
}

/// Something that is dropped with the body, and told what becomes of it.
struct Kept(Box<dyn AsRef<Progress> + Send>);

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

#[derive(Debug)]
enum Content {
    Whole(Bytes),
    Pieces(Receiver<Piece>),
    /// Of no known length: an empty piece says that it ends in order.
    Feed(Receiver<Piece>),
}

impl ReplyBody {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self {
            left: bytes.len() as u64,
            content: Content::Whole(bytes),
            sent: None,
            in_flight: None,
            kept: None,
            cut: None,
        }
    }

    /// `len` bytes that come in pieces. Fewer are an error of the body.
    pub(crate) fn pieces(pieces: Receiver<Piece>, len: u64) -> Self {
        Self {
            left: len,
            content: Content::Pieces(pieces),
            sent: None,
            in_flight: None,
            kept: None,
            cut: None,
        }
    }

    /// What comes until an empty piece does. Without that it is an error of the body.
    pub(crate) fn feed(pieces: Receiver<Piece>) -> Self {
        Self {
            left: u64::MAX,
            content: Content::Feed(pieces),
            sent: None,
            in_flight: None,
            kept: None,
            cut: None,
        }
    }

    /// Breaks off once `cut` is set.
    pub(crate) fn until(mut self, cut: Arc<AtomicBool>) -> Self {
        self.cut = Some(cut);
        self
    }

    pub(crate) fn counted(mut self, sent: Counted) -> Self {
        self.sent = Some(sent);
        self
    }

    pub(crate) fn holding(mut self, in_flight: InFlight) -> Self {
        self.in_flight = Some(in_flight);
        self
    }
}

impl ReplyBody {
    pub(crate) fn keeping(mut self, kept: impl AsRef<Progress> + Send + 'static) -> Self {
        let progress = kept.as_ref();
        if matches!(self.content, Content::Feed(_)) {
            progress.is_of_a_feed();
        }
        progress.offered();
        self.kept = Some(Kept(Box::new(kept)));
        self
    }

    fn progress(&self) -> Option<&Progress> {
        self.kept.as_ref().map(|kept| (*kept.0).as_ref())
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.left == 0 {
            self.in_flight = None;
            return Poll::Ready(None);
        }
        if self.cut.as_ref().is_some_and(|cut| cut.load(Ordering::Acquire)) {
            return Poll::Ready(Some(Err(Broken)));
        }
        let bytes = match &mut self.content {
            Content::Whole(bytes) => std::mem::take(bytes),
            Content::Pieces(pieces) | Content::Feed(pieces) => match pieces.poll_recv(cx) {
                Poll::Pending => {
                    if let Some(progress) = self.progress() {
                        progress.awaited();
                    }
                    return Poll::Pending;
                }
                Poll::Ready(None) => return Poll::Ready(Some(Err(Broken))),
                Poll::Ready(Some((bytes, _permit))) => bytes,
            },
        };
        if bytes.is_empty() && matches!(self.content, Content::Feed(_)) {
            self.left = 0;
            self.in_flight = None;
            return Poll::Ready(None);
        }
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            return Poll::Ready(Some(Err(Broken)));
        };
        self.left = left;
        if let Some(progress) = self.progress() {
            progress.offered();
        }
        if let Some(sent) = &self.sent {
            sent.add(bytes.len() as u64);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        match self.content {
            Content::Whole(_) | Content::Pieces(_) => SizeHint::with_exact(self.left),
            Content::Feed(_) => SizeHint::default(),
        }
    }
}
