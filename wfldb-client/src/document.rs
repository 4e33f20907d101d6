//! Documents: reading them with their signatures, changing a part, their history, many at once, the schema of a bucket.

use bytes::Bytes;
use wfldb_core::auth::Method;
use wfldb_core::doc::{self, DocumentSignature, Envelope, Object};
use wfldb_core::id::ContentHash;
use wfldb_core::limits::BATCH_ENTRIES_MAX;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_net::accept::JSON;
use wfldb_net::document::{BulkEntry, BulkResults, History, bulk_to_json};

use crate::bucket::parse;
use crate::call::{Call, bucket_path, object_path};
use crate::object::put::{condition, put_safety, stored};
use crate::object::{GetOptions, ObjectInfo, PutOptions, Stored};
use crate::outgoing::Source;
use crate::{Client, Error};

/// A document as it was read. Its etag was compared; [`Document::verify`] does the rest.
#[derive(Debug, Clone)]
pub struct Document {
    /// What the server knows about the version.
    pub info: ObjectInfo,
    /// The members, the envelope among them, without `_sig`.
    pub members: Object,
    /// `_sig`.
    pub signature: DocumentSignature,
    /// The JSON as it was sent.
    pub json: Bytes,
}

impl Document {
    /// Whether it is what the holder of the signature's key stored under this name. That the key is the store's is for
    /// the caller to know.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn verify(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Envelope, Error> {
        doc::verify(bucket, key, &self.members, &self.signature)
            .map_err(|fault| Error::Corrupt(fault.to_string()))
    }
}

/// How a patch is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchForm {
    /// JSON Merge Patch (RFC 7396).
    Merge,
    /// JSON Patch (RFC 6902).
    Json,
}

impl PatchForm {
    fn media_type(self) -> &'static str {
        match self {
            Self::Merge => "application/merge-patch+json",
            Self::Json => "application/json-patch+json",
        }
    }
}

impl Client {
    /// Stores a document (JSON of an object). When this returns `Ok`, it is on stable storage.
    ///
    /// # Errors
    /// Any of [`Error`] but `Corrupt`.
    pub async fn put_document(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        json: impl Into<Bytes>,
        options: PutOptions,
    ) -> Result<Stored, Error> {
        let call = Call::new(Method::Put, object_path(bucket, key));
        self.change(call, JSON, json.into(), options).await
    }

    /// Changes a part of a document.
    ///
    /// # Errors
    /// As [`Client::put_document`]; 404 where there is none.
    pub async fn patch_document(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        form: PatchForm,
        patch: impl Into<Bytes>,
        options: PutOptions,
    ) -> Result<Stored, Error> {
        let call = Call::new(Method::Patch, object_path(bucket, key));
        self.change(call, form.media_type(), patch.into(), options).await
    }

    async fn change(
        &self,
        mut call: Call,
        media_type: &str,
        body: Bytes,
        options: PutOptions,
    ) -> Result<Stored, Error> {
        let kept = options.headers.to_pairs().into_iter();
        call.headers = kept.filter(|(name, _)| name != "content-type").collect();
        call.headers
            .push(("content-type".to_owned(), media_type.to_owned()));
        condition(&mut call, &options.preconditions);
        // Each version has another etag, so whatever is replaced is so by another.
        call.safety = put_safety(&options.preconditions, Some(ContentHash::of(&body)));
        call.source = Source::of_bytes(body);
        call.progress = options.progress;
        stored(&self.caller.send(&call).await?)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// `Api`, `Transport`, `Corrupt` when it does not have the etag that it came with.
    pub async fn document(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        options: GetOptions,
    ) -> Result<Document, Error> {
        let call = Self::read(Method::Get, bucket, key, &options);
        let answer = self.caller.send(&call).await?;
        let info = ObjectInfo::of(&answer.parts.headers)?;
        let json = answer.bytes().await?;
        let corrupt = |why: &str| Error::Corrupt(why.to_owned());
        let stored = doc::stored_text(&json).ok_or_else(|| corrupt("the document has no signature"))?;
        if ContentHash::of(&stored) != info.etag {
            return Err(corrupt("the document does not have its etag"));
        }
        let read = doc::parse_object(&json).map_err(|_| corrupt("it is no document"))?;
        let (members, signature) =
            doc::split_signature(read).map_err(|_| corrupt("the document has no signature"))?;
        Ok(Document {
            info,
            members,
            signature,
            json,
        })
    }

    /// A page of the versions of a document, newest first, behind the `cursor` of the page before; with `verify` the
    /// server says of each whether it is what it signed.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn document_history(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        verify: bool,
        cursor: Option<&str>,
    ) -> Result<History, Error> {
        let mut pairs = vec![("history", "true")];
        pairs.extend(cursor.map(|cursor| ("cursor", cursor)));
        if verify {
            pairs.push(("verify", "true"));
        }
        pairs.sort_unstable();
        let call = Call::new(Method::Get, object_path(bucket, key))
            .query(&pairs)
            .by_session();
        parse(&self.caller.send(&call).await?.bytes().await?)
    }

    /// Carries out many entries, each with an outcome of its own. It is sent again only when it surely did not happen.
    ///
    /// # Errors
    /// Any of [`Error`]; what an entry was refused for is in its result.
    pub async fn bulk(&self, bucket: &BucketName, entries: &[BulkEntry]) -> Result<BulkResults, Error> {
        if !(1..=BATCH_ENTRIES_MAX).contains(&entries.len()) {
            return Err(Error::Local(format!(
                "a bulk request has 1 to {BATCH_ENTRIES_MAX} entries, this one {}",
                entries.len()
            )));
        }
        let body = bulk_to_json(entries).map_err(|error| Error::Local(error.to_string()))?;
        let mut call = Call::new(Method::Post, format!("{}/_bulk", bucket_path(bucket)));
        call.headers.push(("content-type".to_owned(), JSON.to_owned()));
        call.source = Source::of_bytes(body.into());
        let body = self.caller.send(&call).await?.bytes().await;
        // It was answered 2xx; an answer that does not say what happened leaves that open.
        let results: Result<BulkResults, Error> = body.and_then(|body| parse(&body));
        let results = results.map_err(|error| Error::OutcomeUnknown(error.to_string()))?;
        let keys = entries.iter().map(|entry| &entry.key);
        if keys.eq(results.results.iter().map(|result| &result.key)) {
            Ok(results)
        } else {
            Err(Error::OutcomeUnknown(
                "the answer is not about what was sent".to_owned(),
            ))
        }
    }

    /// The JSON Schema of a bucket's documents. Needs `manage`.
    ///
    /// # Errors
    /// `Api` (404 where there is none), `Transport`.
    pub async fn schema(&self, bucket: &BucketName) -> Result<Bytes, Error> {
        let call = Call::new(Method::Get, format!("{}/_schema", bucket_path(bucket)));
        self.caller.send(&call).await?.bytes().await
    }

    /// Sets the JSON Schema that documents of a bucket have to follow from now on, or removes it. Needs `manage`.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn put_schema(&self, bucket: &BucketName, schema: Option<Bytes>) -> Result<(), Error> {
        let path = format!("{}/_schema", bucket_path(bucket));
        let mut call = match schema {
            Some(schema) => {
                let mut call = Call::new(Method::Put, path);
                call.headers.push(("content-type".to_owned(), JSON.to_owned()));
                call.source = Source::of_bytes(schema);
                call
            }
            None => Call::new(Method::Delete, path),
        };
        // Twice is as good as once.
        call.safety = crate::retry::Safety::Idempotent;
        self.caller.send(&call).await.map(drop)
    }
}
