//! A run of the change log: which keys it is about, and who wrote it.

use std::collections::{BTreeMap, BTreeSet};

use wfldb_core::id::{BucketId, LogPosition};
use wfldb_core::name::ObjectKey;
use wfldb_core::time::UnixMillis;

use super::state::State;
use crate::error::EngineError;
use crate::row::{ChangeRow, EvidenceRow, key};
use crate::storage::{Space, prefix_end};

/// Changes in one run.
const CHANGES_MAX: u64 = 16_384;
/// Bytes of their rows after which a run ends.
const BYTES_MAX: usize = 8 << 20;
/// Different keys after which a run ends.
const KEYS_MAX: usize = 8192;

/// Some changes one after the other.
#[derive(Debug)]
pub(crate) struct Run {
    /// The last of them.
    pub(crate) upto: LogPosition,
    /// BLAKE3 of its row.
    pub(crate) change: [u8; 32],
    /// The keys that they are about, in each bucket that they touch.
    pub(crate) keys: BTreeMap<BucketId, BTreeSet<ObjectKey>>,
    /// Who asked for them, where that is still known.
    pub(crate) authors: BTreeSet<String>,
    /// There are more behind it.
    pub(crate) more: bool,
}

impl State {
    /// BLAKE3 of a change's row; `None` when there is none.
    pub(crate) fn change(&self, position: LogPosition) -> Result<Option<[u8; 32]>, EngineError> {
        if position == LogPosition::default() {
            return Ok(Some([0; 32]));
        }
        let row = self.snapshot.get(Space::Log, &key::change(position))?;
        Ok(row.map(|row| *blake3::hash(&row).as_bytes()))
    }

    /// When a change was committed.
    pub(crate) fn time_of(&self, position: LogPosition) -> Result<Option<UnixMillis>, EngineError> {
        let row = self.snapshot.get(Space::Log, &key::change(position))?;
        Ok(row
            .map(|row| ChangeRow::decode(&row))
            .transpose()?
            .map(|row| row.at))
    }

    /// The changes behind `after`; `None`: there are none.
    ///
    /// # Errors
    /// `TooOld` when the log begins only later.
    pub(crate) fn run(&self, after: LogPosition, authors: bool) -> Result<Option<Run>, EngineError> {
        let last = self.mark()?.position;
        if last <= after {
            return Ok(None);
        }
        let from = key::change(after.next());
        let rows = self.snapshot.range(Space::Log, &from, &prefix_end(b"c"), false);
        let mut run: Option<Run> = None;
        let (mut changes, mut bytes, mut keys) = (0, 0, 0);
        for row in rows {
            let (_, row) = row?;
            let change = ChangeRow::decode(&row)?;
            let before = run.as_ref().map_or(after, |run| run.upto);
            if change.position != before.next() {
                return Err(EngineError::TooOld);
            }
            let run = run.get_or_insert_with(|| Run {
                upto: after,
                change: [0; 32],
                keys: BTreeMap::new(),
                authors: BTreeSet::new(),
                more: false,
            });
            run.upto = change.position;
            for (bucket, _) in change.touched() {
                run.keys.entry(bucket).or_default();
            }
            for (bucket, effect) in change.effects() {
                let object = ObjectKey::parse(&effect.key).map_err(|_| EngineError::Corrupt("change"))?;
                keys += usize::from(run.keys.entry(bucket).or_default().insert(object));
            }
            if authors {
                run.authors.extend(self.author(change.position)?);
            }
            changes += 1;
            bytes += row.len();
            if changes == CHANGES_MAX || bytes >= BYTES_MAX || keys >= KEYS_MAX || run.upto == last {
                run.more = run.upto < last;
                run.change = *blake3::hash(&row).as_bytes();
                break;
            }
        }
        // The mark was written with the last of them.
        if run.as_ref().is_some_and(|run| run.upto < last && !run.more) || run.is_none() {
            return Err(EngineError::TooOld);
        }
        Ok(run)
    }

    fn author(&self, position: LogPosition) -> Result<Option<String>, EngineError> {
        let row = self.snapshot.get(Space::Log, &key::evidence(position))?;
        let evidence = row.map(|row| EvidenceRow::decode(&row)).transpose()?;
        Ok(evidence.map(|evidence| evidence.actor))
    }
}
