//! What a selector comes to: a tree of conditions, and whether a value fulfils it.
//!
//! Negations are gone from the tree as far as an operator has an opposite. So a condition on a field that is not there
//! is never fulfilled, a negated one neither, with the one exception of `$exists: false`; as in CouchDB.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Pattern;
use crate::doc::{FieldPath, Value, compare};

/// A condition on a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// All of them.
    All(Vec<Self>),
    /// At least one of them.
    Any(Vec<Self>),
    /// The value of a field.
    Field(FieldPath, Test),
    /// The value itself: of an element, or a name of a member.
    Itself(Test),
}

/// What a value is tested for.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// By the order of values.
    Compare(Comparison, Value),
    /// It is one of these, or an array that has one of them as an element. Sorted, none twice.
    In(Vec<Value>),
    /// The opposite.
    NotIn(Vec<Value>),
    /// It is there.
    Exists(bool),
    /// Its type.
    Type(JsonType),
    /// A whole number that leaves this remainder.
    Mod {
        /// Not zero.
        divisor: i64,
        /// With the sign of the number.
        remainder: i64,
    },
    /// A text in which the pattern occurs.
    Matches(Pattern),
    /// A text that begins so, byte for byte.
    StartsWith(String),
    /// A text that ends so.
    EndsWith(String),
    /// A text in which this occurs.
    Contains(String),
    /// An array of this length.
    Size(u64),
    /// An array with all of these as elements; or the array that is the only one of them.
    HasAll(Vec<Value>),
    /// An array with at least one such element.
    AnyElement(Box<Condition>),
    /// An array with elements, all of them such.
    EveryElement(Box<Condition>),
    /// An object with at least one such name.
    AnyName(Box<Condition>),
    /// Not that.
    Not(Box<Self>),
}

/// How a value compares with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `$eq`.
    Equal,
    /// `$ne`.
    NotEqual,
    /// `$lt`.
    Less,
    /// `$lte`.
    AtMost,
    /// `$gt`.
    Greater,
    /// `$gte`.
    AtLeast,
}

impl Comparison {
    /// What holds exactly when this does not.
    pub(super) const fn opposite(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Less => Self::AtLeast,
            Self::AtMost => Self::Greater,
            Self::Greater => Self::AtMost,
            Self::AtLeast => Self::Less,
        }
    }

    const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

/// A type of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonType {
    /// `null`.
    Null,
    /// `boolean`.
    Boolean,
    /// `number`.
    Number,
    /// `string`.
    String,
    /// `array`.
    Array,
    /// `object`.
    Object,
}

impl JsonType {
    const ALL: [Self; 6] = [
        Self::Null,
        Self::Boolean,
        Self::Number,
        Self::String,
        Self::Array,
        Self::Object,
    ];

    /// Its name in `$type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }

    /// Reads the name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// The type of a value.
    pub const fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }
}

impl Condition {
    /// Whether a document fulfils it whose values are found one by one.
    pub fn matches_of<'v>(&self, of: &mut dyn FnMut(&FieldPath) -> Option<Cow<'v, Value>>) -> bool {
        match self {
            Self::All(conditions) => conditions.iter().all(|condition| condition.matches_of(of)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.matches_of(of)),
            Self::Field(path, test) => match of(path) {
                None => *test == Test::Exists(false),
                Some(value) if is_key(path) => test.matches(&value, by_bytes),
                Some(value) => test.matches(&value, compare),
            },
            // Only of elements and names, which stand below a test.
            Self::Itself(_) => false,
        }
    }

    /// Hands out each field that [`Self::matches_of`] may ask for.
    pub fn paths(&self, found: &mut dyn FnMut(&FieldPath)) {
        match self {
            Self::All(conditions) | Self::Any(conditions) => {
                for condition in conditions {
                    condition.paths(found);
                }
            }
            Self::Field(path, _) => found(path),
            Self::Itself(_) => {}
        }
    }

    /// Whether a value fulfils it.
    pub fn matches(&self, value: &Value) -> bool {
        match self {
            Self::All(conditions) => conditions.iter().all(|condition| condition.matches(value)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.matches(value)),
            Self::Field(path, test) => match path.of(value) {
                None => *test == Test::Exists(false),
                Some(value) if is_key(path) => test.matches(value, by_bytes),
                Some(value) => test.matches(value, compare),
            },
            Self::Itself(test) => test.matches(value, compare),
        }
    }
}

/// Whether a field is the document's key, which is ordered by its bytes wherever it occurs.
pub(super) fn is_key(path: &FieldPath) -> bool {
    matches!(path.names(), [name] if name == "_id")
}

/// The order of keys.
pub(super) fn by_bytes(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        _ => compare(left, right),
    }
}

impl Test {
    /// Whether a value that is there passes.
    pub(super) fn matches(&self, value: &Value, order: fn(&Value, &Value) -> Ordering) -> bool {
        match self {
            Self::Compare(comparison, wanted) => match (comparison, value, wanted) {
                // Only equal texts are equal in any order.
                (Comparison::Equal, Value::String(value), Value::String(wanted)) => value == wanted,
                _ => comparison.holds(order(value, wanted)),
            },
            Self::In(wanted) => is_in(value, wanted),
            Self::NotIn(unwanted) => !is_in(value, unwanted),
            Self::Exists(there) => *there,
            Self::Type(wanted) => JsonType::of(value) == *wanted,
            Self::Mod { divisor, remainder } => value
                .as_i64()
                .and_then(|value| value.checked_rem(*divisor))
                .is_some_and(|found| found == *remainder),
            Self::Matches(pattern) => value.as_str().is_some_and(|text| pattern.matches(text)),
            Self::StartsWith(begin) => value.as_str().is_some_and(|text| text.starts_with(begin)),
            Self::EndsWith(end) => value.as_str().is_some_and(|text| text.ends_with(end)),
            Self::Contains(part) => value.as_str().is_some_and(|text| text.contains(part)),
            Self::Size(wanted) => value
                .as_array()
                .is_some_and(|elements| u64::try_from(elements.len()) == Ok(*wanted)),
            Self::HasAll(wanted) => value.as_array().is_some_and(|elements| {
                let has = |wanted: &Value| elements.iter().any(|element| compare(element, wanted).is_eq());
                wanted.iter().all(has)
                    || matches!(wanted.as_slice(), [only @ Value::Array(_)] if compare(only, value).is_eq())
            }),
            Self::AnyElement(condition) => value
                .as_array()
                .is_some_and(|elements| elements.iter().any(|element| condition.matches(element))),
            Self::EveryElement(condition) => value.as_array().is_some_and(|elements| {
                !elements.is_empty() && elements.iter().all(|element| condition.matches(element))
            }),
            Self::AnyName(condition) => value.as_object().is_some_and(|members| {
                members
                    .keys()
                    .any(|name| condition.matches(&Value::String(name.clone())))
            }),
            Self::Not(test) => !test.matches(value, order),
        }
    }
}

fn is_in(value: &Value, wanted: &[Value]) -> bool {
    let has = |value: &Value| wanted.binary_search_by(|wanted| compare(wanted, value)).is_ok();
    match value {
        Value::Array(elements) => elements.iter().any(has),
        _ => has(value),
    }
}
