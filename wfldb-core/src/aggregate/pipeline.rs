//! A pipeline: what is grouped, by what, and what becomes of the groups. Reading one is in `parse`.

use super::bounds::KeyBounds;
use super::state::EndOf;
use super::step::TimeStep;
use crate::doc::{FieldSet, Value};
use crate::query::{Condition, QueryError, Selector};

/// An aggregation that was asked for, as docs/PROTOCOL.md gives it.
///
/// ```
/// use serde_json::json;
/// use wfldb_core::aggregate::{Aggregation, Pipeline};
///
/// let pipeline = Pipeline::parse(&json!({"pipeline": [
///     {"match": {"open": true}},
///     {"group": {"by": ["city"], "fields": {"people": {"count": true}, "age": {"avg": "age"}}}},
///     {"sort": [{"people": "desc"}]},
/// ]}))?;
/// let mut groups = Aggregation::new(pipeline.into(), 1 << 20);
/// groups.take(br#"{"_id":"a","age":40,"city":"Kyiv","open":true}"#).unwrap();
/// groups.take(br#"{"_id":"b","age":41,"city":"Kyiv","open":true}"#).unwrap();
/// groups.take(br#"{"_id":"c","age":41,"city":"Lviv","open":false}"#).unwrap();
/// let rows: Vec<_> = groups.finish().unwrap().all().map(serde_json::Value::Object).collect();
/// assert_eq!(rows, [json!({"city": "Kyiv", "people": 2, "age": 40.5})]);
/// # Ok::<(), wfldb_core::query::QueryError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pipeline {
    pub(super) fields: FieldSet,
    /// All of them hold of the documents that count.
    pub(super) matching: Vec<Selector>,
    pub(super) by: Vec<By>,
    pub(super) functions: Vec<(String, Function)>,
    pub(super) after: Vec<After>,
}

/// One value that documents are grouped by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct By {
    pub(super) name: String,
    pub(super) field: usize,
    pub(super) step: Step,
}

/// How coarse it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// Each value is a group.
    Value,
    Time(TimeStep),
    Width(f64),
}

/// What is computed of the documents of a group. Fields are numbers in [`Pipeline::fields`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Function {
    /// All documents, or those in which a field is there and not null.
    Count(Option<usize>),
    Sum(usize),
    Avg(usize),
    Min(usize),
    Max(usize),
    Distinct {
        field: usize,
        approximate: bool,
    },
    Percentiles {
        field: usize,
        percents: Vec<f64>,
    },
    First(EndOf),
    Last(EndOf),
}

/// What becomes of the groups.
#[derive(Clone, Debug)]
pub(super) enum After {
    /// Those stay of which it holds.
    Match(Selector),
    /// Names, and whether descending.
    Sort(Vec<(String, bool)>),
    Skip(usize),
    Limit(usize),
}

impl Pipeline {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`QueryError`] with the place of the first fault.
    pub fn parse(body: &Value) -> Result<Self, QueryError> {
        super::parse::pipeline(body)
    }

    /// What all selectors together want of a document; `None`: there are none, or they want everything.
    pub fn selector(&self) -> Option<Selector> {
        let wants_all = |selector: &Selector| *selector.condition() == Condition::All(Vec::new());
        (!self.matching.iter().all(wants_all)).then(|| Selector::all(&self.matching))
    }

    /// Between which keys all documents are that the selectors can match.
    pub fn key_bounds(&self) -> KeyBounds {
        let mut bounds = KeyBounds::default();
        for selector in &self.matching {
            bounds.narrow(selector.condition());
        }
        bounds
    }
}
