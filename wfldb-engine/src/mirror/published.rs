//! The audit log in the mirror: `log/`, as the store publishes it.
//!
//! INVARIANT: whatever `log/checkpoint` says, its tiles are there, also after a loss of power. So they are written first,
//! put on stable storage by a rest point, then the checkpoint is, synced, and only then the partial tiles that it outgrew go.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wfldb_core::audit::{BundleId, Resource, SignedCheckpoint, TileId, TreeHash};
use wfldb_core::limits::{AUDIT_TILE_WIDTH, NOTE_BYTES_MAX};

use super::cursor::MirroredLog;
use super::error::Failure;
use super::log_tree::{LOG, LogFile, LogTree, partial_in_tree, path_of};
use super::point::Point;
use super::rounds::{Rounds, Step};
use crate::error::EngineError;
use crate::storage::Snapshot;

/// Full bundles that one step writes: about 100 KiB each.
const BUNDLES_PER_STEP: u32 = 64;
/// How long the end of a mirror waits for the checkpoint of the last leaves, and for its tiles.
const AT_END: Duration = Duration::from_secs(2);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(10);

/// What is being written of the log.
#[derive(Debug)]
pub(super) struct LogWork {
    pub(super) bundles_per_step: u32,
    /// Of the full tiles that are written; `None` until it was looked at.
    tree: Option<LogTree>,
    /// Whose tiles are being written.
    target: Option<Arc<SignedCheckpoint>>,
    /// They all are.
    ready: bool,
    /// What `log/checkpoint` is, on stable storage, since this process wrote it.
    published: Option<Arc<SignedCheckpoint>>,
    /// The store's log cannot be read, or is not what was signed.
    unsound: bool,
}

impl Default for LogWork {
    fn default() -> Self {
        Self {
            bundles_per_step: BUNDLES_PER_STEP,
            tree: None,
            target: None,
            ready: false,
            published: None,
            unsound: false,
        }
    }
}

impl LogWork {
    /// Whether `log/checkpoint` is this one.
    fn shows(&self, checkpoint: &SignedCheckpoint) -> bool {
        let published = self.published.as_ref();
        published.is_some_and(|published| published.text() == checkpoint.text())
    }

    /// Leaves of the tree that `log/checkpoint` is of.
    fn leaves(&self) -> u64 {
        self.published.as_ref().map_or(0, |published| published.size())
    }
}

impl Rounds {
    /// Goes on with the tiles of the newest checkpoint. One is taken up after the other, so that a store which signs five
    /// a second does not have all their partial tiles written.
    pub(super) fn log_some(&mut self) -> Result<Step, Failure> {
        // ORDER: before the snapshot, which then has its leaves.
        let newest = self.inner.audit.newest();
        let Some(newest) = newest.filter(|_| !self.log.unsound) else {
            return Ok(Step::Done);
        };
        let snapshot = self.inner.storage.snapshot();
        match self.write_tiles(&*snapshot, newest) {
            Err(Failure::Engine(error @ (EngineError::Corrupt(_) | EngineError::Read(_)))) => {
                tracing::warn!(%error, "the mirror leaves the audit log as it is, which cannot be read");
                self.log.unsound = true;
                self.log.ready = false;
                Ok(Step::Done)
            }
            step => step,
        }
    }

    fn write_tiles(
        &mut self,
        snapshot: &dyn Snapshot,
        newest: Arc<SignedCheckpoint>,
    ) -> Result<Step, Failure> {
        let mut tree = match self.log.tree.take() {
            Some(tree) => tree,
            None => self.take_up_log(snapshot, newest.size())?,
        };
        let step = self.write_tiles_from(&mut tree, snapshot, newest);
        self.log.tree = Some(tree);
        step
    }

    fn write_tiles_from(
        &mut self,
        tree: &mut LogTree,
        snapshot: &dyn Snapshot,
        newest: Arc<SignedCheckpoint>,
    ) -> Result<Step, Failure> {
        if self.log.ready || self.log.shows(&newest) {
            return Ok(Step::Done);
        }
        let target = Arc::clone(self.log.target.get_or_insert(newest));
        self.changed = true;
        for _ in 0..self.log.bundles_per_step {
            if tree.has_next(target.size()) {
                for file in tree.next_full(snapshot)? {
                    self.write_log_file(&file)?;
                    self.drop_outgrown_of(file.resource)?;
                }
                continue;
            }
            let (files, root) = tree.tail(snapshot, target.size())?;
            if root != target.root() {
                return Err(EngineError::Corrupt("leaf").into());
            }
            for file in files {
                self.write_log_file(&file)?;
            }
            self.log.ready = true;
            return Ok(Step::Done);
        }
        Ok(Step::More)
    }

    /// Takes up the copy where the cursor says that it is, or begins it.
    fn take_up_log(&mut self, snapshot: &dyn Snapshot, size: u64) -> Result<LogTree, Failure> {
        if let Some(kept) = &self.cursor.log
            && kept.leaves <= size
        {
            let tree = LogTree::restore(snapshot, kept.leaves)?;
            if tree.root().to_string() == kept.root && self.has_kept(kept)? {
                return Ok(tree);
            }
        }
        // Nobody is shown tiles of one log and a checkpoint of another: all of it goes at once.
        self.dir.remove(LOG)?;
        self.changed = true;
        self.cursor.log = Some(MirroredLog {
            leaves: 0,
            root: TreeHash::EMPTY.to_string(),
            partial: [].into(),
        });
        Ok(LogTree::default())
    }

