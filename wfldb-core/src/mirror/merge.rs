//! Two changes of one document brought together, by what it was before both.

use serde::Serialize;

use crate::doc::{Object, Value};
use crate::encoding::pointer;

/// A member that both sides changed, each in another way. A side without it removed it, or never had it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// Where: a JSON pointer (RFC 6901), empty for the whole document.
    pub pointer: String,
    /// What both began with.
    pub base: Option<Value>,
    /// What we made of it.
    pub ours: Option<Value>,
    /// What they made of it.
    pub theirs: Option<Value>,
}

/// What both sides made of `base`, and where they contradict each other: there it is ours. Members of objects are looked
/// at one by one, to any depth; an array is one value, since nothing says which of its elements are the same.
///
/// ```
/// use serde_json::{from_value, json};
/// use wfldb_core::mirror::merge;
///
/// let [base, ours, theirs] = [
///     json!({"name": "Ann", "address": {"city": "Rome", "zip": 1}}),
///     json!({"name": "Ann", "address": {"city": "Oslo", "zip": 1}}),
///     json!({"name": "Bob", "address": {"city": "Rome", "zip": 1}}),
/// ].map(|value| from_value(value).unwrap());
/// let (merged, conflicts) = merge(&base, &ours, &theirs);
/// assert_eq!(json!(merged), json!({"name": "Bob", "address": {"city": "Oslo", "zip": 1}}));
/// assert!(conflicts.is_empty());
/// ```
pub fn merge(base: &Object, ours: &Object, theirs: &Object) -> (Object, Vec<Conflict>) {
    let mut conflicts = Vec::new();
    let merged = members(base, ours, theirs, &mut String::new(), &mut conflicts);
    (merged, conflicts)
}

fn members(
    base: &Object,
    ours: &Object,
    theirs: &Object,
    place: &mut String,
    conflicts: &mut Vec<Conflict>,
) -> Object {
    let added = theirs.keys().filter(|name| !ours.contains_key(*name));
    let mut merged = Object::new();
    for name in ours.keys().chain(added) {
        let back = pointer::push(place, name);
        let sides = [base.get(name), ours.get(name), theirs.get(name)];
        if let Some(value) = value(sides, place, conflicts) {
            merged.insert(name.clone(), value);
        }
        place.truncate(back);
    }
    merged
}

fn value(
    [base, ours, theirs]: [Option<&Value>; 3],
    place: &mut String,
    conflicts: &mut Vec<Conflict>,
) -> Option<Value> {
    if ours == theirs || theirs == base {
        return ours.cloned();
    }
    if ours == base {
        return theirs.cloned();
    }
    if let (Some(Value::Object(ours)), Some(Value::Object(theirs))) = (ours, theirs) {
        let none = Object::new();
        let base = base.and_then(Value::as_object).unwrap_or(&none);
        return Some(members(base, ours, theirs, place, conflicts).into());
    }
    conflicts.push(Conflict {
        pointer: place.clone(),
        base: base.cloned(),
        ours: ours.cloned(),
        theirs: theirs.cloned(),
    });
    ours.cloned()
}
