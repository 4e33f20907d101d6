//! Documents between files and buckets: JSON Lines, a JSON array, BSON. Files of any size: one document is in memory, and
//! what is on its way.
//!
//! `read` and `write` are about files alone, `extended` about what BSON has and JSON lacks.

mod export;
mod extended;
mod import;
mod read;
mod write;

use std::path::Path;

pub use self::export::{ExportOptions, Exported};
pub use self::import::{ImportError, ImportOptions, Imported};
pub use self::read::{DocumentReader, Found, ReadError};
pub use self::write::DocumentWriter;

/// The members that the server gives to each document beside `_id`. A file may have them; they are not stored again.
const ENVELOPE: [&str; 6] = ["_v", "_ts", "_prev", "_by", "_hash", "_sig"];

/// How documents stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON object on each line.
    JsonLines,
    /// One JSON array of objects.
    Json,
    /// One BSON document behind the other, as `mongodump` writes them.
    Bson,
}

impl Format {
    /// What the name of a file ends with tells: `.jsonl` and `.ndjson`, `.json`, `.bson`.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "json" => Some(Self::Json),
            "bson" => Some(Self::Bson),
            _ => None,
        }
    }
}
