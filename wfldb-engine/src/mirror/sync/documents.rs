//! Documents of a bucket that changed on their side, settled with what the store has.

use std::collections::BTreeMap;
use std::sync::Arc;

use wfldb_core::auth::Op;
use wfldb_core::doc::{self, AdoptError, Object, Sealed};
use wfldb_core::id::{PublicKey, VersionId};
use wfldb_core::limits::DOCUMENT_PLANS_MAX;
use wfldb_core::mirror::{Choice, FileKind, GitId, Reconciled, Side, reconcile};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::{ObjectHeaders, Preconditions};

use super::theirs::{Changed, KeyFiles, Theirs, blobs};
use super::{Sync, SyncConflict, SyncError, of_key};
use crate::doc::{Body, document_of, version_with};
use crate::error::EngineError;
use crate::mirror::state::State;
use crate::object::{PutOutcome, put_outcome};
use crate::pending::Pending;
use crate::row::BucketRow;

/// Keys that are read at once, and documents that are on their way into a commit at once.
const AT_ONCE: usize = 256;

/// A document of theirs.
struct Document {
    key: ObjectKey,
    path: String,
    base: Option<Side>,
    theirs: Side,
}

/// What the store has of a key.
struct Ours {
    side: Option<Side>,
    /// The newest version, if it is live.
    live: Option<VersionId>,
}

impl Ours {
    fn unchanged(&self) -> Preconditions {
        Preconditions {
            if_none_match_any: self.live.is_none(),
            if_version: self.live,
            ..Preconditions::default()
        }
    }
}

/// What was begun for a document.
enum Begun {
    Done(Outcome),
    /// A version that is on its way, and whether it is to be deleted.
    Version(Pending<PutOutcome>, bool, Outcome),
}

/// What became of a document.
#[derive(Clone, Copy)]
enum Outcome {
    Same,
    Kept,
    Taken,
    Written,
    Undecided,
}

