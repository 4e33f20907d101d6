//! Objects of a bucket that changed on their side. Their bytes and headers are compared; version, time and writer are of
//! each store.

use std::collections::BTreeMap;

use wfldb_core::auth::Op;
use wfldb_core::doc::{self, Object, Value};
use wfldb_core::id::{ContentHash, VersionId};
use wfldb_core::mirror::{Choice, Conflict, FileKind, GitId, Strategy, headers_of};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::{ContentDigest, Preconditions};

use super::theirs::{Changed, FileSet, KeyFiles, Theirs, blobs};
use super::{Sync, SyncConflict, SyncError, of_key};
use crate::error::EngineError;
use crate::mirror::state::State;
use crate::row::BucketRow;

/// Keys that are read at once.
const AT_ONCE: usize = 256;
/// What is said of an object that is of the store that it is in.
const OF_STORE: [&str; 3] = ["by", "modified", "version"];

/// What a side has of an object.
#[derive(Clone, Debug)]
struct Side {
    /// What is said of it in any store.
    said: Object,
    modified: String,
    deleted: bool,
}

/// What is to be done with an object of theirs.
enum Decided {
    Keep,
    Take,
    Conflict,
}

impl Side {
    fn new(mut said: Object, deleted: bool) -> Self {
        let modified = said.get("modified").and_then(Value::as_str).unwrap_or_default();
        let modified = modified.to_owned();
        for name in OF_STORE {
            said.remove(name);
        }
        Self {
            said,
            modified,
            deleted,
        }
    }

    fn is(&self, other: &Self) -> bool {
        self.said == other.said && self.deleted == other.deleted
    }
}

fn decide(base: Option<&Side>, ours: Option<&Side>, theirs: &Side, choice: Choice) -> Decided {
    let is_base = |side: &Side| base.is_some_and(|base| base.is(side));
    let Some(ours) = ours else {
        return match choice {
            _ if base.is_none() => Decided::Take,
            Choice::Ours => Decided::Keep,
            Choice::By(_) if is_base(theirs) => Decided::Keep,
            Choice::Theirs | Choice::By(Strategy::LastWrite) => Decided::Take,
            Choice::By(_) => Decided::Conflict,
        };
    };
    if ours.is(theirs) || is_base(theirs) {
        return Decided::Keep;
    }
    let theirs_wins = match choice {
        _ if is_base(ours) => true,
        Choice::Ours => false,
        Choice::Theirs => true,
        // What was last is of each store.
        Choice::By(_) if ours.deleted && theirs.deleted => false,
        Choice::By(Strategy::LastWrite) if ours.deleted == theirs.deleted => theirs.modified > ours.modified,
        Choice::By(Strategy::LastWrite) => ours.deleted,
        Choice::By(_) => return Decided::Conflict,
    };
    if theirs_wins { Decided::Take } else { Decided::Keep }
}

