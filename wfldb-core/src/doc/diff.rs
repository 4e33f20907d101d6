//! What changed between versions of a document, and which version gave a member its value.

use std::collections::BTreeSet;

use super::{Object, Value};
use crate::encoding::pointer;

/// A member that differs. Members of objects are looked at one by one, to any depth; an array is one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where: a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What it was; `None`: it was not there.
    pub before: Option<Value>,
    /// What it is; `None`: it is not there.
    pub after: Option<Value>,
}

/// What has to change in `before` to make `after` of it, in the order of the members' names.
///
/// ```
/// use serde_json::{from_value, json};
/// use wfldb_core::doc::differences;
///
/// let before = from_value(json!({"a": {"b": 1, "c": 2}})).unwrap();
/// let after = from_value(json!({"a": {"b": 1, "c": 3}, "d": true})).unwrap();
/// let places: Vec<String> = differences(&before, &after).into_iter().map(|d| d.pointer).collect();
/// assert_eq!(places, ["/a/c", "/d"]);
/// ```
pub fn differences(before: &Object, after: &Object) -> Vec<Difference> {
    let mut found = Vec::new();
    differ(before, after, &mut String::new(), &mut found);
    found
}

fn differ(before: &Object, after: &Object, place: &mut String, found: &mut Vec<Difference>) {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let back = pointer::push(place, name);
        match (before.get(name), after.get(name)) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => differ(before, after, place, found),
            (before, after) if before == after => {}
            (before, after) => found.push(Difference {
                pointer: place.clone(),
                before: before.cloned(),
                after: after.cloned(),
            }),
        }
        place.truncate(back);
    }
}

/// A member of a document, and the version since which it has its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since<T> {
    /// Where: a JSON pointer to something that is no object with members.
    pub pointer: String,
    /// What is there.
    pub value: Value,
    /// The version that made it so, as far as versions were shown.
    pub version: T,
    /// A version below has something else there, so this one did make it so.
    pub settled: bool,
}

/// Finds out which version gave each member of a document its value, from the newest version down.
#[derive(Clone, Debug)]
pub struct Blame<T>(Vec<Since<T>>);

impl<T: Clone> Blame<T> {
    /// Begins with the newest version.
    pub fn of(newest: &Object, version: &T) -> Self {
        let mut members = Vec::new();
        leaves(newest, version, &mut String::new(), &mut members);
        Self(members)
    }

    /// Shows the next version below; `None` is a tombstone. `false`: the ones below that say nothing more.
    pub fn below(&mut self, document: Option<Object>, version: &T) -> bool {
        let document = document.map(Value::Object);
        let mut open = false;
        for since in self.0.iter_mut().filter(|since| !since.settled) {
            let was = document
                .as_ref()
                .and_then(|document| document.pointer(&since.pointer));
            if was == Some(&since.value) {
                since.version = version.clone();
                open = true;
            } else {
                since.settled = true;
            }
        }
        open
    }

    /// The members, in the order of their names. What is not settled is at least as old as the last version that was
    /// shown.
    pub fn members(self) -> Vec<Since<T>> {
        self.0
    }
}

fn leaves<T: Clone>(members: &Object, version: &T, place: &mut String, found: &mut Vec<Since<T>>) {
    for (name, value) in members {
        let back = pointer::push(place, name);
        match value {
            Value::Object(members) if !members.is_empty() => leaves(members, version, place, found),
            value => found.push(Since {
                pointer: place.clone(),
                value: value.clone(),
                version: version.clone(),
                settled: false,
            }),
        }
        place.truncate(back);
    }
}
