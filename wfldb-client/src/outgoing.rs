//! A request's body on its way out: nothing, bytes in memory, or a file that is read as it is sent. Each body knows
//! its length and hash before the first byte leaves, because both are signed.

use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use wfldb_core::id::ContentHash;
use wfldb_core::object::ContentDigest;

use crate::Error;
use crate::file::{FilePart, OpenFile};

/// Called with the number of body bytes that moved; negative when an attempt is given up and starts over.
pub type Progress = Arc<dyn Fn(i64) + Send + Sync>;

/// Files up to this size are read once into memory; larger ones are hashed first and then streamed.
const IN_MEMORY_BYTES_MAX: u64 = 1024 * 1024;

/// What is to be sent.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Empty,
    Bytes(Bytes, ContentHash),
    /// A file, or a part of one.
    File(FilePart),
}

impl Source {
    pub(crate) fn of_bytes(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        let hash = ContentHash::of(&bytes);
        Self::Bytes(bytes, hash)
    }

    /// Opens and hashes a file. Blocks.
    pub(crate) fn of_file(path: &Path) -> Result<Self, Error> {
        Self::of_open(Arc::new(OpenFile::open(path)?))
    }

    /// Hashes an open file. Blocks.
    pub(crate) fn of_open(file: Arc<OpenFile>) -> Result<Self, Error> {
        if file.len() <= IN_MEMORY_BYTES_MAX {
            return Ok(Self::of_bytes(file.read_whole()?));
        }
        Ok(Self::File(FilePart::whole(file)?))
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes, _) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::File(file) => file.len(),
        }
    }

    /// BLAKE3 of the bytes: the etag the object will have.
    pub(crate) fn hash(&self) -> ContentHash {
        match self {
            Self::Empty => ContentHash::of(&[]),
            Self::Bytes(_, hash) => *hash,
            Self::File(file) => file.hash(),
        }
    }

    pub(crate) fn body(&self, progress: Option<Progress>) -> (OutgoingBody, Arc<Meter>) {
        let meter = Arc::new(Meter {
            left: AtomicU64::new(self.len()),
            total: self.len(),
            progress,
            failure: OnceLock::new(),
        });
        let kind = match self {
            Self::Empty => BodyKind::Whole(None),
            Self::Bytes(bytes, _) => BodyKind::Whole(Some(bytes.clone())),
            Self::File(file) => BodyKind::Pieces(file.pieces()),
        };
        (
            OutgoingBody {
                kind,
                meter: Arc::clone(&meter),
            },
            meter,
        )
    }
}

/// How far a body got.
pub(crate) struct Meter {
    left: AtomicU64,
    total: u64,
    progress: Option<Progress>,
    /// Why the body broke off on this side. The connection's own error would only say that it did.
    failure: OnceLock<String>,
}

impl Meter {
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.get().cloned().map(Error::Local)
    }

    /// All bytes were handed to the connection: from here on the server may have the whole request.
    pub(crate) fn finished(&self) -> bool {
        self.left() == 0
    }

    pub(crate) fn left(&self) -> u64 {
        self.left.load(Ordering::Acquire)
    }

    fn moved(&self, bytes: u64) {
        self.left.fetch_sub(bytes.min(self.left()), Ordering::AcqRel);
        self.report(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Takes back what was reported, before another attempt.
    pub(crate) fn take_back(&self) {
        let moved = self.total.saturating_sub(self.left());
        self.report(i64::try_from(moved).map_or(i64::MIN, |moved| -moved));
    }

    fn report(&self, delta: i64) {
        if let Some(progress) = &self.progress
            && delta != 0
        {
            progress(delta);
        }
    }
}

/// The body as hyper polls it.
pub(crate) struct OutgoingBody {
    kind: BodyKind,
    meter: Arc<Meter>,
}

enum BodyKind {
    Whole(Option<Bytes>),
    Pieces(mpsc::Receiver<Result<Bytes, Error>>),
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let piece = match &mut self.kind {
            BodyKind::Whole(bytes) => bytes.take().map(Ok),
            BodyKind::Pieces(receiver) => ready!(receiver.poll_recv(context)),
        };
        Poll::Ready(piece.map(|piece| match piece {
            Ok(bytes) => {
                self.meter.moved(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                Ok(Frame::data(bytes))
            }
            Err(error) => {
                // The first failure is the one that counts.
                let _ = self.meter.failure.set(error.to_string());
                Err(error)
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            BodyKind::Whole(bytes) => bytes.is_none(),
            BodyKind::Pieces(_) => self.meter.finished(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.meter.left())
    }
}

/// The `x-wfldb-content` of a source.
pub(crate) fn digest(source: &Source) -> ContentDigest {
    match source {
        Source::Empty => ContentDigest::None,
        Source::Bytes(..) | Source::File(_) => ContentDigest::Blake3 {
            len: source.len(),
            hash: source.hash(),
        },
    }
}
