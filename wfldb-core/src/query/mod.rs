//! Queries of documents: the language of selectors, definitions of indexes and the keys of their entries. Pure, over
//! JSON values; how an index is stored and walked is the engine's.

mod condition;
mod entry;
mod error;
mod index;
mod parse;
mod pattern;
mod selector;

pub use self::condition::{Comparison, Condition, JsonType, Test};
pub use self::entry::{IndexEntry, KeyRange, TooManyEntries};
pub use self::error::{QueryError, QueryFault};
pub use self::index::{Direction, IndexDefinition, IndexField, IndexKind, IndexName};
pub use self::pattern::Pattern;
pub use self::selector::{Selector, TextSearch};
