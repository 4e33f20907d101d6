//! Planning a version of a document: what it stands on is read from a snapshot, and it is spelled, hashed and signed
//! here, off the committer.

use std::sync::Arc;

use bytes::Bytes;
use wfldb_core::auth::Authorized;
use wfldb_core::doc::{self, Draft, Envelope, Object, Sealed, Standing};
use wfldb_core::id::{ContentHash, PublicKey};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::{BucketKind, HeaderText, ObjectHeaders, Preconditions};

use super::DocumentPatch;
use crate::commit::plan::{DocumentPut, Origin, PlannedBody, PutObject, Timed};
use crate::engine::Inner;
use crate::error::EngineError;
use crate::index::IndexHints;
use crate::object::{inline_body, merged, settle};
use crate::row::{BucketRow, ObjectRow, key};
use crate::storage::{Snapshot, Space, prefix_end};

/// The type of every document.
const CONTENT_TYPE: &str = "application/json";

/// A document that somebody wants to store.
pub(crate) struct NewVersion {
    pub(crate) key: ObjectKey,
    pub(crate) body: Body,
    pub(crate) headers: ObjectHeaders,
    pub(crate) preconditions: Preconditions,
    pub(crate) origin: Origin,
}

/// What a version is made of.
pub(crate) enum Body {
    /// These members.
    Whole(Object),
    /// What this makes of the current document; its headers stay where none are given.
    Patch(DocumentPatch),
    /// These members, in a version above that of another store, too.
    Above(Object, Box<Envelope>),
    /// A whole document as a store with one of these keys signed it, `_sig` included.
    Signed(Object, Arc<[PublicKey]>),
}

/// What is there of a key.
struct Found {
    /// The newest version, a tombstone too.
    newest: Option<ObjectRow>,
    /// The newest document, be it deleted.
    below: Option<(ObjectRow, Object, Envelope)>,
}

/// The members of a stored document, without `_sig`.
pub(crate) fn document_of(
    snapshot: &dyn Snapshot,
    bucket: &BucketRow,
    row: &ObjectRow,
) -> Result<Object, EngineError> {
    let text = inline_body(snapshot, &bucket.id, row)?;
    doc::parse_object(&text).map_err(|_| EngineError::Corrupt("document"))
}

fn find(snapshot: &dyn Snapshot, bucket: &BucketRow, object: &ObjectKey) -> Result<Found, EngineError> {
    let head = snapshot.get(Space::Heads, &key::head(&bucket.id, object))?;
    let (newest, below) = if let Some(head) = head {
        let head = ObjectRow::decode(&head)?;
        (Some(head.clone()), Some(head))
    } else {
        let prefix = key::versions_of(&bucket.id, object);
        let mut newest = None;
        let mut below = None;
        // Only a tombstone has no head, and below it is a document, as a rule.
        for row in snapshot.range(Space::Versions, &prefix, &prefix_end(&prefix), false) {
            let row = ObjectRow::decode(&row?.1)?;
            newest.get_or_insert_with(|| row.clone());
            if !row.deleted {
                below = Some(row);
                break;
            }
        }
        (newest, below)
    };
    let below = below.map(|row| {
        let document = document_of(snapshot, bucket, &row)?;
        let envelope = Envelope::of(&document).map_err(|_| EngineError::Corrupt("document"))?;
        Ok::<_, EngineError>((row, document, envelope))
    });
    Ok(Found {
        newest,
        below: below.transpose()?,
    })
}

/// The rows of the document, and of the one that it replaces, in the bucket's indexes.
fn hints(
    proof: &Authorized,
    bucket: &BucketRow,
    text: &[u8],
    found: &Found,
) -> Result<IndexHints, EngineError> {
    if bucket.indexes.is_empty() {
        return Ok(IndexHints::default());
    }
    let new = doc::parse(text)?;
    let newest = found.newest.as_ref().map(|newest| newest.version);
    let replaced = found
        .below
        .as_ref()
        .filter(|(row, ..)| Some(row.version) == newest);
    let replaced = replaced.map(|(row, document, _)| (row.version, doc::Value::Object(document.clone())));
    let replaced = replaced.as_ref().map(|(version, document)| (*version, document));
    let may_name = proof.visible_prefixes().is_none();
    Ok(IndexHints::of_documents(
        &bucket.indexes,
        &new,
        replaced,
        may_name,
    )?)
}

