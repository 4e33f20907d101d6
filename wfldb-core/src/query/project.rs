//! Which members of a document are answered.

use crate::doc::{FieldPath, Object, Value};

/// The members with these names, each at its place; those that are not there are left out. No names: the whole document.
pub fn project(fields: &[FieldPath], document: Value) -> Value {
    if fields.is_empty() {
        return document;
    }
    let mut projected = Object::new();
    for field in fields {
        if let Some(value) = field.of(&document) {
            put(&mut projected, field.names(), value);
        }
    }
    Value::Object(projected)
}

/// Puts a value at its place.
pub(super) fn put(members: &mut Object, names: &[String], value: &Value) {
    match names {
        [] => {}
        [last] => {
            members.insert(last.clone(), value.clone());
        }
        [first, rest @ ..] => {
            let inner = members
                .entry(first.clone())
                .or_insert_with(|| Value::Object(Object::new()));
            // Anything else was put there as a whole, with what is inside.
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}
