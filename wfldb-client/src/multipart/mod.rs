//! Uploads in parts: the single calls, and [`Client::upload_file`], which makes them.

mod parts;
mod plan;
mod resume;
mod upload;

use wfldb_core::auth::Method;
use wfldb_core::id::{ContentHash, UploadId};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{ObjectHeaders, Preconditions};
use wfldb_net::multipart::{PartRef, Parts, UploadStarted};

use crate::bucket::parse;
use crate::call::{Call, object_path};
use crate::object::put::{condition, stored};
use crate::object::{Prepared, Stored, part_etag};
use crate::outgoing::{Progress, Source};
use crate::retry::Safety;
use crate::{Client, Error};

pub use resume::default_upload_state;
pub use upload::{SINGLE_PUT_BYTES_MAX, UploadOptions, Uploaded};

impl Client {
    /// Starts an upload of an object in parts of `part_bytes`: a multiple of 1 MiB from 5 MiB to 1 GiB. What is kept
    /// with the object is given here. An upload that is neither completed nor aborted ends after seven days.
    ///
    /// # Errors
    /// `Api`, `Transport`, `OutcomeUnknown` (then there may be an upload without parts, which does no harm).
    pub async fn start_upload(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        part_bytes: u64,
        headers: &ObjectHeaders,
    ) -> Result<UploadId, Error> {
        headers.check().map_err(|error| Error::Local(error.to_string()))?;
        let part_bytes = part_bytes.to_string();
        let pairs = [("multipart", "start"), ("part_bytes", part_bytes.as_str())];
        let mut call = Call::new(Method::Post, object_path(bucket, key)).query(&pairs);
        call.headers = headers.to_pairs();
        // A second upload without parts is nothing that anybody sees.
        call.safety = Safety::Idempotent;
        let started: UploadStarted = parse(&self.caller.send(&call).await?.bytes().await?)?;
        Ok(started.upload)
    }

    /// Sends part `number`, from 1 to 10000: exactly the upload's `part_bytes`, fewer only in the last part. Parts may be
    /// sent in any order, together, and again. Answers the part's etag; the part is on stable storage then.
    ///
    /// # Errors
    /// `Api`, `Transport`, `OutcomeUnknown`; `Corrupt` when the server says that it stored other bytes.
    pub async fn put_part(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: UploadId,
        number: u16,
        part: &Prepared,
    ) -> Result<ContentHash, Error> {
        let place = (bucket, key, upload);
        self.send_part(place, number, part.0.clone(), None).await
    }

    async fn send_part(
        &self,
        (bucket, key, upload): (&BucketName, &ObjectKey, UploadId),
        number: u16,
        part: Source,
        progress: Option<Progress>,
    ) -> Result<ContentHash, Error> {
        let sent = part.hash();
        let (upload, number) = (upload.to_string(), number.to_string());
        let pairs = [("multipart", upload.as_str()), ("part", number.as_str())];
        let mut call = Call::new(Method::Put, object_path(bucket, key)).query(&pairs);
        call.source = part;
        call.progress = progress;
        call.safety = Safety::Idempotent;
        let answer = self.caller.send(&call).await?;
        let etag = part_etag(&answer.parts.headers)?;
        if etag == sent {
            Ok(etag)
        } else {
            Err(Error::Corrupt(format!(
                "the server stored {etag}, sent was {sent}"
            )))
        }
    }

    /// The parts of an unfinished upload, by number.
    ///
    /// # Errors
    /// `Api` (404 also for an upload of another key or of somebody else), `Transport`.
    pub async fn upload_parts(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: UploadId,
    ) -> Result<Parts, Error> {
        let call = Self::of_upload(Method::Get, bucket, key, upload);
        parse(&self.caller.send(&call).await?.bytes().await?)
    }

    /// Makes the parts an object: `parts` names every part from 1 on. The same completion may be asked for again within
    /// seven days of the start, and gets the same answer.
    ///
    /// # Errors
    /// Any of [`Error`] but `Corrupt`; 412 when a precondition does not hold.
    pub async fn complete_upload(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: UploadId,
        parts: &[PartRef],
        preconditions: &Preconditions,
    ) -> Result<Stored, Error> {
        let mut call = Self::of_upload(Method::Post, bucket, key, upload);
        let list = serde_json::to_vec(parts).map_err(|error| Error::Local(error.to_string()))?;
        call.headers
            .push(("content-type".to_owned(), "application/json".to_owned()));
        call.source = Source::of_bytes(list.into());
        condition(&mut call, preconditions);
        call.safety = Safety::Idempotent;
        stored(&self.caller.send(&call).await?)
    }

    /// Ends an upload without an object and gives back its bytes.
    ///
    /// # Errors
    /// `Api` (404 when it has ended already), `Transport`, `OutcomeUnknown`.
    pub async fn abort_upload(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: UploadId,
    ) -> Result<(), Error> {
        let mut call = Self::of_upload(Method::Delete, bucket, key, upload);
        call.safety = Safety::Idempotent;
        self.caller.send(&call).await.map(|_| ())
    }

    fn of_upload(method: Method, bucket: &BucketName, key: &ObjectKey, upload: UploadId) -> Call {
        Call::new(method, object_path(bucket, key)).query(&[("multipart", &upload.to_string())])
    }
}
