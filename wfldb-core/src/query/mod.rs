//! Queries of documents: the language of selectors. Pure, over JSON values; how an index is stored and walked is the
//! engine's.

mod condition;
mod error;
mod evaluate;
mod imply;
mod parse;
mod pattern;
mod plan;
mod project;
mod request;
mod selector;
mod sort;
mod source;

pub use self::condition::{Comparison, Condition, JsonType, Test};
pub use self::error::{QueryError, QueryFault};
pub use self::evaluate::Evaluator;
pub use self::pattern::Pattern;
pub use self::plan::{Access, IndexWish, Known, Plan, Walk, plan};
pub use self::project::project;
pub use self::request::FindRequest;
pub use self::selector::{Selector, TextSearch};
pub use self::sort::{SortField, sort_key};
