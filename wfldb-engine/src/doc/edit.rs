//! Taking the edit of a document's file as a new version, when it is not known what the store holds by now.

use wfldb_core::auth::{Authorized, Op};
use wfldb_core::doc::{Envelope, Object};
use wfldb_core::limits::{DOCUMENT_PLANS_MAX, EDIT_VERSIONS_MAX};
use wfldb_core::mirror::{Conflict, Edit, Strategy, begun_with, settle};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::{BucketKind, ObjectHeaders, Preconditions};

use super::{Body, document_of};
use crate::bucket::{admits, bucket_of, resolve};
use crate::engine::{Engine, Inner};
use crate::error::EngineError;
use crate::object::{PutOutcome, put_outcome};
use crate::row::{BucketRow, ObjectRow, key};
use crate::storage::{Snapshot, Space, prefix_end};

/// What became of an edit.
#[derive(Debug, Clone, PartialEq)]
pub enum EditOutcome {
    /// It says nothing that the store does not say.
    Unchanged,
    /// It is a new version.
    Written(PutOutcome),
    /// Both sides changed the document, and people decide. Nothing was written.
    Conflict(Vec<Conflict>),
}

/// The sides of an edit, as the store has them.
struct Sides {
    /// The newest version, if it is a live document.
    current: Option<(ObjectRow, Object)>,
    /// The version that the edit began with.
    base: Option<Object>,
}

impl Engine {
    /// Takes a document as somebody edited it outside of the store, with the envelope of the version that the edit began
    /// with, as a new version of the key that `proof` names; `strategy` says what is done where the document has changed
    /// since. Waits for the commit, and is planned again for as long as another write comes first. Not for an async
    /// thread.
    ///
    /// # Errors
    /// `Forbidden` when the proof does not also allow `get`: a conflict tells what is there. Those of
    /// [`Engine::put_document`]; `Stale` when there is no end to other writes.
    #[tracing::instrument(name = "engine::doc::edit", level = "debug", skip_all)]
    pub fn edit_document(
        &self,
        proof: &Authorized,
        edited: &Object,
        strategy: Strategy,
    ) -> Result<EditOutcome, EngineError> {
        if !proof.may_also(Op::Get) {
            return Err(EngineError::Forbidden);
        }
        let key = proof.key().ok_or(EngineError::Forbidden)?;
        for _ in 0..DOCUMENT_PLANS_MAX {
            let Sides { current, base } = self.inner.sides(proof, edited)?;
            let document = current.as_ref().map(|(_, document)| document);
            let members = match settle(key, edited, document, base.as_ref(), strategy)? {
                Edit::Unchanged => return Ok(EditOutcome::Unchanged),
                Edit::Conflict(conflicts) => return Ok(EditOutcome::Conflict(conflicts)),
                Edit::Put(members) => members,
            };
            let preconditions = Preconditions {
                if_none_match_any: current.is_none(),
                if_version: current.map(|(row, _)| row.version),
                ..Preconditions::default()
            };
            let body = Body::Whole(members);
            let planned = self
                .inner
                .plan_put(proof, body, ObjectHeaders::default(), preconditions);
            match self.inner.submit(proof, planned, None, put_outcome).wait() {
                Err(EngineError::PreconditionFailed | EngineError::Stale) => {}
                done => return Ok(EditOutcome::Written(done?)),
            }
        }
        Err(EngineError::Stale)
    }
}

impl Inner {
    fn sides(&self, proof: &Authorized, edited: &Object) -> Result<Sides, EngineError> {
        let name = bucket_of(proof, Op::Put)?;
        let object = proof.key().ok_or(EngineError::Forbidden)?;
        let snapshot = self.storage.snapshot();
        let bucket = resolve(&*snapshot, name)?;
        admits(&bucket, proof)?;
        if bucket.config.kind != BucketKind::Documents {
            return Err(EngineError::NotDocuments);
        }
        let current = snapshot
            .get(Space::Heads, &key::head(&bucket.id, object))?
            .map(|head| ObjectRow::decode(&head))
            .transpose()?
            .filter(|head| head.is_live(self.now()));
        let current = current.map(|row| Ok::<_, EngineError>((document_of(&*snapshot, &bucket, &row)?, row)));
        let current = current.transpose()?.map(|(document, row)| (row, document));
        let base = match begun_with(edited) {
            None => None,
            Some(hash) => version_with(&*snapshot, &bucket, object, hash)?,
        };
        Ok(Sides { current, base })
    }
}

/// The version of a document that has the `_hash`, among the newest [`EDIT_VERSIONS_MAX`].
pub(crate) fn version_with(
    snapshot: &dyn Snapshot,
    bucket: &BucketRow,
    object: &ObjectKey,
    hash: &str,
) -> Result<Option<Object>, EngineError> {
    let all = key::versions_of(&bucket.id, object);
    let rows = snapshot.range(Space::Versions, &all, &prefix_end(&all), false);
    for row in rows.take(EDIT_VERSIONS_MAX) {
        let row = ObjectRow::decode(&row?.1)?;
        if row.deleted {
            continue;
        }
        let document = document_of(snapshot, bucket, &row)?;
        let envelope = Envelope::of(&document).map_err(|_| EngineError::Corrupt("document"))?;
        if envelope.hash.to_string() == hash {
            return Ok(Some(document));
        }
    }
    Ok(None)
}
