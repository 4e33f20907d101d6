//! The name of a member inside a document, as queries and indexes write it.

use std::fmt;

use super::Value;
use crate::limits::{FIELD_PATH_BYTES_MAX, JSON_DEPTH_MAX};

/// Why a text is no [`FieldPath`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a field is 1 to 64 names with dots between them, none empty, of 1,024 bytes at most")]
pub struct PathError;

/// Where a value is in a document: names with dots between them. `\.` is a dot inside a name, `\\` a backslash; in
/// an array a name of digits is a place, from 0.
///
/// ```
/// use wfldb_core::doc::FieldPath;
///
/// let document = serde_json::json!({"a": {"b.c": [10, 20]}});
/// let path = FieldPath::parse(r"a.b\.c.1")?;
/// assert_eq!(path.of(&document), Some(&serde_json::json!(20)));
/// # Ok::<(), wfldb_core::doc::PathError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Vec<String>);

impl FieldPath {
    /// Reads the written form.
    ///
    /// # Errors
    /// [`PathError`] when it is empty, too long, or has an empty name or a lone backslash.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > FIELD_PATH_BYTES_MAX {
            return Err(PathError);
        }
        let mut names = vec![String::new()];
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '.' => names.push(String::new()),
                '\\' => match characters.next() {
                    Some(escaped @ ('.' | '\\')) => names.last_mut().ok_or(PathError)?.push(escaped),
                    _ => return Err(PathError),
                },
                other => names.last_mut().ok_or(PathError)?.push(other),
            }
        }
        if names.len() > JSON_DEPTH_MAX || names.iter().any(String::is_empty) {
            return Err(PathError);
        }
        Ok(Self(names))
    }

    /// The names, outermost first.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The place of `inner` inside the value here.
    ///
    /// # Errors
    /// [`PathError`] when that is too long.
    pub fn join(&self, inner: &Self) -> Result<Self, PathError> {
        let names = [self.0.as_slice(), &inner.0].concat();
        let bytes: usize = names.iter().map(|name| name.len() + 1).sum();
        if names.len() > JSON_DEPTH_MAX || bytes > FIELD_PATH_BYTES_MAX {
            return Err(PathError);
        }
        Ok(Self(names))
    }

    /// The value there, if there is one.
    pub fn of<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(document, |value, name| match value {
            Value::Object(members) => members.get(name),
            Value::Array(values) => place(name).and_then(|place| values.get(place)),
            _ => None,
        })
    }
}

/// The place in an array that a name stands for, in its one spelling.
pub(super) fn place(name: &str) -> Option<usize> {
    let place: usize = name.parse().ok()?;
    (place.to_string() == name).then_some(place)
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            f.write_str(&name.replace('\\', r"\\").replace('.', r"\."))?;
        }
        Ok(())
    }
}
