//! Aggregation of documents: match, group, sort. Pure and in one pass, over the canonical texts of documents in any order;
//! the memory of the groups is counted and bounded. Which documents there are is the engine's.

mod bounds;
mod distinct;
mod groups;
mod ordered;
mod parse;
mod percentile;
mod pipeline;
mod state;
mod step;
mod sum;

pub use self::bounds::KeyBounds;
pub use self::groups::{AggregateRows, Aggregation, TooManyGroups};
pub use self::pipeline::Pipeline;
