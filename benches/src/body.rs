//! Bodies: each is random and unlike every other, because stores that address chunks by their hash would write equal
//! ones only once. Up to 1 MiB they are in memory, larger ones in a file (in memory-backed storage where the machine
//! has it, so that reading a source costs the disk nothing).

use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::Failure;

/// Larger bodies come from files, and are hashed before the clock starts.
pub(crate) const IN_MEMORY_BYTES_MAX: u64 = 1 << 20;
/// How much of a file is read at once; each piece begins with a stamp of its own.
const PIECE_BYTES: usize = 1 << 20;

/// What is to be stored.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    Bytes(Bytes),
    File(Arc<SourceFile>),
}

/// A file of random bytes.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
}

impl Payload {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(file) => file.len,
        }
    }
}

/// Makes bodies of one size for a number of clients.
pub(crate) struct Bodies {
    len: u64,
    random: Vec<u8>,
    /// Sources of large bodies, one for each client, made when first needed.
    dir: tempfile::TempDir,
}

impl Bodies {
    pub(crate) fn new(len: u64, scratch: &Path) -> Result<Self, Failure> {
        let mut random = vec![0; usize::try_from(len.min(PIECE_BYTES as u64))?];
        getrandom::fill(&mut random)?;
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir_in(scratch)
        };
        Ok(Self {
            len,
            random,
            dir: dir?,
        })
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The body with this number. A client's earlier large body is overwritten, so it must be done with it.
    pub(crate) fn make(&self, client: usize, number: u64) -> Result<Payload, Failure> {
        if self.len <= IN_MEMORY_BYTES_MAX {
            let mut bytes = self.random.clone();
            let stamp = number.to_be_bytes();
            let start = bytes.len().min(stamp.len());
            // The end of the number differs first.
            for (byte, stamp) in bytes.iter_mut().take(start).zip(stamp.iter().rev()) {
                *byte = *stamp;
            }
            return Ok(Payload::Bytes(bytes.into()));
        }
        let path = self.dir.path().join(client.to_string());
        if !path.is_file() {
            self.fill(&path)?;
        }
        let file = File::options().write(true).open(&path)?;
        let mut offset = 0;
        while offset + 24 <= self.len {
            let mut stamp = [0; 24];
            let parts = [number, client as u64, offset];
            for (place, part) in stamp.chunks_exact_mut(8).zip(parts) {
                place.copy_from_slice(&part.to_be_bytes());
            }
            file.write_all_at(&stamp, offset)?;
            offset += PIECE_BYTES as u64;
        }
        Ok(Payload::File(Arc::new(SourceFile { path, len: self.len })))
    }

    fn fill(&self, path: &Path) -> Result<(), Failure> {
        let mut file = File::create(path)?;
        let mut left = self.len;
        while left > 0 {
            let piece = usize::try_from(left)?.min(self.random.len());
            file.write_all(self.random.get(..piece).unwrap_or_default())?;
            left -= piece as u64;
        }
        Ok(())
    }
}

/// A body as hyper sends it: its length is known before.
pub(crate) enum Outgoing {
    Whole(Option<Bytes>),
    /// A file, read a little ahead on a blocking thread.
    File {
        pieces: mpsc::Receiver<std::io::Result<Bytes>>,
        left: u64,
    },
    /// The same piece again and again.
    Repeated {
        piece: Bytes,
        left: u64,
    },
}

impl Outgoing {
    pub(crate) fn empty() -> Self {
        Self::Whole(None)
    }

    pub(crate) fn of(payload: &Payload) -> Self {
        match payload {
            Payload::Bytes(bytes) => Self::Whole(Some(bytes.clone())),
            Payload::File(file) => Self::File {
                pieces: pieces(file),
                left: file.len,
            },
        }
    }

    /// `len` bytes that are made of nothing.
    pub(crate) fn repeated(piece: Bytes, len: u64) -> Self {
        Self::Repeated { piece, left: len }
    }
}

fn pieces(file: &Arc<SourceFile>) -> mpsc::Receiver<std::io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(2);
    let source = Arc::clone(file);
    tokio::task::spawn_blocking(move || {
        let read = || -> std::io::Result<()> {
            let file = File::open(&source.path)?;
            let mut offset = 0;
            while offset < source.len {
                let left = usize::try_from(source.len - offset).unwrap_or(PIECE_BYTES);
                let mut piece = vec![0; left.min(PIECE_BYTES)];
                file.read_exact_at(&mut piece, offset)?;
                offset += piece.len() as u64;
                if sender.blocking_send(Ok(piece.into())).is_err() {
                    break;
                }
            }
            Ok(())
        };
        if let Err(error) = read() {
            // Who waits for the pieces hears it, or is gone.
            let _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = match &mut *self {
            Self::Whole(bytes) => bytes.take().map(Ok),
            Self::File { pieces, left } => {
                let piece = ready!(pieces.poll_recv(context));
                if let Some(Ok(piece)) = &piece {
                    *left = left.saturating_sub(piece.len() as u64);
                }
                piece
            }
            Self::Repeated { left: 0, .. } => None,
            Self::Repeated { piece, left } => {
                let len = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
                *left -= len as u64;
                Some(Ok(piece.slice(..len)))
            }
        };
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::File { left, .. } | Self::Repeated { left, .. } => *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Whole(bytes) => bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            Self::File { left, .. } | Self::Repeated { left, .. } => *left,
        })
    }
}

/// A response type for handlers that never fail.
pub(crate) type Served = Result<http::Response<Outgoing>, Infallible>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_bodies_of_a_size_are_equal() {
        let scratch = tempfile::tempdir().unwrap();
        let small = Bodies::new(4096, scratch.path()).unwrap();
        let bytes = |number| match small.make(0, number).unwrap() {
            Payload::Bytes(bytes) => bytes,
            Payload::File(_) => panic!("small bodies are in memory"),
        };
        assert_eq!(bytes(1).len(), 4096);
        assert_ne!(bytes(1), bytes(2));
        assert_ne!(bytes(0), bytes(256));
        let large = Bodies::new((3 << 20) + 5, scratch.path()).unwrap();
        let read = |client, number| match large.make(client, number).unwrap() {
            Payload::Bytes(_) => panic!("large bodies are in files"),
            Payload::File(file) => std::fs::read(&file.path).unwrap(),
        };
        let (one, two, other) = (read(0, 1), read(0, 2), read(1, 1));
        assert_eq!(one.len(), (3 << 20) + 5);
        for piece in [0, 1 << 20, 2 << 20] {
            let at = piece..piece + 24;
            assert_ne!(one[at.clone()], two[at.clone()]);
            assert_ne!(one[at.clone()], other[at]);
        }
        assert_ne!(one[..1 << 20], one[1 << 20..2 << 20]);
    }

    #[tokio::test]
    async fn a_file_is_sent_whole() {
        use http_body_util::BodyExt as _;
        let scratch = tempfile::tempdir().unwrap();
        let payload = Bodies::new((2 << 20) + 1, scratch.path()).unwrap();
        let payload_of_file = payload.make(0, 7).unwrap();
        let body = Outgoing::of(&payload_of_file);
        assert_eq!(body.size_hint().exact(), Some((2 << 20) + 1));
        let sent = body.collect().await.unwrap().to_bytes();
        let Payload::File(file) = payload_of_file else {
            panic!("a file")
        };
        assert!(sent == std::fs::read(&file.path).unwrap());
        let repeated = Outgoing::repeated(Bytes::from_static(b"abc"), 7);
        assert_eq!(repeated.collect().await.unwrap().to_bytes(), "abcabca");
    }
}