impl Sync<'_> {
    pub(super) fn documents(
        &mut self,
        theirs: &Theirs,
        bucket: (&str, &BucketRow),
        changed: &Changed,
        trusted: &Arc<[PublicKey]>,
    ) -> Result<(), SyncError> {
        let files: Vec<(&String, &KeyFiles)> = changed.keys.iter().collect();
        for files in files.chunks(AT_ONCE) {
            let mut documents = self.read(bucket, files, trusted)?;
            self.find_bases(theirs, bucket.1, &mut documents)?;
            let mut begun = Vec::new();
            for document in documents {
                let first = self.begin(bucket.1, &document, trusted);
                begun.push((document, first));
            }
            for (document, begun) in begun {
                match self.settled(bucket.1, &document, begun, trusted) {
                    Ok(outcome) => self.count(outcome),
                    Err(error) if error.stops_everything() => return Err(error.into()),
                    Err(error) => self.report.refused.push((document.path, error.to_string())),
                }
            }
        }
        Ok(())
    }

    /// Brings to its end what was begun, and begins again where another write came first.
    fn settled(
        &mut self,
        bucket: &BucketRow,
        document: &Document,
        mut begun: Result<Begun, EngineError>,
        trusted: &Arc<[PublicKey]>,
    ) -> Result<Outcome, EngineError> {
        for _ in 1..DOCUMENT_PLANS_MAX {
            match begun.and_then(|begun| self.finish(bucket, document, begun)) {
                Err(EngineError::PreconditionFailed | EngineError::Stale) => {}
                done => return done,
            }
            begun = self.begin(bucket, document, trusted);
        }
        begun.and_then(|begun| self.finish(bucket, document, begun))
    }

    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Same | Outcome::Undecided => {}
            Outcome::Kept => self.report.kept += 1,
            Outcome::Taken => self.report.taken += 1,
            Outcome::Written => self.report.written += 1,
        }
    }

    /// Reads what stands in the files of keys on both sides.
    fn read(
        &mut self,
        (dir, bucket): (&str, &BucketRow),
        files: &[(&String, &KeyFiles)],
        trusted: &[PublicKey],
    ) -> Result<Vec<Document>, SyncError> {
        let ids = files
            .iter()
            .flat_map(|(_, files)| [files.old.body, files.new.body]);
        let read = blobs(&self.remote, ids)?;
        let text = |id: Option<GitId>| id.and_then(|id| read.get(&id));
        let mut documents = Vec::new();
        for (name, files) in files {
            let path = |dir: &str| format!("{dir}/{name}");
            let old = text(files.old.body).map(|text| side(text, files.old.deleted));
            let Some(id) = files.new.body else {
                if let Some(Ok((key, _))) = &old
                    && self.ours(bucket, key)?.side.is_some()
                {
                    let why = "it was erased there, and stays here".to_owned();
                    self.report.noted.push((path(&files.old.dir), why));
                }
                continue;
            };
            let path = path(&files.new.dir);
            let theirs = match read.get(&id) {
                Some(text) => side(text, files.new.deleted),
                None => Err("it cannot be read".to_owned()),
            };
            // SECURITY: whatever is made of it, be it compared, is what a store signed.
            let theirs = theirs.and_then(|(key, theirs)| {
                if !files.new.is_of(dir, name, &key, FileKind::Document) {
                    return Err("it does not stand where it says that it does".to_owned());
                }
                let signed = Sealed::of_signed(&bucket.name, &key, theirs.document.clone(), trusted);
                signed.map(|_| (key, theirs)).map_err(|error| error.to_string())
            });
            match theirs {
                Ok((key, theirs)) => {
                    let base = old.and_then(Result::ok).filter(|(old, _)| *old == key);
                    let base = base.map(|(_, base)| base);
                    documents.push(Document {
                        key,
                        path,
                        base,
                        theirs,
                    });
                }
                Err(why) => self.report.refused.push((path, why)),
            }
        }
        Ok(documents)
    }

    /// Where both sides seem to have changed a document, one may stand upon the other all the same: theirs upon a version
    /// that the store keeps, or ours upon one that their commits had. The newest such is what both had.
    fn find_bases(
        &self,
        theirs: &Theirs,
        bucket: &BucketRow,
        documents: &mut [Document],
    ) -> Result<(), SyncError> {
        let mut unknown = Vec::new();
        for (at, document) in documents.iter_mut().enumerate() {
            let Some(ours) = self.ours(bucket, &document.key)?.side else {
                continue;
            };
            let is_base = |side: &Side| document.base.as_ref().is_some_and(|base| base.is(side));
            if ours.is(&document.theirs) || is_base(&ours) || is_base(&document.theirs) {
                continue;
            }
            match self.kept(bucket, &document.key, &document.theirs)? {
                Some(base) => document.base = Some(base),
                None => unknown.push((at, document.path.clone(), ours)),
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let paths: Vec<&str> = unknown.iter().map(|(_, path, _)| path.as_str()).collect();
        let past = self.remote.past(&theirs.fetched, &paths)?;
        let read = blobs(&self.remote, past.iter().map(|(_, id)| Some(*id)))?;
        let mut versions: BTreeMap<&str, Vec<Side>> = BTreeMap::new();
        for (path, id) in &past {
            let text = read.get(id).and_then(|text| side(text, false).ok());
            versions
                .entry(path)
                .or_default()
                .extend(text.map(|(_, side)| side));
        }
        for (at, path, ours) in &unknown {
            let Some(document) = documents.get_mut(*at) else {
                continue;
            };
            for then in versions.get(path.as_str()).into_iter().flatten() {
                if then.document == ours.document {
                    document.base = Some(then.clone());
                    break;
                }
                if let Some(base) = self.kept(bucket, &document.key, then)? {
                    document.base = Some(base);
                    break;
                }
            }
        }
        Ok(())
    }

    /// A version of theirs as the store keeps it.
    fn kept(&self, bucket: &BucketRow, key: &ObjectKey, version: &Side) -> Result<Option<Side>, EngineError> {
        let state = State::of(self.inner);
        let hash = version.envelope().hash.to_string();
        let document = version_with(&*state.snapshot, bucket, key, &hash)?;
        let side = document.map(|document| Side::new(document, false)).transpose();
        side.map_err(|_| EngineError::Corrupt("document"))
    }

    fn ours(&self, bucket: &BucketRow, key: &ObjectKey) -> Result<Ours, EngineError> {
        let state = State::of(self.inner);
        let Some((row, deleted)) = state.newest(&bucket.id, key)? else {
            return Ok(Ours {
                side: None,
                live: None,
            });
        };
        let mut document = document_of(&*state.snapshot, bucket, &row)?;
        if let Some(signature) = &row.signature {
            document.insert(doc::SIGNATURE.to_owned(), signature.to_string().into());
        }
        let side = Side::new(document, deleted).map_err(|_| EngineError::Corrupt("document"))?;
        Ok(Ours {
            side: Some(side),
            live: (!deleted).then_some(row.version),
        })
    }

    fn begin(
        &mut self,
        bucket: &BucketRow,
        document: &Document,
        trusted: &Arc<[PublicKey]>,
    ) -> Result<Begun, EngineError> {
        let ours = self.ours(bucket, &document.key)?;
        let theirs = &document.theirs;
        let choice = self.options.choice(&bucket.name, &document.key);
        let decided = reconcile(document.base.as_ref(), ours.side.as_ref(), theirs, choice);
        let put = of_key(&bucket.name, &document.key, Op::Put);
        let same = ours
            .side
            .as_ref()
            .is_some_and(|ours| ours.envelope().hash == theirs.envelope().hash);
        Ok(match decided {
            Reconciled::Keep if ours.side.as_ref().is_some_and(|ours| ours.is(theirs)) => {
                Begun::Done(Outcome::Same)
            }
            Reconciled::Keep => Begun::Done(Outcome::Kept),
            Reconciled::Conflict(conflicts) => {
                // A side that somebody decided for has none.
                debug_assert!(matches!(choice, Choice::By(_)));
                self.report.conflicts.push(SyncConflict {
                    bucket: bucket.name.to_string(),
                    key: document.key.to_string(),
                    conflicts,
                });
                Begun::Done(Outcome::Undecided)
            }
            Reconciled::Take if self.options.dry_run => Begun::Done(Outcome::Taken),
            Reconciled::Write { .. } if self.options.dry_run => Begun::Done(Outcome::Written),
            Reconciled::Take if same => {
                if let Some(live) = ours.live {
                    self.delete(bucket, document, live)?;
                }
                Begun::Done(Outcome::Taken)
            }
            Reconciled::Take => {
                let whole = theirs.document.clone();
                let engine = self.engine();
                let pending = engine.adopt_document(&put, whole, trusted, ours.unchanged());
                Begun::Version(pending, theirs.deleted, Outcome::Taken)
            }
            Reconciled::Write { members, deleted } => {
                let pending = self.write(bucket, document, members, ours.unchanged());
                Begun::Version(pending, deleted, Outcome::Written)
            }
        })
    }

    /// A version above both sides.
    fn write(
        &self,
        bucket: &BucketRow,
        document: &Document,
        members: Object,
        conditions: Preconditions,
    ) -> Pending<PutOutcome> {
        let put = of_key(&bucket.name, &document.key, Op::Put);
        let body = Body::Above(members, Box::new(document.theirs.envelope().clone()));
        let planned = self
            .inner
            .plan_put(&put, body, ObjectHeaders::default(), conditions);
        self.inner.submit(&put, planned, None, put_outcome)
    }

    fn finish(&self, bucket: &BucketRow, document: &Document, begun: Begun) -> Result<Outcome, EngineError> {
        let (pending, deleted, outcome) = match begun {
            Begun::Done(outcome) => return Ok(outcome),
            Begun::Version(pending, deleted, outcome) => (pending, deleted, outcome),
        };
        match pending.wait() {
            Ok(put) if deleted => self.delete(bucket, document, put.version)?,
            Ok(_) | Err(EngineError::Adopt(AdoptError::Present)) => {}
            Err(error) => return Err(error),
        }
        Ok(outcome)
    }

    /// Deletes a version, unless there is a newer one: that stays.
    fn delete(&self, bucket: &BucketRow, document: &Document, version: VersionId) -> Result<(), EngineError> {
        let delete = of_key(&bucket.name, &document.key, Op::Delete);
        let conditions = Preconditions {
            if_version: Some(version),
            ..Preconditions::default()
        };
        self.engine().delete(&delete, conditions).wait().map(|_| ())
    }
}

/// A document as it stands in a file.
fn side(text: &[u8], deleted: bool) -> Result<(ObjectKey, Side), String> {
    let document = doc::parse_object(text).map_err(|error| error.to_string())?;
    let side = Side::new(document, deleted).map_err(|error| error.to_string())?;
    let key = ObjectKey::parse(&side.envelope().id).map_err(|error| error.to_string())?;
    Ok((key, side))
}
