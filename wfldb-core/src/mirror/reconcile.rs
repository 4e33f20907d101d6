//! One document as two stores have it, settled (docs/decisions/0016-sync.md). The decision is the same from either side,
//! so that the two end equal whichever of them makes it.

use super::edit::Strategy;
use super::merge::{Conflict, merge};
use crate::doc::{DocumentFault, Envelope, Object, SIGNATURE, Value, without_envelope};

/// What one side has of a document: the newest version that there was, and whether it was deleted since.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// Its members with their envelope, and with `_sig` where that is known.
    pub document: Object,
    /// Whether it was deleted since.
    pub deleted: bool,
    envelope: Envelope,
}

impl Side {
    /// A document with its envelope.
    ///
    /// # Errors
    /// `Envelope`.
    pub fn new(document: Object, deleted: bool) -> Result<Self, DocumentFault> {
        Ok(Self {
            envelope: Envelope::of(&document)?,
            document,
            deleted,
        })
    }

    /// The envelope of the newest version.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Whether it is the same version in the same state. Two stores that wrote the same at the same time signed it each by
    /// itself: those are two versions.
    pub fn is(&self, other: &Self) -> bool {
        let signed = |side: &Self| side.document.get(SIGNATURE).cloned();
        let differs = signed(self)
            .zip(signed(other))
            .is_some_and(|(one, other)| one != other);
        self.envelope.hash == other.envelope.hash && self.deleted == other.deleted && !differs
    }

    /// Whether a store that has `other` can take this over as it is.
    fn is_above(&self, other: &Self) -> bool {
        self.envelope.version > other.envelope.version && self.envelope.time > other.envelope.time
    }

    /// Whether it was written later; where both say the same time, the hash decides.
    fn is_later_than(&self, other: &Self) -> bool {
        let order = |side: &Self| (side.envelope.time, side.envelope.hash.to_string());
        order(self) > order(other)
    }

    fn members(&self) -> Object {
        without_envelope(self.document.clone())
    }
}

/// How what both sides changed is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// By the strategy.
    By(Strategy),
    /// Somebody decided for our side.
    Ours,
    /// Somebody decided for theirs.
    Theirs,
}

/// What is to be done on our side.
#[derive(Clone, Debug, PartialEq)]
pub enum Reconciled {
    /// Nothing: theirs is the same, or is behind.
    Keep,
    /// Theirs becomes ours as it was signed, and is deleted if it is deleted there.
    Take,
    /// A new version with these members, above both sides.
    Write {
        /// The members, without an envelope.
        members: Object,
        /// Whether it is deleted then.
        deleted: bool,
    },
    /// People decide.
    Conflict(Vec<Conflict>),
}

/// Settles a document. `base` is what both sides had once, if that is known; without it, what differs was changed by both.
pub fn reconcile(base: Option<&Side>, ours: Option<&Side>, theirs: &Side, choice: Choice) -> Reconciled {
    let unchanged = |side: &Side| base.is_some_and(|base| base.is(side));
    let Some(ours) = ours else {
        // It was erased here, with every version of it, or it never was here.
        return match choice {
            _ if base.is_none() => Reconciled::Take,
            Choice::Ours => Reconciled::Keep,
            Choice::By(_) if unchanged(theirs) => Reconciled::Keep,
            Choice::By(Strategy::Manual | Strategy::Fields) => {
                Reconciled::Conflict(vec![whole(base, None, theirs)])
            }
            Choice::By(Strategy::LastWrite) | Choice::Theirs => Reconciled::Take,
        };
    };
    // What both deleted is not written anew for the sake of who signed it.
    let alike = ours.deleted && theirs.deleted && ours.envelope.hash == theirs.envelope.hash;
    if alike || ours.is(theirs) || unchanged(theirs) {
        return Reconciled::Keep;
    }
    if unchanged(ours) {
        return take(ours, theirs);
    }
    let later = ours.is_later_than(theirs);
    match choice {
        Choice::Ours => keep(ours, theirs),
        Choice::Theirs => take(ours, theirs),
        // Nobody wants it, whatever it was last.
        Choice::By(_) if ours.deleted && theirs.deleted => wins(later, ours, theirs),
        Choice::By(_) if ours.deleted == theirs.deleted && ours.members() == theirs.members() => {
            wins(later, ours, theirs)
        }
        Choice::By(Strategy::LastWrite) if ours.deleted == theirs.deleted => wins(later, ours, theirs),
        Choice::By(Strategy::LastWrite) => wins(theirs.deleted, ours, theirs),
        Choice::By(strategy) => by_members(base, ours, theirs, strategy),
    }
}

fn by_members(base: Option<&Side>, ours: &Side, theirs: &Side, strategy: Strategy) -> Reconciled {
    let live = |side: &&Side| !side.deleted;
    let (Some(from), Some(_), Some(_)) = (
        base.filter(live),
        Some(ours).filter(live),
        Some(theirs).filter(live),
    ) else {
        return Reconciled::Conflict(vec![whole(base, Some(ours), theirs)]);
    };
    let (merged, conflicts) = merge(&from.members(), &ours.members(), &theirs.members());
    if !conflicts.is_empty() {
        return Reconciled::Conflict(conflicts);
    }
    if strategy != Strategy::Fields {
        return Reconciled::Conflict(vec![whole(base, Some(ours), theirs)]);
    }
    if merged == ours.members() && ours.is_above(theirs) {
        return Reconciled::Keep;
    }
    if merged == theirs.members() && theirs.is_above(ours) {
        return Reconciled::Take;
    }
    Reconciled::Write {
        members: merged,
        deleted: false,
    }
}

fn wins(ours_wins: bool, ours: &Side, theirs: &Side) -> Reconciled {
    if ours_wins {
        keep(ours, theirs)
    } else {
        take(ours, theirs)
    }
}

/// Ours, in a version that the other side can take over.
fn keep(ours: &Side, theirs: &Side) -> Reconciled {
    let same = ours.envelope.hash == theirs.envelope.hash;
    // A deletion of what they have is taken over without a version of its own.
    if ours.is_above(theirs) || (same && ours.deleted) {
        Reconciled::Keep
    } else {
        write(ours)
    }
}

/// Theirs, as it is where that can stand above ours.
fn take(ours: &Side, theirs: &Side) -> Reconciled {
    let same = ours.envelope.hash == theirs.envelope.hash;
    if theirs.is_above(ours) || (same && theirs.deleted) {
        Reconciled::Take
    } else {
        write(theirs)
    }
}

fn write(side: &Side) -> Reconciled {
    Reconciled::Write {
        members: side.members(),
        deleted: side.deleted,
    }
}

/// The whole document, of which a side that deleted it has nothing.
fn whole(base: Option<&Side>, ours: Option<&Side>, theirs: &Side) -> Conflict {
    let value = |side: &Side| (!side.deleted).then(|| Value::Object(side.members()));
    Conflict {
        pointer: String::new(),
        base: base.and_then(value),
        ours: ours.and_then(value),
        theirs: value(theirs),
    }
}
