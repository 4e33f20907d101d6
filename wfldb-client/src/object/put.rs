//! Writing objects, deleting them and bringing them back.

use std::path::Path;

use bytes::Bytes;
use wfldb_core::audit::Receipt;
use wfldb_core::auth::Method;
use wfldb_core::id::{ContentHash, Seq, VersionId};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{EtagCondition, ObjectHeaders, Preconditions, format_etag};

use super::info::{self, Stored};
use crate::audit::{Receipted, asks_for_receipt};
use crate::call::{Answer, Call, object_path};
use crate::outgoing::{Progress, Source};
use crate::retry::Safety;
use crate::{Client, Error, UploadOptions};

/// What goes with a write.
#[derive(Clone, Default)]
pub struct PutOptions {
    /// Kept with the object and returned with it.
    pub headers: ObjectHeaders,
    /// Must hold for the write to happen. With one, the client may also send it again after a lost answer.
    pub preconditions: Preconditions,
    /// Told how many bytes left.
    pub progress: Option<Progress>,
}

impl std::fmt::Debug for PutOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("PutOptions");
        shown
            .field("headers", &self.headers)
            .field("preconditions", &self.preconditions)
            .finish_non_exhaustive()
    }
}

/// Bytes that are ready to be sent, with their hash: so that a caller can compare before sending.
#[derive(Debug, Clone)]
pub struct Prepared(pub(crate) Source);

impl Prepared {
    /// Bytes in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self(Source::of_bytes(bytes.into()))
    }

    /// A file: opened and hashed now, read again while it is sent. If it changes in between, the write fails.
    ///
    /// # Errors
    /// `Local` when it cannot be read, is no regular file, or changed while it was hashed.
    pub async fn file(path: &Path) -> Result<Self, Error> {
        let owned = path.to_owned();
        let hashing = tokio::task::spawn_blocking(move || Source::of_file(&owned));
        hashing
            .await
            .map_err(|error| Error::Local(error.to_string()))?
            .map(Self)
    }

    /// BLAKE3 of the bytes: the etag that the object will have.
    pub fn etag(&self) -> ContentHash {
        self.0.hash()
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Client {
    /// Stores bytes as a new version of `key`. When this returns `Ok`, they are on stable storage.
    ///
    /// # Errors
    /// Any of [`Error`]; after `OutcomeUnknown`, read back.
    pub async fn put(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        bytes: impl Into<Bytes>,
        options: PutOptions,
    ) -> Result<Stored, Error> {
        self.put_prepared(bucket, key, &Prepared::bytes(bytes), options)
            .await
    }

    /// Stores a file: one pass to hash it, one to send it; above 64 MiB in parts, several at a time
    /// ([`Client::upload_file`] says more). Refuses if it changes meanwhile.
    ///
    /// # Errors
    /// As [`Client::put`], and `Local` for the file.
    pub async fn put_file(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        path: &Path,
        options: PutOptions,
    ) -> Result<Stored, Error> {
        let options = UploadOptions {
            put: options,
            ..UploadOptions::default()
        };
        let uploaded = self.upload_file(bucket, key, path, options).await?;
        Ok(uploaded.stored)
    }

    /// Stores what was prepared, by one request.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub async fn put_prepared(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        prepared: &Prepared,
        options: PutOptions,
    ) -> Result<Stored, Error> {
        let call = put_call(bucket, key, prepared, options)?;
        stored_as(&self.caller.send(&call).await?, prepared)
    }

    /// Stores what was prepared, by one request, and asks for the receipt: the proof that the write is in the store's audit
    /// log. `None` when no checkpoint covered the write within the time that the server waits; then
    /// [`Client::audit_receipt`] has it later. A receipt is read and not verified.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub async fn put_with_receipt(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        prepared: &Prepared,
        options: PutOptions,
    ) -> Result<(Stored, Option<Receipt>), Error> {
        let mut call = put_call(bucket, key, prepared, options)?;
        call.headers
            .push(("x-wfldb-receipt".to_owned(), "true".to_owned()));
        let answer = self.caller.send(&call).await?;
        let stored = stored_as(&answer, prepared)?;
        // The write happened, whatever becomes of the rest of the answer.
        let body = answer.bytes().await.ok();
        let receipt = self.caller.receipt_in(body.as_deref())?;
        Ok((stored, receipt))
    }

    /// Deletes the newest version by a tombstone; older versions stay. `None` when nothing was there.
    ///
    /// # Errors
    /// Any of [`Error`] but `Corrupt`.
    pub async fn delete(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        preconditions: &Preconditions,
    ) -> Result<Option<(VersionId, Seq)>, Error> {
        let mut call = Call::new(Method::Delete, object_path(bucket, key));
        condition(&mut call, preconditions);
        call.safety = delete_safety(preconditions);
        let answer = self.caller.send(&call).await?;
        let headers = &answer.parts.headers;
        Ok(info::version(headers).ok().zip(info::seq(headers).ok()))
    }

    /// Removes one version for good, with its bytes; what is before it becomes the newest. Needs `erase`. `None` when
    /// there was no such version, or when the packet may not learn that.
    ///
    /// # Errors
    /// Any of [`Error`] but `Corrupt`.
    pub async fn erase(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: &VersionId,
        preconditions: &Preconditions,
    ) -> Result<Option<Seq>, Error> {
        let call = erasing(bucket, key, version, preconditions);
        let answer = self.caller.send(&call).await?;
        Ok(info::seq(&answer.parts.headers).ok())
    }

    /// The same, with the receipt of the change.
    ///
    /// # Errors
    /// Those of [`Client::erase`].
    pub async fn erase_with_receipt(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: &VersionId,
        preconditions: &Preconditions,
    ) -> Result<Receipted<Option<Seq>>, Error> {
        let mut call = erasing(bucket, key, version, preconditions);
        asks_for_receipt(&mut call);
        let answer = self.caller.send(&call).await?;
        let seq = info::seq(&answer.parts.headers).ok();
        Receipted::of(&self.caller, seq, answer).await
    }

    /// Brings back what the newest tombstone hides.
    ///
    /// # Errors
    /// Any of [`Error`] but `Corrupt`.
    pub async fn undelete(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Stored, Error> {
        let call = Call::new(Method::Post, object_path(bucket, key)).query(&[("undelete", "true")]);
        stored(&self.caller.send(&call).await?)
    }
}

