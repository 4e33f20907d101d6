//! A value of a document that is kept to be compared with others.

use std::cmp::Ordering;

use crate::doc::{Raw, Value, compare, write_key};

/// A value in the order of [`compare`]. What is nested is kept as its text and its key, so that it takes the bytes of
/// these and not those of a tree.
#[derive(Clone, Debug)]
pub(super) enum Ordered {
    /// Null, a boolean, a number, a text.
    Scalar(Value),
    /// An array or an object; above all others.
    Nested { key: Vec<u8>, text: Box<[u8]> },
}

impl Ordered {
    pub(super) fn of(raw: Raw<'_>) -> Self {
        let value = raw.value();
        if value.is_array() || value.is_object() {
            let mut key = Vec::new();
            write_key(&value, &mut key);
            Self::Nested {
                key,
                text: raw.text().into(),
            }
        } else {
            Self::Scalar(value)
        }
    }

    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Scalar(left), Self::Scalar(right)) => compare(left, right),
            (Self::Scalar(_), Self::Nested { .. }) => Ordering::Less,
            (Self::Nested { .. }, Self::Scalar(_)) => Ordering::Greater,
            (Self::Nested { key: left, .. }, Self::Nested { key: right, .. }) => left.cmp(right),
        }
    }

    /// What it takes beside itself.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Scalar(Value::String(text)) => text.capacity(),
            Self::Scalar(_) => 0,
            Self::Nested { key, text } => key.capacity() + text.len(),
        }
    }

    pub(super) fn value(&self) -> Value {
        match self {
            Self::Scalar(value) => value.clone(),
            Self::Nested { text, .. } => crate::doc::parse(text).unwrap_or_default(),
        }
    }
}
