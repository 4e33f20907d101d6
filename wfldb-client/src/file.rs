//! A file on its way out: opened once, hashed, read again while it is sent, and refused when it changed in between.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use wfldb_core::id::ContentHash;

use crate::Error;
use crate::error::changed_meanwhile;

/// How much of a file is read at once. Two pieces wait in the channel, so a body costs about 3 MiB.
const PIECE_BYTES: usize = 1024 * 1024;

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

/// An open regular file that must stay as it was when it was opened.
#[derive(Debug)]
pub(crate) struct OpenFile {
    file: File,
    path: PathBuf,
    stamp: Stamp,
}

impl OpenFile {
    /// Opens a file. Blocks.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        // A pipe put in the file's place would block an ordinary open for ever.
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = File::options().read(true).custom_flags(nonblocking).open(path);
        let file = file.map_err(|error| Error::io("cannot open", path, &error))?;
        Self::of_file(file, path.to_owned())
    }

    /// A file that is open already.
    pub(crate) fn of_file(file: File, path: PathBuf) -> Result<Self, Error> {
        let stamp = Stamp::of(&file).map_err(|error| Error::io("cannot read", &path, &error))?;
        if !stamp.regular {
            return Err(Error::Local(format!("{}: is not a regular file", path.display())));
        }
        Ok(Self { file, path, stamp })
    }

    pub(crate) fn len(&self) -> u64 {
        self.stamp.len
    }

    /// Modification time in seconds and nanoseconds.
    pub(crate) fn mtime(&self) -> (i64, i64) {
        self.stamp.mtime
    }

    /// All bytes. Blocks.
    pub(crate) fn read_whole(&self) -> Result<Bytes, Error> {
        let mut bytes = vec![0; usize::try_from(self.stamp.len).map_err(|_| changed_meanwhile(&self.path))?];
        self.read_at(&mut bytes, 0)?;
        self.check_unchanged()?;
        Ok(Bytes::from(bytes))
    }

    /// Hashes a range, and shows each piece to `also`. Blocks.
    pub(crate) fn hash_range(
        &self,
        start: u64,
        len: u64,
        mut also: impl FnMut(&[u8]),
    ) -> Result<ContentHash, Error> {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; PIECE_BYTES];
        let (mut offset, end) = (start, start.saturating_add(len));
        while offset < end {
            let piece = self.piece(&mut buffer, offset, end)?;
            hasher.update(piece);
            also(piece);
            offset = offset.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        }
        Ok(ContentHash::from_bytes(*hasher.finalize().as_bytes()))
    }

    pub(crate) fn check_unchanged(&self) -> Result<(), Error> {
        let now = Stamp::of(&self.file).map_err(|error| Error::io("cannot read", &self.path, &error))?;
        if now == self.stamp {
            Ok(())
        } else {
            Err(changed_meanwhile(&self.path))
        }
    }

    fn piece<'a>(&self, buffer: &'a mut [u8], offset: u64, end: u64) -> Result<&'a [u8], Error> {
        let left = end.saturating_sub(offset);
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
}

/// A range of an open file with the hash its bytes had.
#[derive(Debug, Clone)]
pub(crate) struct FilePart {
    file: Arc<OpenFile>,
    start: u64,
    len: u64,
    hash: ContentHash,
}

impl FilePart {
    /// A range whose hash is known.
    pub(crate) fn new(file: Arc<OpenFile>, start: u64, len: u64, hash: ContentHash) -> Self {
        Self {
            file,
            start,
            len,
            hash,
        }
    }

    /// All of a file, hashed now. Blocks.
    pub(crate) fn whole(file: Arc<OpenFile>) -> Result<Self, Error> {
        let len = file.len();
        let hash = file.hash_range(0, len, |_| {})?;
        file.check_unchanged()?;
        Ok(Self::new(file, 0, len, hash))
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn hash(&self) -> ContentHash {
        self.hash
    }

    /// Reads on a blocking thread, two pieces ahead of the network.
    pub(crate) fn pieces(&self) -> mpsc::Receiver<Result<Bytes, Error>> {
        let (sender, receiver) = mpsc::channel(2);
        let Self { file, start, len, .. } = self.clone();
        tokio::task::spawn_blocking(move || {
            let (mut offset, end) = (start, start.saturating_add(len));
            while offset < end {
                let mut buffer = vec![0; PIECE_BYTES];
                let read = file.piece(&mut buffer, offset, end).map(<[u8]>::len);
                // The last piece leaves only after another look at the file: a changed file never completes.
                let read = read.and_then(|len| {
                    offset = offset.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
                    if offset >= end {
                        file.check_unchanged().map(|()| len)
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
