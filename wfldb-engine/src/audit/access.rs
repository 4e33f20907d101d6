//! Reads and refusals in the audit log, of buckets that ask for it: entries without a change.
//!
//! Who asks the engine for it is whoever serves requests; in embedded use nothing is logged but changes.

use bytes::Bytes;
use wfldb_core::audit::{Commitment, Content, Entry, EntryOp, Label, Outcome};
use wfldb_core::auth::Target;
use wfldb_core::id::LeafIndex;
use wfldb_core::name::BucketName;
use wfldb_core::request::Attempt;
use wfldb_core::time::UnixMillis;

use super::leaf::Sealed;
use crate::commit::plan::{AccessEntry, Applied, EncodedEvidence, Mutation, WritePlan};
use crate::engine::{Engine, random};
use crate::error::EngineError;
use crate::pending::Pending;
use crate::row::{AccessHead, EvidenceRow, Shown};

/// What became of a request that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It was allowed, and its answer shows this version; `None`: keys, or several versions.
    Allowed(Option<Shown>),
    /// It was allowed to ask, and the answer is that it is not there, or not as it was asked for.
    Missed,
    /// It was refused.
    Refused,
}

impl Engine {
    /// Whether reads of a bucket are logged, when the bucket is in memory; else [`Engine::log_access`] has to ask.
    #[must_use]
    pub fn audits_reads(&self, bucket: &BucketName) -> Option<bool> {
        let bucket = self.inner.cache.bucket(bucket)?;
        Some(bucket.config.audit_reads)
    }

    /// Makes a read or a refusal an entry of the audit log, if its bucket asks for that; `None`: it does not. What is read
    /// may be told only once the entry is on stable storage, which is when the pending answer comes. May read the storage
    /// when the bucket is not in memory.
    ///
    /// # Errors
    /// `NoSuchBucket`. The pending one: `Revoked` when the packet of an allowed read is over by then, `NoSuchBucket`,
    /// and those of every write: then nothing is logged.
    pub fn log_access(
        &self,
        attempt: &Attempt,
        came: Came,
    ) -> Result<Option<Pending<LeafIndex>>, EngineError> {
        let name = attempt.bucket().ok_or(EngineError::Forbidden)?;
        let bucket = self.inner.bucket(name)?;
        if !bucket.config.audit_reads {
            return Ok(None);
        }
        if self.inner.is_read_only() {
            return Ok(Some(Pending::from(EngineError::ReadOnly)));
        }
        let (outcome, shown, chain) = match came {
            Came::Allowed(shown) => (Outcome::Ok, shown, Some(attempt.chain().clone())),
            Came::Missed => (Outcome::Refused, None, Some(attempt.chain().clone())),
            // What is refused is logged whatever has become of its packet.
            Came::Refused => (Outcome::Refused, None, None),
        };
        let key = match attempt.target() {
            Target::Key(_, key) => Some(key.as_str().to_owned()),
            Target::Bucket(name) => Some(name.as_str().to_owned()),
            _ => None,
        };
        let mut evidence = EncodedEvidence::new(&EvidenceRow::signed(attempt.evidence(), random()?));
        let head = AccessHead {
            bucket: bucket.id,
            key,
            shown,
        };
        evidence.sealed.foresee_access(&head);
        let plan = WritePlan {
            at: self.inner.now(),
            entropy: [0; 10],
            evidence,
            chain,
            link_use: None,
            mutation: Mutation::LogAccess(Box::new(AccessEntry {
                head,
                op: EntryOp::asked(attempt.op()),
                outcome,
            })),
        };
        let outcome = self.inner.committer().submit(plan, None);
        Ok(Some(Pending::new(outcome, |applied| match applied {
            Applied::Logged { leaf } => Ok(LeafIndex::new(leaf)),
            _ => Err(EngineError::OutcomeUnknown),
        })))
    }
}

/// What the entry of a read commits to as its content.
pub(crate) fn content_of_access(head: &AccessHead) -> Option<Content> {
    head.shown.map(|shown| Content::Object {
        etag: Some(shown.etag),
        len: shown.len,
        version: Some(shown.version),
    })
}

/// The bytes of the entry of a read or a refusal.
pub(crate) fn entry_of_access(
    head: &AccessHead,
    sealed: &Sealed,
    op: &EntryOp,
    outcome: Outcome,
    leaf: u64,
    at: UnixMillis,
) -> Bytes {
    let entry = Entry {
        leaf: LeafIndex::new(leaf),
        at,
        actor: Some(sealed.actor.clone()),
        op: op.clone(),
        outcome,
        bucket: Some(sealed.of_bucket(&head.bucket)),
        key: head.key.as_deref().map(|key| sealed.of_key(key)),
        content: content_of_access(head)
            .map(|content| Commitment::new(&sealed.salt, Label::Content, &content.value())),
        evidence: sealed.evidence,
    };
    entry.to_bytes().into()
}
