//! Changing a part of a document: JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902).
//!
//! A result is never nested deeper than a document may be, and a patch cannot make much of little: what its operations
//! add together is bounded, copies of what they added included.

use super::{Object, Value};
use crate::limits::{DOCUMENT_BYTES_MAX, JSON_DEPTH_MAX, PATCH_OPS_MAX};

/// What is wrong with a JSON Patch, and where in it, or in the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct PatchError {
    /// What.
    pub fault: PatchFault,
    /// Where: a JSON pointer into the patch.
    pub pointer: String,
}

/// What is wrong with a JSON Patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchFault {
    /// Not an array of operations, or one that is none.
    #[error("this is no JSON Patch")]
    Malformed,
    /// More than [`PATCH_OPS_MAX`] operations.
    #[error("a JSON Patch has at most 1000 operations")]
    TooMany,
    /// The document has nothing there, or nothing can be put there.
    #[error("the document has no such place")]
    NoSuchPlace,
    /// `test` found another value.
    #[error("a test of the patch does not hold")]
    Test,
    /// The result would be too large, too deep, or no object.
    #[error("the patch does not make a document")]
    Result,
}

/// A JSON Patch, read.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPatch(Vec<Operation>);

#[derive(Clone, Debug, PartialEq)]
enum Operation {
    Add(Pointer, Value),
    Remove(Pointer),
    Replace(Pointer, Value),
    Move { from: Pointer, to: Pointer },
    Copy { from: Pointer, to: Pointer },
    Test(Pointer, Value),
}

/// A JSON pointer (RFC 6901), taken apart.
#[derive(Clone, Debug, PartialEq)]
struct Pointer(Vec<String>);

impl Pointer {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        let names = text.strip_prefix('/')?.split('/').map(|name| {
            let bad_escape = name
                .split('~')
                .skip(1)
                .any(|rest| !rest.starts_with('0') && !rest.starts_with('1'));
            (!bad_escape).then(|| name.replace("~1", "/").replace("~0", "~"))
        });
        names.collect::<Option<_>>().map(Self)
    }

    fn of<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(value, |value, name| match value {
            Value::Object(members) => members.get(name),
            Value::Array(values) => values.get(place(name)?),
            _ => None,
        })
    }

    /// The value that holds the last name, and that name.
    fn parent<'a, 'b>(&'a self, value: &'b mut Value) -> Option<(&'b mut Value, &'a str)> {
        let (last, path) = self.0.split_last()?;
        let parent = path.iter().try_fold(value, |value, name| match value {
            Value::Object(members) => members.get_mut(name),
            Value::Array(values) => values.get_mut(place(name)?),
            _ => None,
        })?;
        Some((parent, last))
    }
}

/// A place in an array: digits without a leading zero.
fn place(name: &str) -> Option<usize> {
    super::path::place(name)
}

impl JsonPatch {
    /// Reads a patch from JSON that was parsed strictly.
    ///
    /// # Errors
    /// [`PatchError`] with the place in the patch.
    pub fn parse(patch: &Value) -> Result<Self, PatchError> {
        let refuse = |fault, pointer: String| PatchError { fault, pointer };
        let Value::Array(operations) = patch else {
            return Err(refuse(PatchFault::Malformed, String::new()));
        };
        if operations.len() > PATCH_OPS_MAX {
            return Err(refuse(PatchFault::TooMany, String::new()));
        }
        let read = operations.iter().enumerate().map(|(index, operation)| {
            operation_of(operation).ok_or_else(|| refuse(PatchFault::Malformed, format!("/{index}")))
        });
        read.collect::<Result<_, _>>().map(Self)
    }

    /// Carries out all operations in order on the members of a document, or none.
    ///
    /// # Errors
    /// [`PatchError`] with the operation that cannot be carried out.
    pub fn apply(&self, document: Object) -> Result<Object, PatchError> {
        let mut document = Value::Object(document);
        let mut added = 0;
        for (index, operation) in self.0.iter().enumerate() {
            carry_out(operation, &mut document, &mut added).map_err(|fault| PatchError {
                fault,
                pointer: format!("/{index}"),
            })?;
        }
        match document {
            Value::Object(document) => Ok(document),
            _ => Err(PatchError {
                fault: PatchFault::Result,
                pointer: String::new(),
            }),
        }
    }
}

/// Members that an operation does not have are passed over, as the RFC says.
fn operation_of(operation: &Value) -> Option<Operation> {
    let text = |name| operation.get(name).and_then(Value::as_str);
    let pointer = |name| text(name).and_then(Pointer::parse);
    let path = pointer("path")?;
    let value = || operation.get("value").cloned();
    Some(match text("op")? {
        "add" => Operation::Add(path, value()?),
        "remove" => Operation::Remove(path),
        "replace" => Operation::Replace(path, value()?),
        "move" => Operation::Move {
            from: pointer("from")?,
            to: path,
        },
        "copy" => Operation::Copy {
            from: pointer("from")?,
            to: path,
        },
        "test" => Operation::Test(path, value()?),
        _ => return None,
    })
}

