//! The documents of a bucket, each version as it was signed.

use std::collections::VecDeque;

use wfldb_core::auth::Op;
use wfldb_core::doc::{AdoptError, Object, Sealed};
use wfldb_core::id::{BucketId, ContentHash};
use wfldb_core::mirror::GitId;
use wfldb_core::name::ObjectKey;
use wfldb_core::object::Preconditions;

use super::trail::{Moment, Trails};
use super::version::{Rank, Version, chain, done, rows};
use super::{AT_ONCE, Fault, Rebuild, deleted, not_fatal, of_key, there};
use crate::bucket::resolve;
use crate::error::EngineError;
use crate::mirror::source::{MirroredBucket, MirroredFile, document_in};
use crate::mirror::state::State;
use crate::object::PutOutcome;
use crate::pending::Pending;

/// Bytes of documents that are kept until they are written; others are read from the history once more.
const HELD_BYTES: usize = 32 << 20;

/// Where a version is.
#[derive(Debug)]
enum From {
    File(Object),
    /// In the history; with the document, where it is held.
    Past(usize, GitId, Option<Object>),
}

type Found = (ObjectKey, Version<From>);

/// A step that a key has to take.
struct Step {
    /// `None`: it was there before, and only its deletion is missing.
    from: Option<From>,
    etag: ContentHash,
    delete: bool,
}

impl Step {
    fn commit(&self) -> Option<usize> {
        match &self.from {
            Some(From::Past(commit, ..)) => Some(*commit),
            _ => None,
        }
    }
}

/// A key on its way.
struct Work<'a> {
    file: &'a MirroredFile,
    key: ObjectKey,
    steps: VecDeque<Step>,
    /// Whether it is deleted in the end.
    deleted: bool,
}

