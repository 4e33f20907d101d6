//! What a group keeps of the documents in it, one function at a time. Nothing here depends on the order in which
//! documents come.

use std::cmp::Ordering;

use super::distinct::{About, Distinct, REGISTERS_BYTES};
use super::ordered::Ordered;
use super::percentile::Numbers;
use super::pipeline::Function;
use super::sum::{Sum, WIDE_BYTES};
use crate::doc::{Raw, Value};

/// One function's state in one group.
#[derive(Debug)]
pub(super) enum State {
    Count(u64),
    Sum(Sum),
    Mean(Sum),
    Best(Option<Ordered>),
    Distinct(Distinct),
    About(About),
    Percentiles(Numbers),
    End(Option<Box<End>>),
}

/// The first or last document so far, as far as it is needed.
#[derive(Debug)]
pub(super) struct End {
    by: Option<Ordered>,
    key: Box<str>,
    value: Option<Box<[u8]>>,
}

/// A document's values, as far as a pipeline needs them.
pub(super) type Found<'a, 'd> = &'a [Option<Raw<'d>>];

fn at<'d>(found: Found<'_, 'd>, number: usize) -> Option<Raw<'d>> {
    found.get(number).copied().flatten()
}

/// A value that is there and not null.
fn some_at<'d>(found: Found<'_, 'd>, number: usize) -> Option<Raw<'d>> {
    at(found, number).filter(|raw| !raw.is_null())
}

impl State {
    pub(super) fn new(function: &Function) -> Self {
        match function {
            Function::Count(_) => Self::Count(0),
            Function::Sum(_) => Self::Sum(Sum::default()),
            Function::Avg(_) => Self::Mean(Sum::default()),
            Function::Min(_) | Function::Max(_) => Self::Best(None),
            Function::Distinct {
                approximate: false, ..
            } => Self::Distinct(Distinct::default()),
            Function::Distinct {
                approximate: true, ..
            } => Self::About(About::default()),
            Function::Percentiles { .. } => Self::Percentiles(Numbers::default()),
            Function::First(_) | Function::Last(_) => Self::End(None),
        }
    }

    /// What it takes when it is new, beside itself.
    pub(super) fn new_bytes(function: &Function) -> usize {
        match function {
            Function::Distinct {
                approximate: true, ..
            } => REGISTERS_BYTES,
            _ => 0,
        }
    }

    /// Takes a document in, and answers by how many bytes that grew and shrank.
    pub(super) fn take(&mut self, function: &Function, found: Found<'_, '_>) -> (usize, usize) {
        match (self, function) {
            (Self::Count(count), Function::Count(field)) => {
                let is_there = field.is_none_or(|field| some_at(found, field).is_some());
                *count += u64::from(is_there);
            }
            (Self::Sum(sum), Function::Sum(field)) | (Self::Mean(sum), Function::Avg(field)) => {
                if let Some(value) = at(found, *field) {
                    let grown = if sum.widens(value) { WIDE_BYTES } else { 0 };
                    sum.add(value);
                    return (grown, 0);
                }
            }
            (Self::Best(best), Function::Min(field)) => {
                return better(best, some_at(found, *field), Ordering::Less);
            }
            (Self::Best(best), Function::Max(field)) => {
                return better(best, some_at(found, *field), Ordering::Greater);
            }
            (Self::Distinct(distinct), Function::Distinct { field, .. }) => {
                let grown = some_at(found, *field).map(|value| distinct.add(value.text()));
                return (grown.unwrap_or_default(), 0);
            }
            (Self::About(about), Function::Distinct { field, .. }) => {
                if let Some(value) = some_at(found, *field) {
                    about.add(value.text());
                }
            }
            (Self::Percentiles(numbers), Function::Percentiles { field, .. }) => {
                let number = at(found, *field).and_then(Raw::double);
                return (number.map(|number| numbers.add(number)).unwrap_or_default(), 0);
            }
            (Self::End(end), Function::First(which)) => {
                return which.take(end, found, Ordering::Less);
            }
            (Self::End(end), Function::Last(which)) => {
                return which.take(end, found, Ordering::Greater);
            }
            // A state is made for its function.
            _ => {}
        }
        (0, 0)
    }

