//! The entries that a document has in an index: a pure function of the definition and the document.
//!
//! One entry has the values of all fields. For each field whose value is an array there is one more entry for each
//! different element, with the element in its place and the other fields as they are. So an entry with the whole value
//! serves what asks about the value, one with an element what asks about elements.

use super::{Direction, IndexDefinition, IndexKind};
use crate::doc::{Value, write_key};
use crate::limits::{INDEX_ENTRIES_MAX, INDEX_KEY_BYTES_MAX};

/// Stands for a field that is not there; below the tag of every value, and above the end of a list.
const MISSING: u8 = 0x08;
/// How much of a hash stands for the rest of a long key.
const HASH_BYTES: usize = 16;

/// An entry of a document in an index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexEntry {
    /// What it is found by: the keys of the values one behind the other, those of descending fields complemented.
    pub key: Vec<u8>,
    /// One of the fields is an element of its array.
    pub of_element: bool,
}

/// A document has more entries in an index than [`INDEX_ENTRIES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an array has too many elements for an index")]
pub struct TooManyEntries;

/// Bounds of keys of entries: `from <= key < to`; `to` empty: no end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyRange {
    /// The first that may be in it.
    pub from: Vec<u8>,
    /// The first that is not in it any more.
    pub to: Vec<u8>,
}

impl KeyRange {
    /// All keys that begin with `prefix`.
    pub fn beginning_with(prefix: &[u8]) -> Self {
        Self {
            from: prefix.to_vec(),
            to: end_of(prefix),
        }
    }

    /// Whether a key is in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.from.as_slice() <= key && (self.to.is_empty() || key < self.to.as_slice())
    }

    /// The range in which the shortened forms of its keys are.
    #[must_use]
    pub(super) fn shortened(mut self) -> Self {
        self.from.truncate(INDEX_KEY_BYTES_MAX);
        if let Some((begin, [_, ..])) = self.to.split_at_checked(INDEX_KEY_BYTES_MAX) {
            self.to = end_of(begin);
        }
        self
    }
}

/// The first key behind all that begin with `prefix`; empty: there is none.
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            break;
        }
    }
    end
}

/// Appends the key of a field's value, or of its absence.
pub(super) fn write_field(value: Option<&Value>, direction: Direction, key: &mut Vec<u8>) {
    let from = key.len();
    match value {
        Some(value) => write_key(value, key),
        None => key.push(MISSING),
    }
    if direction == Direction::Descending {
        key.iter_mut().skip(from).for_each(|byte| *byte = !*byte);
    }
}

/// The form in which a key is kept: the key itself up to a length, else its beginning and a hash of all of it.
pub(super) fn shorten(mut key: Vec<u8>) -> Vec<u8> {
    if key.len() > INDEX_KEY_BYTES_MAX {
        let hash = blake3::hash(&key);
        key.truncate(INDEX_KEY_BYTES_MAX);
        key.extend(hash.as_bytes().iter().take(HASH_BYTES));
    }
    key
}

impl IndexDefinition {
    /// The entries of a document, sorted by their keys, no key twice; none where the document is not in the index.
    ///
    /// # Errors
    /// [`TooManyEntries`].
    pub fn entries(&self, document: &Value) -> Result<Vec<IndexEntry>, TooManyEntries> {
        let values: Vec<Option<&Value>> = self.fields.iter().map(|field| field.path.of(document)).collect();
        if self.sparse && values.iter().any(Option::is_none) {
            return Ok(Vec::new());
        }
        if self.partial.as_ref().is_some_and(|partial| !partial.matches(document)) {
            return Ok(Vec::new());
        }
        let mut entries = vec![IndexEntry {
            key: self.key(&values),
            of_element: false,
        }];
        for (place, value) in values.iter().enumerate() {
            let Some(Value::Array(elements)) = value else {
                continue;
            };
            // As many different keys as allowed need as many elements; repeated ones cost nothing on disk.
            for element in elements {
                let mut values = values.clone();
                if let Some(value) = values.get_mut(place) {
                    *value = Some(element);
                }
                entries.push(IndexEntry {
                    key: self.key(&values),
                    of_element: true,
                });
                if entries.len() > 2 * INDEX_ENTRIES_MAX {
                    tidy(&mut entries)?;
                }
            }
        }
        tidy(&mut entries)?;
        Ok(entries)
    }

    /// The key of the entry with these values of its fields.
    pub fn key(&self, values: &[Option<&Value>]) -> Vec<u8> {
        let mut key = Vec::new();
        for (field, value) in self.fields.iter().zip(values) {
            write_field(*value, field.direction, &mut key);
        }
        match self.kind {
            IndexKind::Ordered => shorten(key),
            IndexKind::Hash => {
                let hash = blake3::hash(&key);
                key.clear();
                key.extend(hash.as_bytes().iter().take(HASH_BYTES));
                key
            }
        }
    }
}

/// Sorts, and keeps each key once: an entry of the whole value before one of an element.
fn tidy(entries: &mut Vec<IndexEntry>) -> Result<(), TooManyEntries> {
    entries.sort_unstable();
    entries.dedup_by(|later, kept| later.key == kept.key);
    if entries.len() > INDEX_ENTRIES_MAX {
        Err(TooManyEntries)
    } else {
        Ok(())
    }
}
