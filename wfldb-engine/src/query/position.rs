//! Where an answer ended: what a bookmark holds.

use wfldb_core::query::Walk;

const DOCUMENT: u8 = b'd';
const ENTRY: u8 = b'i';
const SORTED: u8 = b's';

/// Where an answer ended, and the next one goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindPosition {
    /// At this key.
    Document(Vec<u8>),
    /// At this entry of an index.
    Entry {
        /// The number of the index.
        index: u32,
        /// The entry's place in it.
        place: Vec<u8>,
    },
    /// At this document, in an order that no index gave.
    Sorted {
        /// What it is sorted by.
        by: Vec<u8>,
        /// Its key.
        key: Vec<u8>,
    },
}

impl FindPosition {
    /// The bytes of it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Document(key) => [&[DOCUMENT], key.as_slice()].concat(),
            Self::Entry { index, place } => [&[ENTRY], index.to_be_bytes().as_slice(), place].concat(),
            Self::Sorted { by, key } => {
                let len = u32::try_from(by.len()).unwrap_or(u32::MAX).to_be_bytes();
                [&[SORTED], len.as_slice(), by, key].concat()
            }
        }
    }

    /// Reads the bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        match *tag {
            DOCUMENT => Some(Self::Document(rest.to_vec())),
            ENTRY => {
                let (index, place) = rest.split_first_chunk::<4>()?;
                Some(Self::Entry {
                    index: u32::from_be_bytes(*index),
                    place: place.to_vec(),
                })
            }
            SORTED => {
                let (len, rest) = rest.split_first_chunk::<4>()?;
                let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
                let (by, key) = rest.split_at_checked(len)?;
                Some(Self::Sorted {
                    by: by.to_vec(),
                    key: key.to_vec(),
                })
            }
            _ => None,
        }
    }

    /// The walk that it is a place of.
    pub(super) fn walk(&self) -> Walk {
        match self {
            Self::Document(_) => Walk::Documents,
            Self::Entry { index, .. } => Walk::Index(*index),
            Self::Sorted { .. } => Walk::Sorted,
        }
    }

    /// The place in the rows of its walk.
    pub(super) fn place(&self) -> Option<&[u8]> {
        match self {
            Self::Document(place) | Self::Entry { place, .. } => Some(place),
            Self::Sorted { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_and_nothing_else_is_one() {
        let positions = [
            FindPosition::Document(b"k".to_vec()),
            FindPosition::Entry {
                index: 7,
                place: vec![0, 255],
            },
            FindPosition::Sorted {
                by: vec![1, 2],
                key: b"k".to_vec(),
            },
        ];
        for position in positions {
            assert_eq!(FindPosition::from_bytes(&position.to_bytes()), Some(position));
        }
        for bytes in [b"".as_slice(), b"x", b"i\0", b"s\0\0\0\x09ab"] {
            assert_eq!(FindPosition::from_bytes(bytes), None);
        }
    }
}
