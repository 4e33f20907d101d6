//! Questions about the documents of a bucket: built step by step, answered as a stream over pages.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};
use wfldb_core::auth::Method;
use wfldb_core::id::Seq;
use wfldb_core::limits::FIND_LIMIT_MAX;
use wfldb_core::name::BucketName;
use wfldb_net::find::{ExplainAnswer, FindAnswer};

use crate::bucket::parse;
use crate::call::{Call, bucket_path};
use crate::outgoing::Source;
use crate::retry::Safety;
use crate::{Client, Error};

/// A question.
///
/// ```
/// use serde_json::json;
/// use wfldb_client::Query;
///
/// let query = Query::all()
///     .filter(json!({"year": {"$gte": 1980}}))
///     .filter(json!({"genre": {"$all": ["drama"]}}))
///     .sort_descending("year")
///     .sort("title")
///     .limit(20)
///     .projection(["_id", "title", "year"]);
/// assert_eq!(query.body()["sort"], json!([{"year": "desc"}, {"title": "asc"}]));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    filters: Vec<Value>,
    sort: Vec<Value>,
    fields: Vec<String>,
    limit: Option<usize>,
    skip: usize,
    page: usize,
    use_index: Option<String>,
    wait: Option<Seq>,
}

impl Query {
    /// For all documents.
    #[must_use]
    pub fn all() -> Self {
        Self {
            filters: Vec::new(),
            sort: Vec::new(),
            fields: Vec::new(),
            limit: None,
            skip: 0,
            page: FIND_LIMIT_MAX,
            use_index: None,
            wait: None,
        }
    }

    /// Only documents that this selector wants too.
    #[must_use]
    pub fn filter(mut self, selector: Value) -> Self {
        self.filters.push(selector);
        self
    }

    /// Only documents that this search of the full text finds, in the language of [`Client::search`]: the best match
    /// first, without [`Query::sort`]. Once in a question.
    ///
    /// ```
    /// use serde_json::json;
    /// use wfldb_client::Query;
    ///
    /// let query = Query::all().text("title:fox -hound").filter(json!({"year": 1999}));
    /// assert_eq!(query.body()["selector"], json!({"$and": [{"$text": "title:fox -hound"}, {"year": 1999}]}));
    /// ```
    #[must_use]
    pub fn text(self, search: &str) -> Self {
        self.filter(json!({"$text": search}))
    }

    /// The search knows every change up to this `seq`, as a write's answer names it. Only with [`Query::text`]: the
    /// documents themselves are always as they are now.
    #[must_use]
    pub fn wait(mut self, seq: Seq) -> Self {
        self.wait = Some(seq);
        self
    }

    /// In the order of this field; of more of them, the first given decides first.
    #[must_use]
    pub fn sort(mut self, field: &str) -> Self {
        self.sort.push(json!({field: "asc"}));
        self
    }

    /// In the order of this field, the largest first.
    #[must_use]
    pub fn sort_descending(mut self, field: &str) -> Self {
        self.sort.push(json!({field: "desc"}));
        self
    }

    /// So many at most, over all pages.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Without the first so many.
    #[must_use]
    pub fn skip(mut self, skip: usize) -> Self {
        self.skip = skip;
        self
    }

    /// Only these members.
    #[must_use]
    pub fn projection(mut self, fields: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.fields = fields.into_iter().map(Into::into).collect();
        self
    }

    /// Documents on one page, 1 to 1000.
    #[must_use]
    pub fn page(mut self, page: usize) -> Self {
        self.page = page.clamp(1, FIND_LIMIT_MAX);
        self
    }

    /// By this index, or not at all.
    #[must_use]
    pub fn use_index(mut self, name: &str) -> Self {
        self.use_index = Some(name.to_owned());
        self
    }

