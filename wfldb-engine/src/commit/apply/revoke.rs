//! Revoking packets and keys.

use wfldb_core::id::{BucketId, Seq};
use wfldb_core::limits::{
    PACKET_SKEW_SECONDS, REVOCATIONS_MAX, REVOCATIONS_OF_ONE_KEY, REVOCATIONS_SHARED_MAX,
};
use wfldb_core::revocation::Terms;

use super::log;
use crate::commit::overlay::Overlay;
use crate::commit::plan::{Applied, Outcome, Revoke, WritePlan};
use crate::commit::revoked::Tracked;
use crate::error::EngineError;
use crate::revocation::LoggedRevocation;
use crate::row::revocation::{RevocationRow, revoked};
use crate::row::{Action, ChangeRow, CommitMark};
use crate::storage::Space;

/// Revocations that one change takes away, since they cannot matter any more.
const ENDED_MAX: usize = 64;

/// Adds a revocation. What is revoked already, for as long or longer, is no change.
pub(super) fn revoke(
    plan: &WritePlan,
    revoke: &Revoke,
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    let what = revoke.order.what();
    let at = plan.at.max(mark.at);
    let mut terms = Terms {
        issued_until: if what.is_of_key() {
            at.seconds().saturating_add(PACKET_SKEW_SECONDS)
        } else {
            u64::MAX
        },
        kept_until: revoke.order.kept_until(),
        share: revoke.order.share(),
    };
    let known = state.revocations.set().get(&what).copied();
    let is_over = terms.kept_until.is_some_and(|end| end <= at);
    match known {
        Some(known) if known.issued_until >= terms.issued_until => {
            return Ok(Applied::Revoked {
                terms: known,
                new: false,
            });
        }
        // An older one that reaches less far gives way; it keeps its place.
        Some(known) => terms.share = known.share,
        None if is_over => {
            return Ok(Applied::Revoked { terms, new: false });
        }
        None => check_room(&state.revocations, &terms)?,
    }
    for ended in state.revocations.set().ended(at, ENDED_MAX) {
        state.revocations.remove(&ended);
        state.remove(Space::Meta, revoked(&ended));
    }
    state.revocations.insert(what, terms);
    let row = RevocationRow {
        at,
        terms,
        by: revoke.by.clone(),
    };
    let row = row.encode();
    let logged = LoggedRevocation::new(&what, &terms, &row);
    state.put(Space::Meta, revoked(&what), row);
    let change = ChangeRow {
        prev: mark.chain,
        position: mark.position.next(),
        at,
        // INVARIANT: no bucket has the id of zeros.
        bucket: BucketId::from_bytes([0; 16]),
        seq: Seq::new(0),
        action: Action::Revoked,
        key: what.to_string(),
        version: None,
        etag: None,
        len: 0,
        config: Some(logged.to_json()),
        evidence: plan.evidence.hash,
        entries: Vec::new(),
        buckets: Vec::new(),
        leaf: None,
    };
    log(plan, change, state, mark);
    Ok(Applied::Revoked { terms, new: true })
}

fn check_room(known: &Tracked, terms: &Terms) -> Result<(), EngineError> {
    let set = known.set();
    let share_is_full = terms.share.is_some_and(|share| {
        set.of_share(&share) >= REVOCATIONS_OF_ONE_KEY || set.shared() >= REVOCATIONS_SHARED_MAX
    });
    if share_is_full || set.len() >= REVOCATIONS_MAX {
        Err(EngineError::RevocationsFull)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wfldb_core::id::PacketHash;
    use wfldb_core::revocation::Revoked;

    use super::*;

    fn known(of_one: usize, of_others: usize, of_administrators: usize) -> Tracked {
        let mut tracked = Tracked::default();
        let all = of_one + of_others + of_administrators;
        for number in 0..all {
            let share = match number {
                n if n < of_one => Some([1; 32]),
                n if n < of_one + of_others => Some([2; 32]),
                _ => None,
            };
            tracked.insert(
                Revoked::Packet(PacketHash::of(&number.to_be_bytes())),
                terms(share),
            );
        }
        tracked
    }

    fn terms(share: Option<[u8; 32]>) -> Terms {
        Terms {
            issued_until: 1,
            kept_until: None,
            share,
        }
    }

    /// A defect it catches: callers who fill the set, so that an administrator cannot revoke any more.
    #[test]
    fn the_room_of_one_of_all_and_of_administrators_is_bounded() {
        let fits = |known: &Tracked, share| check_room(known, &terms(share)).is_ok();
        let (one, other) = (Some([1; 32]), Some([3; 32]));
        assert!(fits(&known(REVOCATIONS_OF_ONE_KEY - 1, 0, 0), one));
        let full = known(REVOCATIONS_OF_ONE_KEY, 0, 0);
        assert!(!fits(&full, one) && fits(&full, other) && fits(&full, None));
        let full = known(0, REVOCATIONS_SHARED_MAX, 0);
        assert!(!fits(&full, one) && fits(&full, None));
        let full = known(
            0,
            REVOCATIONS_SHARED_MAX,
            REVOCATIONS_MAX - REVOCATIONS_SHARED_MAX,
        );
        assert!(!fits(&full, None));
    }
}
