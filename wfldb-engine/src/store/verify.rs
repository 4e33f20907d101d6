//! What is checked before a store takes writes: that the log reaches the durable mark, that its tail is one chain,
//! and that the newest rows agree with it.
//!
//! fjall's journal checksum does not cover a batch's header, and a damaged journal can be cut short silently; this
//! is what notices. It never repairs.

use std::collections::HashMap;

use wfldb_core::id::{BucketId, LogPosition, VersionId};
use wfldb_core::name::ObjectKey;
use wfldb_core::revocation::Revoked;
use wfldb_core::time::UnixMillis;

use super::leaves;
use crate::revocation::LoggedRevocation;
use crate::row::revocation::revoked;
use crate::row::{Action, BucketCounters, ChangeRow, CommitMark, Effect, LeafLink, ObjectRow, key};
use crate::storage::{Snapshot, Space, StorageError};

/// Changes before the mark that are walked again at each open.
const TAIL_CHANGES: u64 = 16_384;

/// What the check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The log stands here, and all is well.
    Sound(CommitMark),
    /// What is wrong, in words for the operator, and where the log seems to stand.
    Damaged(String, CommitMark),
}

/// Checks the storage against the durable mark.
pub(crate) fn verify(snapshot: &dyn Snapshot, durable: Option<CommitMark>) -> Verdict {
    let mark = match stored_mark(snapshot) {
        Ok(mark) => mark,
        Err(why) => return Verdict::Damaged(why, CommitMark::ZERO),
    };
    match check(snapshot, &mark, durable) {
        Ok(()) => Verdict::Sound(mark),
        Err(why) => Verdict::Damaged(why, mark),
    }
}

fn stored_mark(snapshot: &dyn Snapshot) -> Result<CommitMark, String> {
    match snapshot
        .get(Space::Meta, key::COMMIT_MARK)
        .map_err(|e| e.to_string())?
    {
        Some(row) => CommitMark::decode(&row).map_err(|e| e.to_string()),
        None => Ok(CommitMark::ZERO),
    }
}

fn check(snapshot: &dyn Snapshot, mark: &CommitMark, durable: Option<CommitMark>) -> Result<(), String> {
    let Some(durable) = durable else {
        return Err(
            "the HWM file is missing or damaged, so it cannot be told whether changes are lost".to_owned(),
        );
    };
    if mark.position < durable.position || mark.number < durable.number {
        return Err(format!(
            "acknowledged changes are lost: the log ends at position {} (commit {}), the durable mark is {} (commit {})",
            mark.position, mark.number, durable.position, durable.number
        ));
    }
    let from = durable.position.get().saturating_sub(TAIL_CHANGES).max(1);
    let tail = walk(snapshot, from, mark)?;
    leaves::check(snapshot, mark, &durable, &tail.leaves)?;
    if durable.position.get() > 0 {
        let row = snapshot
            .get(Space::Log, &key::change(durable.position))
            .map_err(|e| e.to_string())?;
        if row.is_none_or(|row| *blake3::hash(&row).as_bytes() != durable.chain) {
            return Err(format!(
                "the change at position {} is not the one that was acknowledged",
                durable.position
            ));
        }
    }
    tail.agrees_with_rows(snapshot, mark.at)
        .map_err(|error| match error {
            Disagreement::Found(why) => why,
            Disagreement::Unreadable(error) => error.to_string(),
        })
}

/// The newest change of each key and the last seq of each bucket, within the tail.
struct Tail {
    newest: HashMap<(BucketId, String), (LogPosition, Effect)>,
    /// Versions that were removed for good, with the position of their removal.
    erased: HashMap<(BucketId, String, VersionId), LogPosition>,
    seqs: HashMap<BucketId, u64>,
    /// What was revoked, by its text.
    revoked: HashMap<String, LoggedRevocation>,
    /// The leaves that the changes name, in order.
    leaves: Vec<LeafLink>,
}

fn is_of_versions(action: Action) -> bool {
    match action {
        Action::BucketCreated | Action::BucketConfigured | Action::BucketDeleted | Action::Revoked => false,
        Action::ObjectPut
        | Action::ObjectDeleted
        | Action::ObjectRestored
        | Action::VersionErased
        | Action::VersionPruned
        | Action::VersionExpired
        | Action::Batch
        | Action::Lifecycle
        | Action::Transaction => true,
    }
}

impl Tail {
    fn note(&mut self, bucket: BucketId, position: LogPosition, effect: Effect) {
        let name = (bucket, effect.key.clone());
        match effect.action {
            Action::ObjectPut | Action::ObjectDeleted | Action::ObjectRestored => {
                self.newest.insert(name, (position, effect));
            }
            Action::VersionErased | Action::VersionPruned | Action::VersionExpired => {
                // What is newest then was written at some earlier time.
                let newest = self.newest.get(&name);
                if newest.is_some_and(|(_, newest)| newest.version == effect.version) {
                    self.newest.remove(&name);
                }
                self.erased.insert((bucket, effect.key, effect.version), position);
            }
            Action::BucketCreated
            | Action::BucketConfigured
            | Action::BucketDeleted
            | Action::Batch
            | Action::Lifecycle
            | Action::Transaction
            | Action::Revoked => {}
        }
    }
}

