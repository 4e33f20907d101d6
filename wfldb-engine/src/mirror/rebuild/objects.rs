//! The objects of a bucket, with what is said of them.

use std::io::{Cursor, Read};

use wfldb_core::auth::Op;
use wfldb_core::doc::{Object, Value};
use wfldb_core::id::{BucketId, ContentHash, VersionId};
use wfldb_core::mirror::{GitId, headers_of};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::{ContentDigest, Preconditions};

use super::trail::{Moment, Trails};
use super::version::{Rank, Version, chain, done, rows};
use super::{AT_ONCE, Fault, Rebuild, deleted, not_fatal, of_key, there};
use crate::bucket::resolve;
use crate::error::EngineError;
use crate::mirror::source::{MirroredBucket, MirroredFile, MirroredObject, SourceError, said_in};
use crate::mirror::state::State;

/// Bytes of an object that are read at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Where a version is.
enum Bytes {
    File(Box<dyn Read>),
    Past(usize, GitId),
}

/// What is said of a version, and where it is.
struct Found {
    said: Object,
    bytes: Bytes,
}

impl Rebuild<'_> {
    pub(super) fn objects(
        &mut self,
        bucket: &MirroredBucket,
        files: &[MirroredFile],
        trails: &mut Trails,
    ) -> Result<(), EngineError> {
        for files in files.chunks(AT_ONCE) {
            let past = self.past_objects(bucket, files, trails);
            let state = State::of(&self.engine.inner);
            let id = resolve(&*state.snapshot, &bucket.name)?.id;
            for (file, past) in files.iter().zip(past) {
                self.object(bucket, file, past, &state, &id)?;
            }
        }
        Ok(())
    }

    /// The versions of each file that the history has, in the order of commits.
    fn past_objects(
        &mut self,
        bucket: &MirroredBucket,
        files: &[MirroredFile],
        trails: &mut Trails,
    ) -> Vec<Vec<(ObjectKey, Version<Found>)>> {
        let mut found: Vec<Vec<_>> = files.iter().map(|_| Vec::new()).collect();
        let Some(mut past) = self.past.take() else {
            return found;
        };
        let all: Vec<(usize, Moment, GitId)> = files
            .iter()
            .enumerate()
            .flat_map(|(at, file)| {
                trails
                    .take(&file.name)
                    .into_iter()
                    .map(move |moment| (at, moment))
            })
            .filter_map(|(at, moment)| Some((at, moment, moment.said?)))
            .collect();
        let ids: Vec<GitId> = all.iter().map(|(.., id)| *id).collect();
        let (mut wrong, mut too_large) = (Vec::new(), 0);
        let read = past.blobs(&ids, |at, bytes| {
            let Some((at, moment, _)) = all.get(at) else {
                return Ok(());
            };
            let (Some(file), Some(found)) = (files.get(*at), found.get_mut(*at)) else {
                return Ok(());
            };
            let version = bytes.ok_or(Fault::Unreadable).and_then(|text| {
                let (key, said) = said_in(bucket, file, &text)?;
                let Some(body) = moment.body else { return Ok(None) };
                let bytes = Bytes::Past(moment.commit, body);
                Ok(Some((key, version(said, moment.deleted, bytes)?)))
            });
            match version {
                Ok(Some(version)) => found.push(version),
                Ok(None) => too_large += 1,
                Err(why) => wrong.push((file, moment.commit, why)),
            }
            Ok(())
        });
        self.past = Some(past);
        self.done.too_large += too_large;
        for (file, commit, why) in wrong {
            self.refuse_version(file, commit, &why);
        }
        if let Err(error) = read {
            self.end_past(&error);
        }
        found
    }

    /// Takes the versions of a key.
    fn object(
        &mut self,
        bucket: &MirroredBucket,
        file: &MirroredFile,
        past: Vec<(ObjectKey, Version<Found>)>,
        state: &State,
        id: &BucketId,
    ) -> Result<(), EngineError> {
        let mut all = past;
        let newest = self.mirror.object(bucket, file).map_err(Fault::from);
        let newest = newest.and_then(|MirroredObject { key, said, body }| {
            Ok((key, version(said, file.deleted, Bytes::File(Box::new(body)))?))
        });
        let has_file = match newest {
            Ok(newest) => {
                all.push(newest);
                true
            }
            Err(why) => {
                self.refuse(&file.path, why);
                false
            }
        };
        let Some((key, _)) = all.first() else {
            return Ok(());
        };
        let key = key.clone();
        let versions = chain(all.into_iter().map(|(_, version)| version).collect());
        let is_file = |version: &Version<Found>| matches!(version.found.bytes, Bytes::File(_));
        if has_file && !versions.last().is_some_and(is_file) {
            self.refuse(&file.path, Fault::Behind);
        }
        let is_deleted = versions.last().is_some_and(|version| version.deleted);
        let wanted = rows(&versions);
        let found = there(state, id, &key, wanted.len() + 1)?;
        // What somebody wrote here stays.
        let mut done = done(&wanted, &found).unwrap_or(wanted.len());
        if done == wanted.len() {
            self.count(is_deleted, true);
            return Ok(());
        }
        let mut left = versions.len();
        for version in versions {
            left -= 1;
            let rows = 1 + usize::from(version.deleted);
            let is_there = done > 0;
            if done < rows {
                let commit = match version.found.bytes {
                    Bytes::File(_) => None,
                    Bytes::Past(commit, _) => Some(commit),
                };
                match (self.take(bucket, &key, version, is_there), commit) {
                    (Ok(()), _) if left == 0 => self.count(is_deleted, false),
                    (Ok(()), _) => self.done.versions += u64::from(!is_there),
                    (Err(why), Some(commit)) => self.refuse_version(file, commit, &not_fatal(why)?),
                    (Err(why), None) => self.refuse(&file.path, not_fatal(why)?),
                }
            }
            done = done.saturating_sub(rows);
        }
        Ok(())
    }

    /// Writes a version, unless it is there, and deletes it where it was deleted.
    fn take(
        &mut self,
        bucket: &MirroredBucket,
        key: &ObjectKey,
        version: Version<Found>,
        is_there: bool,
    ) -> Result<(), Fault> {
        if !is_there {
            let Found { said, bytes } = version.found;
            let mut body = match bytes {
                Bytes::File(body) => body,
                Bytes::Past(_, id) => Box::new(Cursor::new(self.bytes(id)?)),
            };
            self.put(bucket, key, version.etag, &said, &mut body)?;
        }
        if version.deleted {
            deleted(self.delete(bucket, key, version.etag))?;
        }
        Ok(())
    }

    /// A file of the history.
    fn bytes(&mut self, id: GitId) -> Result<Vec<u8>, Fault> {
        let past = self.past.as_mut().ok_or(Fault::Unreadable)?;
        let mut found = None;
        let read = past.blobs(&[id], |_, bytes| {
            found = bytes;
            Ok(())
        });
        if let Err(error) = read {
            self.end_past(&error);
        }
        found.ok_or(Fault::Unreadable)
    }

    fn put(
        &self,
        bucket: &MirroredBucket,
        key: &ObjectKey,
        hash: ContentHash,
        said: &Object,
        body: &mut dyn Read,
    ) -> Result<(), Fault> {
        let len = said.get("length").and_then(Value::as_u64).unwrap_or_default();
        let headers = headers_of(said).map_err(|error| Fault::Said(error.to_string()))?;
        let put = of_key(&bucket.name, key, Op::Put);
        let bytes_differ = |error| match error {
            EngineError::HashMismatch | EngineError::LengthMismatch => Fault::Bytes,
            error => error.into(),
        };
        let mut upload = self.engine.begin_upload(&put, ContentDigest::blake3(len, hash))?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = body.read(&mut piece).map_err(SourceError::from)?;
            match piece.get(..read) {
                Some(piece) if read > 0 => upload.write(piece).map_err(bytes_differ)?,
                _ => break,
            }
        }
        let finished = upload.finish().map_err(bytes_differ)?;
        let put = self.engine.put(&put, finished, headers, Preconditions::default());
        put.wait()?;
        Ok(())
    }
}

/// A version, by what is said of it.
fn version(said: Object, deleted: bool, bytes: Bytes) -> Result<Version<Found>, Fault> {
    let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default();
    let said_badly = |error: &dyn std::fmt::Display| Fault::Said(error.to_string());
    let etag = ContentHash::parse(text("blake3")).map_err(|error| said_badly(&error))?;
    let id = VersionId::parse(text("version")).map_err(|error| said_badly(&error))?;
    Ok(Version {
        rank: Rank::Object(id),
        etag,
        deleted,
        found: Found { said, bytes },
    })
}