    /// Whether the newest of what the cursor speaks of is there. Where it is not, somebody removed it, and who knows what else.
    fn has_kept(&self, kept: &MirroredLog) -> Result<bool, Failure> {
        let checkpoint = (!kept.partial.is_empty()).then_some(Resource::Checkpoint);
        let last = (kept.leaves / u64::from(AUDIT_TILE_WIDTH)).checked_sub(1);
        let last = last.map(|last| Resource::Entries(BundleId::full(last)));
        for resource in checkpoint.into_iter().chain(last) {
            if self.dir.file(&path_of(resource))?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn write_log_file(&self, file: &LogFile) -> Result<(), Failure> {
        self.dir.write(&path_of(file.resource), |to| {
            to.write_all(&file.bytes)?;
            Ok(())
        })
    }

    /// Removes the partial tiles that a full one took the place of, unless the published checkpoint may need them.
    fn drop_outgrown_of(&self, full: Resource) -> Result<(), Failure> {
        let needed = self.cursor.log.iter().flat_map(|log| &log.partial);
        let mut needed = needed.flat_map(|size| partial_in_tree(*size));
        let partial = dir_of_partial(full);
        if !needed.any(|other| dir_of_partial(other) == partial) {
            self.dir.remove(&partial)?;
        }
        Ok(())
    }

    /// Has the cursor say how far the tiles are, which are on stable storage.
    pub(super) fn note_log(&mut self) {
        let (Some(tree), Some(log)) = (&self.log.tree, &mut self.cursor.log) else {
            return;
        };
        log.leaves = tree.leaves();
        log.root = tree.root().to_string();
        let target = self.log.target.as_ref().filter(|_| self.log.ready);
        log.partial.extend(target.map(|target| target.size()));
    }

    /// Publishes the checkpoint whose tiles are on stable storage, and of which the cursor on disk knows.
    pub(super) fn publish_log(&mut self) -> Result<(), Failure> {
        if !self.log.ready {
            return Ok(());
        }
        let Some(target) = self.log.target.take() else {
            return Ok(());
        };
        self.points.pass(Point::Checkpoint)?;
        let path = path_of(Resource::Checkpoint);
        if self.dir.read(&path, NOTE_BYTES_MAX as u64)?.as_deref() != Some(target.text().as_bytes()) {
            // DURABILITY: nothing that the checkpoint before needs goes while that could come back.
            self.dir.write_synced(&path, target.text().as_bytes())?;
        }
        self.points.pass(Point::Outgrown)?;
        self.drop_outgrown(target.size())?;
        if let Some(log) = &mut self.cursor.log {
            log.partial = [target.size()].into();
        }
        self.log.published = Some(target);
        self.log.ready = false;
        Ok(())
    }

    /// Removes the partial tiles of all trees but that of `size` leaves.
    fn drop_outgrown(&self, size: u64) -> Result<(), Failure> {
        let kept: Vec<(String, String)> = partial_in_tree(size).map(split).collect();
        let outgrown = self.cursor.log.iter().flat_map(|log| &log.partial);
        for (dir, _) in outgrown.flat_map(|size| partial_in_tree(*size)).map(split) {
            if !kept.iter().any(|(kept, _)| *kept == dir) {
                self.dir.remove(&dir)?;
            }
        }
        for (dir, name) in kept {
            for entry in self.dir.list(&dir)? {
                if entry.as_str() != Some(name.as_str()) {
                    self.dir.remove_entry(&dir, &entry)?;
                }
            }
        }
        Ok(())
    }

    /// Leaves of the tree that `log/checkpoint` is of, which was published by this process.
    pub(crate) fn log_leaves(&self) -> u64 {
        self.log.leaves()
    }

    /// Comes to rest once more, with the last leaves of a store that is about to close in the copy, if they are signed soon:
    /// who compares the two afterwards finds no difference. Whatever is committed meanwhile may not be in it.
    pub(super) fn end_with_log(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + AT_END;
        let inner = Arc::clone(&self.inner);
        let signed = || {
            let newest = inner.audit.newest().map_or(0, |newest| newest.size());
            !inner.audit.is_signed() || newest >= inner.committer().mark().leaves
        };
        while !signed() && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
        loop {
            while Instant::now() < deadline && self.log_some()? == Step::More {}
            // The first one may publish what was ready before.
            if self.next_rest().is_some() {
                self.rest()?;
            }
            let newest = inner.audit.newest().filter(|_| !self.log.unsound);
            if newest.is_none_or(|newest| self.log.shows(&newest)) || Instant::now() >= deadline {
                return Ok(());
            }
        }
    }
}

/// The directory and the name of a partial tile.
fn split(partial: Resource) -> (String, String) {
    let path = path_of(partial);
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", &path));
    (dir.to_owned(), name.to_owned())
}

/// Where the partial tiles stand that have the place of this tile.
fn dir_of_partial(resource: Resource) -> String {
    let full = match resource {
        Resource::Tile(tile) => Resource::Tile(TileId::full(tile.level(), tile.number())),
        Resource::Entries(bundle) => Resource::Entries(BundleId::full(bundle.number())),
        Resource::Checkpoint => Resource::Checkpoint,
    };
    format!("{}.p", path_of(full))
}
