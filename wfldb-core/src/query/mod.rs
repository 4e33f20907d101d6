//! Queries of documents: the language of selectors. Pure, over JSON values; how an index is stored and walked is the
//! engine's.

mod condition;
mod error;
mod parse;
mod pattern;
mod selector;

pub use self::condition::{Comparison, Condition, JsonType, Test};
pub use self::error::{QueryError, QueryFault};
pub use self::pattern::Pattern;
pub use self::selector::{Selector, TextSearch};
