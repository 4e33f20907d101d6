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
    /// A hundred new documents in one commit.
    Bulk,
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
    pub(crate) const ALL: [Self; 8] = [
        Self::Insert,
        Self::Bulk,
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
            Self::Bulk => "bulk",
            Self::Read => "read",
            Self::Equal => "equal",
            Self::Range => "range",
            Self::Newest => "newest",
            Self::Aggregate => "aggregate",
            Self::Search => "search",
        }
    }

    /// Requests in flight at once, one measurement for each number: a pass over everything needs no company.
    pub(crate) fn clients(self, usual: usize) -> Vec<usize> {
        match self {
            Self::Insert => INSERTERS.to_vec(),
            Self::Bulk => vec![1, usual],
            Self::Aggregate => vec![1],
            _ => vec![usual],
        }
    }

    /// Whether it adds documents.
    pub(crate) fn writes(self) -> bool {
        matches!(self, Self::Insert | Self::Bulk)
    }
}

/// Clients that insert documents one by one.
const INSERTERS: [usize; 3] = [1, 16, 64];
/// Connections, where each client has its own.
#[cfg(feature = "sql")]
pub(crate) const CLIENTS_MAX: usize = 64;
/// Documents of a bulk insert.
pub(crate) const BULK_DOCUMENTS: u64 = 100;
/// Most documents of a range.
pub(crate) const RANGE_LIMIT: u64 = 100;
/// Most documents of the newest, and of a search.
pub(crate) const FEW_LIMIT: u64 = 20;

/// One question with what it needs.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    Insert(String, Value),
    Bulk(Vec<(String, Value)>),
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

    /// Waits until what the store does behind its answers is done: questions are measured alone.
    fn settle(&self) -> impl Future<Output = Result<(), Failure>> + Send {
        std::future::ready(Ok(()))
    }

    /// Whether it can be asked this at all.
    fn can(&self, _task: Task) -> bool {
        true
    }

    /// Asks, and answers how many documents or groups came back whole: each read as JSON, as a client would. A write
    /// answers how many documents are on stable storage.
    fn ask(&self, client: usize, question: Question) -> impl Future<Output = Result<u64, Failure>> + Send;
}
