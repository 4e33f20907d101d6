//! Searching the documents of a bucket by their words.

use wfldb_core::auth::{Method, Target};
use wfldb_core::id::Seq;
use wfldb_core::name::BucketName;
use wfldb_core::text::SearchRequest;
use wfldb_net::search::{SearchAnswer, SearchStatus};

use crate::bucket::parse;
use crate::call::Call;
use crate::outgoing::Source;
use crate::retry::Safety;
use crate::{Client, Error};

fn call(method: Method, bucket: &BucketName) -> Call {
    Call::new(method, Target::Search(bucket.clone()).path())
}

impl Client {
    /// Searches a bucket that has a full-text index. With `wait` the answer knows every change up to that `seq`, as a
    /// write's answer names it.
    ///
    /// # Errors
    /// `Api`: 400 `BadSearch` with the place of the fault, `NotIndexed`, `TextNotBuilt`; 503 `TextNotReady`,
    /// `TextBehind`. `Transport`.
    pub async fn search(
        &self,
        bucket: &BucketName,
        request: &SearchRequest,
        wait: Option<Seq>,
    ) -> Result<SearchAnswer, Error> {
        let mut call = call(Method::Post, bucket);
        if let Some(seq) = wait {
            call = call.query(&[("wait", &seq.to_string())]);
        }
        call.headers
            .push(("content-type".to_owned(), "application/json".to_owned()));
        let body = serde_json::to_vec(request).map_err(|error| Error::Local(error.to_string()))?;
        call.source = Source::of_bytes(body.into());
        // Nothing is written.
        call.safety = Safety::Idempotent;
        parse(&self.caller.send(&call).await?.bytes().await?)
    }

    /// How far the full-text index of a bucket is. Needs op `manage`.
    ///
    /// # Errors
    /// As [`Client::search`].
    pub async fn search_status(&self, bucket: &BucketName) -> Result<SearchStatus, Error> {
        let call = call(Method::Get, bucket);
        parse(&self.caller.send(&call).await?.bytes().await?)
    }

    /// Has the full-text index of a bucket made anew. It answers again once that is done. Needs op `manage`.
    ///
    /// # Errors
    /// As [`Client::search`].
    pub async fn rebuild_search(&self, bucket: &BucketName) -> Result<(), Error> {
        let mut call = call(Method::Post, bucket).query(&[("rebuild", "true")]);
        call.safety = Safety::Idempotent;
        self.caller.send(&call).await?.bytes().await.map(drop)
    }
}
