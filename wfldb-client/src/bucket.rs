//! Buckets: create, configure, list, look at, delete.

use serde::{Deserialize, Serialize};
use wfldb_core::auth::Method;
use wfldb_core::name::BucketName;
use wfldb_core::object::BucketConfig;

use crate::audit::{Receipted, asks_for_receipt};
use crate::call::{Call, bucket_path};
use crate::outgoing::Source;
use crate::{Client, Error};

/// What a bucket holds, exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Keys with a live newest version.
    pub objects: u64,
    /// Versions, tombstones included.
    pub versions: u64,
    /// Bytes of all versions as users see them.
    pub bytes: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
}

/// A bucket as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketInfo {
    /// Its name.
    pub name: String,
    /// When it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What it holds; absent where the caller may not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Its configuration, member by member, as the server gave it.
    #[serde(flatten)]
    pub config: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct Buckets {
    buckets: Vec<BucketInfo>,
}

impl Client {
    /// Creates a bucket, or replaces the whole configuration of one. True when it was created.
    ///
    /// # Errors
    /// `Api`, `Transport`, `OutcomeUnknown`.
    pub async fn create_bucket(&self, bucket: &BucketName, config: &BucketConfig) -> Result<bool, Error> {
        let answer = self.caller.send(&configure(bucket, config)?).await?;
        Ok(answer.parts.status == http::StatusCode::CREATED)
    }

    /// The same, with the receipt of the change.
    ///
    /// # Errors
    /// Those of [`Client::create_bucket`].
    pub async fn create_bucket_with_receipt(
        &self,
        bucket: &BucketName,
        config: &BucketConfig,
    ) -> Result<Receipted<bool>, Error> {
        let mut call = configure(bucket, config)?;
        asks_for_receipt(&mut call);
        let answer = self.caller.send(&call).await?;
        let created = answer.parts.status == http::StatusCode::CREATED;
        Receipted::of(&self.caller, created, answer).await
    }

    /// The buckets in which the caller has any grant.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn buckets(&self) -> Result<Vec<BucketInfo>, Error> {
        let answer = self
            .caller
            .send(&Call::new(Method::Get, "/v1".to_owned()).by_session())
            .await?;
        parse(&answer.bytes().await?).map(|Buckets { buckets }| buckets)
    }

    /// One bucket's configuration and usage.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn bucket(&self, bucket: &BucketName) -> Result<BucketInfo, Error> {
        let answer = self
            .caller
            .send(&Call::new(Method::Get, bucket_path(bucket)))
            .await?;
        parse(&answer.bytes().await?)
    }

    /// Deletes a bucket: an empty one, or with `force` all that is in it.
    ///
    /// # Errors
    /// `Api`, `Transport`, `OutcomeUnknown`.
    pub async fn delete_bucket(&self, bucket: &BucketName, force: bool) -> Result<(), Error> {
        self.caller.send(&remove(bucket, force)).await.map(|_| ())
    }

    /// The same, with the receipt of the change.
    ///
    /// # Errors
    /// Those of [`Client::delete_bucket`].
    pub async fn delete_bucket_with_receipt(
        &self,
        bucket: &BucketName,
        force: bool,
    ) -> Result<Receipted<()>, Error> {
        let mut call = remove(bucket, force);
        asks_for_receipt(&mut call);
        let answer = self.caller.send(&call).await?;
        Receipted::of(&self.caller, (), answer).await
    }
}

fn configure(bucket: &BucketName, config: &BucketConfig) -> Result<Call, Error> {
    let body = serde_json::to_vec(config).map_err(|error| Error::Local(error.to_string()))?;
    let mut call = Call::new(Method::Put, bucket_path(bucket));
    call.headers
        .push(("content-type".to_owned(), "application/json".to_owned()));
    call.source = Source::of_bytes(body.into());
    Ok(call)
}

fn remove(bucket: &BucketName, force: bool) -> Call {
    let call = Call::new(Method::Delete, bucket_path(bucket));
    if force {
        call.query(&[("force", "true")])
    } else {
        call
    }
}

/// Reads a JSON answer.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(json)
        .map_err(|error| Error::Transport(format!("the server's answer is not understood: {error}")))
}
