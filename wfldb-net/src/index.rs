//! Indexes as answers show them: CouchDB's shapes, with members of ours beside. What asks for one is
//! `wfldb_core::index::IndexDefinition`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wfldb_core::index::IndexDefinition;

/// How far an index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexState {
    /// It answers nothing yet.
    Building,
    /// It has every document.
    Ready,
    /// It could not be built.
    Failed,
}

/// One index of a bucket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexForm {
    /// Where CouchDB keeps it; here nowhere, so null.
    pub ddoc: Option<String>,
    /// Its name.
    pub name: String,
    /// `json`, `hash`, or `special` for the documents' keys themselves.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its fields, and `partial_filter_selector`.
    pub def: Value,
    /// No two documents have the same values.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unique: bool,
    /// Documents that lack a field are not in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sparse: bool,
    /// It was made because a query would gain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
    /// How far it is.
    pub state: IndexState,
    /// While it is being built: documents that were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<u64>,
    /// While it is being built: about how many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl IndexForm {
    /// The order of the documents' keys, which is always there.
    pub fn all_documents() -> Self {
        Self {
            ddoc: None,
            name: "_all_docs".to_owned(),
            kind: "special".to_owned(),
            def: json!({"fields": [{"_id": "asc"}]}),
            unique: false,
            sparse: false,
            automatic: false,
            state: IndexState::Ready,
            documents: None,
            of: None,
            reason: None,
        }
    }

    /// An index that is built.
    pub fn of(definition: &IndexDefinition) -> Self {
        let json = definition.to_json();
        Self {
            name: definition.name.to_string(),
            kind: json
                .get("type")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            def: json.get("index").cloned().unwrap_or_default(),
            unique: definition.unique,
            sparse: definition.sparse,
            ..Self::all_documents()
        }
    }
}

/// The indexes of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexList {
    /// How many.
    pub total_rows: u64,
    /// In the order in which they were made.
    pub indexes: Vec<IndexForm>,
}

/// What making an index did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexMade {
    /// `created` or `exists`.
    pub result: String,
    /// Its name again, where CouchDB has the name of a document.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: IndexState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