fn carry_out(operation: &Operation, document: &mut Value, added: &mut usize) -> Result<(), PatchFault> {
    match operation {
        Operation::Add(path, value) => add(document, path, value.clone(), added),
        Operation::Remove(path) => remove(document, path).map(drop),
        Operation::Replace(path, value) => {
            // There has to be something to replace; the whole document always is.
            if !path.0.is_empty() {
                path.of(document).ok_or(PatchFault::NoSuchPlace)?;
                let (parent, _) = path.parent(document).ok_or(PatchFault::NoSuchPlace)?;
                if parent.is_array() {
                    remove(document, path)?;
                }
            }
            add(document, path, value.clone(), added)
        }
        Operation::Move { from, to } => {
            // Nothing can be moved into itself.
            if to.0.len() > from.0.len() && to.0.starts_with(&from.0) {
                return Err(PatchFault::NoSuchPlace);
            }
            if from == to {
                return from.of(document).map(drop).ok_or(PatchFault::NoSuchPlace);
            }
            let value = remove(document, from)?;
            add(document, to, value, added)
        }
        Operation::Copy { from, to } => {
            let value = from.of(document).ok_or(PatchFault::NoSuchPlace)?;
            // Before it is copied: it may have been copied together.
            count(value, added)?;
            let value = value.clone();
            put(document, to, value)
        }
        Operation::Test(path, value) => {
            let found = path.of(document).ok_or(PatchFault::NoSuchPlace)?;
            (found == value).then_some(()).ok_or(PatchFault::Test)
        }
    }
}

fn add(document: &mut Value, path: &Pointer, value: Value, added: &mut usize) -> Result<(), PatchFault> {
    count(&value, added)?;
    put(document, path, value)
}

fn put(document: &mut Value, path: &Pointer, value: Value) -> Result<(), PatchFault> {
    if path.0.len() + depth(&value) > JSON_DEPTH_MAX {
        return Err(PatchFault::Result);
    }
    if path.0.is_empty() {
        *document = value;
        return Ok(());
    }
    match path.parent(document).ok_or(PatchFault::NoSuchPlace)? {
        (Value::Object(members), name) => {
            members.insert(name.to_owned(), value);
        }
        (Value::Array(values), "-") => values.push(value),
        (Value::Array(values), name) => {
            let place = place(name).filter(|place| *place <= values.len());
            values.insert(place.ok_or(PatchFault::NoSuchPlace)?, value);
        }
        _ => return Err(PatchFault::NoSuchPlace),
    }
    Ok(())
}

fn remove(document: &mut Value, path: &Pointer) -> Result<Value, PatchFault> {
    let removed = match path.parent(document) {
        Some((Value::Object(members), name)) => members.remove(name),
        Some((Value::Array(values), name)) => {
            let place = place(name).filter(|place| *place < values.len());
            place.map(|place| values.remove(place))
        }
        _ => None,
    };
    removed.ok_or(PatchFault::NoSuchPlace)
}

/// Adds up what operations put into a document. Twice a document is room for any patch that makes sense.
fn count(value: &Value, added: &mut usize) -> Result<(), PatchFault> {
    *added += size(value);
    if *added > 2 * DOCUMENT_BYTES_MAX {
        return Err(PatchFault::Result);
    }
    Ok(())
}

/// About how many bytes of JSON a value is. Values are nested no deeper than documents.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => 2 + text.len(),
        Value::Array(values) => 2 + values.iter().map(size).sum::<usize>(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| 4 + name.len() + size(value));
            2 + members.sum::<usize>()
        }
    }
}

/// How deep a value is nested; of one without members, 0.
fn depth(value: &Value) -> usize {
    let deepest = match value {
        Value::Array(values) => values.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        _ => return 0,
    };
    1 + deepest.unwrap_or(0)
}

/// What a JSON Merge Patch makes of a document: its members replace those of the document, those that are null remove
/// them. Both are nested no deeper than a document may be, and so is the result.
#[must_use]
pub fn merge(mut document: Object, patch: Object) -> Object {
    for (name, value) in patch {
        match value {
            Value::Null => {
                document.remove(&name);
            }
            Value::Object(patch) => {
                let under = match document.remove(&name) {
                    Some(Value::Object(members)) => members,
                    _ => Object::new(),
                };
                document.insert(name, Value::Object(merge(under, patch)));
            }
            value => {
                document.insert(name, value);
            }
        }
    }
    document
}