    /// Takes what the same function found in other documents, and answers by how many bytes that grew and shrank.
    pub(super) fn merge(&mut self, function: &Function, other: Self) -> (usize, usize) {
        let side = match function {
            Function::Max(_) | Function::Last(_) => Ordering::Greater,
            _ => Ordering::Less,
        };
        match (self, other) {
            (Self::Count(count), Self::Count(more)) => *count += more,
            (Self::Sum(sum), Self::Sum(other)) | (Self::Mean(sum), Self::Mean(other)) => {
                return (sum.merge(other), 0);
            }
            (Self::Best(best), Self::Best(Some(other))) => return best_of(best, other, side),
            (Self::Distinct(distinct), Self::Distinct(other)) => return (distinct.merge(other), 0),
            (Self::About(about), Self::About(other)) => about.merge(&other),
            (Self::Percentiles(numbers), Self::Percentiles(other)) => return (numbers.merge(other), 0),
            (Self::End(end), Self::End(Some(other))) => {
                let before = match end {
                    Some(end) if other.cmp(end) != side => return (0, 0),
                    Some(end) => end.bytes(),
                    None => 0,
                };
                let grown = other.bytes();
                *end = Some(other);
                return (grown, before);
            }
            // Both are made for the same function.
            _ => {}
        }
        (0, 0)
    }

    /// What the function comes to.
    pub(super) fn result(&mut self, function: &Function) -> Value {
        let number = |number: Option<serde_json::Number>| number.map_or(Value::Null, Value::Number);
        match self {
            Self::Count(count) => Value::from(*count),
            Self::Sum(sum) => number(sum.total()),
            Self::Mean(sum) => number(sum.mean()),
            Self::Best(best) => best.as_ref().map_or(Value::Null, Ordered::value),
            Self::Distinct(distinct) => Value::from(distinct.count()),
            Self::About(about) => Value::from(about.count()),
            Self::Percentiles(numbers) => {
                let Function::Percentiles { percents, .. } = function else {
                    return Value::Null;
                };
                percents
                    .iter()
                    .map(|percent| number(numbers.at(*percent)))
                    .collect()
            }
            Self::End(end) => {
                let value = end.as_ref().and_then(|end| end.value.as_deref());
                value.map_or(Value::Null, |text| crate::doc::parse(text).unwrap_or_default())
            }
        }
    }
}

/// Keeps the value if it is on the wanted side of the one that was kept.
fn better(best: &mut Option<Ordered>, value: Option<Raw<'_>>, side: Ordering) -> (usize, usize) {
    match value {
        Some(value) => best_of(best, Ordered::of(value), side),
        None => (0, 0),
    }
}

fn best_of(best: &mut Option<Ordered>, value: Ordered, side: Ordering) -> (usize, usize) {
    let before = match best {
        Some(best) if value.cmp(best) != side => return (0, 0),
        Some(best) => best.bytes(),
        None => 0,
    };
    let grown = value.bytes();
    *best = Some(value);
    (grown, before)
}

/// Of which document a value is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct EndOf {
    /// The value.
    pub(super) field: usize,
    /// By what documents are ordered, before their keys.
    pub(super) by: Option<usize>,
    /// The document's key.
    pub(super) key: usize,
}

impl EndOf {
    fn take(&self, end: &mut Option<Box<End>>, found: Found<'_, '_>, side: Ordering) -> (usize, usize) {
        // Without a key it is no document of ours; without a value to be ordered by it is not on either end.
        let Some(key) = at(found, self.key).and_then(Raw::string) else {
            return (0, 0);
        };
        let by = match self.by {
            Some(by) => match some_at(found, by) {
                Some(by) => Some(Ordered::of(by)),
                None => return (0, 0),
            },
            None => None,
        };
        let before = match end {
            Some(end) => {
                let order = match (&by, &end.by) {
                    (Some(by), Some(other)) => by.cmp(other),
                    _ => Ordering::Equal,
                };
                if order.then_with(|| key.as_ref().cmp(&end.key)) != side {
                    return (0, 0);
                }
                end.bytes()
            }
            None => 0,
        };
        let new = End {
            by,
            key: key.into(),
            value: at(found, self.field).map(|value| value.text().into()),
        };
        let grown = new.bytes();
        *end = Some(Box::new(new));
        (grown, before)
    }
}

impl End {
    /// The order of the documents; none is the same as another.
    fn cmp(&self, other: &Self) -> Ordering {
        let order = match (&self.by, &other.by) {
            (Some(by), Some(other)) => by.cmp(other),
            _ => Ordering::Equal,
        };
        order.then_with(|| self.key.cmp(&other.key))
    }

    fn bytes(&self) -> usize {
        let value = self.value.as_ref().map_or(0, |value| value.len());
        let by = self.by.as_ref().map_or(0, Ordered::bytes);
        size_of::<Self>() + 32 + self.key.len() + value + by
    }
}
