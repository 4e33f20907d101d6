//! Taking the edit of a document's file as a new version, or of an object's: what `wfldb-admin mirror import` does for each
//! file.

mod object;

use wfldb_core::doc::{Object, parse_object};
use wfldb_core::limits::{DOCUMENT_PLANS_MAX, EDIT_VERSIONS_MAX};
use wfldb_core::mirror::{Conflict, Edit, Strategy, begun_with, settle};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::Preconditions;

pub use self::object::ObjectFile;
use crate::document::Document;
use crate::object::{GetOptions, PutOptions, Stored};
use crate::{Client, Error};

/// What became of an edit.
#[derive(Debug, Clone)]
pub enum Edited {
    /// It says nothing that the server does not say.
    Unchanged,
    /// It is a new version.
    Written(Stored),
    /// Both sides changed it, and people decide; the server's side is `ours`. Nothing was written.
    Conflict(Vec<Conflict>),
}

impl Client {
    /// Takes a document as somebody edited it outside of the store, with the envelope of the version that the edit began
    /// with, as a new version; `strategy` says what is done where the document has changed since. Needs `get` and `put`.
    ///
    /// # Errors
    /// Any of [`Error`]; `Local` for members that begin with `_` and are none of the envelope's, or another key's `_id`.
    pub async fn edit_document(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        edited: &Object,
        strategy: Strategy,
    ) -> Result<Edited, Error> {
        let mut plans = 1;
        loop {
            let current = match self.document(bucket, key, GetOptions::default()).await {
                Ok(document) => Some(document),
                Err(error) if error.is_not_found() && error.code() == Some("NoSuchKey") => None,
                Err(error) => return Err(error),
            };
            let base = self.base(bucket, key, edited, current.as_ref()).await?;
            let members = current.as_ref().map(|current| &current.members);
            let settled = settle(key, edited, members, base.as_ref(), strategy);
            let members = match settled.map_err(|error| Error::Local(error.to_string()))? {
                Edit::Unchanged => return Ok(Edited::Unchanged),
                Edit::Conflict(conflicts) => return Ok(Edited::Conflict(conflicts)),
                Edit::Put(members) => members,
            };
            let options = PutOptions {
                preconditions: Preconditions {
                    if_none_match_any: current.is_none(),
                    if_version: current.map(|current| current.info.version),
                    ..Preconditions::default()
                },
                ..PutOptions::default()
            };
            let json = serde_json::Value::Object(members).to_string();
            match self.put_document(bucket, key, json, options).await {
                Err(error) if error.is_precondition() && plans < DOCUMENT_PLANS_MAX => plans += 1,
                done => return Ok(Edited::Written(done?)),
            }
        }
    }

    /// The version that an edit began with, among the newest [`EDIT_VERSIONS_MAX`].
    async fn base(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        edited: &Object,
        current: Option<&Document>,
    ) -> Result<Option<Object>, Error> {
        let Some(hash) = begun_with(edited) else {
            return Ok(None);
        };
        if let Some(current) = current
            && begun_with(&current.members) == Some(hash)
        {
            return Ok(Some(current.members.clone()));
        }
        let mut seen = 0;
        let mut cursor = None;
        while seen < EDIT_VERSIONS_MAX {
            let page = match self.document_history(bucket, key, false, cursor.as_deref()).await {
                Err(error) if error.is_not_found() => return Ok(None),
                page => page?,
            };
            for entry in page.versions.iter().take(EDIT_VERSIONS_MAX - seen) {
                seen += 1;
                let document = entry.document.as_ref();
                let document = document.map(|document| parse_object(document.get().as_bytes()));
                let malformed = |_| Error::Corrupt("a version is no document".to_owned());
                let document = document.transpose().map_err(malformed)?;
                if let Some(document) = document.filter(|document| begun_with(document) == Some(hash)) {
                    return Ok(Some(document));
                }
            }
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        Ok(None)
    }
}
