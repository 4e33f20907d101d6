//! The files of buckets and keys: written as the state says, and what the state does not say removed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write as _};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use wfldb_core::id::BucketId;
use wfldb_core::mirror::{BESIDE_BUCKETS, Manifest, Shard};
use wfldb_core::name::ObjectKey;

use super::error::Failure;
use super::rounds::Rounds;
use super::state::{DELETED, META, METADATA, MirrorContent, MirrorFile, MirrorPlace, State};
use crate::error::EngineError;
use crate::row::BucketRow;

/// What was written of a file.
struct Written {
    sha256: [u8; 32],
    len: u64,
    bytes: Option<Bytes>,
}

impl Rounds {
    fn place_of(&self, bucket: &BucketId) -> Option<(MirrorPlace, bool)> {
        let known = self.cursor.buckets.get(&bucket.to_string())?;
        Some((known.place()?, known.making.is_some()))
    }

    /// Has a bucket that is known written whole, from the beginning.
    pub(super) fn make_whole(&mut self, bucket: BucketId) {
        if let Some(known) = self.cursor.buckets.get_mut(&bucket.to_string()) {
            known.making = Some(String::new());
        }
        if let Some((place, _)) = self.place_of(&bucket) {
            for dir in place.manifest_dirs() {
                self.manifests.begin(&dir);
            }
        }
    }

    /// Removes the directory of a bucket, if it has one.
    pub(super) fn drop_bucket(&mut self, bucket: BucketId) -> Result<(), Failure> {
        let Some((place, _)) = self.place_of(&bucket) else {
            return Ok(());
        };
        for dir in place.manifest_dirs() {
            self.manifests.forget(&dir);
        }
        let id = bucket.to_string();
        if self.durable.buckets.remove(&id).is_some() {
            // Should the bucket be mirrored again before the next rest point, it is written whole.
            self.durable.save(&self.view)?;
        }
        self.dir.remove(place.dir())?;
        if self.history.is_some() {
            self.batch.removed_dir(place.dir().to_owned());
        }
        self.cursor.buckets.remove(&id);
        self.changed = true;
        Ok(())
    }

    /// Removes directories of buckets that are none any more, which a lost cursor does not name.
    pub(super) fn drop_strangers(&mut self) -> Result<(), Failure> {
        let known = self
            .cursor
            .buckets
            .values()
            .filter_map(super::cursor::Mirrored::place);
        let known: BTreeSet<String> = known.map(|place| place.dir().to_owned()).collect();
        for entry in self.dir.list("")? {
            let Some(name) = entry
                .as_str()
                .filter(|name| entry.is_dir && !name.starts_with('.') && !BESIDE_BUCKETS.contains(name))
            else {
                continue;
            };
            let is_bucket = || self.dir.read(&format!("{name}/{METADATA}"), 1 << 20);
            if !known.contains(name) && is_bucket()?.is_some() {
                self.dir.remove(name)?;
                if self.history.is_some() {
                    self.batch.removed_dir(name.to_owned());
                }
            }
        }
        Ok(())
    }

    /// Writes what says what a bucket is, where that has changed.
    pub(super) fn write_metadata(&mut self, row: &BucketRow) -> Result<(), Failure> {
        let Some((place, _)) = self.place_of(&row.id) else {
            return Ok(());
        };
        let file = State::metadata(row, &place)?;
        if let MirrorContent::Whole(bytes) = &file.content {
            let hash: [u8; 32] = Sha256::digest(bytes).into();
            if self.manifests.of(&self.dir, place.dir())?.get(METADATA) == Some(&hash) {
                return Ok(());
            }
        }
        self.write_file(place.dir(), file)
    }

    /// Brings the files of a key in line with its state.
    pub(super) fn write_key(
        &mut self,
        state: &State,
        row: &BucketRow,
        object: &ObjectKey,
    ) -> Result<(), Failure> {
        let Some((place, making)) = self.place_of(&row.id) else {
            return Ok(());
        };
        let dir = place.dir_of(object);
        let mut left = place.paths_of(object);
        if making && place.sharded() {
            for path in &left {
                self.remove_file(place.dir(), path)?;
            }
        }
        match self.write_files(state, row, &place, object, &dir, &mut left) {
            Err(Failure::Engine(error @ (EngineError::Corrupt(_) | EngineError::Read(_)))) => {
                return self.leave_out(state, row, object, &error);
            }
            written => written?,
        }
        for path in left {
            self.remove_file(&dir, &path)?;
        }
        Ok(())
    }

    fn write_files(
        &mut self,
        state: &State,
        row: &BucketRow,
        place: &MirrorPlace,
        object: &ObjectKey,
        dir: &str,
        left: &mut Vec<String>,
    ) -> Result<(), Failure> {
        for file in state.files(row, place, object)? {
            let below = file
                .path
                .strip_prefix(dir)
                .and_then(|path| path.strip_prefix('/'));
            let below = below.unwrap_or_default().to_owned();
            left.retain(|path| *path != below);
            self.write_file(dir, file)?;
        }
        Ok(())
    }