impl Rebuild<'_> {
    pub(super) fn documents(
        &mut self,
        bucket: &MirroredBucket,
        files: &[MirroredFile],
        trails: &mut Trails,
    ) -> Result<(), EngineError> {
        for files in files.chunks(AT_ONCE) {
            let past = self.past_documents(bucket, files, trails);
            let state = State::of(&self.engine.inner);
            let id = resolve(&*state.snapshot, &bucket.name)?.id;
            let mut all = Vec::with_capacity(files.len());
            for (file, past) in files.iter().zip(past) {
                all.extend(self.work(bucket, file, past, &state, &id)?);
            }
            while all.iter().any(|work| !work.steps.is_empty()) {
                self.round(bucket, &mut all)?;
            }
        }
        Ok(())
    }

    /// The versions of each file that the history has, in the order of commits.
    fn past_documents(
        &mut self,
        bucket: &MirroredBucket,
        files: &[MirroredFile],
        trails: &mut Trails,
    ) -> Vec<Vec<Found>> {
        let mut found: Vec<Vec<Found>> = files.iter().map(|_| Vec::new()).collect();
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
            .filter_map(|(at, moment)| Some((at, moment, moment.body?)))
            .collect();
        let ids: Vec<GitId> = all.iter().map(|(.., id)| *id).collect();
        let (mut wrong, mut held) = (Vec::new(), 0);
        let read = past.blobs(&ids, |at, bytes| {
            let (Some((at, moment, id)), len) = (all.get(at), bytes.as_ref().map_or(0, Vec::len)) else {
                return Ok(());
            };
            let (Some(file), Some(found)) = (files.get(*at), found.get_mut(*at)) else {
                return Ok(());
            };
            let version = bytes.ok_or(Fault::Unreadable).and_then(|bytes| {
                let (key, document) = document_in(bucket, file, &bytes)?;
                self.version(bucket, key, document, moment.deleted, |document| {
                    held += len;
                    From::Past(moment.commit, *id, (held <= HELD_BYTES).then_some(document))
                })
            });
            match version {
                Ok(version) => found.push(version),
                Err(why) => wrong.push((file, moment.commit, why)),
            }
            Ok(())
        });
        self.past = Some(past);
        for (file, commit, why) in wrong {
            self.refuse_version(file, commit, &why);
        }
        if let Err(error) = read {
            self.end_past(&error);
        }
        found
    }

    /// A version of a document, verified.
    fn version(
        &self,
        bucket: &MirroredBucket,
        key: ObjectKey,
        document: Object,
        deleted: bool,
        from: impl FnOnce(Object) -> From,
    ) -> Result<Found, Fault> {
        let sealed = Sealed::of_signed(&bucket.name, &key, document.clone(), self.trusted);
        let (sealed, envelope) = sealed.map_err(EngineError::from)?;
        let version = Version {
            rank: Rank::Document {
                version: envelope.version,
                time: envelope.time,
                hash: envelope.hash,
                previous: envelope.previous,
            },
            etag: ContentHash::of(&sealed.text),
            deleted,
            found: from(document),
        };
        Ok((key, version))
    }

    /// What is still to be done for a key, if anything is known of it.
    fn work<'a>(
        &mut self,
        bucket: &MirroredBucket,
        file: &'a MirroredFile,
        past: Vec<Found>,
        state: &State,
        id: &BucketId,
    ) -> Result<Option<Work<'a>>, EngineError> {
        let newest = self.mirror.document(bucket, file).map_err(Fault::from);
        let newest =
            newest.and_then(|(key, document)| self.version(bucket, key, document, file.deleted, From::File));
        let mut all = past;
        let has_file = match newest {
            Ok(newest) => {
                all.push(newest);
                true
            }
            Err(why) => {
                self.refuse(&file.path, not_fatal(why)?);
                false
            }
        };
        let Some((key, _)) = all.first() else {
            return Ok(None);
        };
        let key = key.clone();
        let mut versions = chain(all.into_iter().map(|(_, version)| version).collect());
        let ends_with_file = |version: &Version<From>| matches!(version.found, From::File(_));
        if has_file && !versions.last().is_some_and(ends_with_file) {
            self.refuse(&file.path, Fault::Behind);
        }
        let wanted = rows(&versions);
        let found = there(state, id, &key, wanted.len() + 1)?;
        let done = done(&wanted, &found).unwrap_or_else(|| {
            // Whoever wrote here has the last word, or the file has.
            versions.drain(..versions.len().saturating_sub(1));
            0
        });
        let work = Work {
            file,
            key,
            deleted: versions.last().is_some_and(|version| version.deleted),
            steps: steps(versions, done),
        };
        if work.steps.is_empty() {
            self.count(work.deleted, true);
        }
        Ok(Some(work))
    }

    /// Takes one step with each key.
    fn round(&mut self, bucket: &MirroredBucket, all: &mut [Work<'_>]) -> Result<(), EngineError> {
        let mut steps: Vec<(usize, Step)> = Vec::new();
        for (at, work) in all.iter_mut().enumerate() {
            steps.extend(work.steps.pop_front().map(|step| (at, step)));
        }
        self.read_again(bucket, all, &mut steps);
        let mut begun = Vec::with_capacity(steps.len());
        for (at, step) in steps {
            let Some(work) = all.get(at) else { continue };
            let commit = step.commit();
            let put = match step.from {
                None => None,
                Some(From::File(document) | From::Past(_, _, Some(document))) => {
                    Some(self.adopt(bucket, &work.key, document))
                }
                // It was named when it could not be read.
                Some(From::Past(_, _, None)) => continue,
            };
            begun.push((work, commit, step.etag, step.delete, put));
        }
        let mut ended = Vec::with_capacity(begun.len());
        for (work, commit, etag, delete, put) in begun {
            let present = put.map_or(Ok(true), adopted);
            // It is the newest one, or was until this moment.
            let deletion = (present.is_ok() && delete).then(|| self.delete(bucket, &work.key, etag));
            ended.push((work, commit, present, deletion));
        }
        for (work, commit, present, deletion) in ended {
            let deleted = deletion.map_or(Ok(()), deleted);
            match (present.and_then(|present| deleted.map(|()| present)), commit) {
                (Ok(present), _) if work.steps.is_empty() => self.count(work.deleted, present),
                (Ok(present), _) => self.done.versions += u64::from(!present),
                (Err(why), Some(commit)) => self.refuse_version(work.file, commit, &not_fatal(why)?),
                (Err(why), None) => self.refuse(&work.file.path, not_fatal(why)?),
            }
        }
        Ok(())
    }

    /// Reads the versions that were not held.
    fn read_again(&mut self, bucket: &MirroredBucket, all: &[Work<'_>], steps: &mut [(usize, Step)]) {
        let mut missing: Vec<(&MirroredFile, usize, GitId, &mut Option<Object>)> = Vec::new();
        for (at, step) in steps {
            if let (Some(From::Past(commit, id, held @ None)), Some(work)) = (&mut step.from, all.get(*at)) {
                missing.push((work.file, *commit, *id, held));
            }
        }
        let ids: Vec<GitId> = missing.iter().map(|(_, _, id, _)| *id).collect();
        if ids.is_empty() {
            return;
        }
        let Some(mut past) = self.past.take() else {
            // It could not be read any further, which was named.
            return;
        };
        let read = past.blobs(&ids, |at, bytes| {
            if let (Some((file, _, _, held)), Some(bytes)) = (missing.get_mut(at), bytes) {
                **held = document_in(bucket, file, &bytes)
                    .ok()
                    .map(|(_, document)| document);
            }
            Ok(())
        });
        self.past = Some(past);
        let unread = missing.iter().filter(|(.., held)| held.is_none());
        let unread: Vec<_> = unread.map(|(file, commit, ..)| (*file, *commit)).collect();
        for (file, commit) in unread {
            self.refuse_version(file, commit, &Fault::Unreadable);
        }
        if let Err(error) = read {
            self.end_past(&error);
        }
    }

    fn adopt(&self, bucket: &MirroredBucket, key: &ObjectKey, document: Object) -> Pending<PutOutcome> {
        let put = of_key(&bucket.name, key, Op::Put);
        self.engine
            .adopt_document(&put, document, self.trusted, Preconditions::default())
    }
}

/// Waits for a document; answers whether it was there before.
fn adopted(put: Pending<PutOutcome>) -> Result<bool, Fault> {
    match put.wait() {
        Ok(_) => Ok(false),
        Err(EngineError::Adopt(AdoptError::Present)) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// The steps behind those that are done, counted in rows.
fn steps(versions: Vec<Version<From>>, mut done: usize) -> VecDeque<Step> {
    let mut steps = VecDeque::new();
    for version in versions {
        let rows = 1 + usize::from(version.deleted);
        if done < rows {
            steps.push_back(Step {
                from: (done == 0).then_some(version.found),
                etag: version.etag,
                delete: version.deleted,
            });
        }
        done = done.saturating_sub(rows);
    }
    steps
}
