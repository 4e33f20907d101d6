//! The work of a mirror, in steps that can each be repeated: follow a run of changes, go on with a bucket that is
//! written whole, come to rest. Whoever gives up in the middle takes up the work at the last rest point.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wfldb_core::encoding::hex;
use wfldb_core::id::{BucketId, LogPosition};

use super::cursor::{Cursor, Mirrored};
use super::dir::MirrorDir;
use super::error::{Failure, MirrorError};
use super::history::{MirrorBatch, MirrorHistory};
use super::manifests::Manifests;
use super::point::Points;
use super::published::LogWork;
use super::root;
use super::state::{SHARD_ABOVE_KEYS, State};
use super::tempo::{Pace, Tempo};
use crate::engine::Inner;
use crate::error::EngineError;
use crate::row::BucketRow;

/// Keys of a bucket that is written whole that one step writes.
const KEYS_PER_STEP: usize = 1000;

/// What a mirror is made of.
pub(crate) struct Rounds {
    pub(super) inner: Arc<Inner>,
    pub(super) dir: MirrorDir,
    /// Where the cursor is kept.
    pub(super) view: PathBuf,
    pub(super) points: Points,
    /// Ahead of the one on disk between two rest points.
    pub(super) cursor: Cursor,
    /// The one on disk.
    pub(super) durable: Cursor,
    /// It names buckets that the one on disk does not.
    unsaved: bool,
    pub(super) manifests: Manifests,
    pub(super) ended: Arc<AtomicBool>,
    /// Something was written since the last rest point.
    pub(super) changed: bool,
    pub(crate) tempo: Tempo,
    pub(super) rested: Option<Instant>,
    pub(super) rest_took: Duration,
    /// Of `files` at the last rest point.
    pub(super) rested_files: u64,
    /// Rest points.
    pub(super) rests: u64,
    pub(super) files: u64,
    pub(super) damaged: u64,
    pub(super) history: Option<Box<dyn MirrorHistory>>,
    pub(super) batch: MirrorBatch,
    /// The last change that a process before this one may have worked on without telling the history.
    untold: LogPosition,
    pub(super) log: LogWork,
    /// A bucket with more live keys is in shards.
    pub(super) shard_above: u64,
    /// The directory says whose mirror it is.
    ours: bool,
}

impl std::fmt::Debug for Rounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rounds").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Box<dyn MirrorHistory> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MirrorHistory")
    }
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is nothing to do.
    Done,
    /// There is more to do at once.
    More,
}

impl Rounds {
    /// Takes up the mirror in `place`, or begins it.
    pub(crate) fn open(
        inner: &Arc<Inner>,
        place: &Path,
        history: Option<(Box<dyn MirrorHistory>, MirrorBatch)>,
        ended: Arc<AtomicBool>,
        points: Points,
    ) -> Result<Self, MirrorError> {
        let dir = MirrorDir::open(place, points.clone())?;
        let view = inner.dir().join("views").join("mirror");
        let identity = dir.identity()?;
        let state = State::of(inner);
        let kept = Cursor::load(&view, inner.store, &identity);
        let ours = kept.is_some() || root::is_mirror_of(&dir, inner)?;
        let kept = kept.filter(|_| dir.read(root::ROOT, 1 << 20).is_ok_and(|root| root.is_some()));
        let kept = kept.filter(|cursor| is_of_history(&state, cursor).unwrap_or(false));
        let cursor = if let Some(cursor) = kept {
            cursor
        } else {
            let mark = state.mark()?;
            let change = state.change(mark.position)?.unwrap_or_default();
            Cursor::begin(inner.store, identity, mark.position, change)
        };
        let (history, batch) = history.unzip();
        let mut batch = batch.unwrap_or_default();
        // What was written of it before may be in no commit, and is not written again.
        batch.whole |= cursor.buckets.values().any(|bucket| bucket.making.is_some());
        Ok(Self {
            inner: Arc::clone(inner),
            dir,
            view,
            points,
            durable: cursor.clone(),
            unsaved: false,
            cursor,
            manifests: Manifests::default(),
            ended,
            changed: true,
            tempo: Tempo::Steady,
            rested: None,
            rest_took: Duration::ZERO,
            rested_files: 0,
            rests: 0,
            files: 0,
            damaged: 0,
            history,
            batch,
            untold: state.mark()?.position,
            log: LogWork::default(),
            shard_above: SHARD_ABOVE_KEYS,
            ours,
        })
    }

    /// Whether what is being followed is known to others: a process that was killed may have removed files, which the
    /// history knows nothing of; and the history may have seen files in the store which were never here.
    pub(super) fn is_again(&self) -> bool {
        let is_before = |position: LogPosition| self.cursor.position < position.get();
        let history = self.history.as_ref();
        history.is_some_and(|history| is_before(self.untold) || is_before(history.seen()))
    }

