//! Reading a document.

use std::sync::Arc;

use bytes::Bytes;
use wfldb_core::auth::Authorized;
use wfldb_core::doc;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::object::{ObjectMeta, ObjectReader, Which};

/// A version of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What is stored with it. `etag` and `len` are those of the stored bytes, without `_sig`.
    pub meta: Arc<ObjectMeta>,
    /// Its canonical JSON, with `_sig` as the last member.
    pub json: Bytes,
}

impl Engine {
    /// Reads the document that `proof` names.
    ///
    /// # Errors
    /// `NotDocuments`, and those of [`Engine::object`].
    pub fn document(&self, proof: &Authorized, which: Which) -> Result<Document, EngineError> {
        let cached = match which {
            Which::Newest => self.object_cached(proof)?,
            Which::Version(_) | Which::At(_) => None,
        };
        let reader = match cached {
            Some(reader) => reader,
            None => self.object(proof, which)?,
        };
        reader.document().ok_or(EngineError::NotDocuments)
    }
}

impl ObjectReader {
    /// The whole document, if the object is one. Does not block.
    #[must_use]
    pub fn document(&self) -> Option<Document> {
        let signature = self.meta().signature.as_ref()?;
        let json = doc::with_signature(self.inline_bytes()?, signature);
        Some(Document {
            meta: Arc::clone(self.meta()),
            json: json.into(),
        })
    }
}
