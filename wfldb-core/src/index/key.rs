//! The keys of an ordered index: bytes that compare as the values of the fields do, field by field.
//!
//! A field's part is `doc::write_key` of its value, so no part begins another and parts can stand behind each other. An
//! absent field has a mark below every value. A long part is cut, and a hash of the whole follows: two values that are
//! equal up to the cut still have different parts, but their order is that of the hashes, so such an entry is not exact.

use crate::doc::{Value, write_begin_of_text, write_key};
use crate::limits::INDEX_FIELD_BYTES_MAX;

/// An absent field: below the tag of every value.
const ABSENT: u8 = 0x08;
/// Bytes of the hash behind a cut part.
const CUT_HASH_BYTES: usize = 16;

/// Which way a field of an index is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

/// The part of one field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FieldKey {
    pub(super) bytes: Vec<u8>,
    /// It has the whole value; else only its beginning and a hash.
    pub(super) exact: bool,
}

impl FieldKey {
    pub(super) fn of(value: Option<&Value>, way: Way) -> Self {
        let mut bytes = whole(value);
        let exact = bytes.len() <= INDEX_FIELD_BYTES_MAX;
        if !exact {
            let hash = blake3::hash(&bytes);
            bytes.truncate(INDEX_FIELD_BYTES_MAX);
            bytes.extend(hash.as_bytes().iter().take(CUT_HASH_BYTES));
        }
        turn(&mut bytes, way);
        Self { bytes, exact }
    }
}

/// The part of a value before it is cut.
pub(super) fn whole(value: Option<&Value>) -> Vec<u8> {
    let mut bytes = Vec::new();
    match value {
        Some(value) => write_key(value, &mut bytes),
        None => bytes.push(ABSENT),
    }
    bytes
}

/// A descending part is the complement of the ascending one: still none begins another.
fn turn(bytes: &mut [u8], way: Way) {
    if way == Way::Down {
        for byte in bytes {
            *byte = !*byte;
        }
    }
}

/// An end of a range of values of one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End<'a> {
    /// The value is in it.
    Included(&'a Value),
    /// The value is not in it.
    Excluded(&'a Value),
    /// All texts that begin so: as a lower end the first of them, as an upper end the last. Others are among them.
    Begins(&'a str),
    /// There is no end.
    Open,
}

/// Keys from the first up to, and without, the second; an empty second is no end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key.
    pub from: Vec<u8>,
    /// Behind the last key.
    pub to: Vec<u8>,
}

/// The range of parts between two ends, behind `before`. It has every value between them, and no absent field; where a
/// value was cut it may have more, which is why entries that are not exact have to be looked at.
pub(super) fn range(before: &[u8], low: End<'_>, high: End<'_>, way: Way) -> KeyRange {
    let (low, high) = (low_of(low), high_of(high));
    let joined = |part: Vec<u8>| [before, part.as_slice()].concat();
    let behind_all = |part: &[u8]| prefix_end(&[before, part].concat());
    match way {
        Way::Up => KeyRange {
            from: match low {
                Side::All => before.to_vec(),
                Side::From(part) => joined(part),
                Side::Behind(part) => behind_all(&part),
            },
            to: match high {
                Side::All => prefix_end(before),
                Side::From(part) => joined(part),
                Side::Behind(part) => behind_all(&part),
            },
        },
        // Everything is mirrored: what was behind all keys with a beginning is now before them.
        Way::Down => KeyRange {
            from: match high {
                Side::All => before.to_vec(),
                Side::From(part) => behind_all(&complement(part)),
                Side::Behind(part) => joined(complement(part)),
            },
            to: match low {
                Side::All => prefix_end(before),
                Side::From(part) => behind_all(&complement(part)),
                Side::Behind(part) => joined(complement(part)),
            },
        },
    }
}

fn complement(mut part: Vec<u8>) -> Vec<u8> {
    turn(&mut part, Way::Down);
    part
}

/// Where a range begins, or where it stops.
enum Side {
    All,
    /// At the first key that begins so.
    From(Vec<u8>),
    /// Behind the last key that begins so.
    Behind(Vec<u8>),
}

/// The beginning that a value's part has in any case, and whether that is all of it.
fn beginning(value: &Value) -> (Vec<u8>, bool) {
    let mut bytes = whole(Some(value));
    let exact = bytes.len() <= INDEX_FIELD_BYTES_MAX;
    bytes.truncate(INDEX_FIELD_BYTES_MAX);
    (bytes, exact)
}

fn low_of(end: End<'_>) -> Side {
    match end {
        End::Open => Side::Behind(vec![ABSENT]),
        End::Included(value) => Side::From(beginning(value).0),
        End::Excluded(value) => match beginning(value) {
            (bytes, true) => Side::Behind(bytes),
            // A greater value may have the same beginning.
            (bytes, false) => Side::From(bytes),
        },
        End::Begins(text) => Side::From(text_beginning(text)),
    }
}

fn high_of(end: End<'_>) -> Side {
    match end {
        End::Open => Side::All,
        End::Included(value) => Side::Behind(beginning(value).0),
        End::Excluded(value) => match beginning(value) {
            (bytes, true) => Side::From(bytes),
            (bytes, false) => Side::Behind(bytes),
        },
        End::Begins(text) => Side::Behind(text_beginning(text)),
    }
}

/// What the parts of all texts with this beginning begin with, and those of some others.
fn text_beginning(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_begin_of_text(text, &mut bytes);
    bytes.truncate(INDEX_FIELD_BYTES_MAX);
    bytes
}

/// The first key behind all that begin so; empty: there is none.
pub(super) fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    end
}
