//! Copies that the server makes: no bytes travel.

use wfldb_core::auth::Method;
use wfldb_core::id::VersionId;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{ObjectHeaders, Preconditions};

use super::info::Stored;
use super::put::{condition, put_safety, stored};
use crate::call::{Call, object_path};
use crate::{Client, Error};

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySource {
    /// Its bucket.
    pub bucket: BucketName,
    /// Its key.
    pub key: ObjectKey,
    /// Which version; `None` for the newest live one.
    pub version: Option<VersionId>,
}

/// What goes with a copy.
#[derive(Debug, Clone, Default)]
pub struct CopyOptions {
    /// What replaces the source's: each of type, `cache-control` and `expires`, all of the metadata, all of the tags.
    /// What is empty here comes from the source, but for a time to live, which is only what is given here.
    pub headers: ObjectHeaders,
    /// Must hold of the target for the copy to happen.
    pub preconditions: Preconditions,
}

impl Client {
    /// Stores the bytes of `source` as a new version of `key`. Within a bucket nothing moves on the server either.
    /// Needs `get` of the source and `put` of the target.
    ///
    /// ```no_run
    /// # async fn example(client: wfldb_client::Client) -> Result<(), wfldb_client::Error> {
    /// use wfldb_client::{CopyOptions, CopySource};
    /// use wfldb_core::name::{BucketName, ObjectKey};
    ///
    /// let bucket = BucketName::parse("photos").unwrap();
    /// let source = CopySource {
    ///     bucket: bucket.clone(),
    ///     key: ObjectKey::parse("cat.jpg").unwrap(),
    ///     version: None,
    /// };
    /// let target = ObjectKey::parse("2026/cat.jpg").unwrap();
    /// client.copy(&source, &bucket, &target, CopyOptions::default()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Any of [`Error`] but `Corrupt`; after `OutcomeUnknown`, read back. 404 for either side.
    pub async fn copy(
        &self,
        source: &CopySource,
        bucket: &BucketName,
        key: &ObjectKey,
        options: CopyOptions,
    ) -> Result<Stored, Error> {
        let headers = options.headers;
        headers.check().map_err(|error| Error::Local(error.to_string()))?;
        let from = format!("/{}/{}", source.bucket, source.key);
        let version = source.version.map(|version| version.to_string());
        let mut pairs = vec![("copy", from.as_str())];
        pairs.extend(version.as_deref().map(|version| ("copy_version", version)));
        let mut call = Call::new(Method::Post, object_path(bucket, key)).query(&pairs);
        call.headers = headers.to_pairs();
        condition(&mut call, &options.preconditions);
        call.safety = put_safety(&options.preconditions, None);
        stored(&self.caller.send(&call).await?)
    }
}
