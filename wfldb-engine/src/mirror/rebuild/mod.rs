//! A store made of a mirror: buckets as they are configured, documents as they were signed, objects with what is said of
//! them; of each key the versions that the mirror's history in git has, and then the file. What neither says is not there
//! afterwards: versions between two commits, and the audit log of the store that was.

mod documents;
mod objects;
mod trail;
mod version;

use std::sync::Arc;

use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::{BucketId, ContentHash, PublicKey};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{BucketConfig, EtagCondition, Preconditions};

use self::trail::Trails;
use super::git::{GitError, Past};
use super::source::{MirrorSource, MirroredBucket, MirroredFile, SourceError};
use super::state::State;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::object::DeleteOutcome;
use crate::pending::Pending;
use crate::row::{ObjectRow, key};
use crate::storage::{Space, prefix_end};
use crate::store::add_node_keys;

/// Keys that are looked at, and on their way into a commit, at once.
const AT_ONCE: usize = 128;
/// The mirror's history.
const HISTORY: &str = ".git";

/// What became of a mirror.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Buckets that were made, or configured anew.
    pub buckets: u64,
    /// Documents and objects that are there now and are not deleted.
    pub keys: u64,
    /// Documents and objects that are there now and are deleted.
    pub deleted: u64,
    /// Those of both that were there before.
    pub present: u64,
    /// Commits of the history that were read.
    pub commits: u64,
    /// Versions below the newest ones that were taken from the history.
    pub versions: u64,
    /// Versions of objects that the history names and whose bytes it does not have: they are above 16 MiB.
    pub too_large: u64,
    /// Files that were not taken, and why.
    pub refused: Vec<(String, String)>,
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("its bytes are not those that are said to be in it")]
    Bytes,
    #[error("what is said of the object cannot be kept: {0}")]
    Said(String),
    #[error("the history does not have it whole")]
    Unreadable,
    #[error("the history has a newer version, which is taken instead")]
    Behind,
}

impl Engine {
    /// Takes over what a mirror says. `trusted`: the keys whose signatures of documents and commits are believed.
    /// `history`: with the versions that its history in git has, as far as the buckets keep them; a history that cannot be
    /// read, or is of somebody else, is named, and the files are taken all the same. What is there already stays, so what
    /// was interrupted can be done again; a document that is newer here stays too, and is named. Blocks for as long as it
    /// takes.
    ///
    /// # Errors
    /// `Forbidden` for a proof that is not for the whole store; what makes going on senseless. What is wrong with a single
    /// file, or a version of it, is in [`Rebuilt::refused`].
    pub fn rebuild_from(
        &self,
        proof: &Authorized,
        mirror: &MirrorSource,
        trusted: &Arc<[PublicKey]>,
        history: bool,
    ) -> Result<Rebuilt, EngineError> {
        if proof.op() != Op::Admin || *proof.target() != Target::Store {
            return Err(EngineError::Forbidden);
        }
        // What their signatures are verified with from now on, so before there is one.
        add_node_keys(self.inner.dir(), trusted).map_err(|error| EngineError::Read(error.to_string()))?;
        let mut rebuild = Rebuild {
            engine: self,
            mirror,
            trusted,
            past: None,
            past_is_whole: None,
            done: Rebuilt::default(),
        };
        if history {
            rebuild.open_past();
        }
        match mirror.buckets() {
            Ok(buckets) => {
                for bucket in buckets {
                    rebuild.bucket(&bucket)?;
                }
            }
            Err((path, error)) => rebuild.done.refused.push((path, error.to_string())),
        }
        Ok(rebuild.done)
    }
}

struct Rebuild<'a> {
    engine: &'a Engine,
    mirror: &'a MirrorSource,
    trusted: &'a Arc<[PublicKey]>,
    /// The history, where there is one that counts.
    past: Option<Past>,
    /// Whether its objects were found to be what their names say; `None`: nobody looked.
    past_is_whole: Option<bool>,
    done: Rebuilt,
}

fn of_bucket(bucket: &BucketName, op: Op) -> Authorized {
    Authorized::system("mirror", op, Target::Bucket(bucket.clone()))
}

fn of_key(bucket: &BucketName, key: &ObjectKey, op: Op) -> Authorized {
    Authorized::system("mirror", op, Target::Key(bucket.clone(), key.clone()))
}

/// The settings under which versions come that were written under others: what only holds off new writes is not among
/// them.
fn open_to_all(config: &BucketConfig) -> BucketConfig {
    BucketConfig {
        quota_bytes: None,
        quota_objects: None,
        object_bytes_max: None,
        append_only: false,
        ..config.clone()
    }
}

