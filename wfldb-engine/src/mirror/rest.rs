//! Rest points: everything that was written is put on stable storage, and then the cursor says so.

use std::io::Write as _;
use std::time::Instant;

use bytes::Bytes;
use wfldb_core::id::LogPosition;

use super::cursor::Cursor;
use super::error::Failure;
use super::history::MirrorBatch;
use super::point::Point;
use super::root::{ROOT, SIGNERS, root, signers};
use super::rounds::{Rounds, Step};
use super::state::State;
use super::tempo::Pace;

impl Rounds {
    /// When the next rest point may come, if something was written since the last.
    pub(crate) fn next_rest(&self) -> Option<Instant> {
        let files = self.files - self.rested_files;
        let between = self.tempo.between_rests(self.rest_took, files);
        let at = self.rested.map_or_else(Instant::now, |rested| rested + between);
        self.changed.then_some(at)
    }

    pub(super) fn is_rest_due(&self) -> bool {
        let due = self.next_rest().is_some_and(|at| at <= Instant::now());
        due || self.manifests.is_full() || self.batch.is_large()
    }

    /// Whether the mirror may come to rest, or is there.
    pub(crate) fn may_stand(&self) -> bool {
        !self.changed || self.is_rest_due()
    }

    /// Comes to where every file is what one state says, and answers that state; `None`: there is more to do first.
    pub(crate) fn stand(&mut self) -> Result<Option<(State, Cursor)>, Failure> {
        self.check_end()?;
        let state = State::of(&self.inner);
        let is_there = self.follow_in(&state)? == Step::Done
            && !self.cursor.buckets.values().any(|bucket| bucket.making.is_some());
        if !is_there {
            return Ok(None);
        }
        if self.changed {
            self.rest()?;
        }
        Ok(Some((state, self.cursor.clone())))
    }

    /// Comes to rest.
    pub(crate) fn rest(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        self.points.pass(Point::Manifests)?;
        let keeps = self.history.is_some();
        let batch = &mut self.batch;
        let mut pace = Pace::of_files(self.tempo);
        self.manifests.write(&self.dir, |path, bytes| {
            match bytes {
                Some(bytes) if keeps => batch.whole_file(path, &bytes),
                None if keeps => batch.removed(path),
                _ => {}
            }
            pace.next();
        })?;
        self.points.pass(Point::Sync)?;
        self.dir.sync()?;
        self.points.pass(Point::Cursor)?;
        self.note_log();
        self.cursor.save(&self.view)?;
        self.durable.clone_from(&self.cursor);
        self.publish_log()?;
        self.points.pass(Point::Root)?;
        self.write_root(LogPosition::new(self.cursor.position))?;
        self.changed = false;
        self.rests += 1;
        self.record();
        self.rested = Some(Instant::now());
        self.rest_took = began.elapsed();
        self.rested_files = self.files;
        Ok(())
    }

    /// Writes the files that are about the mirror as a whole.
    pub(super) fn write_root(&mut self, position: LogPosition) -> Result<(), Failure> {
        let files = [
            (SIGNERS, signers(&self.inner)?),
            (ROOT, root(&self.inner, position)?),
        ];
        for (path, bytes) in files {
            let bytes = Bytes::from(bytes);
            if self.dir.read(path, 1 << 20)?.as_deref() != Some(&*bytes) {
                self.dir.write(path, |file| file.write_all(&bytes))?;
                if self.history.is_some() {
                    self.batch.whole_file(path.to_owned(), &bytes);
                }
            }
        }
        Ok(())
    }

    /// Hands over what changed. A keeper of history that fails holds up nothing.
    fn record(&mut self) {
        let Some(history) = &mut self.history else { return };
        // Of the audit log's copy it is told nothing. The first time it looks whether it has everything.
        if self.rests > 1 && self.batch.is_empty() {
            return;
        }
        self.batch.last = LogPosition::new(self.cursor.position);
        match history.record(&self.batch) {
            Ok(()) => self.batch = MirrorBatch::default(),
            Err(error) => tracing::warn!(%error, "the mirror's history could not be kept; it is tried again"),
        }
    }
}