    /// Gives up when the mirror is to end.
    pub(super) fn check_end(&self) -> Result<(), Failure> {
        if self.ended.load(Ordering::SeqCst) {
            Err(Failure::Ended)
        } else {
            Ok(())
        }
    }

    /// Brings the buckets in line with what is configured, before anything is followed.
    pub(crate) fn begin(&mut self) -> Result<(), Failure> {
        if !self.ours {
            // From now on it is known to be ours, also after a crash.
            self.write_root(LogPosition::default())?;
            self.ours = true;
        }
        let state = State::of(&self.inner);
        let mut wanted = BTreeMap::new();
        for row in state.buckets()? {
            wanted.insert(row.id, row);
        }
        for bucket in self.known() {
            if !wanted.contains_key(&bucket) {
                self.drop_bucket(bucket)?;
            } else if self.is_at_beginning(&bucket) {
                self.make_whole(bucket);
            }
        }
        for row in wanted.values() {
            self.keep_bucket(&state, row)?;
        }
        self.save_buckets()?;
        self.drop_strangers()
    }

    /// Whether nothing of a bucket is written yet.
    fn is_at_beginning(&self, bucket: &BucketId) -> bool {
        let known = self.cursor.buckets.get(&bucket.to_string());
        known.is_some_and(|known| known.making.as_deref() == Some(""))
    }

    fn known(&self) -> Vec<BucketId> {
        let ids = self.cursor.buckets.keys();
        ids.filter_map(|id| BucketId::parse(id).ok()).collect()
    }

    /// One step. After a failure there has to be another [`Rounds::open`].
    pub(crate) fn step(&mut self) -> Result<Step, Failure> {
        self.check_end()?;
        let followed = self.follow()?;
        let made = self.make_some()?;
        if self.is_rest_due() {
            self.rest()?;
        }
        // ORDER: behind the rest point, so that the checkpoint after the one which that published is seen.
        let logged = self.log_some()?;
        let litter = self.dir.clear_temp();
        let more = followed == Step::More || made == Step::More || logged == Step::More || litter;
        Ok(if more { Step::More } else { Step::Done })
    }

    fn follow(&mut self) -> Result<Step, Failure> {
        self.follow_in(&State::of(&self.inner))
    }

    pub(super) fn follow_in(&mut self, state: &State) -> Result<Step, Failure> {
        let after = LogPosition::new(self.cursor.position);
        let run = match state.run(after, self.history.is_some()) {
            Ok(Some(run)) => run,
            Ok(None) => return Ok(Step::Done),
            Err(EngineError::TooOld) => {
                self.begin_anew(state)?;
                return Ok(Step::More);
            }
            Err(error) => return Err(error.into()),
        };
        self.changed = true;
        let mut rows: BTreeMap<BucketId, BucketRow> = BTreeMap::new();
        for bucket in run.keys.keys() {
            if let Some(row) = state.bucket(bucket)? {
                rows.insert(*bucket, row);
            } else {
                let known = self.cursor.buckets.contains_key(&bucket.to_string());
                // Which directory it had is not known any more.
                self.batch.whole |= self.is_again() && !known;
                self.drop_bucket(*bucket)?;
            }
        }
        // What had a name before is gone by now.
        for row in rows.values() {
            self.keep_bucket(state, row)?;
        }
        self.save_buckets()?;
        let mut pace = Pace::of_files(if run.more { Tempo::Hurried } else { self.tempo });
        for (bucket, keys) in &run.keys {
            let Some(row) = rows.get(bucket) else { continue };
            for key in keys {
                self.check_end()?;
                self.write_key(state, row, key)?;
                pace.next();
            }
        }
        self.cursor.position = run.upto.get();
        self.cursor.change = hex::encode(&run.change);
        if self.history.is_some() {
            if self.batch.first == LogPosition::default() {
                self.batch.first = after.next();
            }
            self.batch.authors.extend(run.authors);
        }
        Ok(if run.more { Step::More } else { Step::Done })
    }

    /// The changes behind the cursor are gone: every bucket is written whole, at the state of now.
    fn begin_anew(&mut self, state: &State) -> Result<(), Failure> {
        tracing::warn!("the mirror is written whole: the changes that it has not seen are not kept any more");
        let mark = state.mark()?;
        self.cursor.position = mark.position.get();
        self.cursor.change = hex::encode(&state.change(mark.position)?.unwrap_or_default());
        self.batch.whole = true;
        for bucket in self.known() {
            self.make_whole(bucket);
        }
        self.begin()
    }

