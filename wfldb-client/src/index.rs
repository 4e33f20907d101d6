//! Indexes of a bucket of documents: list, make, drop. Needs `manage` of the whole bucket.

use std::time::Duration;

use wfldb_core::auth::Method;
use wfldb_core::index::{IndexDefinition, IndexName};
use wfldb_core::name::BucketName;
use wfldb_net::index::{IndexForm, IndexList, IndexMade};

use crate::bucket::parse;
use crate::call::{Call, bucket_path};
use crate::outgoing::Source;
use crate::retry::Safety;
use crate::{Client, Error};

/// A server that is asked to wait answers within a minute.
const WAIT_SILENCE_MAX: Duration = Duration::from_mins(2);

impl Client {
    /// The indexes of a bucket, and how far each is.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn indexes(&self, bucket: &BucketName) -> Result<Vec<IndexForm>, Error> {
        let call = Call::new(Method::Get, index_path(bucket));
        let answer: IndexList = parse(&self.caller.send(&call).await?.bytes().await?)?;
        Ok(answer.indexes)
    }

    /// Makes an index, or finds that it is there; with `wait` the answer comes when it is built, or after a minute. The
    /// same definition twice is one index, so this may be sent again.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn create_index(
        &self,
        bucket: &BucketName,
        definition: &IndexDefinition,
        wait: bool,
    ) -> Result<IndexMade, Error> {
        let mut call = Call::new(Method::Post, index_path(bucket));
        if wait {
            call = call.query(&[("wait", "true")]);
            call.silence_max = WAIT_SILENCE_MAX;
        }
        call.headers
            .push(("content-type".to_owned(), "application/json".to_owned()));
        call.source = Source::of_bytes(definition.to_json().to_string().into());
        call.safety = Safety::Idempotent;
        parse(&self.caller.send(&call).await?.bytes().await?)
    }

    /// Drops an index.
    ///
    /// # Errors
    /// `Api`, `Transport`, `OutcomeUnknown`.
    pub async fn drop_index(&self, bucket: &BucketName, name: &IndexName) -> Result<(), Error> {
        let call = Call::new(Method::Delete, index_path(bucket)).query(&[("name", name.as_str())]);
        self.caller.send(&call).await.map(|_| ())
    }
}

fn index_path(bucket: &BucketName) -> String {
    format!("{}/_index", bucket_path(bucket))
}
