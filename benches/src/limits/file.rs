//! Plain files: written whole with an fsync of each, and read whole.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use super::Limit;
use crate::Failure;
use crate::measure::Measured;

/// How much is written or read at once.
const PIECE_BYTES: u64 = 1 << 20;

/// A piece of random bytes.
fn piece(size: u64) -> Result<Vec<u8>, Failure> {
    let mut piece = vec![0; usize::try_from(size.min(PIECE_BYTES))?];
    getrandom::fill(&mut piece)?;
    Ok(piece)
}

fn write(path: &Path, piece: &[u8], size: u64) -> Result<(), Failure> {
    let mut file = File::create(path)?;
    let mut left = size;
    while left > 0 {
        let len = usize::try_from(left)?.min(piece.len());
        file.write_all(piece.get(..len).unwrap_or_default())?;
        left -= len as u64;
    }
    Ok(file.sync_all()?)
}

/// A new file for each operation, with one fsync at its end. The directory is not synced.
pub(crate) fn written_and_synced(dir: &Path, limit: &Limit) -> Result<Measured, Failure> {
    fs::create_dir_all(dir)?;
    let size = limit.size;
    limit.run(|_| {
        let piece = piece(size)?;
        Ok(move |number| write(&dir.join(format!("{number:x}")), &piece, size))
    })
}

/// Files that were just written, so most likely from memory: what a hot read can be at best.
pub(crate) fn read(dir: &Path, limit: &Limit) -> Result<Measured, Failure> {
    fs::create_dir_all(dir)?;
    let size = limit.size;
    // Some files are read over and over, at most 4 GiB of them.
    let files = (limit.ops_max).min(64);
    let content = piece(size)?;
    for number in 0..files {
        let path = dir.join(format!("{number:x}"));
        if fs::metadata(&path).map(|metadata| metadata.len()).ok() != Some(size) {
            write(&path, &content, size)?;
        }
    }
    limit.run(|_| {
        let mut buffer = piece(size)?;
        Ok(move |number: u64| {
            let mut file = File::open(dir.join(format!("{:x}", number % files.max(1))))?;
            let mut read = 0;
            while read < size {
                let len = file.read(&mut buffer)?;
                if len == 0 {
                    return Err("a file is shorter than it was written".into());
                }
                read += len as u64;
            }
            Ok(())
        })
    })
}
