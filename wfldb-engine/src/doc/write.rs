//! Storing documents.

use std::sync::Arc;

use wfldb_core::auth::{Authorized, Op};
use wfldb_core::doc::{self, JsonPatch, Object};
use wfldb_core::id::PublicKey;
use wfldb_core::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_PLANS_MAX};
use wfldb_core::object::{ObjectHeaders, Preconditions};

use super::{Body, NewVersion};
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
        let planned = parse(body).and_then(|body| {
            self.inner
                .plan_put(proof, Body::Whole(body), headers, preconditions)
        });
        self.inner.submit(proof, planned, None, put_outcome)
    }

    /// Takes a document over as another store signed it, with its envelope and its `_sig`, as a new version of the key
    /// that `proof` names. `trusted`: the node keys of stores whose signatures are believed, by whoever asks. Versions
    /// between it and the newest one that is here may be missing; its version id, and what is said of it beside its
    /// members, are of now and of here. Reads the storage.
    ///
    /// # Errors
    /// `Adopt`, and those of [`Engine::put_document`].
    #[tracing::instrument(name = "engine::doc::adopt", level = "debug", skip_all)]
    pub fn adopt_document(
        &self,
        proof: &Authorized,
        document: Object,
        trusted: &Arc<[PublicKey]>,
        preconditions: Preconditions,
    ) -> Pending<PutOutcome> {
        let body = Body::Signed(document, Arc::clone(trusted));
        let planned = self
            .inner
            .plan_put(proof, body, ObjectHeaders::default(), preconditions);
        self.inner.submit(proof, planned, None, put_outcome)
    }

    /// Changes the document that `proof` names by a patch. What the document was stored with stays, where `headers` has
    /// nothing else, but for a time to live. Reads the storage.
    ///
    /// # Errors
    /// `NoSuchKey` when there is no document, `Forbidden` when the proof does not also allow `get`, `Patch` when the
    /// patch does not fit the document, and those of [`Engine::put_document`].
    #[tracing::instrument(name = "engine::doc::patch", level = "debug", skip_all)]
    pub fn patch_document(
        &self,
        proof: &Authorized,
        patch: &DocumentPatch,
        headers: ObjectHeaders,
        preconditions: Preconditions,
    ) -> Pending<PutOutcome> {
        // SECURITY: what a patch makes tells what was there.
        let planned = if proof.may_also(Op::Get) {
            let body = Body::Patch(patch.clone());
            self.inner.plan_put(proof, body, headers, preconditions)
        } else {
            Err(EngineError::Forbidden)
        };
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

/// A change of a part of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum DocumentPatch {
    /// JSON Merge Patch (RFC 7396).
    Merge(Object),
    /// JSON Patch (RFC 6902).
    Json(JsonPatch),
}

impl DocumentPatch {
    /// Reads a JSON Merge Patch.
    ///
    /// # Errors
    /// `Json`, `TooLarge`.
    pub fn merge(text: &[u8]) -> Result<Self, EngineError> {
        Ok(Self::Merge(parse(text)?))
    }

    /// Reads a JSON Patch.
    ///
    /// # Errors
    /// `Json`, `Patch`, `TooLarge`.
    pub fn json(text: &[u8]) -> Result<Self, EngineError> {
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(EngineError::TooLarge);
        }
        Ok(Self::Json(JsonPatch::parse(&doc::parse(text)?)?))
    }

    pub(super) fn apply(self, document: Object) -> Result<Object, EngineError> {
        match self {
            Self::Merge(patch) => Ok(doc::merge(document, patch)),
            Self::Json(patch) => Ok(patch.apply(document)?),
        }
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
        body: Body,
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
