//! The versions of a document with what they said.

use bytes::Bytes;
use wfldb_core::auth::{Authorized, Op};
use wfldb_core::doc::{self, DocumentFault};
use wfldb_core::id::VersionId;
use wfldb_core::limits::{HISTORY_BYTES_MAX, SCAN_LIMIT_MAX};
use wfldb_core::object::BucketKind;

use super::verify::{Following, verify_version};
use crate::bucket::{admits, bucket_of, resolve};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::object::{ObjectMeta, inline_body};
use crate::row::{ObjectRow, key};
use crate::storage::{Space, prefix_end};

/// One version of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryItem {
    /// What is stored with it.
    pub meta: ObjectMeta,
    /// Its JSON with `_sig`; `None` for a tombstone, and for what has ended.
    pub json: Option<Bytes>,
    /// Where it was asked for and there is a document: whether it is what the store signed, and follows the version
    /// below it as far as that is there.
    pub verified: Option<Result<(), DocumentFault>>,
}

/// A page of the versions of a document, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryPage {
    /// The versions.
    pub items: Vec<HistoryItem>,
    /// There are older ones.
    pub more: bool,
}

impl Engine {
    /// A page of the versions of the document that `proof` names, newest first, older than `before`: at most `limit`,
    /// and about 8 MiB.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NotDocuments`, `SignatureRequired`, `NoSuchKey` when the key has no version at all, `Corrupt`.
    pub fn history(
        &self,
        proof: &Authorized,
        before: Option<VersionId>,
        limit: usize,
        verify: bool,
    ) -> Result<HistoryPage, EngineError> {
        let name = bucket_of(proof, Op::Get)?;
        let object = proof.key().ok_or(EngineError::Forbidden)?;
        let snapshot = self.inner.storage.snapshot();
        let bucket = resolve(&*snapshot, name)?;
        admits(&bucket, proof)?;
        if bucket.config.kind != BucketKind::Documents {
            return Err(EngineError::NotDocuments);
        }
        let all = key::versions_of(&bucket.id, object);
        let from = match before {
            // Just behind the row of `before`.
            Some(before) => [&key::version(&bucket.id, object, &before), [0].as_slice()].concat(),
            None => all.to_vec(),
        };
        let limit = limit.clamp(1, SCAN_LIMIT_MAX);
        let now = self.inner.now();
        let mut page = HistoryPage::default();
        let mut bytes = 0;
        let mut following = Following::default();
        // The item whose predecessor has not been seen yet.
        let mut open: Option<usize> = None;
        for row in snapshot.range(Space::Versions, &from, &prefix_end(&all), false) {
            let (row_key, row) = row?;
            let (found, version) = key::key_of_version(&row_key)?;
            let row = ObjectRow::decode(&row)?;
            if found != *object || version != row.version {
                return Err(EngineError::Corrupt("version"));
            }
            let full = page.items.len() == limit || bytes > HISTORY_BYTES_MAX;
            page.more |= full;
            // Behind the page only the version that the last one stands on is looked at.
            if full && (!verify || open.is_none()) {
                break;
            }
            let text = if row.is_live(now) {
                Some(inline_body(&*snapshot, &bucket.id, &row)?)
            } else {
                None
            };
            let verified = match &text {
                Some(text) if verify => Some(verify_version(&bucket.name, object, &row, text)),
                _ => None,
            };
            let envelope = verified.as_ref().and_then(|verified| verified.clone().ok());
            let is_document = envelope.is_some();
            if let Err(fault) = following.below(&row, envelope)
                && let Some(above) = open.and_then(|open| page.items.get_mut(open))
                && above.verified == Some(Ok(()))
            {
                above.verified = Some(Err(fault));
            }
            if is_document {
                open = None;
            }
            if full {
                continue;
            }
            let json = match (&text, &row.signature) {
                (Some(text), Some(signature)) => Some(Bytes::from(doc::with_signature(text, signature))),
                _ => None,
            };
            bytes += json.as_ref().map_or(0, Bytes::len);
            if is_document {
                open = Some(page.items.len());
            }
            page.items.push(HistoryItem {
                meta: ObjectMeta::new(found, row),
                json,
                verified: verified.map(|verified| verified.map(drop)),
            });
        }
        if page.items.is_empty() && before.is_none() {
            return Err(EngineError::NoSuchKey);
        }
        Ok(page)
    }
}
