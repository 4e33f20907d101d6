//! Questions about documents: carrying out the plans of `wfldb_core::query` over one snapshot, within a budget.

mod budget;
mod find;
mod narrowed;
mod position;
mod rows;
mod run;
mod sorted;

pub use self::budget::FindStats;
pub use self::find::{Explained, Found, PlanSummary};
pub(crate) use self::narrowed::Narrowed;
pub use self::position::FindPosition;
pub use self::sorted::TextMatch;
