//! The order that a query wants its answer in.

use std::borrow::Cow;

use super::QueryFault;
use super::condition::is_key;
use crate::doc::{FieldPath, Object, Value, write_key};

/// Stands for a field that is not there; below the tag of every value.
const MISSING: u8 = 0x08;

/// A field to sort by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortField {
    /// Which.
    pub path: FieldPath,
    /// The largest first.
    pub descending: bool,
}

impl SortField {
    /// Reads `"field"` or `{"field": "asc" | "desc"}`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(value: &Value) -> Result<Self, QueryFault> {
        let (name, descending) = match value {
            Value::String(name) => (name, false),
            Value::Object(members) => match (members.len(), members.iter().next()) {
                (1, Some((name, Value::String(direction)))) => match direction.as_str() {
                    "asc" => (name, false),
                    "desc" => (name, true),
                    _ => return Err(QueryFault::Needs("`asc` or `desc`")),
                },
                _ => return Err(QueryFault::Needs("a field with `asc` or `desc`")),
            },
            _ => return Err(QueryFault::Needs("a field")),
        };
        let path = FieldPath::parse(name).map_err(|_| QueryFault::Field)?;
        Ok(Self { path, descending })
    }

    /// What [`SortField::parse`] reads.
    pub fn to_value(&self) -> Value {
        let name = self.path.to_string();
        let direction = if self.descending { "desc" } else { "asc" };
        Value::Object(Object::from_iter([(name, Value::from(direction))]))
    }

    /// Whether it sorts by the key of the documents.
    pub fn is_key(&self) -> bool {
        is_key(&self.path)
    }
}

/// Bytes that compare as documents are sorted; none begins another. A field that is not there comes before all values.
pub fn sort_key(fields: &[SortField], document: &Value) -> Vec<u8> {
    sort_key_of(fields, |path| path.of(document).map(Cow::Borrowed))
}

/// The same of a document whose values are found one by one.
pub(super) fn sort_key_of<'v>(
    fields: &[SortField],
    of: impl Fn(&FieldPath) -> Option<Cow<'v, Value>>,
) -> Vec<u8> {
    let mut key = Vec::new();
    for field in fields {
        let from = key.len();
        match of(&field.path).as_deref() {
            None => key.push(MISSING),
            // Keys have no zero byte.
            Some(Value::String(id)) if field.is_key() => {
                key.extend(id.bytes());
                key.push(0);
            }
            Some(value) => write_key(value, &mut key),
        }
        if field.descending {
            key.iter_mut().skip(from).for_each(|byte| *byte = !*byte);
        }
    }
    key
}
