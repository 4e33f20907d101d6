//! Storing documents.

use wfldb_core::auth::{Authorized, Op};
use wfldb_core::doc::{self, Object};
use wfldb_core::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_PLANS_MAX};
use wfldb_core::object::{ObjectHeaders, Preconditions};

use super::NewVersion;
use crate::bucket::{admits, bucket_of, resolve};
use crate::commit::plan::{Mutation, Origin};
use crate::engine::{Engine, Inner};
use crate::error::EngineError;
use crate::object::{PutOutcome, check_conditions, put_outcome};
use crate::pending::Pending;

impl Engine {
    /// Stores the document that `body` is (JSON of an object) as a new version of the key that `proof` names. Reads the
    /// storage. What it was planned on may have changed by its commit, then the answer is `Stale`, and it is to be
    /// planned again: [`Engine::settled`].
    ///
    /// # Errors
    /// `Json` and `Envelope` for what is no document, `NotDocuments`, `NotForDocuments` for metadata, `NoNodeKey`,
    /// `Stale`, and those of [`Engine::put`].
    #[tracing::instrument(name = "engine::doc::put", level = "debug", skip_all)]
    pub fn put_document(
        &self,
        proof: &Authorized,
        body: &[u8],
        headers: ObjectHeaders,
        preconditions: Preconditions,
    ) -> Pending<PutOutcome> {
        let planned = parse(body).and_then(|body| self.inner.plan_put(proof, body, headers, preconditions));
        self.inner.submit(proof, planned, None, put_outcome)
    }

    /// Carries out a write, planning it again, a bounded number of times, for as long as another one of the same
    /// document comes first. Not for an async thread.
    ///
    /// # Errors
    /// Those of the write; `Stale` when there is no end to it.
    pub fn settled<T: 'static>(&self, mut plan: impl FnMut(&Self) -> Pending<T>) -> Result<T, EngineError> {
        for _ in 1..DOCUMENT_PLANS_MAX {
            match plan(self).wait() {
                Err(error) if error.is_stale() => {}
                done => return done,
            }
        }
        plan(self).wait()
    }
}

/// Reads the JSON of a document.
pub(crate) fn parse(body: &[u8]) -> Result<Object, EngineError> {
    if body.len() > DOCUMENT_BYTES_MAX {
        return Err(EngineError::TooLarge);
    }
    Ok(doc::parse_object(body)?)
}

impl Inner {
    pub(crate) fn plan_put(
        &self,
        proof: &Authorized,
        body: Object,
        headers: ObjectHeaders,
        preconditions: Preconditions,
    ) -> Result<Mutation, EngineError> {
        let name = bucket_of(proof, Op::Put)?;
        let key = proof.key().ok_or(EngineError::Forbidden)?.clone();
        key.check_writable().map_err(|_| EngineError::ReservedKey)?;
        check_conditions(proof, &preconditions)?;
        self.admit_bytes()?;
        let snapshot = self.storage.snapshot();
        let bucket = resolve(&*snapshot, name)?;
        admits(&bucket, proof)?;
        let new = NewVersion {
            key,
            body,
            headers,
            preconditions,
            origin: Origin::Sent,
        };
        let put = self.plan_document(&*snapshot, proof, &bucket, new)?;
        Ok(Mutation::PutObject(Box::new(put)))
    }
}
