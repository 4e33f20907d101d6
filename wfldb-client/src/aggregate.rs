//! Aggregation of documents.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;
use wfldb_core::auth::Method;
use wfldb_core::limits::AGGREGATE_MS_MAX;
use wfldb_core::name::BucketName;

use crate::bucket::parse;
use crate::call::{Call, bucket_path};
use crate::outgoing::Source;
use crate::retry::Safety;
use crate::{Client, Error};

/// The groups of documents, and what it took to find them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Aggregated {
    /// A row for each group, in order.
    pub rows: Vec<Map<String, Value>>,
    /// Documents that were looked at.
    pub examined: u64,
    /// Documents that the pipeline's selectors match.
    pub matched: u64,
    /// How long the server took, in milliseconds.
    pub took_ms: u64,
}

impl Client {
    /// Groups the documents of a bucket by a pipeline: the list of stages that docs/PROTOCOL.md describes
    /// (`POST /v1/{bucket}/_aggregate`). All of it is of one moment. Needs op `query`.
    ///
    /// ```no_run
    /// # async fn example(client: wfldb_client::Client) -> Result<(), wfldb_client::Error> {
    /// use serde_json::json;
    /// use wfldb_core::name::BucketName;
    ///
    /// let sales = BucketName::parse("sales").map_err(|error| wfldb_client::Error::Local(error.to_string()))?;
    /// let by_city = client
    ///     .aggregate(&sales, &json!([{"group": {"by": ["city"], "fields": {"total": {"sum": "price"}}}}]))
    ///     .await?;
    /// for row in by_city.rows {
    ///     println!("{} {}", row["city"], row["total"]);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn aggregate(&self, bucket: &BucketName, pipeline: &Value) -> Result<Aggregated, Error> {
        let mut call = Call::new(Method::Post, format!("{}/_aggregate", bucket_path(bucket))).by_session();
        call.headers
            .push(("content-type".to_owned(), "application/json".to_owned()));
        let mut body = Map::new();
        body.insert("pipeline".to_owned(), pipeline.clone());
        call.source = Source::of_bytes(Value::Object(body).to_string().into());
        call.safety = Safety::Read;
        // Nothing comes before all documents were looked at.
        call.silence_max += Duration::from_millis(AGGREGATE_MS_MAX);
        parse(&self.caller.send(&call).await?.bytes().await?)
    }
}