    /// The body of the first page's request.
    #[must_use]
    pub fn body(&self) -> Value {
        let selector = match self.filters.as_slice() {
            [] => json!({}),
            [only] => only.clone(),
            several => json!({ "$and": several }),
        };
        let mut body = Map::new();
        let limit = self.limit.map_or(self.page, |limit| limit.min(self.page));
        body.insert("selector".to_owned(), selector);
        body.insert("limit".to_owned(), limit.into());
        if !self.sort.is_empty() {
            body.insert("sort".to_owned(), self.sort.clone().into());
        }
        if !self.fields.is_empty() {
            body.insert("fields".to_owned(), self.fields.clone().into());
        }
        if self.skip > 0 {
            body.insert("skip".to_owned(), self.skip.into());
        }
        if let Some(name) = &self.use_index {
            body.insert("use_index".to_owned(), name.as_str().into());
        }
        Value::Object(body)
    }
}

/// The documents that a question wants, fetched page by page.
#[derive(Debug)]
pub struct Documents {
    client: Client,
    path: String,
    wait: Option<Seq>,
    body: Value,
    /// How many more are wanted; `None`: all.
    left: Option<usize>,
    page: usize,
    over: bool,
    waiting: VecDeque<Value>,
}

impl Documents {
    /// The next document; `None` after the last.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn next(&mut self) -> Result<Option<Value>, Error> {
        loop {
            if let Some(document) = self.waiting.pop_front() {
                return Ok(Some(document));
            }
            match self.next_page().await? {
                None => return Ok(None),
                Some(page) => self.waiting = page.into(),
            }
        }
    }

    /// The next page, which can be short or empty and not be the last; `None` after the last. Not to be mixed with
    /// [`Documents::next`].
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Value>>, Error> {
        if self.over || self.left == Some(0) {
            return Ok(None);
        }
        if let Some(left) = self.left
            && let Some(body) = self.body.as_object_mut()
        {
            body.insert("limit".to_owned(), left.min(self.page).into());
        }
        let answer: FindAnswer = self.client.ask(&self.path, self.wait, &self.body).await?;
        self.left = self.left.map(|left| left.saturating_sub(answer.docs.len()));
        match (answer.bookmark, self.body.as_object_mut()) {
            (Some(bookmark), Some(body)) => {
                body.insert("bookmark".to_owned(), bookmark.into());
            }
            _ => self.over = true,
        }
        Ok(Some(answer.docs))
    }

    /// All that are left.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn all(mut self) -> Result<Vec<Value>, Error> {
        let mut all = Vec::new();
        while let Some(document) = self.next().await? {
            all.push(document);
        }
        Ok(all)
    }
}

impl Client {
    /// The documents that a question wants. Nothing is asked until the first is.
    pub fn find(&self, bucket: &BucketName, query: &Query) -> Documents {
        Documents {
            client: self.clone(),
            path: format!("{}/_find", bucket_path(bucket)),
            wait: query.wait,
            body: query.body(),
            left: query.limit,
            page: query.page,
            over: false,
            waiting: VecDeque::new(),
        }
    }

    /// How many documents a question wants, whatever its limit and skip are. The store looks at all of them.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn count(&self, bucket: &BucketName, query: &Query) -> Result<u64, Error> {
        let mut body = query.body();
        if let Some(members) = body.as_object_mut() {
            members.insert("limit".to_owned(), 0.into());
            members.insert("count".to_owned(), true.into());
            members.remove("sort");
        }
        let path = format!("{}/_find", bucket_path(bucket));
        let answer: FindAnswer = self.ask(&path, query.wait, &body).await?;
        answer
            .count
            .ok_or_else(|| Error::Transport("the server's answer has no count".to_owned()))
    }

    /// How the store answers the first page of a question, and what that costs. It needs a grant for the whole bucket.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn explain(&self, bucket: &BucketName, query: &Query) -> Result<ExplainAnswer, Error> {
        let path = format!("{}/_explain", bucket_path(bucket));
        self.ask(&path, query.wait, &query.body()).await
    }

    /// Sends a question. It changes nothing, so it may come over a session, and twice.
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        wait: Option<Seq>,
        body: &Value,
    ) -> Result<T, Error> {
        let mut call = Call::new(Method::Post, path.to_owned()).by_session();
        if let Some(seq) = wait {
            call = call.query(&[("wait", &seq.to_string())]);
        }
        call.headers
            .push(("content-type".to_owned(), "application/json".to_owned()));
        call.source = Source::of_bytes(body.to_string().into());
        call.safety = Safety::Read;
        parse(&self.caller.send(&call).await?.bytes().await?)
    }
}
