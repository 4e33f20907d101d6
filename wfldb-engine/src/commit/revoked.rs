//! What is revoked as the next plan must see it: what is durable, and above it what the plans before it in the group
//! revoked.

use wfldb_core::revocation::{Chain, Revocations, Revoked, Terms};

/// The committer's own set, with the way back for a plan that is refused.
#[derive(Debug, Default)]
pub(crate) struct Tracked {
    set: Revocations,
    /// What the present plan changed, and the terms that stood there.
    undo: Vec<(Revoked, Option<Terms>)>,
    /// What the plans that were carried out changed.
    changed: Vec<Revoked>,
}

impl Tracked {
    pub(crate) fn new(set: Revocations) -> Self {
        Self {
            set,
            ..Self::default()
        }
    }

    pub(crate) fn set(&self) -> &Revocations {
        &self.set
    }

    /// Whether a plan of this chain is refused.
    pub(crate) fn covers(&self, chain: &Chain) -> bool {
        self.set.covers(chain)
    }

    pub(crate) fn insert(&mut self, what: Revoked, terms: Terms) {
        let before = self.set.insert(what, terms);
        self.undo.push((what, before));
    }

    pub(crate) fn remove(&mut self, what: &Revoked) {
        let before = self.set.remove(what);
        self.undo.push((*what, before));
    }

    /// The present plan was carried out.
    pub(crate) fn keep(&mut self) {
        self.changed.extend(self.undo.drain(..).map(|(what, _)| what));
    }

    /// The present plan was refused.
    pub(crate) fn roll_back(&mut self) {
        while let Some((what, before)) = self.undo.pop() {
            match before {
                Some(terms) => self.set.insert(what, terms),
                None => self.set.remove(&what),
            };
        }
    }

    /// What the group changed, for those who ask outside of the committer.
    pub(crate) fn take_changes(&mut self) -> Vec<(Revoked, Option<Terms>)> {
        let changed = std::mem::take(&mut self.changed);
        let now = |what| (what, self.set.get(&what).copied());
        changed.into_iter().map(now).collect()
    }
}
