//! Full text: an index of the words of a bucket's documents, kept by tantivy, as a view on the change log.
//!
//! The index is never the source of truth. Each hit is held against the newest version of its key, and against what
//! the caller may see, before it counts; an index that is lost or damaged is made again from the documents.
//!
//! What is not here: how a search is written ([`wfldb_core::text`]), the documents and their log (`wfldb_engine`), and
//! anything of sockets.

mod analysis;
mod compile;
mod error;
mod excluded;
mod highlight;
mod index;
mod page;
mod schema;
mod search;
mod statistics;
mod views;
mod worker;

#[cfg(test)]
mod tests;

pub use self::error::TextViewError;
pub use self::highlight::Highlight;
pub use self::page::{SearchHit, SearchPage, TextMatches};
pub use self::views::{TextProgress, TextState, TextViews, Until};
