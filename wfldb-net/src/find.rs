//! The answers of `_find` and `_explain`. What is asked is `wfldb_core::query::FindRequest`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The documents that a question wants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FindAnswer {
    /// The documents, or the members of them that were asked for.
    pub docs: Vec<Value>,
    /// What the next answer is asked for with; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bookmark: Option<String>,
    /// How many documents there are, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Of a question with `$text`: its search knew every change of the bucket up to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What the answer did cost, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_stats: Option<ExecutionStats>,
}

/// What an answer did cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionStats {
    /// Rows of an index, or of the documents' keys; absent for a caller who may not see the whole bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_keys_examined: Option<u64>,
    /// Documents that were read; absent for a caller who may not see the whole bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_docs_examined: Option<u64>,
    /// Documents that were answered.
    pub results_returned: u64,
    /// Microseconds in the storage.
    pub execution_time_us: u64,
}

/// How a question is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainAnswer {
    /// The index that is walked; `_all_docs` for the keys of the documents, `_text` for what a search found.
    pub index: String,
    /// In so many ranges of it.
    pub ranges: u64,
    /// From the end.
    pub reverse: bool,
    /// The walk gives the order; else all that is wanted is sorted in memory.
    pub in_order: bool,
    /// What the answer costs.
    pub execution_stats: ExecutionStats,
    /// It costs more than one may, and `_find` refuses it.
    pub over_budget: bool,
    /// The body that `_index` makes a better index of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<Value>,
}
