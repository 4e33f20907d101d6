//! `CHUNKS`: the chunks that the rows of a backup name, `<bucket id>/<hash> <length>` a line, in order; and how their
//! files get into a backup.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Lines, Write};
use std::path::{Path, PathBuf};

use wfldb_core::id::{BucketId, ChunkHash};

use super::copy::{Copier, copy_prefix, create, try_link};
use super::{BackupError, Tally};
use crate::chunk::Checker;
use crate::storage::{Snapshot, Space};

/// The file's name.
pub(super) const NAME: &str = "CHUNKS";

/// One chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NamedChunk {
    pub(super) bucket: BucketId,
    pub(super) hash: ChunkHash,
    pub(super) len: u32,
}

impl NamedChunk {
    /// Where its file stands below a store or a backup.
    pub(super) fn path(&self) -> PathBuf {
        let hash = self.hash.to_string();
        let folder = hash.get(..2).unwrap_or("00").to_owned();
        Path::new("chunks")
            .join(self.bucket.to_string())
            .join(folder)
            .join(hash)
    }
}

/// The distinct chunks that the rows of a snapshot name, in order.
pub(super) fn named_by_rows(
    snapshot: &dyn Snapshot,
) -> impl Iterator<Item = Result<NamedChunk, BackupError>> + '_ {
    let mut last: Option<(BucketId, ChunkHash)> = None;
    snapshot
        .range(Space::Chunks, &[], &[], false)
        .filter_map(move |row| {
            let chunk = row
                .map_err(|error| BackupError::Engine(error.into()))
                .and_then(|(key, value)| {
                    parse_row(&key, &value)
                        .ok_or_else(|| BackupError::Damaged("a reference to a chunk".to_owned()))
                });
            match chunk {
                Ok(chunk) if last == Some((chunk.bucket, chunk.hash)) => None,
                Ok(chunk) => {
                    last = Some((chunk.bucket, chunk.hash));
                    Some(Ok(chunk))
                }
                Err(error) => Some(Err(error)),
            }
        })
}

fn parse_row(key: &[u8], value: &[u8]) -> Option<NamedChunk> {
    let (bucket, rest) = key.split_first_chunk::<16>()?;
    let (hash, version) = rest.split_first_chunk::<32>()?;
    (version.len() == 16).then_some(())?;
    Some(NamedChunk {
        bucket: BucketId::from_bytes(*bucket),
        hash: ChunkHash::from_bytes(*hash),
        len: u32::from_be_bytes(value.try_into().ok()?),
    })
}

/// Writes the list of a snapshot's chunks.
pub(super) fn write_list(copier: &mut Copier<'_>, snapshot: &dyn Snapshot) -> Result<(), BackupError> {
    let path = copier.root.join(NAME);
    let failed = || BackupError::io(path.display());
    // Too long for memory perhaps: written as it is read.
    let mut list = BufWriter::new(create(&path).map_err(failed())?);
    let mut hasher = blake3::Hasher::new();
    let mut bytes = 0;
    for chunk in named_by_rows(snapshot) {
        let NamedChunk { bucket, hash, len } = chunk?;
        let line = format!("{bucket}/{hash} {len}\n");
        list.write_all(line.as_bytes()).map_err(failed())?;
        hasher.update(line.as_bytes());
        bytes += line.len() as u64;
    }
    let file = list.into_inner().map_err(|error| failed()(error.into_error()))?;
    file.sync_all().map_err(failed())?;
    copier.copied.add(bytes);
    copier.list(NAME, bytes, hasher.finalize());
    Ok(())
}

/// The list of a backup, read line by line.
pub(super) struct List {
    lines: Lines<BufReader<File>>,
}

impl List {
    pub(super) fn open(dir: &Path) -> Result<Self, BackupError> {
        let path = dir.join(NAME);
        let file = File::open(&path).map_err(BackupError::io(path.display()))?;
        Ok(Self {
            lines: BufReader::new(file).lines(),
        })
    }
}

impl Iterator for List {
    type Item = Result<NamedChunk, BackupError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = match self.lines.next()? {
            Ok(line) => line,
            Err(error) => return Some(Err(BackupError::io(NAME)(error))),
        };
        Some(parse_line(&line).ok_or_else(|| BackupError::Damaged(format!("a line of {NAME}"))))
    }
}

fn parse_line(line: &str) -> Option<NamedChunk> {
    let (name, len) = line.split_once(' ')?;
    let (bucket, hash) = name.split_once('/')?;
    Some(NamedChunk {
        bucket: BucketId::parse(bucket).ok()?,
        hash: ChunkHash::parse(hash).ok()?,
        len: len.parse().ok()?,
    })
}

/// Brings the chunks of the list in, from where `source` says that they are.
pub(super) fn bring_in(
    copier: &mut Copier<'_>,
    source: impl Fn(&NamedChunk) -> PathBuf,
) -> Result<Tally, BackupError> {
    let mut chunks = Tally::default();
    let checker = Checker::new();
    let chunks_dir = copier.root.join("chunks");
    copier.make_dirs(&chunks_dir)?;
    let mut folder = PathBuf::new();
    for chunk in List::open(&copier.root.clone())? {
        let chunk = chunk?;
        (copier.stop)()?;
        let target = copier.root.join(chunk.path());
        // In order of their names, so that one folder follows the other.
        if let Some(parent) = target.parent().filter(|parent| *parent != folder) {
            // ORDER: a folder is synced when nothing is added to it any more.
            copier.sync_some()?;
            copier.make_dirs(parent)?;
            folder = parent.to_path_buf();
        }
        chunks.add(bring_in_one(copier, &checker, &chunk, &source(&chunk), &target)?);
    }
    Ok(chunks)
}

fn bring_in_one(
    copier: &mut Copier<'_>,
    checker: &Checker,
    chunk: &NamedChunk,
    source: &Path,
    target: &Path,
) -> Result<u64, BackupError> {
    let Some(bytes) = Checker::file_bytes(source, chunk.len) else {
        tracing::error!(bucket = %chunk.bucket, "a chunk is missing or cut; no backup can be taken");
        return Err(BackupError::Engine(crate::EngineError::Corrupt("a chunk file")));
    };
    if try_link(source, target).map_err(BackupError::io(source.display()))? {
        copier.linked.add(bytes);
        return Ok(bytes);
    }
    if let Some(previous) = &copier.previous {
        let old = previous.dir.join(chunk.path());
        if let Some(bytes) = Checker::file_bytes(&old, chunk.len)
            && try_link(&old, target).unwrap_or(false)
        {
            copier.linked.add(bytes);
            return Ok(bytes);
        }
    }
    let bytes = copy_chunk(checker, chunk, source, target, copier.stop)?;
    copier.copied.add(bytes);
    Ok(bytes)
}

/// Copies a chunk's file and reads the copy back; answers its length.
pub(super) fn copy_chunk(
    checker: &Checker,
    chunk: &NamedChunk,
    source: &Path,
    target: &Path,
    stop: super::copy::Stop<'_>,
) -> Result<u64, BackupError> {
    let from = File::open(source).map_err(BackupError::io(source.display()))?;
    let bytes = from.metadata().map_err(BackupError::io(source.display()))?.len();
    copy_prefix(&from, bytes, target, stop)?;
    let outcome = checker.check(target, &chunk.hash, chunk.len);
    outcome.map_err(|error| BackupError::Damaged(format!("{}: {error}", source.display())))?;
    Ok(bytes)
}
