//! Indexes of documents: defining, listing and dropping them, the worker that builds them, and walking them. Which rows a
//! document has is `wfldb_core::index`'s; that they follow every write is `commit::apply`'s.

mod hints;
mod walk;
mod worker;

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::index::{IndexDefinition, IndexName};
use wfldb_core::name::BucketName;

pub(crate) use self::hints::IndexHints;
pub(crate) use self::walk::{ready, walk};
pub(crate) use self::worker::run;
use crate::bucket::{bucket_of, resolve};
use crate::commit::plan::{Applied, Mutation};
use crate::engine::{Engine, Inner};
use crate::error::EngineError;
use crate::pending::Pending;
use crate::row::{BucketCounters, BucketRow, DefinedIndex, IndexState, IndexWork, key};
use crate::storage::{Snapshot, Space};
use crate::worker::Worker;

/// Documents that a query has to look at in vain before an index is made for it.
const EXAMINED_MIN: u64 = 1000;
/// And how many times as many as it returns.
const EXAMINED_PER_RETURNED: u64 = 10;

/// Wishes of queries that wait for the worker; further ones come again with the next query.
const WISHES_MAX: usize = 16;

/// An index of a bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexInfo {
    /// What it is.
    pub definition: IndexDefinition,
    /// It was made because a query would gain.
    pub automatic: bool,
    /// How far it is.
    pub progress: IndexProgress,
}

/// How far an index is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexProgress {
    /// It is being built, and answers nothing yet.
    Building {
        /// Documents that were looked at.
        documents: u64,
        /// About how many there are.
        of: u64,
    },
    /// It has every document.
    Ready,
    /// It could not be built, for this reason.
    Failed(String),
}

/// What defining an index did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexDefined {
    /// It was not there before.
    pub created: bool,
    /// Its name.
    pub name: IndexName,
}

/// The worker that builds, what it is to define, and who waits for it.
#[derive(Default)]
pub(crate) struct Indexing {
    pub(crate) worker: Worker,
    wishes: Mutex<Vec<(BucketName, IndexDefinition)>>,
    steps: Mutex<u64>,
    changed: Condvar,
}

impl Indexing {
    /// A step was done.
    fn changed(&self) {
        *self.steps.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    /// Waits for the next step after `look` was false, until it is true or the time is over.
    fn wait<T>(
        &self,
        until: Instant,
        mut look: impl FnMut() -> Result<(bool, T), EngineError>,
    ) -> Result<T, EngineError> {
        loop {
            let before = *self.steps.lock().unwrap_or_else(PoisonError::into_inner);
            let (done, found) = look()?;
            let left = until.saturating_duration_since(Instant::now());
            if done || left.is_zero() {
                return Ok(found);
            }
            let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
            drop(
                self.changed
                    .wait_timeout_while(steps, left, |steps| *steps == before),
            );
        }
    }
}

impl Engine {
    /// Defines an index of the bucket of documents that `proof` names (`manage`). It is built in the background; what is
    /// written from then on is in it.
    ///
    /// # Errors
    /// `NotDocuments`, `IndexExists` when another index has the name, `TooManyIndexes`, and those of every write.
    pub fn define_index(&self, proof: &Authorized, definition: IndexDefinition) -> Pending<IndexDefined> {
        let planned = bucket_of(proof, Op::Manage).map(|bucket| Mutation::DefineIndex {
            bucket: bucket.clone(),
            definition: Box::new(definition),
            automatic: false,
        });
        let planned = planned.and_then(|mutation| self.inner.admit_bytes().map(|()| mutation));
        let inner = self.inner.clone();
        self.inner
            .submit(proof, planned, None, move |applied| match applied {
                Applied::Index { created, name } => {
                    inner.indexing.worker.wake();
                    Ok(IndexDefined { created, name })
                }
                _ => Err(EngineError::OutcomeUnknown),
            })
    }

    /// Drops an index of the bucket that `proof` names (`manage`). Its rows go in the background.
    ///
    /// # Errors
    /// `NoSuchIndex`, and those of every write.
    pub fn drop_index(&self, proof: &Authorized, index: &IndexName) -> Pending<()> {
        let planned = bucket_of(proof, Op::Manage).map(|bucket| Mutation::DropIndex {
            bucket: bucket.clone(),
            index: index.clone(),
        });
        let inner = self.inner.clone();
        self.inner
            .submit(proof, planned, None, move |applied| match applied {
                Applied::IndexDropped => {
                    inner.indexing.worker.wake();
                    Ok(())
                }
                _ => Err(EngineError::OutcomeUnknown),
            })
    }

