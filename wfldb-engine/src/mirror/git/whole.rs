//! All files of a mirror, from the store: for a commit that does not stand on the one before.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use bytes::{Buf as _, Bytes};

use super::import::Sink;
use super::pending::is_recorded;
use super::{Content, GitChange, GitError};
use crate::error::EngineError;
use crate::mirror::cursor::Cursor;
use crate::mirror::root;
use crate::mirror::state::{MirrorContent, MirrorFile, MirrorPlace, SHARD_ABOVE_KEYS, State};
use crate::object::ObjectReader;

const KEYS_AT_ONCE: usize = 1000;

/// Hands over every file that a mirror of a state has. `dir`: the mirror, whose cursor says what is in shards.
pub(super) fn files(state: &State, dir: &Path, sink: &mut Sink<'_>) -> Result<(), GitError> {
    let inner = &*state.inner;
    let metadata = fs::metadata(dir).map_err(GitError::io(dir))?;
    let identity = format!("{}:{}", metadata.dev(), metadata.ino());
    let cursor = Cursor::load(&inner.dir().join("views/mirror"), inner.store, &identity);
    let position = state.mark()?.position;
    let mut give = |path: &str, bytes: Vec<u8>| {
        sink(GitChange {
            path: path.to_owned(),
            content: Some(bytes.into()),
        })
    };
    give(root::ROOT, root::root(inner, position)?)?;
    give(root::SIGNERS, root::signers(inner)?)?;
    for row in state.buckets()? {
        let known = cursor
            .as_ref()
            .and_then(|cursor| cursor.buckets.get(&row.id.to_string()));
        let sharded = match known {
            Some(known) => known.sharded,
            None => state.keys(&row.id)? > SHARD_ABOVE_KEYS,
        };
        let place = MirrorPlace::new(&row.name, row.config.kind, sharded);
        give_file(sink, State::metadata(&row, &place)?)?;
        let mut after = None;
        loop {
            let keys = state.keys_behind(&row.id, after.as_ref(), KEYS_AT_ONCE)?;
            for key in &keys {
                match state.files(&row, &place, key) {
                    Ok(files) => files.into_iter().try_for_each(|file| give_file(sink, file))?,
                    Err(error @ (EngineError::Corrupt(_) | EngineError::Read(_))) => {
                        let bucket = row.id;
                        tracing::warn!(%bucket, %error, "the mirror's history leaves out an object that cannot be read");
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            match keys.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => break,
            }
        }
    }
    Ok(())
}

fn give_file(sink: &mut Sink<'_>, file: MirrorFile) -> Result<(), GitError> {
    let (len, content) = match file.content {
        MirrorContent::Whole(bytes) => (
            bytes.len() as u64,
            Content::new(bytes.len() as u64, io::Cursor::new(bytes)),
        ),
        MirrorContent::Object(reader) => {
            let len = reader.meta().len;
            (
                len,
                Content::new(
                    len,
                    Pieces {
                        reader,
                        piece: Bytes::new(),
                    },
                ),
            )
        }
    };
    if !is_recorded(&file.path, len) {
        return Ok(());
    }
    sink(GitChange {
        path: file.path,
        content: Some(content),
    })
}

/// An object's bytes as they are read.
struct Pieces {
    reader: Box<ObjectReader>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.reader.next().map_err(io::Error::other)? {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = into.len().min(self.piece.len());
        if let (Some(into), Some(from)) = (into.get_mut(..count), self.piece.get(..count)) {
            into.copy_from_slice(from);
        }
        self.piece.advance(count);
        Ok(count)
    }
}
