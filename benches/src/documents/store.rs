//! What every store of documents is asked, each in its own language.

use serde::Serialize;
use serde_json::Value;

use super::data::Totals;
use crate::Failure;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    /// One new document, on stable storage.
    Insert,
    /// A document by its key.
    Read,
    /// The orders of one customer.
    Equal,
    /// At most 100 orders with a total in a range, by total.
    Range,
    /// The 20 newest orders with a status.
    Newest,
    /// Number, sum and average of the totals of each city, over all orders.
    Aggregate,
    /// The 20 best orders of which the note has two words.
    Search,
}

impl Task {
    pub(crate) const ALL: [Self; 7] = [
        Self::Insert,
        Self::Read,
        Self::Equal,
        Self::Range,
        Self::Newest,
        Self::Aggregate,
        Self::Search,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Read => "read",
            Self::Equal => "equal",
            Self::Range => "range",
            Self::Newest => "newest",
            Self::Aggregate => "aggregate",
            Self::Search => "search",
        }
    }

    /// Requests in flight at once: a pass over everything needs no company.
    pub(crate) fn clients(self, most: usize) -> usize {
        if self == Self::Aggregate { 1 } else { most }
    }
}

/// Most documents of a range.
pub(crate) const RANGE_LIMIT: u64 = 100;
/// Most documents of the newest, and of a search.
pub(crate) const FEW_LIMIT: u64 = 20;

/// One question with what it needs.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    Insert(String, Value),
    Read(String),
    Equal(String),
    Range(Totals),
    Newest(&'static str),
    Aggregate,
    Search([String; 2]),
}

/// A store under load; `client` says which of the clients asks, so that each can have its connection.
pub(crate) trait DocumentStore: Send + Sync + 'static {
    /// Stores many documents as fast as the store can, then makes the indexes that the questions need, and waits until
    /// they answer.
    fn load(&self, documents: super::data::Orders) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Asks, and answers how many documents or groups came back whole.
    fn ask(&self, client: usize, question: Question) -> impl Future<Output = Result<u64, Failure>> + Send;
}
