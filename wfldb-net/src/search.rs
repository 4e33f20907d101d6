//! The shapes of a search and of what is told about a full-text index. What a request for one says is
//! [`wfldb_core::text::SearchRequest`].

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wfldb_core::id::VersionId;
use wfldb_core::name::ObjectKey;

use crate::text;

/// A page of what a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchAnswer {
    /// The hits, best first; equal scores by key.
    pub items: Vec<SearchItem>,
    /// More match.
    pub more: bool,
    /// Every change of the bucket up to this one was looked at.
    pub seq: u64,
}

/// A document that matches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchItem {
    /// Its key.
    #[serde(with = "text")]
    pub key: ObjectKey,
    /// Its version.
    #[serde(with = "text")]
    pub version: VersionId,
    /// How well it matches. Scores of different searches cannot be compared.
    pub score: f32,
    /// The places that match, where they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub highlights: Vec<SearchHighlight>,
    /// The document, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Value>,
}

/// A place that matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchHighlight {
    /// The field, as the bucket's configuration names it.
    pub field: String,
    /// The text in pieces: the second, the fourth and so on match. There is no markup in it but the document's own.
    pub pieces: Vec<String>,
}

/// How far a full-text index is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchStatus {
    /// `making`, `ready` or `failing`.
    pub state: String,
    /// Every change of the bucket up to this one is in it.
    pub seq: u64,
    /// How many changes are not in it yet.
    pub behind: u64,
    /// Documents in it.
    pub documents: u64,
    /// How often it was made since the server started.
    pub made: u64,
    /// How often it failed since the server started.
    pub failures: u64,
}
