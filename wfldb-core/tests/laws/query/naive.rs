//! A second reading of selectors: straight from the JSON, one document at a time, without any normal form.

use std::cmp::Ordering;

use proptest::prelude::*;
use serde_json::{Value, json};
use wfldb_core::doc::compare;

/// Whether a selector wants a document.
pub(super) fn wants(selector: &Value, document: &Value) -> bool {
    Reading {
        top: true,
        of_key: false,
        negated: false,
    }
    .all_of(selector, Some(document))
}

/// The value of a field, by a name without escapes.
pub(super) fn value_of<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(document, |value, name| match value {
        Value::Array(elements) => elements.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    })
}

/// Fields first that are not there.
pub(super) fn compare_fields(left: Option<&Value>, right: Option<&Value>, is_key: bool) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) => order(is_key)(left, right),
        _ => left.is_some().cmp(&right.is_some()),
    }
}

fn order(is_key: bool) -> fn(&Value, &Value) -> Ordering {
    if is_key {
        |left, right| match (left.as_str(), right.as_str()) {
            (Some(left), Some(right)) => left.cmp(right),
            _ => compare(left, right),
        }
    } else {
        compare
    }
}

#[derive(Clone, Copy)]
struct Reading {
    top: bool,
    of_key: bool,
    negated: bool,
}

impl Reading {
    /// Each member of a selector has to hold; negated, one of them not to.
    fn all_of(self, selector: &Value, value: Option<&Value>) -> bool {
        let Value::Object(members) = selector else {
            return self.operator("$eq", selector, value);
        };
        if members.is_empty() {
            return if self.top {
                !self.negated
            } else {
                self.operator("$eq", selector, value)
            };
        }
        let mut each = members
            .iter()
            .map(|(name, argument)| self.member(name, argument, value));
        if self.negated {
            each.any(|holds| holds)
        } else {
            each.all(|holds| holds)
        }
    }

    fn member(self, name: &str, argument: &Value, value: Option<&Value>) -> bool {
        let turned = Self {
            negated: !self.negated,
            ..self
        };
        let list = || argument.as_array().unwrap().iter();
        match name {
            "$and" if self.negated => list().any(|inner| self.all_of(inner, value)),
            "$and" => list().all(|inner| self.all_of(inner, value)),
            "$or" if self.negated => list().all(|inner| self.all_of(inner, value)),
            "$or" => list().any(|inner| self.all_of(inner, value)),
            "$nor" if self.negated => list().any(|inner| turned.all_of(inner, value)),
            "$nor" => list().all(|inner| turned.all_of(inner, value)),
            "$not" => turned.all_of(argument, value),
            _ if name.starts_with('$') => self.operator(name, argument, value),
            _ => {
                let inner = Self {
                    top: false,
                    of_key: self.top && name == "_id",
                    ..self
                };
                inner.all_of(argument, value.and_then(|value| value_of(value, name)))
            }
        }
    }

    fn operator(self, name: &str, argument: &Value, value: Option<&Value>) -> bool {
        match value {
            None => name == "$exists" && (argument == &json!(true)) == self.negated,
            Some(value) => self.holds(name, argument, value) != self.negated,
        }
    }

    fn holds(self, name: &str, argument: &Value, value: &Value) -> bool {
        let order = order(self.of_key)(value, argument);
        let same = |left: &Value, right: &Value| compare(left, right).is_eq();
        let in_list = || match value {
            Value::Array(elements) => elements.iter().any(|element| {
                argument
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|wanted| same(element, wanted))
            }),
            _ => argument
                .as_array()
                .unwrap()
                .iter()
                .any(|wanted| same(value, wanted)),
        };
        let inner = |element: &Value| {
            Self {
                top: false,
                of_key: false,
                negated: false,
            }
            .all_of(argument, Some(element))
        };
        let text = || Some((value.as_str()?, argument.as_str()?));
        match name {
            "$eq" => order.is_eq(),
            "$ne" => order.is_ne(),
            "$lt" => order.is_lt(),
            "$lte" => order.is_le(),
            "$gt" => order.is_gt(),
            "$gte" => order.is_ge(),
            "$in" => in_list(),
            "$nin" => !in_list(),
            "$exists" => argument == &json!(true),
            "$type" => argument == type_of(value),
            "$size" => value
                .as_array()
                .is_some_and(|elements| json!(elements.len()) == *argument),
            "$mod" => value.as_i64().is_some_and(|number| {
                number % argument[0].as_i64().unwrap() == argument[1].as_i64().unwrap()
            }),
            "$regex" => {
                text().is_some_and(|(text, pattern)| regex::Regex::new(pattern).unwrap().is_match(text))
            }
            "$beginsWith" | "$startsWith" => text().is_some_and(|(text, part)| text.starts_with(part)),
            "$endsWith" => text().is_some_and(|(text, part)| text.ends_with(part)),
            "$contains" => text().is_some_and(|(text, part)| text.contains(part)),
            "$all" => value.as_array().is_some_and(|elements| {
                let wanted = argument.as_array().unwrap();
                wanted
                    .iter()
                    .all(|wanted| elements.iter().any(|element| same(element, wanted)))
                    || (!wanted.is_empty() && wanted.iter().all(|only| only.is_array() && same(only, value)))
            }),
            "$elemMatch" => value
                .as_array()
                .is_some_and(|elements| elements.iter().any(inner)),
            "$allMatch" => value
                .as_array()
                .is_some_and(|elements| !elements.is_empty() && elements.iter().all(inner)),
            "$keyMapMatch" => value
                .as_object()
                .is_some_and(|members| members.keys().any(|name| inner(&json!(name)))),
            other => panic!("{other}"),
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..5).prop_map(Value::from),
        prop::sample::select(vec!["", "a", "A", "ab", "b", "é", "e"]).prop_map(Value::from),
    ]
}