impl Sync<'_> {
    pub(super) fn objects(
        &mut self,
        theirs: &Theirs,
        bucket: (&str, &BucketRow),
        changed: &Changed,
    ) -> Result<(), SyncError> {
        let files: Vec<(&String, &KeyFiles)> = changed.keys.iter().collect();
        for files in files.chunks(AT_ONCE) {
            let ids = files
                .iter()
                .flat_map(|(_, files)| [files.old.said, files.new.said]);
            let read = blobs(&self.remote, ids)?;
            for (name, files) in files {
                let path = format!("{}/{name}", files.new.dir);
                match self.object(theirs, bucket, (name, files), &read) {
                    Ok(()) => {}
                    Err(Fault::Stops(error)) => return Err(error),
                    Err(Fault::Refused(why)) => self.report.refused.push((path, why)),
                }
            }
        }
        Ok(())
    }

    fn object(
        &mut self,
        theirs: &Theirs,
        (dir, bucket): (&str, &BucketRow),
        (name, files): (&str, &KeyFiles),
        read: &BTreeMap<GitId, Vec<u8>>,
    ) -> Result<(), Fault> {
        let said = |files: &FileSet| files.said.and_then(|id| read.get(&id)).map(|text| said(text));
        let old = said(&files.old).and_then(Result::ok);
        let Some(new) = said(&files.new) else {
            return self.gone(bucket, name, files, old.as_ref());
        };
        let (key, whole) = new?;
        if !files.new.is_of(dir, name, &key, FileKind::Object) {
            return Err(Fault::refused("it does not stand where it says that it does"));
        }
        let base = old.filter(|(old, _)| *old == key);
        let base = base.map(|(_, said)| Side::new(said, files.old.deleted));
        let other = Side::new(whole.clone(), files.new.deleted);
        let (ours, live) = self.ours_of(bucket, &key)?;
        let choice = self.options.choice(&bucket.name, &key);
        match decide(base.as_ref(), ours.as_ref(), &other, choice) {
            Decided::Keep => {
                self.report.kept += u64::from(!ours.is_some_and(|ours| ours.is(&other)));
            }
            Decided::Conflict => {
                let value = |side: Side| (!side.deleted).then_some(Value::Object(side.said));
                self.report.conflicts.push(SyncConflict {
                    bucket: bucket.name.to_string(),
                    key: key.to_string(),
                    conflicts: vec![Conflict {
                        pointer: String::new(),
                        base: base.and_then(value),
                        ours: ours.and_then(value),
                        theirs: value(other),
                    }],
                });
            }
            Decided::Take => {
                if !self.options.dry_run {
                    let path = format!("{}/{name}", files.new.dir);
                    self.take(theirs, bucket, &key, &path, &whole, &other, live)?;
                }
                self.report.taken += 1;
            }
        }
        Ok(())
    }

    /// An object that is in no state there any more.
    fn gone(
        &mut self,
        bucket: &BucketRow,
        name: &str,
        files: &KeyFiles,
        old: Option<&(ObjectKey, Object)>,
    ) -> Result<(), Fault> {
        let Some((key, _)) = old else {
            return Err(Fault::refused("nothing is said of it"));
        };
        if self.ours_of(bucket, key)?.0.is_some() {
            let path = format!("{}/{name}", files.old.dir);
            let why = "it was erased there, and stays here".to_owned();
            self.report.noted.push((path, why));
        }
        Ok(())
    }

    fn ours_of(
        &self,
        bucket: &BucketRow,
        key: &ObjectKey,
    ) -> Result<(Option<Side>, Option<VersionId>), EngineError> {
        let state = State::of(self.inner);
        let Some((row, deleted)) = state.newest(&bucket.id, key)? else {
            return Ok((None, None));
        };
        let text = state.said_of(key, &row)?;
        let said = doc::parse_object(&text).map_err(|_| EngineError::Corrupt("object"))?;
        Ok((Some(Side::new(said, deleted)), (!deleted).then_some(row.version)))
    }

    #[expect(clippy::too_many_arguments, reason = "what is taken, where to, and upon what")]
    fn take(
        &self,
        theirs: &Theirs,
        bucket: &BucketRow,
        key: &ObjectKey,
        path: &str,
        said: &Object,
        side: &Side,
        live: Option<VersionId>,
    ) -> Result<(), Fault> {
        let unchanged = Preconditions {
            if_none_match_any: live.is_none(),
            if_version: live,
            ..Preconditions::default()
        };
        let engine = self.engine();
        let delete = of_key(&bucket.name, key, Op::Delete);
        if side.deleted && live.is_some() {
            engine.delete(&delete, unchanged).wait()?;
            return Ok(());
        }
        let [_, named] = theirs.named(path);
        let mut body = None;
        self.remote.objects(named.into_iter(), |_, bytes| {
            body = bytes;
            Ok(())
        })?;
        let body = body.ok_or_else(|| Fault::refused("it is too large for their history, or not in it"))?;
        let hash = said.get("blake3").and_then(Value::as_str).unwrap_or_default();
        let hash = ContentHash::parse(hash).map_err(|error| Fault::Refused(error.to_string()))?;
        let headers = headers_of(said).map_err(|error| Fault::Refused(error.to_string()))?;
        let put = of_key(&bucket.name, key, Op::Put);
        let mut upload = engine.begin_upload(&put, ContentDigest::blake3(body.len() as u64, hash))?;
        upload.write(&body)?;
        let version = engine
            .put(&put, upload.finish()?, headers, unchanged)
            .wait()?
            .version;
        if side.deleted {
            let conditions = Preconditions {
                if_version: Some(version),
                ..Preconditions::default()
            };
            engine.delete(&delete, conditions).wait()?;
        }
        Ok(())
    }
}

/// Why an object is not taken over.
enum Fault {
    Stops(SyncError),
    Refused(String),
}

impl Fault {
    fn refused(why: &str) -> Self {
        Self::Refused(why.to_owned())
    }
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        if error.stops_everything() {
            Self::Stops(error.into())
        } else {
            Self::Refused(error.to_string())
        }
    }
}

impl From<crate::mirror::git::GitError> for Fault {
    fn from(error: crate::mirror::git::GitError) -> Self {
        Self::Stops(error.into())
    }
}

/// What a file says of an object, and of which.
fn said(text: &[u8]) -> Result<(ObjectKey, Object), Fault> {
    let said = doc::parse_object(text).map_err(|error| Fault::Refused(error.to_string()))?;
    let key = said.get("key").and_then(Value::as_str).unwrap_or_default();
    let key = ObjectKey::parse(key).map_err(|error| Fault::Refused(error.to_string()))?;
    Ok((key, said))
}
