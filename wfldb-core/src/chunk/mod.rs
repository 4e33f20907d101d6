//! How an object is cut into chunks and a chunk into groups, and the hash maths between them.
//! Not here: chunk files.

mod group;
mod plan;

pub use group::{group_count, group_len, group_matches, group_values, object_root, root, value_at};
pub use plan::{ChunkPlan, ChunkSpan};