/// A value of few, so that queries find some.
pub(super) fn value() -> impl Strategy<Value = Value> {
    let simple = scalar().boxed();
    prop_oneof![
        6 => scalar(),
        2 => prop::collection::vec(simple.clone(), 0..4).prop_map(Value::from),
        1 => prop::collection::vec(prop::collection::vec(simple.clone(), 0..2).prop_map(Value::from), 0..3).prop_map(Value::from),
        1 => simple.prop_map(|value| json!({"d": value})),
        1 => Just(json!({})),
    ]
}

/// A document without `_id`.
pub(super) fn document() -> impl Strategy<Value = Value> {
    (
        prop::option::weighted(0.8, value()),
        prop::option::weighted(0.8, value()),
        prop::option::weighted(0.6, value()),
    )
        .prop_map(|(a, b, d)| {
            let mut document = json!({});
            for (name, value) in [("a", a), ("b", b), ("c", d.map(|d| json!({"d": d})))] {
                if let Some(value) = value {
                    document[name] = value;
                }
            }
            document
        })
}

/// An operator with its argument.
fn terminal() -> impl Strategy<Value = Value> {
    let list = || prop::collection::vec(value(), 0..4).prop_map(Value::from);
    let text = || prop::sample::select(vec!["", "a", "A", "b", "é"]).prop_map(Value::from);
    let operator = |name: &'static str, argument: BoxedStrategy<Value>| {
        argument.prop_map(move |argument| json!({name: argument})).boxed()
    };
    prop_oneof![
        4 => prop::sample::select(vec!["$eq", "$ne", "$lt", "$lte", "$gt", "$gte"]).prop_flat_map(move |name| operator(name, value().boxed())),
        2 => prop::sample::select(vec!["$in", "$nin", "$all"]).prop_flat_map(move |name| operator(name, list().boxed())),
        1 => operator("$exists", any::<bool>().prop_map(Value::from).boxed()),
        1 => operator("$type", prop::sample::select(vec!["null", "boolean", "number", "string", "array", "object"]).prop_map(Value::from).boxed()),
        1 => operator("$size", (0_u64..4).prop_map(Value::from).boxed()),
        1 => operator("$mod", (1_i64..4, 0_i64..3).prop_map(|(divisor, remainder)| json!([divisor, remainder])).boxed()),
        2 => prop::sample::select(vec!["$beginsWith", "$startsWith", "$endsWith", "$contains", "$regex"]).prop_flat_map(move |name| operator(name, text().boxed())),
        2 => value(),
    ]
}

/// A condition on one value.
fn condition() -> impl Strategy<Value = Value> {
    terminal().prop_recursive(2, 6, 2, |inner| {
        let name = prop::sample::select(vec!["$elemMatch", "$allMatch", "$keyMapMatch", "$not"]);
        let list = prop::sample::select(vec!["$and", "$or", "$nor"]);
        prop_oneof![
            (name, inner.clone()).prop_map(|(name, inner)| {
                if inner.is_object() {
                    json!({name: inner})
                } else {
                    json!({name: {"$eq": inner}})
                }
            }),
            (list, prop::collection::vec(inner.clone(), 1..3)).prop_map(|(name, list)| json!({name: list})),
            (inner.clone(), inner).prop_map(|(left, right)| merged(left, right)),
        ]
    })
}

fn merged(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::Object(mut left), Value::Object(right)) if right.keys().all(|name| name.starts_with('$')) => {
            left.extend(right);
            Value::Object(left)
        }
        (left, _) => left,
    }
}

fn field() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["a", "b", "c.d", "a.0"]);
    prop_oneof![
        6 => (name, condition()).prop_map(|(name, condition)| json!({name: condition})),
        1 => condition().prop_map(|condition| json!({"c": {"d": condition}})),
        1 => (prop::sample::select(vec!["$eq", "$lt", "$lte", "$gt", "$gte", "$beginsWith"]), prop::sample::select(vec!["", "k1", "k2", "K"]))
            .prop_map(|(name, key)| json!({"_id": {name: key}})),
        1 => (prop::sample::select(vec!["$eq", "$lt", "$gt", "$gte"]), value()).prop_map(|(name, value)| json!({"_id": {name: value}})),
    ]
}

/// A selector.
pub(super) fn selector() -> impl Strategy<Value = Value> {
    field().prop_recursive(3, 10, 3, |inner| {
        let list = prop::sample::select(vec!["$and", "$or", "$nor"]);
        prop_oneof![
            2 => (list, prop::collection::vec(inner.clone(), 0..3)).prop_map(|(name, list)| json!({name: list})),
            1 => inner.clone().prop_map(|inner| json!({"$not": inner})),
            4 => (inner.clone(), inner).prop_map(|(mut left, right)| {
                left.as_object_mut().unwrap().extend(right.as_object().unwrap().clone());
                left
            }),
        ]
    })
}