    /// The indexes of the bucket that `proof` names (`manage`), in the order in which they were defined.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NotDocuments`.
    pub fn indexes(&self, proof: &Authorized) -> Result<Vec<IndexInfo>, EngineError> {
        let bucket = bucket_of(proof, Op::Manage)?;
        let snapshot = self.inner.storage.snapshot();
        let row = documents(&*snapshot, bucket)?;
        row.indexes
            .defined
            .iter()
            .map(|index| info(&*snapshot, &row, index))
            .collect()
    }

    /// Waits until an index is built, or cannot be, at most so long; then how far it is. Blocks.
    ///
    /// # Errors
    /// `NoSuchIndex`, also when it was dropped meanwhile.
    pub fn wait_for_index(
        &self,
        proof: &Authorized,
        index: &IndexName,
        at_most: Duration,
    ) -> Result<IndexInfo, EngineError> {
        let bucket = bucket_of(proof, Op::Manage)?;
        self.inner.indexing.wait(Instant::now() + at_most, || {
            let snapshot = self.inner.storage.snapshot();
            let row = documents(&*snapshot, bucket)?;
            let index = row
                .indexes
                .named(index.as_str())
                .ok_or(EngineError::NoSuchIndex)?;
            let info = info(&*snapshot, &row, index)?;
            let building = matches!(info.progress, IndexProgress::Building { .. });
            Ok((!building, info))
        })
    }
}

impl Inner {
    /// A query looked at so many documents for those that it returned, and this index would have spared it that. Where the
    /// bucket makes indexes by itself, this one is made, in the background; nobody waits.
    pub(crate) fn wish_index(
        &self,
        bucket: &BucketRow,
        wish: &IndexDefinition,
        examined: u64,
        returned: u64,
    ) {
        let gains = examined >= EXAMINED_MIN && examined / EXAMINED_PER_RETURNED >= returned;
        let has = |index: &DefinedIndex| index.definition.does_the_same(wish);
        if !bucket.config.auto_index || !gains || bucket.indexes.defined.iter().any(has) {
            return;
        }
        let wish = (bucket.name.clone(), wish.clone());
        let mut wishes = self
            .indexing
            .wishes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if wishes.len() < WISHES_MAX && !wishes.contains(&wish) {
            wishes.push(wish);
            drop(wishes);
            self.indexing.worker.wake();
        }
    }

    /// Defines what queries wished for. Somebody else may have taken the last place, or the bucket away.
    fn define_wishes(&self) -> Result<(), EngineError> {
        let mut wishes = self
            .indexing
            .wishes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let wishes = std::mem::take(&mut *wishes);
        for (bucket, definition) in wishes {
            let proof = Authorized::system("auto-index", Op::Manage, Target::Bucket(bucket.clone()));
            let mutation = Mutation::DefineIndex {
                bucket,
                definition: Box::new(definition),
                automatic: true,
            };
            match self.submit(&proof, Ok(mutation), None, |_| Ok(())).wait() {
                Ok(())
                | Err(EngineError::NoSuchBucket | EngineError::TooManyIndexes | EngineError::IndexExists) => {
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The bucket's row, where it holds documents.
fn documents(snapshot: &dyn Snapshot, bucket: &BucketName) -> Result<BucketRow, EngineError> {
    let row = resolve(snapshot, bucket)?;
    if row.config.kind == wfldb_core::object::BucketKind::Documents {
        Ok(row)
    } else {
        Err(EngineError::NotDocuments)
    }
}

fn info(snapshot: &dyn Snapshot, bucket: &BucketRow, index: &DefinedIndex) -> Result<IndexInfo, EngineError> {
    let progress = match &index.state {
        IndexState::Ready => IndexProgress::Ready,
        IndexState::Failed(why) => IndexProgress::Failed(why.clone()),
        IndexState::Building => {
            let work = snapshot.get(Space::Index, &key::index_work(&bucket.id, index.number))?;
            let work = work.ok_or(EngineError::Corrupt("index work"))?;
            let counters = snapshot.get(Space::Counters, &key::bucket_counters(&bucket.id))?;
            let counters = counters.ok_or(EngineError::Corrupt("counters"))?;
            IndexProgress::Building {
                documents: match IndexWork::decode(&work)? {
                    IndexWork::Build { documents, .. } => documents,
                    IndexWork::Remove => return Err(EngineError::Corrupt("index work")),
                },
                of: BucketCounters::decode(&counters)?.objects,
            }
        }
    };
    Ok(IndexInfo {
        definition: index.definition.clone(),
        automatic: index.automatic,
        progress,
    })
}
