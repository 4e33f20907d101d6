//! Taking the edit of an object's files as a new version.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};
use wfldb_core::id::VersionId;
use wfldb_core::limits::DOCUMENT_PLANS_MAX;
use wfldb_core::mirror::{Conflict, ObjectEdit, ObjectSide, Strategy, settle_object};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{ObjectHeaders, Preconditions};

use super::Edited;
use crate::file::OpenFile;
use crate::object::{GetOptions, ObjectInfo, Prepared, PutOptions};
use crate::outgoing::Source;
use crate::{Client, Error};

/// The files of an object, as somebody edited them outside of the store.
#[derive(Debug, Clone)]
pub struct ObjectFile {
    /// The bytes.
    pub bytes: Prepared,
    /// What is kept with them.
    pub headers: ObjectHeaders,
    /// The version that the files were written of; `None`: somebody made the file.
    pub begun_with: Option<VersionId>,
}

impl Prepared {
    /// A file that is open: hashed now, read again while it is sent. `name` is what errors call it.
    ///
    /// # Errors
    /// As [`Prepared::file`].
    pub async fn open_file(file: File, name: PathBuf) -> Result<Self, Error> {
        let hashing =
            tokio::task::spawn_blocking(move || Source::of_open(Arc::new(OpenFile::of_file(file, name)?)));
        let hashed = hashing.await.map_err(|error| Error::Local(error.to_string()))?;
        hashed.map(Self)
    }
}

impl Client {
    /// Takes an object as somebody edited its files outside of the store, as a new version with the bytes and all that is
    /// kept with them; `strategy` says what is done where the object has changed since. Needs `get` and `put`.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn edit_object(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        edited: &ObjectFile,
        strategy: Strategy,
    ) -> Result<Edited, Error> {
        let theirs = ObjectSide::new(edited.bytes.etag(), edited.headers.clone());
        let mut plans = 1;
        loop {
            let current = self.there(bucket, key, GetOptions::default()).await?;
            let base = match edited.begun_with {
                None => None,
                Some(version) if current.as_ref().is_some_and(|info| info.version == version) => {
                    current.clone()
                }
                Some(version) => self.there(bucket, key, GetOptions::version(version)).await?,
            };
            let side = |info: &ObjectInfo| ObjectSide::new(info.etag, info.headers.clone());
            let version = current.as_ref().map(|info| info.version);
            let (ours, base) = (current.as_ref().map(side), base.as_ref().map(side));
            match settle_object(
                &theirs,
                edited.begun_with,
                version.zip(ours.as_ref()),
                base.as_ref(),
                strategy,
            ) {
                ObjectEdit::Unchanged => return Ok(Edited::Unchanged),
                ObjectEdit::Conflict => {
                    return Ok(Edited::Conflict(vec![Conflict {
                        pointer: String::new(),
                        base: base.as_ref().map(shown),
                        ours: ours.as_ref().map(shown),
                        theirs: Some(shown(&theirs)),
                    }]));
                }
                ObjectEdit::Put => {}
            }
            let options = PutOptions {
                headers: edited.headers.clone(),
                preconditions: Preconditions {
                    if_none_match_any: version.is_none(),
                    if_version: version,
                    ..Preconditions::default()
                },
                ..PutOptions::default()
            };
            match self.put_prepared(bucket, key, &edited.bytes, options).await {
                Err(error) if error.is_precondition() && plans < DOCUMENT_PLANS_MAX => plans += 1,
                done => return Ok(Edited::Written(done?)),
            }
        }
    }

    /// A version of an object, if it is there.
    async fn there(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        which: GetOptions,
    ) -> Result<Option<ObjectInfo>, Error> {
        match self.head(bucket, key, which).await {
            Ok(info) => Ok(Some(info)),
            Err(error) if error.is_not_found() && error.code() != Some("NoSuchBucket") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A side of a conflict, for people.
fn shown(side: &ObjectSide) -> Value {
    let headers = &side.headers;
    let mut said = Map::new();
    let mut say = |name: &str, value: Option<Value>| {
        said.extend(value.map(|value| (name.to_owned(), value)));
    };
    let pairs = |pairs: Vec<(&str, &str)>| {
        let pairs = pairs.into_iter();
        let object: Map<String, Value> = pairs
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        (!object.is_empty()).then_some(Value::Object(object))
    };
    say("blake3", Some(side.etag.to_string().into()));
    let text = headers.content_type.as_ref();
    say("content_type", text.map(|text| text.as_str().into()));
    say("tags", pairs(headers.tags.iter().collect()));
    let meta = headers.meta.iter();
    say(
        "meta",
        pairs(
            meta.map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
        ),
    );
    Value::Object(said)
}
