//! Revocations: making one, listing them, and the set that requests are held against.

mod logged;
mod view;

use wfldb_core::auth::{Authorized, Op, Service, Target};
use wfldb_core::revocation::{Order, Revocations, Revoked, Terms};
use wfldb_core::time::UnixMillis;

pub(crate) use self::logged::LoggedRevocation;
pub use self::view::RevocationView;

use crate::commit::plan::{Applied, Mutation, Revoke};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::pending::Pending;
use crate::row::revocation::{REVOKED, RevocationRow, parse_revoked, revoked};
use crate::storage::{Snapshot, Space, prefix_end};

/// The answer to [`Engine::revoke`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokeOutcome {
    /// What is revoked.
    pub what: Revoked,
    /// How it holds.
    pub terms: Terms,
    /// `false`: it was revoked already, or is over anyway; nothing was written.
    pub new: bool,
}

/// One revocation of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationInfo {
    /// What is revoked.
    pub what: Revoked,
    /// How it holds.
    pub terms: Terms,
    /// When it was committed.
    pub at: UnixMillis,
    /// Who made it: a key id, or `local:` with a reason.
    pub by: String,
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RevocationPage {
    /// In the order of their rows.
    pub items: Vec<RevocationInfo>,
    /// There is more behind the last.
    pub more: bool,
}

impl Engine {
    /// Revokes what `order` allows. From the answer on it holds for every request and write, in this run and in those
    /// that follow.
    ///
    /// # Errors
    /// `Forbidden` for a proof of something else, `RevocationsFull`, `Revoked` when the caller itself was revoked
    /// meanwhile, and those of every write: `ReadOnly`, `Busy`, `OutcomeUnknown`.
    pub fn revoke(&self, proof: &Authorized, order: Order) -> Pending<RevokeOutcome> {
        let planned = if *proof.target() == Target::Service(Service::Keys) {
            let by = proof.actor().to_string();
            Ok(Mutation::Revoke(Box::new(Revoke { order, by })))
        } else {
            Err(EngineError::Forbidden)
        };
        self.inner
            .submit(proof, planned, None, move |applied| match applied {
                Applied::Revoked { terms, new, .. } => Ok(RevokeOutcome {
                    what: order.what(),
                    terms,
                    new,
                }),
                _ => Err(EngineError::OutcomeUnknown),
            })
    }

    /// What is revoked, behind `after`: at most `limit`.
    ///
    /// # Errors
    /// `Forbidden` without a proof for `admin` of `_keys`; when rows cannot be read.
    pub fn revocations(
        &self,
        proof: &Authorized,
        after: Option<Revoked>,
        limit: usize,
    ) -> Result<RevocationPage, EngineError> {
        if *proof.target() != Target::Service(Service::Keys) || proof.op() != Op::Admin {
            return Err(EngineError::Forbidden);
        }
        let from = after.map_or_else(|| REVOKED.to_vec(), |after| [&revoked(&after)[..], &[0]].concat());
        let snapshot = self.inner.storage.snapshot();
        let mut page = RevocationPage::default();
        for row in snapshot.range(Space::Meta, &from, &prefix_end(REVOKED), false) {
            let (row_key, row) = row?;
            if page.items.len() == limit {
                page.more = true;
                break;
            }
            let RevocationRow { at, terms, by } = RevocationRow::decode(&row)?;
            let what = parse_revoked(&row_key)?;
            page.items.push(RevocationInfo { what, terms, at, by });
        }
        Ok(page)
    }

    /// The set that requests are held against.
    #[must_use]
    pub fn revocation_view(&self) -> std::sync::Arc<RevocationView> {
        std::sync::Arc::clone(&self.inner.revocations)
    }
}

/// Everything that is revoked, at the opening of a store.
pub(crate) fn load(snapshot: &dyn Snapshot) -> Result<Revocations, EngineError> {
    let mut set = Revocations::default();
    for row in snapshot.range(Space::Meta, REVOKED, &prefix_end(REVOKED), false) {
        let (row_key, row) = row?;
        set.insert(parse_revoked(&row_key)?, RevocationRow::decode(&row)?.terms);
    }
    Ok(set)
}
