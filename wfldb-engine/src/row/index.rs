//! Rows of indexes: what stands behind an entry's key, how far a build or a removal is, and what a bucket's row says of
//! its indexes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wfldb_core::index::{IndexDefinition, IndexEntry};
use wfldb_core::name::ObjectKey;

use super::RowError;

const ENTRY: RowError = RowError("index entry");
const WORK: RowError = RowError("index work");

/// The flag of an entry whose fields are whole.
const EXACT: u8 = 1;
/// The flag of an entry that no other document may have.
const UNIQUE: u8 = 2;

/// The indexes of a bucket, as its row has them in JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Indexes {
    /// The number of the next one: none is given twice, so a number stands for one definition for ever.
    pub(crate) next: u32,
    pub(crate) defined: Vec<DefinedIndex>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefinedIndex {
    pub(crate) number: u32,
    /// It was made because a query would gain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) automatic: bool,
    pub(crate) state: IndexState,
    pub(crate) definition: IndexDefinition,
}

/// How far an index is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum IndexState {
    /// Writes keep it, and a worker adds what was there before.
    Building,
    /// It has every document.
    Ready,
    /// It cannot be built, for this reason. Nothing keeps it, and its rows are being removed.
    Failed(String),
}

impl Indexes {
    pub(crate) fn is_empty(&self) -> bool {
        self.next == 0
    }

    /// Those that writes keep.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &DefinedIndex> {
        self.defined
            .iter()
            .filter(|index| !matches!(index.state, IndexState::Failed(_)))
    }

    pub(crate) fn numbered(&self, number: u32) -> Option<&DefinedIndex> {
        self.defined.iter().find(|index| index.number == number)
    }

    pub(crate) fn named(&self, name: &str) -> Option<&DefinedIndex> {
        self.defined
            .iter()
            .find(|index| index.definition.name.as_str() == name)
    }
}

/// What stands behind the key of an entry.
pub(crate) fn encode_entry(entry: &IndexEntry) -> Bytes {
    let flags = (u8::from(entry.exact) * EXACT) | (u8::from(entry.unique) * UNIQUE);
    // A field's part is bounded, and with it their number.
    let [high, low] = u16::try_from(entry.fields.len())
        .unwrap_or(u16::MAX)
        .to_be_bytes();
    Bytes::copy_from_slice(&[flags, high, low])
}

/// An entry and the document's key, from the key behind the index's number and the value.
pub(crate) fn decode_entry(key: &[u8], value: &[u8]) -> Result<(IndexEntry, ObjectKey), RowError> {
    let [flags, high, low] = value.try_into().map_err(|_| ENTRY)?;
    if flags & !(EXACT | UNIQUE) != 0 {
        return Err(ENTRY);
    }
    let len = usize::from(u16::from_be_bytes([high, low]));
    let (fields, rest) = key.split_at_checked(len).ok_or(ENTRY)?;
    let (elements, object) = rest.split_first().ok_or(ENTRY)?;
    let object = std::str::from_utf8(object).map_err(|_| ENTRY)?;
    let entry = IndexEntry {
        fields: fields.to_vec(),
        elements: *elements,
        exact: flags & EXACT != 0,
        unique: flags & UNIQUE != 0,
    };
    Ok((entry, ObjectKey::parse(object).map_err(|_| ENTRY)?))
}

/// How far the worker is with an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IndexWork {
    /// Adds what was there before: everything up to this key is done.
    Build {
        after: Option<ObjectKey>,
        /// Documents that were looked at.
        documents: u64,
    },
    /// Removes its rows.
    Remove,
}

impl IndexWork {
    pub(crate) fn encode(&self) -> Bytes {
        match self {
            Self::Build { after, documents } => {
                let after = after.as_ref().map_or("", ObjectKey::as_str).as_bytes();
                Bytes::from([b"b".as_slice(), &documents.to_be_bytes(), after].concat())
            }
            Self::Remove => Bytes::from_static(b"r"),
        }
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        match row.split_first().ok_or(WORK)? {
            (b'r', []) => Ok(Self::Remove),
            (b'b', rest) => {
                let (documents, after) = rest.split_first_chunk::<8>().ok_or(WORK)?;
                let after = std::str::from_utf8(after).map_err(|_| WORK)?;
                let after = (!after.is_empty()).then(|| ObjectKey::parse(after)).transpose();
                Ok(Self::Build {
                    after: after.map_err(|_| WORK)?,
                    documents: u64::from_be_bytes(*documents),
                })
            }
            _ => Err(WORK),
        }
    }
}