fn walk(snapshot: &dyn Snapshot, from: u64, mark: &CommitMark) -> Result<Tail, String> {
    let mut tail = Tail {
        newest: HashMap::new(),
        erased: HashMap::new(),
        seqs: HashMap::new(),
        revoked: HashMap::new(),
        leaves: Vec::new(),
    };
    let mut expected_position = from;
    let mut chain: Option<[u8; 32]> = (from == 1).then_some([0; 32]);
    let rows = snapshot.range(Space::Log, &key::change(LogPosition::new(from)), b"d", false);
    for row in rows {
        let (row_key, row) = row.map_err(|e| e.to_string())?;
        let position = key::position_of_change(&row_key).map_err(|e| e.to_string())?;
        let change = ChangeRow::decode(&row).map_err(|e| e.to_string())?;
        if position.get() != expected_position || change.position != position {
            return Err(format!(
                "the log has a gap: position {expected_position} is followed by {position}"
            ));
        }
        if chain.is_some_and(|chain| chain != change.prev) {
            return Err(format!("the chain of changes is broken at position {position}"));
        }
        chain = Some(*blake3::hash(&row).as_bytes());
        expected_position += 1;
        tail.leaves.extend(change.leaf);
        if change.action == Action::Revoked {
            let logged = LoggedRevocation::of(&change);
            let logged = logged
                .ok_or_else(|| format!("the change at position {position} does not say what it revoked"))?;
            tail.revoked.insert(change.key.clone(), logged);
            continue;
        }
        let seqs = change.touched().map(|(bucket, seq)| (bucket, seq.get()));
        tail.seqs.extend(seqs);
        if is_of_versions(change.action) && change.effects().next().is_none() {
            return Err(format!("the change at position {position} names no version"));
        }
        for (bucket, effect) in change.effects() {
            tail.note(bucket, position, effect);
        }
    }
    if expected_position != mark.position.get() + 1 && mark.position.get() + 1 >= from {
        return Err(format!(
            "the log ends at position {}, its mark says {}",
            expected_position - 1,
            mark.position
        ));
    }
    if mark.position.get() > 0 && chain != Some(mark.chain) {
        return Err(format!(
            "the last change, at position {}, is not the one that its mark names",
            mark.position
        ));
    }
    Ok(tail)
}

enum Disagreement {
    Found(String),
    Unreadable(StorageError),
}

impl From<StorageError> for Disagreement {
    fn from(error: StorageError) -> Self {
        Self::Unreadable(error)
    }
}

impl Tail {
    /// A batch whose number was damaged is replayed below older ones: its change row is there, its other rows are
    /// hidden by those that it replaced.
    fn agrees_with_rows(&self, snapshot: &dyn Snapshot, at: UnixMillis) -> Result<(), Disagreement> {
        for (what, logged) in &self.revoked {
            let row = match Revoked::parse(what) {
                Some(what) => snapshot.get(Space::Meta, &revoked(&what))?,
                None => None,
            };
            let is_there = row.as_deref().is_some_and(|row| logged.is_of(row));
            if !(is_there || row.is_none() && logged.is_over(at)) {
                return Err(Disagreement::Found("a revocation is lost or damaged".to_owned()));
            }
        }
        for (bucket, seq) in &self.seqs {
            let counters = snapshot.get(Space::Counters, &key::bucket_counters(bucket))?;
            let Some(counters) = counters else {
                let detached = snapshot.get(Space::Meta, &key::bucket_detached(bucket))?;
                let live = snapshot.get(Space::Meta, &key::bucket_row(bucket))?;
                if detached.is_none() && live.is_none() {
                    // Deleted and swept.
                    continue;
                }
                return Err(Disagreement::Found(format!(
                    "bucket {bucket} has lost its counters"
                )));
            };
            if BucketCounters::decode(&counters).map(|counters| counters.seq) != Ok(*seq) {
                return Err(Disagreement::Found(format!(
                    "the counters of bucket {bucket} are not of its last change"
                )));
            }
        }
        for ((bucket, object, version), position) in &self.erased {
            let row = ObjectKey::parse(object).map(|object| key::version(bucket, &object, version));
            let is_there = match row {
                Ok(row) => snapshot.get(Space::Versions, &row)?.is_some(),
                Err(_) => true,
            };
            if is_there {
                return Err(Disagreement::Found(format!(
                    "the version that was removed at position {position} is there again"
                )));
            }
        }
        for ((bucket, object), (position, effect)) in &self.newest {
            if snapshot.get(Space::Meta, &key::bucket_row(bucket))?.is_none() {
                continue;
            }
            let position = *position;
            let disagrees = || {
                Disagreement::Found(format!(
                    "the rows of the change at position {position} are older than it"
                ))
            };
            let object = ObjectKey::parse(object).map_err(|_| disagrees())?;
            let version = effect.version;
            let row = snapshot.get(Space::Versions, &key::version(bucket, &object, &version))?;
            if row
                .and_then(|row| ObjectRow::decode(&row).ok())
                .is_none_or(|row| row.position != position)
            {
                return Err(disagrees());
            }
            let head = snapshot.get(Space::Heads, &key::head(bucket, &object))?;
            let head = head
                .and_then(|head| ObjectRow::decode(&head).ok())
                .map(|head| head.version);
            let expected = (effect.action != Action::ObjectDeleted).then_some(version);
            if head != expected {
                return Err(disagrees());
            }
        }
        Ok(())
    }
}