impl Inner {
    /// Plans a version of a document. `proof` is for `put`; whether it allows an object of that size is decided here.
    pub(crate) fn plan_document(
        &self,
        snapshot: &dyn Snapshot,
        proof: &Authorized,
        bucket: &BucketRow,
        new: NewVersion,
    ) -> Result<PutObject, EngineError> {
        if bucket.config.kind != BucketKind::Documents {
            return Err(EngineError::NotDocuments);
        }
        if !new.headers.meta.is_empty() {
            return Err(EngineError::NotForDocuments);
        }
        let found = find(snapshot, bucket, &new.key)?;
        let now = self.now();
        let live = |row: &ObjectRow| Some(row.version) == found.newest.as_ref().map(|newest| newest.version);
        let current = found
            .below
            .as_ref()
            .filter(|(row, ..)| live(row) && row.is_live(now));
        let mut headers = new.headers;
        let standing = Standing {
            current: current.and_then(|(row, document, _)| Some((document, row.signature.as_ref()?))),
            below: found.below.as_ref().map(|(_, _, envelope)| envelope),
            above: None,
        };
        let seal = |body: Object, standing: Standing<'_>| -> Result<Sealed, EngineError> {
            self.check_document(bucket, &body)?;
            let by = proof.actor().to_string();
            let draft = Draft::of(&bucket.name, &new.key, body, standing, now, &by)?;
            Ok(draft.sign(self.signer.key(self.dir())?)?)
        };
        let (sealed, skips) = match new.body {
            Body::Whole(body) => (seal(body, standing)?, false),
            Body::Above(body, above) => {
                let above = Some(above.as_ref());
                let sealed = seal(body, Standing { above, ..standing })?;
                let envelope =
                    Envelope::of(&sealed.document).map_err(|_| EngineError::Corrupt("document"))?;
                let skips = standing.below.map(|below| envelope.skips_from(below));
                (sealed, skips.transpose()?.unwrap_or(false))
            }
            Body::Patch(patch) => {
                let (row, document, _) = current.ok_or(EngineError::NoSuchKey)?;
                headers = merged(row.headers.clone(), headers);
                let mut document = document.clone();
                // It may be tested like any other member.
                if let Some(signature) = &row.signature {
                    document.insert("_sig".to_owned(), signature.to_string().into());
                }
                (seal(patch.apply(document)?, standing)?, false)
            }
            Body::Signed(document, trusted) => {
                // It was held against a schema where it was written.
                let (sealed, envelope) = Sealed::of_signed(&bucket.name, &new.key, document, &trusted)?;
                let skips = standing.below.map(|below| envelope.skips_from(below));
                (sealed, skips.transpose()?.unwrap_or(false))
            }
        };
        let text = Bytes::from(sealed.text);
        let len = text.len() as u64;
        let hints = hints(proof, bucket, &text, &found)?;
        let timed = match &bucket.config.time_field {
            Some(field) => Some(Timed {
                field: field.clone(),
                at: doc::document_time(field, &text)?,
            }),
            None => None,
        };
        headers.content_type = HeaderText::parse(CONTENT_TYPE).ok();
        let settled = settle(proof, &new.key, &headers, len)?;
        Ok(PutObject {
            bucket: bucket.id,
            key: new.key,
            etag: ContentHash::of(&text),
            len,
            body: PlannedBody::Inline(text),
            headers,
            preconditions: new.preconditions,
            create_only: settled.create_only(),
            charges: settled.charges().to_vec(),
            origin: new.origin,
            document: Some(Box::new(DocumentPut {
                base: found.newest.map(|newest| newest.version),
                skips,
                signature: sealed.signature,
                hints,
                timed,
                schema_at: bucket.schema_at,
            })),
        })
    }
}