impl Rebuild<'_> {
    fn open_past(&mut self) {
        if !self.mirror.has_history() {
            return;
        }
        match Past::of(self.mirror.dir(), self.mirror.realm(), self.trusted) {
            Ok(past) => {
                if let Some(stranger) = past.stranger() {
                    let why = format!(
                        "commit {stranger} is signed by nobody who is trusted, for this realm: it and what is below it is not taken"
                    );
                    self.refuse(HISTORY, why);
                }
                self.done.commits = past.commits() as u64;
                self.past = (past.commits() > 0).then_some(past);
            }
            Err(error) => self.refuse(HISTORY, error),
        }
    }

    fn refuse(&mut self, path: &str, why: impl std::fmt::Display) {
        self.done.refused.push((path.to_owned(), why.to_string()));
    }

    /// Names a version in the history that is not taken.
    fn refuse_version(&mut self, file: &MirroredFile, commit: usize, why: &Fault) {
        let id = self.past.as_ref().and_then(|past| past.id(commit));
        let commit = id.map(|id| id.to_string()).unwrap_or_default();
        self.refuse(&format!("{} in commit {commit}", file.path), why);
    }

    /// The history cannot be read any further.
    fn end_past(&mut self, error: &GitError) {
        self.past = None;
        self.refuse(HISTORY, error);
    }

    fn bucket(&mut self, bucket: &MirroredBucket) -> Result<(), EngineError> {
        let manage = of_bucket(&bucket.name, Op::Manage);
        let open = open_to_all(&bucket.config);
        let made = self.engine.put_bucket(&manage, open.clone());
        made.wait()?;
        self.done.buckets += 1;
        let files = match self.mirror.files(bucket) {
            Ok(files) => files,
            Err(error) => {
                self.refuse(bucket.name.as_str(), error);
                Vec::new()
            }
        };
        let mut trails = self.trails(bucket);
        if bucket.holds_documents() {
            self.documents(bucket, &files, &mut trails)?;
        } else {
            self.objects(bucket, &files, &mut trails)?;
        }
        if open != bucket.config {
            let configured = self.engine.put_bucket(&manage, bucket.config.clone());
            configured.wait()?;
        }
        // Behind the documents: an index is built at once then, and a schema holds for what comes.
        for index in &bucket.indexes {
            match self.engine.define_index(&manage, index.clone()).wait() {
                Ok(_) | Err(EngineError::IndexExists) => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(schema) = &bucket.schema {
            let schema = schema.to_string();
            let set = self.engine.put_schema(&manage, Some(schema.as_bytes()));
            set.wait()?;
        }
        Ok(())
    }

    /// What the history says of a bucket's keys.
    fn trails(&mut self, bucket: &MirroredBucket) -> Trails {
        // SECURITY: a document is signed, wherever it stands. What an object is, only its place in a signed tree says, so
        // it counts if everything between the commit and its bytes is what its name says.
        if !bucket.holds_documents() && !self.is_whole() {
            return Trails::default();
        }
        let Some(past) = &self.past else {
            return Trails::default();
        };
        match Trails::of(past, bucket.place().dir(), bucket.holds_documents()) {
            Ok(trails) => trails,
            Err(error) => {
                self.refuse(HISTORY, format!("of {}: {error}", bucket.name));
                Trails::default()
            }
        }
    }

    fn is_whole(&mut self) -> bool {
        let Some(past) = &self.past else { return false };
        if let Some(whole) = self.past_is_whole {
            return whole;
        }
        let found = past.is_whole();
        let whole = *self.past_is_whole.insert(found.is_ok());
        if let Err(error) = found {
            self.refuse(HISTORY, format!("no objects are taken from it: {error}"));
        }
        whole
    }

    /// Deletes a key if this is what it holds: something newer stays.
    fn delete(
        &self,
        bucket: &MirroredBucket,
        object: &ObjectKey,
        etag: ContentHash,
    ) -> Pending<Option<DeleteOutcome>> {
        let conditions = Preconditions {
            if_match: Some(EtagCondition::Is(etag)),
            ..Preconditions::default()
        };
        let delete = of_key(&bucket.name, object, Op::Delete);
        self.engine.delete(&delete, conditions)
    }

    /// Counts a key that is there now.
    fn count(&mut self, deleted: bool, present: bool) {
        self.done.present += u64::from(present);
        let counter = if deleted {
            &mut self.done.deleted
        } else {
            &mut self.done.keys
        };
        *counter += 1;
    }
}

/// The newest rows of a key in the store, oldest first, `max` at most: the hash of each version, or that it is a
/// deletion.
fn there(
    state: &State,
    bucket: &BucketId,
    object: &ObjectKey,
    max: usize,
) -> Result<Vec<Option<ContentHash>>, EngineError> {
    let all = key::versions_of(bucket, object);
    let rows = state
        .snapshot
        .range(Space::Versions, &all, &prefix_end(&all), false);
    let rows = rows.take(max).map(|row| {
        let row = ObjectRow::decode(&row?.1)?;
        Ok::<_, EngineError>((!row.deleted).then_some(row.etag))
    });
    let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
    rows.reverse();
    Ok(rows)
}

/// Waits for a deletion.
fn deleted<T>(pending: Pending<T>) -> Result<(), Fault> {
    match pending.wait() {
        Ok(_) | Err(EngineError::PreconditionFailed) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Gives back what the next file would fail with too.
fn not_fatal(fault: Fault) -> Result<Fault, EngineError> {
    match fault {
        Fault::Engine(error) if error.stops_everything() => Err(error),
        fault => Ok(fault),
    }
}
