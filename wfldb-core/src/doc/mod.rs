//! The rules of documents: which JSON they are, how values are ordered, how members are named. Pure, like all of this
//! crate; where documents are stored is the engine's.

mod collate;
mod instant;
mod json;
mod lazy;
mod order;
mod path;
mod timed;

pub use self::instant::instant;
pub(crate) use self::instant::{month_of, spell, start_of_month};
pub use self::json::{JsonError, JsonFault, canonical, parse, parse_object};
pub use self::lazy::{FieldSet, Raw};
pub use self::order::{compare, write_begin_of_text, write_key};
pub use self::path::{FieldPath, PathError};
pub use self::timed::{TimeFieldError, document_time};

/// A JSON value. Objects are maps sorted by name; numbers that are whole are integers.
pub type Value = serde_json::Value;
/// The members of a JSON object.
pub type Object = serde_json::Map<String, Value>;
