//! The rows of one document in one index: a pure function of definition, key and document.

use std::collections::BTreeSet;

use super::key::{FieldKey, Way};
use crate::doc::{FieldPath, Value};
use crate::limits::INDEX_ENTRIES_MAX;
use crate::name::ObjectKey;

/// Bytes of the hash that stands for all values in an index of kind `hash`.
pub(super) const HASH_BYTES: usize = 16;

/// One row of an index. Rows have the order of their fields, then of their `elements`, then of the document's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexEntry {
    /// The fields' parts.
    pub fields: Vec<u8>,
    /// Which fields hold an element of the document's array instead of the value itself: bit 0 is the first field.
    pub elements: u8,
    /// Whether `fields` has the values whole. Else they begin with them, or are a hash, and the document has to be asked.
    pub exact: bool,
    /// Whether no other document may have the same: a unique index, and every field is there with its own value.
    pub unique: bool,
}

/// A document cannot be indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// More than [`INDEX_ENTRIES_MAX`] rows.
    #[error("the document's arrays make more than {INDEX_ENTRIES_MAX} entries in the index")]
    TooManyEntries,
}

/// What of a definition decides on the rows.
pub(super) struct Shape<'a> {
    pub(super) fields: &'a [(FieldPath, Way)],
    pub(super) hash: bool,
    pub(super) unique: bool,
    pub(super) sparse: bool,
}

impl Shape<'_> {
    /// The rows of a document that the index is about, each once, in order.
    pub(super) fn entries(&self, document: &Value) -> Result<Vec<IndexEntry>, IndexError> {
        let values: Vec<Option<&Value>> = self.fields.iter().map(|(path, _)| path.of(document)).collect();
        let complete = values.iter().all(Option::is_some);
        if self.sparse && !complete {
            return Ok(Vec::new());
        }
        // An index by hash answers only whether all values are equal, so elements have no place in it.
        if self.hash {
            return Ok(vec![IndexEntry {
                fields: hash_of(values.iter().copied()),
                elements: 0,
                exact: false,
                unique: self.unique && complete,
            }]);
        }
        let mut rows = vec![(Vec::new(), 0u8, true)];
        for (place, ((_, way), value)) in self.fields.iter().zip(&values).enumerate() {
            let parts = parts(*value, *way, place);
            if rows.len().saturating_mul(parts.len()) > INDEX_ENTRIES_MAX {
                return Err(IndexError::TooManyEntries);
            }
            rows = rows
                .iter()
                .flat_map(|(fields, elements, exact)| {
                    parts.iter().map(move |(part, element)| {
                        let fields = [fields.as_slice(), &part.bytes].concat();
                        (fields, elements | element, *exact && part.exact)
                    })
                })
                .collect();
        }
        let rows = rows.into_iter().map(|(fields, elements, exact)| IndexEntry {
            fields,
            elements,
            exact,
            unique: self.unique && complete && elements == 0,
        });
        Ok(rows.collect::<BTreeSet<_>>().into_iter().collect())
    }
}

/// The parts of one field: its value, and where that is an array each element once.
fn parts(value: Option<&Value>, way: Way, place: usize) -> Vec<(FieldKey, u8)> {
    let mut parts = vec![(FieldKey::of(value, way), 0)];
    if let Some(Value::Array(elements)) = value {
        let element = 1u8
            .checked_shl(u32::try_from(place).unwrap_or(u32::MAX))
            .unwrap_or(0);
        // One more than the limit is enough to be refused, however long the array is.
        let mut distinct = BTreeSet::new();
        for value in elements {
            distinct.insert(FieldKey::of(Some(value), way));
            if distinct.len() > INDEX_ENTRIES_MAX {
                break;
            }
        }
        parts.extend(distinct.into_iter().map(|part| (part, element)));
    }
    parts
}

/// What an index of kind `hash` keeps of its fields.
pub(super) fn hash_of<'a>(values: impl Iterator<Item = Option<&'a Value>>) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    for value in values {
        hasher.update(&super::key::whole(value));
    }
    hasher
        .finalize()
        .as_bytes()
        .iter()
        .take(HASH_BYTES)
        .copied()
        .collect()
}

impl IndexEntry {
    /// The entry's key for a document: distinct for each document and entry.
    pub fn key(&self, object: &ObjectKey) -> Vec<u8> {
        [
            &self.fields,
            [self.elements].as_slice(),
            object.as_str().as_bytes(),
        ]
        .concat()
    }
}
