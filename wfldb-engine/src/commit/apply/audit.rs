//! What the audit log's worker keeps: tiles and checkpoints.

use bytes::Bytes;

use crate::commit::overlay::Overlay;
use crate::commit::plan::{Applied, AuditRows, Outcome};
use crate::error::EngineError;
use crate::row::key;
use crate::storage::Space;

pub(super) fn keep(rows: &AuditRows, state: &mut Overlay) -> Outcome {
    for (level, number, tile) in &rows.tiles {
        let row = key::tile(*level, *number);
        match state.value(Space::Log, &row)? {
            None => state.put(Space::Log, row, tile.clone()),
            // INVARIANT: a full tile never changes.
            Some(kept) if kept != *tile => return Err(EngineError::Corrupt("tile")),
            Some(_) => {}
        }
    }
    if let Some(checkpoint) = &rows.checkpoint {
        state.put(
            Space::Meta,
            Bytes::from_static(key::CHECKPOINT),
            checkpoint.clone(),
        );
    }
    Ok(Applied::Nothing)
}
