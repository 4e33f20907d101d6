//! Counting how often links were used: what is spent, and what is forgotten once a link is over.
//!
//! A link with a number of uses has a row with those that were spent. It is written in a commit, so a restart gives none
//! back, and the one committer sees to it that no two requests spend the same one. No change is logged for it: a use
//! changes nothing that the log speaks of. The rules are in `commit::apply::uses`.

use std::sync::Arc;

use wfldb_core::auth::Authorized;
use wfldb_core::id::{PacketHash, PublicKey};
use wfldb_core::time::UnixMillis;

use crate::bucket::admits;
use crate::commit::plan::Mutation;
use crate::engine::{Engine, Inner};
use crate::error::EngineError;
use crate::pending::Pending;
use crate::row::{LinkUseRow, key};
use crate::storage::Space;

/// Rows that are forgotten in one plan.
const ROWS_PER_PLAN: usize = 200;

/// A use of a link that is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkUse {
    /// The hash of the link.
    pub(crate) link: PacketHash,
    /// When it is over, and its row forgotten.
    pub(crate) ends: UnixMillis,
    /// How often it may be used.
    pub(crate) uses: u64,
    /// Whose share of the rows it takes: the holder of the packet that a root key signed, below which it was made.
    pub(crate) holder: PublicKey,
}

impl LinkUse {
    /// The use that a proof costs, if it came by a link whose uses are counted.
    pub(crate) fn of(proof: &Authorized) -> Option<Self> {
        let link = proof.link()?;
        let claims = link.claims();
        let holder = link.packet().links().first()?;
        Some(Self {
            link: link.hash(),
            ends: claims.ends(),
            uses: claims.uses?,
            holder: holder.sub.public_key().clone(),
        })
    }
}

impl Engine {
    /// Whether uses are left of the link that `proof` came by, as far as it can be told now; `false` also when they are
    /// not counted, so that nothing has to be spent. May read the storage.
    ///
    /// # Errors
    /// `LinkUsedUp`, `NoSuchBucket`, `SignatureRequired`.
    pub fn check_link(&self, proof: &Authorized) -> Result<bool, EngineError> {
        let Some(asked) = LinkUse::of(proof) else {
            return Ok(false);
        };
        let bucket = proof.bucket().ok_or(EngineError::Forbidden)?;
        admits(&*self.inner.bucket(bucket)?, proof)?;
        let row = key::link_use(asked.ends, &asked.link);
        let spent = match self.inner.storage.snapshot().get(Space::Index, &row)? {
            None => 0,
            Some(row) => LinkUseRow::decode(&row)?.spent,
        };
        if spent < asked.uses {
            Ok(true)
        } else {
            Err(EngineError::LinkUsedUp)
        }
    }

    /// Spends one use of the link that `proof` came by. A put spends it with its own commit instead.
    ///
    /// # Errors
    /// `LinkUsedUp`, `LinksFull`, `NoSuchBucket`, and those of every write.
    pub fn spend_link(&self, proof: &Authorized) -> Pending<()> {
        let planned = (|| {
            let bucket = proof.bucket().ok_or(EngineError::Forbidden)?;
            LinkUse::of(proof).ok_or(EngineError::Forbidden)?;
            let bucket = self.inner.bucket(bucket)?.id;
            Ok(Mutation::UseLink { bucket })
        })();
        self.inner.submit(proof, planned, None, |_| Ok(()))
    }
}

/// Forgets the rows of links that are over.
pub(crate) fn forget(inner: &Arc<Inner>) -> Result<(), EngineError> {
    loop {
        let until = inner.now();
        let end = key::link_uses_before(until);
        let snapshot = inner.storage.snapshot();
        let rows = snapshot.range(Space::Index, key::LINK_USES, &end, false);
        let rows: Result<Vec<_>, _> = rows
            .take(ROWS_PER_PLAN)
            .map(|row| row.map(|(row_key, _)| row_key))
            .collect();
        let rows = rows?;
        drop(snapshot);
        if rows.is_empty() {
            return Ok(());
        }
        let whole = rows.len() == ROWS_PER_PLAN;
        inner.submit_system("links", Mutation::ForgetLinks { until, rows })?;
        if !whole {
            return Ok(());
        }
    }
}