    /// What cannot be read keeps the files that it has, and holds up nothing else.
    fn leave_out(
        &mut self,
        state: &State,
        row: &BucketRow,
        object: &ObjectKey,
        error: &EngineError,
    ) -> Result<(), Failure> {
        let bucket = row.id;
        let now = State::of(&self.inner);
        // Where it only went meanwhile, the change that says so is still to come.
        if now.version(&bucket, object)? == state.version(&bucket, object)? {
            tracing::warn!(%bucket, %error, "the mirror leaves out an object that cannot be read");
            self.damaged += 1;
        }
        Ok(())
    }

    fn write_file(&mut self, dir: &str, file: MirrorFile) -> Result<(), Failure> {
        let path = file.path;
        let mut written = None;
        self.dir.write(&path, |to| {
            written = Some(fill(to, file.content)?);
            Ok::<(), Failure>(())
        })?;
        let Some(Written { sha256, len, bytes }) = written else {
            return Ok(());
        };
        self.files += 1;
        let below = path.strip_prefix(dir).and_then(|path| path.strip_prefix('/'));
        self.manifests
            .set(&self.dir, dir, below.unwrap_or_default(), Some(sha256))?;
        if self.history.is_some() {
            self.batch.written(path, sha256, len, bytes.as_ref());
        }
        Ok(())
    }

    fn remove_file(&mut self, dir: &str, below: &str) -> Result<(), Failure> {
        let path = format!("{dir}/{below}");
        let removed = self.dir.remove(&path)?;
        if self.history.is_some() && (removed || self.is_again()) {
            self.batch.removed(path);
        }
        Ok(self.manifests.set(&self.dir, dir, below, None)?)
    }

    /// Removes the files below a bucket's directory that its manifests do not name.
    pub(super) fn sweep(&mut self, bucket: BucketId) -> Result<(), Failure> {
        let Some((place, _)) = self.place_of(&bucket) else {
            return Ok(());
        };
        let dirs: Vec<String> = place.manifest_dirs().collect();
        for dir in dirs {
            self.check_end()?;
            let shards = if place.sharded() && dir == place.dir() {
                Shard::all().map(Shard::dir).collect()
            } else {
                BTreeSet::new()
            };
            let deleted_meta = format!("{DELETED}/{META}");
            for below in ["", DELETED, META, deleted_meta.as_str()] {
                self.sweep_dir(&dir, below, &shards)?;
            }
        }
        Ok(())
    }

    fn sweep_dir(&mut self, dir: &str, below: &str, shards: &BTreeSet<String>) -> Result<(), Failure> {
        let path = if below.is_empty() {
            dir.to_owned()
        } else {
            format!("{dir}/{below}")
        };
        for entry in self.dir.list(&path)? {
            let name = entry.as_str().unwrap_or_default();
            let within = if below.is_empty() {
                name.to_owned()
            } else {
                format!("{below}/{name}")
            };
            let belongs = if entry.is_dir {
                let own = [DELETED, META].contains(&name)
                    && (below.is_empty() || (below == DELETED && name == META));
                own && shards.is_empty() || below.is_empty() && shards.contains(name)
            } else {
                let is_manifest = below.is_empty() && name == Manifest::FILE;
                is_manifest || self.manifests.of(&self.dir, dir)?.get(&within).is_some()
            };
            if belongs {
                continue;
            }
            self.dir.remove_entry(&path, &entry)?;
            if self.history.is_some() && !name.is_empty() {
                let path = format!("{path}/{name}");
                if entry.is_dir {
                    self.batch.removed_dir(path);
                } else {
                    self.batch.removed(path);
                }
            }
        }
        Ok(())
    }
}

/// Writes the bytes of a file, and hashes them on the way.
fn fill(to: &mut File, content: MirrorContent) -> Result<Written, Failure> {
    match content {
        MirrorContent::Whole(bytes) => {
            to.write_all(&bytes)?;
            Ok(Written {
                sha256: Sha256::digest(&bytes).into(),
                len: bytes.len() as u64,
                bytes: Some(bytes),
            })
        }
        MirrorContent::Object(mut reader) => {
            let mut hash = Sha256::new();
            let mut len = 0;
            while let Some(piece) = reader.next()? {
                write_piece(to, &piece)?;
                hash.update(&piece);
                len += piece.len() as u64;
            }
            Ok(Written {
                sha256: hash.finalize().into(),
                len,
                bytes: None,
            })
        }
    }
}

fn write_piece(to: &mut File, piece: &Bytes) -> io::Result<()> {
    to.write_all(piece)
}
