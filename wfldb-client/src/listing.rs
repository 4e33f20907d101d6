//! Listings as streams over pages: the keys of a bucket, the versions of a key.

use std::collections::VecDeque;

use wfldb_core::auth::Method;
use wfldb_core::limits::SCAN_LIMIT_MAX;
use wfldb_core::name::{BucketName, KeyPrefix, ObjectKey};
use wfldb_core::object::Tags;
use wfldb_net::listing::{Item, Listing};

use crate::bucket::parse;
use crate::call::{Call, bucket_path, object_path};
use crate::{Client, Error};

/// Which keys, and in which order.
#[derive(Debug, Clone)]
pub struct ScanQuery {
    /// Only keys that begin so.
    pub prefix: KeyPrefix,
    /// Only keys after this text (before it, when reversed).
    pub after: Option<String>,
    /// Keys with this text behind the prefix are folded into one common prefix.
    pub delimiter: Option<String>,
    /// From the last key to the first.
    pub reverse: bool,
    /// Only keys whose newest version has all of these tags.
    pub tags: Tags,
    /// Keys on one page, at most 1000.
    pub page: usize,
}

impl ScanQuery {
    /// The same query for keys that also have this tag.
    ///
    /// ```
    /// use wfldb_client::ScanQuery;
    ///
    /// let query = ScanQuery::default().tag("colour", "red")?.tag("size", "5")?;
    /// assert_eq!(query.tags.to_string(), "colour=red&size=5");
    /// # Ok::<(), wfldb_client::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Local` for a tag that cannot be, or whose name was given before.
    pub fn tag(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let pairs = self.tags.iter().chain([(name, value)]);
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.tags = Tags::from_pairs(pairs).map_err(|error| Error::Local(error.to_string()))?;
        Ok(self)
    }
}

impl Default for ScanQuery {
    fn default() -> Self {
        Self {
            prefix: KeyPrefix::all(),
            after: None,
            delimiter: None,
            reverse: false,
            tags: Tags::default(),
            page: SCAN_LIMIT_MAX,
        }
    }
}

/// One page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys in order.
    pub items: Vec<Item>,
    /// Common prefixes in order, when a delimiter was given.
    pub prefixes: Vec<String>,
}

/// A listing of keys, fetched page by page.
#[derive(Debug)]
pub struct Scan {
    pages: Pages,
    waiting: VecDeque<Item>,
}

impl Scan {
    /// The next page; `None` after the last. With tags a page can be short or empty and not be the last.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn next_page(&mut self) -> Result<Option<Page>, Error> {
        self.pages.next().await
    }

    /// The next key; `None` after the last. Not to be mixed with [`Scan::next_page`].
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn next(&mut self) -> Result<Option<Item>, Error> {
        loop {
            if let Some(item) = self.waiting.pop_front() {
                return Ok(Some(item));
            }
            match self.pages.next().await? {
                None => return Ok(None),
                Some(page) => self.waiting = page.items.into(),
            }
        }
    }
}

/// The versions of one key, newest first, fetched page by page.
#[derive(Debug)]
pub struct Versions {
    pages: Pages,
    waiting: VecDeque<Item>,
}

impl Versions {
    /// The next version; `None` after the oldest.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn next(&mut self) -> Result<Option<Item>, Error> {
        loop {
            if let Some(item) = self.waiting.pop_front() {
                return Ok(Some(item));
            }
            match self.pages.next().await? {
                None => return Ok(None),
                Some(page) => self.waiting = page.items.into(),
            }
        }
    }
}

#[derive(Debug)]
struct Pages {
    client: Client,
    path: String,
    parameters: Vec<(&'static str, String)>,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    Cursor(String),
    End,
}

impl Pages {
    async fn next(&mut self) -> Result<Option<Page>, Error> {
        let mut pairs: Vec<(&str, &str)> = self
            .parameters
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        match &self.state {
            State::Start => {}
            State::Cursor(cursor) => pairs.push(("cursor", cursor)),
            State::End => return Ok(None),
        }
        let call = Call::new(Method::Get, self.path.clone())
            .by_session()
            .query(&pairs);
        // Both kinds of page are read as the larger one: a page of versions is a listing without prefixes.
        let listing: Listing = parse(&self.client.caller.send(&call).await?.bytes().await?)?;
        self.state = listing.cursor.map_or(State::End, State::Cursor);
        Ok(Some(Page {
            items: listing.items,
            prefixes: listing.prefixes.unwrap_or_default(),
        }))
    }
}

impl Client {
    /// Lists keys. Nothing is asked until the first item is.
    pub fn scan(&self, bucket: &BucketName, query: &ScanQuery) -> Scan {
        let mut parameters = vec![("limit", query.page.clamp(1, SCAN_LIMIT_MAX).to_string())];
        if !query.prefix.is_all() {
            parameters.push(("prefix", query.prefix.to_string()));
        }
        parameters.extend(query.after.clone().map(|after| ("after", after)));
        parameters.extend(query.delimiter.clone().map(|delimiter| ("delimiter", delimiter)));
        if query.reverse {
            parameters.push(("reverse", "true".to_owned()));
        }
        if !query.tags.is_empty() {
            parameters.push(("tag", query.tags.to_string()));
        }
        Scan {
            pages: self.pages(format!("{}/scan", bucket_path(bucket)), parameters),
            waiting: VecDeque::new(),
        }
    }

    /// Lists the versions of a key, tombstones included.
    pub fn versions(&self, bucket: &BucketName, key: &ObjectKey) -> Versions {
        let parameters = vec![("versions", "true".to_owned())];
        Versions {
            pages: self.pages(object_path(bucket, key), parameters),
            waiting: VecDeque::new(),
        }
    }

    fn pages(&self, path: String, parameters: Vec<(&'static str, String)>) -> Pages {
        Pages {
            client: self.clone(),
            path,
            parameters,
            state: State::Start,
        }
    }
}