    /// Has the cursor on disk name the buckets that are to be written whole, before anything of them is written or leaves
    /// its place: whatever comes then, their directories are known, and the work goes on to its end.
    fn save_buckets(&mut self) -> io::Result<()> {
        if self.unsaved {
            self.durable.save(&self.view)?;
            self.unsaved = false;
        }
        Ok(())
    }

    /// Sees to it that a bucket is known, and that its directory says what it is. [`Rounds::save_buckets`] has to follow.
    fn keep_bucket(&mut self, state: &State, row: &BucketRow) -> Result<(), Failure> {
        let id = row.id.to_string();
        let crowded = state.keys(&row.id)? > self.shard_above;
        let known = self.cursor.buckets.get(&id);
        let moves = known.is_some_and(|known| crowded && !known.sharded);
        if known.is_none() || moves {
            let bucket = Mirrored {
                name: row.name.as_str().to_owned(),
                kind: row.config.kind,
                sharded: crowded,
                making: None,
            };
            self.cursor.buckets.insert(id.clone(), bucket.clone());
            self.make_whole(row.id);
            let making = Some(String::new());
            self.durable.buckets.insert(id, Mirrored { making, ..bucket });
            self.unsaved = true;
        }
        if self.is_at_beginning(&row.id) {
            return Ok(());
        }
        self.write_metadata(row)
    }

    /// Goes on with one of the buckets that are written whole.
    fn make_some(&mut self) -> Result<Step, Failure> {
        let making = self.cursor.buckets.iter();
        let making = making.filter_map(|(id, bucket)| Some((id.clone(), bucket.making.clone()?)));
        let Some((id, after)) = making.min() else {
            return Ok(Step::Done);
        };
        self.changed = true;
        let state = State::of(&self.inner);
        let bucket = BucketId::parse(&id).map_err(|_| EngineError::Corrupt("cursor"))?;
        let Some(row) = state.bucket(&bucket)? else {
            // The change that says so is still to come.
            self.drop_bucket(bucket)?;
            return Ok(Step::More);
        };
        if after.is_empty() {
            self.make_whole(bucket);
            self.write_metadata(&row)?;
        }
        let after = (!after.is_empty()).then(|| wfldb_core::name::ObjectKey::parse(&after));
        let after = after.transpose().map_err(|_| EngineError::Corrupt("cursor"))?;
        let keys = state.keys_behind(&bucket, after.as_ref(), KEYS_PER_STEP)?;
        for key in &keys {
            self.check_end()?;
            self.write_key(&state, &row, key)?;
        }
        let last = keys.last().filter(|_| keys.len() == KEYS_PER_STEP);
        let last = last.map(|key| key.as_str().to_owned());
        if last.is_none() {
            self.sweep(bucket)?;
        }
        if let Some(known) = self.cursor.buckets.get_mut(&id) {
            known.making = last;
        }
        Ok(Step::More)
    }

    /// How far the files are, but for buckets that are being written whole.
    pub(crate) fn shown_position(&self) -> LogPosition {
        LogPosition::new(self.cursor.position)
    }

    /// How far it is: everything up to here is in the files and on stable storage, but for buckets that are being
    /// written whole.
    pub(crate) fn rested_position(&self) -> LogPosition {
        LogPosition::new(self.durable.position)
    }

    /// How many buckets are being written whole, as of the last rest point.
    pub(crate) fn making(&self) -> usize {
        let buckets = self.durable.buckets.values();
        buckets.filter(|bucket| bucket.making.is_some()).count()
    }
}

/// Whether the change that a cursor names is in the log.
fn is_of_history(state: &State, cursor: &Cursor) -> Result<bool, EngineError> {
    let position = LogPosition::new(cursor.position);
    let change = state.change(position)?;
    Ok(change.is_some_and(|change| hex::encode(&change) == cursor.change))
}

impl Rounds {
    /// A manifest below this bucket's directory is not what was written: the bucket is written whole, after another
    /// [`Rounds::open`].
    pub(crate) fn damaged_at(&mut self, place: &str) -> io::Result<()> {
        let dir = place.split('/').next().unwrap_or(place);
        let of = |bucket: &Mirrored| bucket.place().is_some_and(|place| place.dir() == dir);
        // One that the cursor on disk does not know is written whole anyway.
        if let Some(bucket) = self.durable.buckets.values_mut().find(|bucket| of(bucket)) {
            bucket.making = Some(String::new());
            self.durable.save(&self.view)?;
        }
        Ok(())
    }

    /// What is not recorded yet, for the next [`Rounds::open`].
    pub(crate) fn into_history(self) -> Option<(Box<dyn MirrorHistory>, MirrorBatch)> {
        Some((self.history?, self.batch))
    }
}
