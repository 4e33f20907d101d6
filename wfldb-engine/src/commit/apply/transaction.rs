//! The commit of a transaction: everything that it read is still so, and then its writes, in all of its buckets.

use wfldb_core::id::{BucketId, LeafIndex, Seq};

use super::edit::{self, Closed, Edit};
use super::object::carry_out;
use crate::commit::overlay::Overlay;
use crate::commit::plan::{Applied, Outcome, Transaction, WritePlan};
use crate::error::EngineError;
use crate::row::{Action, BucketChange, ChangeRow, CommitMark};

/// Every write in order, or none of them: one change, one log position, and in each bucket one `seq`.
///
/// INVARIANT: what was read is held against the overlay, so against every plan that comes before this one. So the
/// outcome is that of the transaction carried out alone at its place in the log: transactions are serialisable, also
/// with writes that are none.
pub(super) fn commit(
    plan: &WritePlan,
    tx: &Transaction,
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    tx.reads.check(state, plan.at.max(mark.at))?;
    let mut results = Vec::new();
    let mut changes = Vec::with_capacity(tx.buckets.len());
    let mut written = 0;
    for writes in &tx.buckets {
        let mut edit = Edit::begin(plan, &writes.bucket, state, mark)?;
        for (place, entry) in &writes.entries {
            let done = carry_out(&mut edit, entry).map_err(|error| EngineError::Entry {
                index: *place,
                error: Box::new(error),
            })?;
            results.push((*place, done));
        }
        edit.check_effects()?;
        if edit.has_effects() {
            let Closed {
                written: here,
                change,
                ..
            } = edit.close();
            written += here;
            changes.push(change);
        }
    }
    let seqs = changes.iter().map(|change| (change.bucket, change.seq)).collect();
    let leaf = (!changes.is_empty()).then_some(LeafIndex::new(mark.leaves));
    log(plan, changes, written, state, mark)?;
    Ok(Applied::Transaction { seqs, leaf, results })
}

/// Logs what was done. A transaction that wrote in one bucket is logged as a batch is.
fn log(
    plan: &WritePlan,
    mut changes: Vec<BucketChange>,
    written: u32,
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Result<(), EngineError> {
    if changes.len() < 2 {
        if let Some(change) = changes.pop() {
            edit::log_one(plan, change, Some(Action::Batch), written, state, mark);
        }
        return Ok(());
    }
    edit::check_effects(changes.iter().flat_map(|change| &change.effects))?;
    let change = ChangeRow {
        prev: mark.chain,
        position: mark.position.next(),
        at: plan.at.max(mark.at),
        // INVARIANT: no bucket has the id of zeros.
        bucket: BucketId::from_bytes([0; 16]),
        seq: Seq::new(0),
        action: Action::Transaction,
        key: String::new(),
        version: None,
        etag: None,
        len: 0,
        config: None,
        evidence: plan.evidence.hash,
        entries: Vec::new(),
        buckets: changes,
        leaf: None,
    };
    edit::share_evidence(&change, written, state);
    super::log(plan, change, state, mark);
    Ok(())
}
