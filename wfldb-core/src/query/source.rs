//! What a selector says of the values of one field, as far as an index can be asked for it: single values, or spans.
//!
//! It is said either of the whole value or, for arrays, of one element: an index has entries of both. What is said may
//! be less than the selector asks for, never more: the rest is asked of each document.

use super::condition::{by_bytes, is_key};
use super::imply::conjuncts;
use super::{Comparison, Condition, Test};
use crate::doc::{FieldPath, Value, compare};
use crate::index::End;

/// Values of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source<'a> {
    /// These.
    Points(Vec<&'a Value>),
    /// Those between two ends, of at least one of these pairs.
    Spans(Vec<Span<'a>>),
}

/// Values between two ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span<'a> {
    pub(super) low: End<'a>,
    pub(super) high: End<'a>,
}

const ANY: Span<'static> = Span {
    low: End::Open,
    high: End::Open,
};

impl Source<'_> {
    /// Whether it leaves out anything but documents without the field.
    pub(super) fn narrows(&self) -> bool {
        match self {
            Self::Points(_) => true,
            Self::Spans(spans) => !spans.contains(&ANY),
        }
    }
}

/// What all conditions together say of the whole value of a field; `None`: nothing.
pub(super) fn whole<'a>(conditions: &[&'a Condition], path: &FieldPath) -> Option<Source<'a>> {
    let tests = tests_of(conditions, path);
    match of_tests(&tests, is_key(path)) {
        Some(source) if source.narrows() => Some(source),
        other => conditions
            .iter()
            .find_map(|condition| of_any(condition, path))
            .or(other),
    }
}

/// What one of the conditions says of an element of a field's array, or of the value that is none; `None`: nothing.
pub(super) fn of_elements<'a>(conditions: &[&'a Condition], path: &FieldPath) -> Option<Source<'a>> {
    let sources = tests_of(conditions, path).into_iter().filter_map(of_element);
    sources.min_by_key(|source| match source {
        Source::Points(points) => (0, points.len()),
        Source::Spans(_) => (1, 0),
    })
}

fn tests_of<'a>(conditions: &[&'a Condition], path: &FieldPath) -> Vec<&'a Test> {
    let of_field = |condition: &&'a Condition| match condition {
        Condition::Field(found, test) if found == path => Some(test),
        _ => None,
    };
    conditions.iter().filter_map(of_field).collect()
}

/// What tests say that one value has to pass all of.
fn of_tests<'a>(tests: &[&'a Test], of_key: bool) -> Option<Source<'a>> {
    let order = if of_key { by_bytes } else { compare };
    let point = tests.iter().find_map(|test| match test {
        Test::Compare(Comparison::Equal, value) => Some(vec![value]),
        // The key is a text in every document.
        Test::In(values) if of_key => Some(values.iter().collect()),
        _ => None,
    });
    if let Some(mut points) = point {
        points.retain(|value| tests.iter().all(|test| test.matches(value, order)));
        return Some(Source::Points(points));
    }
    let mut span: Option<Span<'a>> = None;
    for test in tests {
        let Some(next) = span_of(test) else { continue };
        let so_far = span.unwrap_or(ANY);
        span = Some(match (so_far.low, next.low) {
            // Of two beginnings one is enough, and it is narrower than what an order says.
            (End::Begins(_), _) => so_far,
            (_, End::Begins(_)) => next,
            (low, other) => Span {
                low: narrower(low, other, |kept, new| order(new, kept).is_gt()),
                high: narrower(so_far.high, next.high, |kept, new| order(new, kept).is_lt()),
            },
        });
    }
    span.map(|span| Source::Spans(vec![span]))
}

/// The end that leaves less: `moves` says whether the second value does.
fn narrower<'a>(kept: End<'a>, new: End<'a>, moves: impl Fn(&Value, &Value) -> bool) -> End<'a> {
    match (kept, new) {
        (End::Included(left) | End::Excluded(left), End::Included(right) | End::Excluded(right)) => {
            let same = !moves(left, right) && !moves(right, left);
            if moves(left, right) || (same && matches!(new, End::Excluded(_))) {
                new
            } else {
                kept
            }
        }
        (End::Open, new) => new,
        (kept, _) => kept,
    }
}

/// The values that pass a test, and perhaps some more. `None`: the field may be missing too.
fn span_of(test: &Test) -> Option<Span<'_>> {
    let span = |low, high| Some(Span { low, high });
    match test {
        Test::Exists(false) => None,
        Test::Compare(comparison, value) => match comparison {
            Comparison::Equal => span(End::Included(value), End::Included(value)),
            Comparison::Less => span(End::Open, End::Excluded(value)),
            Comparison::AtMost => span(End::Open, End::Included(value)),
            Comparison::Greater => span(End::Excluded(value), End::Open),
            Comparison::AtLeast => span(End::Included(value), End::Open),
            Comparison::NotEqual => Some(ANY),
        },
        Test::StartsWith(begin) if !begin.is_empty() => span(End::Begins(begin), End::Begins(begin)),
        _ => Some(ANY),
    }
}

/// `$or`, where each of its conditions says something of the field.
fn of_any<'a>(condition: &'a Condition, path: &FieldPath) -> Option<Source<'a>> {
    let Condition::Any(any) = condition else {
        return None;
    };
    let mut points = Vec::new();
    let mut spans = Vec::new();
    for condition in any {
        match whole(&conjuncts(condition), path).filter(Source::narrows)? {
            Source::Points(more) => points.extend(more),
            Source::Spans(more) => spans.extend(more),
        }
    }
    if any.is_empty() || spans.is_empty() {
        return Some(Source::Points(points));
    }
    spans.extend(points.into_iter().map(|point| Span {
        low: End::Included(point),
        high: End::Included(point),
    }));
    Some(Source::Spans(spans))
}

fn of_element(test: &Test) -> Option<Source<'_>> {
    match test {
        Test::In(values) => Some(Source::Points(values.iter().collect())),
        // One of them is enough. The array that is the only one of them has an entry with the same key.
        Test::HasAll(values) => values.first().map(|value| Source::Points(vec![value])),
        // Arrays without elements fulfil neither.
        Test::AnyElement(condition) | Test::EveryElement(condition) => {
            let conditions = conjuncts(condition);
            let tests: Vec<&Test> = conditions
                .iter()
                .filter_map(|condition| match condition {
                    Condition::Itself(test) => Some(test),
                    _ => None,
                })
                .collect();
            of_tests(&tests, false).filter(Source::narrows)
        }
        _ => None,
    }
}
