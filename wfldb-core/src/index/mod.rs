//! Indexes of documents: what one is, and which rows a document has in it. Pure; where the rows are stored and who keeps
//! them is the engine's.
//!
//! A row has the fields' values as bytes that compare like the values (see [`crate::doc::compare`]), then the document's
//! key. An absent field has a mark below every value. An array stands in the index as a whole and once for each distinct
//! element; which of the two a row is stands in it. A value that is long is cut, and a row that was cut, or has only a
//! hash, says so: whoever asks has to look at the document.

mod definition;
mod entry;
mod key;

pub use self::definition::{DefinitionError, IndexDefinition, IndexKind, IndexName};
pub use self::entry::{IndexEntry, IndexError};
pub use self::key::{End, KeyRange};
