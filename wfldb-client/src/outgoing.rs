//! A request's body on its way out: nothing, bytes in memory, or a file that is read as it is sent. Each body knows
//! its length and hash before the first byte leaves, because both are signed.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
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
use crate::error::changed_meanwhile;

/// Called with the number of body bytes that moved; negative when an attempt is given up and starts over.
pub type Progress = Arc<dyn Fn(i64) + Send + Sync>;

/// Files up to this size are read once into memory; larger ones are hashed first and then streamed.
const IN_MEMORY_BYTES_MAX: u64 = 1024 * 1024;
/// How much of a file is read at once. Two pieces wait in the channel, so an upload costs about 3 MiB.
const PIECE_BYTES: usize = 1024 * 1024;

/// What is to be sent.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Empty,
    Bytes(Bytes, ContentHash),
    File(Arc<FileSource>),
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
        let io = |what: &str, error: &std::io::Error| Error::io(what, path, error);
        // A pipe put in the file's place would block an ordinary open for ever.
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = File::options().read(true).custom_flags(nonblocking).open(path);
        let file = file.map_err(|error| io("cannot open", &error))?;
        let before = Stamp::of(&file).map_err(|error| io("cannot read", &error))?;
        if !before.regular {
            return Err(Error::Local(format!("{}: is not a regular file", path.display())));
        }
        let source = FileSource {
            file,
            path: path.to_owned(),
            stamp: before,
            hash: ContentHash::of(&[]),
        };
        if before.len <= IN_MEMORY_BYTES_MAX {
            let bytes = source.read_whole()?;
            return Ok(Self::of_bytes(bytes));
        }
        let hash = source.hash_whole()?;
        Ok(Self::File(Arc::new(FileSource { hash, ..source })))
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes, _) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::File(file) => file.stamp.len,
        }
    }

    /// BLAKE3 of the bytes: the etag the object will have.
    pub(crate) fn hash(&self) -> ContentHash {
        match self {
            Self::Empty => ContentHash::of(&[]),
            Self::Bytes(_, hash) => *hash,
            Self::File(file) => file.hash,
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

/// An open file with the hash its bytes had.
#[derive(Debug)]
pub(crate) struct FileSource {
    file: File,
    path: PathBuf,
    stamp: Stamp,
    hash: ContentHash,
}

/// What changes when a file does. The kernel's change time cannot be set back by a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    regular: bool,
    len: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> std::io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            regular: metadata.is_file(),
            len: metadata.len(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

impl FileSource {
    fn read_whole(&self) -> Result<Bytes, Error> {
        let mut bytes = vec![0; usize::try_from(self.stamp.len).map_err(|_| changed_meanwhile(&self.path))?];
        self.read_at(&mut bytes, 0)?;
        self.check_unchanged()?;
        Ok(Bytes::from(bytes))
    }

    fn hash_whole(&self) -> Result<ContentHash, Error> {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; PIECE_BYTES];
        let mut offset = 0;
        while offset < self.stamp.len {
            let piece = self.piece(&mut buffer, offset)?;
            hasher.update(piece);
            offset = offset.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        }
        self.check_unchanged()?;
        Ok(ContentHash::from_bytes(*hasher.finalize().as_bytes()))
    }

    fn piece<'a>(&self, buffer: &'a mut [u8], offset: u64) -> Result<&'a [u8], Error> {
        let left = self.stamp.len.saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let piece = buffer.get_mut(..len).unwrap_or_default();
        self.read_at(piece, offset)?;
        Ok(piece)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => changed_meanwhile(&self.path),
                _ => Error::io("cannot read", &self.path, &error),
            })
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        let now = Stamp::of(&self.file).map_err(|error| Error::io("cannot read", &self.path, &error))?;
        if now == self.stamp {
            Ok(())
        } else {
            Err(changed_meanwhile(&self.path))
        }
    }

    /// Reads on a blocking thread, two pieces ahead of the network.
    fn pieces(self: &Arc<Self>) -> mpsc::Receiver<Result<Bytes, Error>> {
        let (sender, receiver) = mpsc::channel(2);
        let source = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let mut offset = 0;
            while offset < source.stamp.len {
                let mut buffer = vec![0; PIECE_BYTES];
                let read = source.piece(&mut buffer, offset).map(<[u8]>::len);
                // The last piece leaves only after another look at the file: a changed file never completes.
                let read = read.and_then(|len| {
                    offset = offset.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
                    if offset >= source.stamp.len {
                        source.check_unchanged().map(|()| len)
                    } else {
                        Ok(len)
                    }
                });
                let failed = read.is_err();
                let piece = read.map(|len| {
                    buffer.truncate(len);
                    Bytes::from(buffer)
                });
                if sender.blocking_send(piece).is_err() || failed {
                    return;
                }
            }
        });
        receiver
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
