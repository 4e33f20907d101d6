//! Uses of links: one is spent with the plan that it pays for, or by itself.
//!
//! INVARIANT: a link is never used more often than it says. The count is read and written here alone, plan by plan, and
//! what a refused plan spent is rolled back with the rest of it.

use bytes::Bytes;
use wfldb_core::id::PublicKey;
use wfldb_core::limits::{LINKS_COUNTED_MAX, LINKS_COUNTED_OF_ONE_KEY};
use wfldb_core::time::UnixMillis;

use super::super::overlay::Overlay;
use super::super::plan::{Applied, Outcome};
use crate::error::EngineError;
use crate::link_uses::LinkUse;
use crate::row::{LinkUseRow, LinksRow, key, link_share};
use crate::storage::Space;

/// Spends one use.
pub(super) fn spend(asked: &LinkUse, state: &mut Overlay) -> Result<(), EngineError> {
    let row = key::link_use(asked.ends, &asked.link);
    if let Some(known) = state.value(Space::Index, &row)? {
        let known = LinkUseRow::decode(&known)?;
        if known.spent >= asked.uses {
            return Err(EngineError::LinkUsedUp);
        }
        let spent = known.spent + 1;
        state.put(Space::Index, row, LinkUseRow { spent, ..known }.encode());
        return Ok(());
    }
    let all = links(state)?;
    // SECURITY: its row may be gone, and a clock that was set back would have it begin again.
    if asked.ends <= all.forgotten || asked.uses == 0 {
        return Err(EngineError::LinkUsedUp);
    }
    let share = share(state, &asked.holder)?;
    if all.rows >= LINKS_COUNTED_MAX || share >= LINKS_COUNTED_OF_ONE_KEY {
        return Err(EngineError::LinksFull);
    }
    let first = LinkUseRow {
        spent: 1,
        holder: asked.holder.clone(),
    };
    state.put(Space::Index, row, first.encode());
    set_share(state, &asked.holder, share + 1);
    let rows = all.rows + 1;
    set_links(state, LinksRow { rows, ..all });
    Ok(())
}

/// Forgets rows of links that were over at `until`.
pub(super) fn forget(until: UnixMillis, rows: &[Bytes], state: &mut Overlay) -> Outcome {
    let mut all = links(state)?;
    all.forgotten = all.forgotten.max(until);
    for row in rows {
        let ended = key::end_of_link_use(row).is_ok_and(|ends| ends <= until);
        let Some(known) = state.value(Space::Index, row)?.filter(|_| ended) else {
            continue;
        };
        let holder = LinkUseRow::decode(&known)?.holder;
        let share = share(state, &holder)?;
        set_share(state, &holder, share.saturating_sub(1));
        all.rows = all.rows.saturating_sub(1);
        state.remove(Space::Index, row.clone());
    }
    set_links(state, all);
    Ok(Applied::Nothing)
}

fn links(state: &Overlay) -> Result<LinksRow, EngineError> {
    match state.value(Space::Index, &Bytes::from_static(key::LINKS))? {
        None => Ok(LinksRow::NONE),
        Some(row) => Ok(LinksRow::decode(&row)?),
    }
}

fn set_links(state: &mut Overlay, links: LinksRow) {
    state.put(Space::Index, Bytes::from_static(key::LINKS), links.encode());
}

fn share(state: &Overlay, holder: &PublicKey) -> Result<u64, EngineError> {
    match state.value(Space::Index, &key::link_share(holder))? {
        None => Ok(0),
        Some(row) => Ok(link_share(&row)?),
    }
}

fn set_share(state: &mut Overlay, holder: &PublicKey, share: u64) {
    let row = key::link_share(holder);
    if share > 0 {
        state.put(Space::Index, row, share.to_be_bytes().to_vec());
    } else {
        state.remove(Space::Index, row);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wfldb_core::id::{PacketHash, SecretKey};

    use super::*;
    use crate::storage::{MemoryStorage, Storage as _};

    fn asked(link: u8, ends: u64, uses: u64, holder: u8) -> LinkUse {
        LinkUse {
            link: PacketHash::from_bytes([link; 32]),
            ends: UnixMillis::new(ends),
            uses,
            holder: SecretKey::from_seed([holder; 32]).public_key(),
        }
    }

    fn state() -> Overlay {
        let storage = Arc::new(MemoryStorage::new());
        Overlay::new(storage.snapshot())
    }

    fn row(asked: &LinkUse) -> Bytes {
        key::link_use(asked.ends, &asked.link)
    }

    #[test]
    fn a_link_is_spent_as_often_as_it_says() {
        let mut state = state();
        let (one, other) = (asked(1, 100, 3, 1), asked(2, 100, 1, 1));
        for _ in 0..3 {
            spend(&one, &mut state).unwrap();
        }
        assert!(matches!(spend(&one, &mut state), Err(EngineError::LinkUsedUp)));
        spend(&other, &mut state).unwrap();
        assert!(matches!(spend(&other, &mut state), Err(EngineError::LinkUsedUp)));
        assert!(matches!(
            spend(&asked(3, 100, 0, 1), &mut state),
            Err(EngineError::LinkUsedUp)
        ));
        assert_eq!(links(&state).unwrap().rows, 2);
    }

    /// Defects it catches: a clock that was set back gives uses back; a row that is forgotten before its link is over; a
    /// share that never shrinks.
    #[test]
    fn what_is_forgotten_is_not_begun_again() {
        let mut state = state();
        let (one, later) = (asked(1, 100, 1, 1), asked(2, 200, 1, 1));
        spend(&one, &mut state).unwrap();
        spend(&later, &mut state).unwrap();
        forget(
            UnixMillis::new(150),
            &[row(&one), row(&later), Bytes::from_static(b"x")],
            &mut state,
        )
        .unwrap();
        assert_eq!(
            (links(&state).unwrap().rows, share(&state, &one.holder).unwrap()),
            (1, 1)
        );
        assert!(matches!(spend(&one, &mut state), Err(EngineError::LinkUsedUp)));
        assert!(matches!(
            spend(&asked(3, 150, 1, 1), &mut state),
            Err(EngineError::LinkUsedUp)
        ));
        assert!(matches!(spend(&later, &mut state), Err(EngineError::LinkUsedUp)));
        spend(&asked(4, 151, 1, 2), &mut state).unwrap();
        // An older look at the clock takes nothing back.
        forget(UnixMillis::new(10), &[], &mut state).unwrap();
        assert_eq!(links(&state).unwrap().forgotten, UnixMillis::new(150));
    }

    #[test]
    fn the_number_of_counted_links_is_bounded_in_all_and_below_one_holder() {
        let mut state = state();
        let one = asked(1, 100, 2, 1);
        spend(&one, &mut state).unwrap();
        set_share(&mut state, &one.holder, LINKS_COUNTED_OF_ONE_KEY);
        assert!(matches!(
            spend(&asked(2, 100, 1, 1), &mut state),
            Err(EngineError::LinksFull)
        ));
        spend(&asked(2, 100, 1, 2), &mut state).unwrap();
        let all = LinksRow {
            rows: LINKS_COUNTED_MAX,
            ..LinksRow::NONE
        };
        set_links(&mut state, all);
        assert!(matches!(
            spend(&asked(3, 100, 1, 2), &mut state),
            Err(EngineError::LinksFull)
        ));
        // What is counted already goes on.
        spend(&one, &mut state).unwrap();
    }
}