/// The request that stores what was prepared.
fn put_call(
    bucket: &BucketName,
    key: &ObjectKey,
    prepared: &Prepared,
    options: PutOptions,
) -> Result<Call, Error> {
    options
        .headers
        .check()
        .map_err(|error| Error::Local(error.to_string()))?;
    let mut call = Call::new(Method::Put, object_path(bucket, key));
    call.headers = options.headers.to_pairs();
    condition(&mut call, &options.preconditions);
    call.safety = put_safety(&options.preconditions, Some(prepared.etag()));
    call.source = prepared.0.clone();
    call.progress = options.progress;
    Ok(call)
}

/// What was stored, if it is what was sent. Of a document the store made what it stored; the request's signature covers
/// what was sent.
fn stored_as(answer: &Answer, prepared: &Prepared) -> Result<Stored, Error> {
    let stored = stored(answer)?;
    if answer.parts.headers.contains_key(wfldb_net::header::DOCUMENT) {
        return Ok(stored);
    }
    if stored.etag != prepared.etag() {
        return Err(Error::Corrupt(format!(
            "the server stored {}, sent was {}",
            stored.etag,
            prepared.etag()
        )));
    }
    Ok(stored)
}

/// Writes the conditions into the request's headers.
pub(crate) fn condition(call: &mut Call, preconditions: &Preconditions) {
    let mut header = |name: &str, value: String| call.headers.push((name.to_owned(), value));
    match &preconditions.if_match {
        Some(EtagCondition::Any) => header("if-match", "*".to_owned()),
        Some(EtagCondition::Is(etag)) => header("if-match", format_etag(etag)),
        None => {}
    }
    if preconditions.if_none_match_any {
        header("if-none-match", "*".to_owned());
    }
    if let Some(version) = &preconditions.if_version {
        header("x-wfldb-if-version", version.to_string());
    }
}

/// Whether what was put makes its own conditions false, so that a second one is refused. `etag` is that of what is put,
/// where it is known.
pub(crate) fn put_safety(preconditions: &Preconditions, etag: Option<ContentHash>) -> Safety {
    let replaces = match &preconditions.if_match {
        Some(EtagCondition::Is(before)) => etag.is_some_and(|etag| etag != *before),
        Some(EtagCondition::Any) | None => false,
    };
    if replaces || preconditions.if_none_match_any || preconditions.if_version.is_some() {
        Safety::Guarded
    } else {
        Safety::Write
    }
}

fn erasing(bucket: &BucketName, key: &ObjectKey, version: &VersionId, preconditions: &Preconditions) -> Call {
    let version = version.to_string();
    let mut call = Call::new(Method::Delete, object_path(bucket, key)).query(&[("version", &version)]);
    condition(&mut call, preconditions);
    call.safety = delete_safety(preconditions);
    call
}

/// The same of a delete: a tombstone counts as absent, so each condition is false after it, or it writes nothing.
pub(crate) fn delete_safety(preconditions: &Preconditions) -> Safety {
    if preconditions.is_empty() {
        Safety::Write
    } else {
        Safety::Guarded
    }
}

/// A write was answered 2xx, so it happened; an answer that does not say what happened leaves that open.
pub(crate) fn stored(answer: &Answer) -> Result<Stored, Error> {
    let headers = &answer.parts.headers;
    let read = || {
        Ok(Stored {
            version: info::version(headers)?,
            seq: info::seq(headers)?,
            etag: info::etag(headers)?,
            created: answer.parts.status == http::StatusCode::CREATED,
        })
    };
    read().map_err(|error: Error| Error::OutcomeUnknown(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_condition_that_the_write_itself_makes_false_guards_it() {
        let version = VersionId::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
        let (old, new) = (ContentHash::of(b"old"), ContentHash::of(b"new"));
        let is = |etag| Preconditions {
            if_match: Some(EtagCondition::Is(etag)),
            ..Preconditions::default()
        };
        let any = Preconditions {
            if_match: Some(EtagCondition::Any),
            ..Preconditions::default()
        };
        let none = Preconditions {
            if_none_match_any: true,
            ..Preconditions::default()
        };
        let on_version = Preconditions {
            if_version: Some(version),
            ..Preconditions::default()
        };
        let table = [
            (Preconditions::default(), Safety::Write, Safety::Write),
            (any, Safety::Write, Safety::Guarded),
            (is(old), Safety::Guarded, Safety::Guarded),
            (is(new), Safety::Write, Safety::Guarded),
            (none, Safety::Guarded, Safety::Guarded),
            (on_version, Safety::Guarded, Safety::Guarded),
        ];
        for (conditions, put, delete) in table {
            assert_eq!(put_safety(&conditions, Some(new)), put, "{conditions:?}");
            assert_eq!(delete_safety(&conditions), delete, "{conditions:?}");
        }
        assert_eq!(
            put_safety(&is(old), None),
            Safety::Write,
            "a copy may bring the same bytes"
        );
    }
}
