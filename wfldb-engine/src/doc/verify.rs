//! Whether stored documents are what the store signed, and follow one another.

use wfldb_core::doc::{self, DocumentFault, Envelope};
use wfldb_core::name::{BucketName, ObjectKey};

use crate::row::ObjectRow;

/// Checks a stored version of a document by itself. `text` has the hash that its row names.
pub(crate) fn verify_version(
    bucket: &BucketName,
    key: &ObjectKey,
    row: &ObjectRow,
    text: &[u8],
) -> Result<Envelope, DocumentFault> {
    let document = doc::parse_object(text).map_err(|_| DocumentFault::NotCanonical)?;
    if doc::canonical(&document) != text {
        return Err(DocumentFault::NotCanonical);
    }
    // It stands in the row, and comes last for readers.
    if document.contains_key("_sig") {
        return Err(DocumentFault::Envelope);
    }
    let signature = row.signature.as_ref().ok_or(DocumentFault::Signature)?;
    doc::verify(bucket, key, &document, signature)
}

/// Walks down the versions of one key, newest first, and says whether each follows the one below it. Where something
/// between two was removed, nothing is said.
#[derive(Debug, Default)]
pub(crate) struct Following {
    above: Option<Envelope>,
    /// Something right below `above` was removed.
    gap: bool,
}

impl Following {
    /// Goes to the next version below: a document with its envelope, or a tombstone (or one that cannot be read).
    ///
    /// # Errors
    /// When the document above does not follow this one.
    pub(crate) fn below(&mut self, row: &ObjectRow, envelope: Option<Envelope>) -> Result<(), DocumentFault> {
        let Some(envelope) = envelope else {
            self.gap |= row.pruned || !row.deleted;
            return Ok(());
        };
        let follows = match &self.above {
            Some(above) if !self.gap => above.follows(&envelope),
            _ => Ok(()),
        };
        self.above = Some(envelope);
        self.gap = row.pruned;
        follows
    }
}
