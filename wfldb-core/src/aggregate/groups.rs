//! The groups of an aggregation while documents come, and the rows that they become.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::pipeline::{After, Pipeline, Step};
use super::state::{Found, State};
use super::step::{number_value, time_value, width_start};
use crate::Kind;
use crate::doc::{Object, Raw, Value, parse, write_key};

/// What a group takes beside its key and its states: its share of the table, and its row at the end.
const GROUP_BYTES: usize = 192;
/// What a key's part of a field's value ends with: canonical text has no such byte.
const PART_END: u8 = 0;
const IS_NULL: u8 = 0;
const IS_START: u8 = 1;

/// The groups take more memory than they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the groups take more than {0} bytes")]
pub struct TooManyGroups(pub usize);

impl TooManyGroups {
    /// The stable error code.
    pub fn code(self) -> &'static str {
        "AggregateTooLarge"
    }

    /// What the caller can do about it.
    pub fn kind(self) -> Kind {
        Kind::TooLarge
    }
}

/// A pipeline at work on one document after another, in any order.
#[derive(Debug)]
pub struct Aggregation {
    pipeline: Arc<Pipeline>,
    groups: HashMap<Box<[u8]>, Box<[State]>>,
    meter: Meter,
    /// Room that each document uses again.
    room: Vec<Option<Raw<'static>>>,
    key: Vec<u8>,
}

/// Memory in bytes, counted before it is taken.
#[derive(Debug)]
struct Meter {
    used: usize,
    max: usize,
}

impl Meter {
    fn take(&mut self, bytes: usize) -> Result<(), TooManyGroups> {
        let used = self.used.saturating_add(bytes);
        if used > self.max {
            return Err(TooManyGroups(self.max));
        }
        self.used = used;
        Ok(())
    }

    fn change(&mut self, grown: usize, shrunk: usize) -> Result<(), TooManyGroups> {
        self.used = self.used.saturating_sub(shrunk);
        self.take(grown)
    }
}

impl Aggregation {
    /// Groups that take at most `bytes_max` bytes of memory.
    pub fn new(pipeline: Arc<Pipeline>, bytes_max: usize) -> Self {
        Self {
            groups: HashMap::new(),
            meter: Meter {
                used: 0,
                max: bytes_max,
            },
            room: pipeline.fields.room(),
            key: Vec::new(),
            pipeline,
        }
    }

    /// How much memory the groups take, in bytes.
    pub fn bytes(&self) -> usize {
        self.meter.used
    }

    /// Takes a document in, given by its canonical text; whether the pipeline's selectors match it.
    ///
    /// # Errors
    /// [`TooManyGroups`]; nothing that was computed so far is worth anything then.
    pub fn take(&mut self, document: &[u8]) -> Result<bool, TooManyGroups> {
        let mut found = empty(std::mem::take(&mut self.room));
        self.pipeline.fields.find(document, &mut found);
        let taken = self.take_found(&found);
        self.room = empty(found);
        taken
    }

    fn take_found(&mut self, found: Found<'_, '_>) -> Result<bool, TooManyGroups> {
        let Self {
            pipeline,
            groups,
            meter,
            key,
            ..
        } = self;
        if !matches(pipeline, found) {
            return Ok(false);
        }
        key.clear();
        for by in &pipeline.by {
            write_part(by.step, found.get(by.field).copied().flatten(), key);
        }
        if let Some(states) = groups.get_mut(key.as_slice()) {
            fold(states, pipeline, found, meter)?;
            return Ok(true);
        }
        let mut states = new_states(pipeline, key, meter)?;
        fold(&mut states, pipeline, found, meter)?;
        groups.insert(key.as_slice().into(), states);
        Ok(true)
    }

    /// Takes in the groups that the same pipeline made of other documents: as if those had come here.
    ///
    /// # Errors
    /// [`TooManyGroups`]; nothing that was computed so far is worth anything then.
    pub fn merge(&mut self, other: Self) -> Result<(), TooManyGroups> {
        let Self {
            pipeline,
            groups,
            meter,
            ..
        } = self;
        for (key, others) in other.groups {
            let states = match groups.entry(key) {
                Entry::Occupied(group) => group.into_mut(),
                Entry::Vacant(group) => {
                    let states = new_states(pipeline, group.key(), meter)?;
                    group.insert(states)
                }
            };
            for ((state, (_, function)), other) in states.iter_mut().zip(&pipeline.functions).zip(others) {
                let (grown, shrunk) = state.merge(function, other);
                meter.change(grown, shrunk)?;
            }
        }
        Ok(())
    }

    /// The rows that the groups become: sorted by what they were grouped by, as far as the pipeline does not say otherwise.
    /// Without anything to group by there is always one row.
    ///
    /// # Errors
    /// [`TooManyGroups`].
    pub fn finish(mut self) -> Result<AggregateRows, TooManyGroups> {
        let pipeline = &*self.pipeline;
        if pipeline.by.is_empty() && self.groups.is_empty() {
            let states = pipeline
                .functions
                .iter()
                .map(|(_, function)| State::new(function));
            self.groups.insert(Box::default(), states.collect());
        }
        let mut rows = Vec::with_capacity(self.groups.len());
        for (key, states) in self.groups {
            let mut order = Vec::new();
            for value in values(pipeline, &key) {
                write_key(&value, &mut order);
            }
            self.meter.take(order.capacity())?;
            rows.push(Row { order, key, states });
        }
        rows.sort_unstable_by(|left, right| left.order.cmp(&right.order));
        for stage in &pipeline.after {
            match stage {
                After::Match(selector) => {
                    rows.retain_mut(|row| selector.matches(&Value::Object(row.object(pipeline))));
                }
                After::Sort(keys) => {
                    for row in &mut rows {
                        let before = row.order.capacity();
                        row.sort_key(pipeline, keys);
                        self.meter.used = self.meter.used.saturating_sub(before);
                        self.meter.take(row.order.capacity())?;
                    }
                    // Rows that are equal by these keep the order that they had.
                    rows.sort_by(|left, right| left.order.cmp(&right.order));
                }
                After::Skip(count) => {
                    rows.drain(..(*count).min(rows.len()));
                }
                After::Limit(count) => rows.truncate(*count),
            }
        }
        Ok(AggregateRows {
            rows,
            pipeline: self.pipeline,
        })
    }
}

/// Takes a document into a group.
fn fold(
    states: &mut [State],
    pipeline: &Pipeline,
    found: Found<'_, '_>,
    meter: &mut Meter,
) -> Result<(), TooManyGroups> {
    for (state, (_, function)) in states.iter_mut().zip(&pipeline.functions) {
        let (grown, shrunk) = state.take(function, found);
        meter.change(grown, shrunk)?;
    }
    Ok(())
}

/// The states of a new group.
fn new_states(pipeline: &Pipeline, key: &[u8], meter: &mut Meter) -> Result<Box<[State]>, TooManyGroups> {
    let functions = pipeline.functions.iter().map(|(_, function)| function);
    let bytes = functions
        .clone()
        .map(|function| size_of::<State>() + State::new_bytes(function));
    meter.take(GROUP_BYTES + key.len() + bytes.sum::<usize>())?;
    Ok(functions.map(State::new).collect())
}

/// The same room without what is in it, for values of another text. The memory is used again.
fn empty<'d>(mut room: Vec<Option<Raw<'_>>>) -> Vec<Option<Raw<'d>>> {
    room.fill(None);
    room.into_iter().map(|_| None).collect()
}

/// Whether all selectors of the pipeline match a document.
fn matches(pipeline: &Pipeline, found: Found<'_, '_>) -> bool {
    pipeline.matching.iter().all(|selector| {
        selector.condition().matches_of(&mut |path| {
            let number = pipeline.fields.paths().iter().position(|known| known == path)?;
            let raw = found.get(number).copied().flatten()?;
            Some(Cow::Owned(raw.value()))
        })
    })
}

/// Appends what tells a group from others by one of its values. What is missing is null.
fn write_part(step: Step, value: Option<Raw<'_>>, key: &mut Vec<u8>) {
    let start = match (step, value) {
        (Step::Value, value) => {
            key.extend(value.map_or(b"null".as_slice(), Raw::text));
            key.push(PART_END);
            return;
        }
        (_, None) => None,
        (Step::Time(step), Some(value)) => step.start(value).map(i64::to_be_bytes),
        (Step::Width(width), Some(value)) => width_start(width, value).map(f64::to_be_bytes),
    };
    match start {
        Some(start) => {
            key.push(IS_START);
            key.extend(start);
        }
        None => key.push(IS_NULL),
    }
}

/// The values that a group's key was made of.
fn values(pipeline: &Pipeline, key: &[u8]) -> Vec<Value> {
    let mut rest = key;
    let mut values = Vec::with_capacity(pipeline.by.len());
    for by in &pipeline.by {
        let (value, behind) = match by.step {
            Step::Value => {
                let end = rest
                    .iter()
                    .position(|byte| *byte == PART_END)
                    .unwrap_or(rest.len());
                let (text, behind) = rest.split_at_checked(end).unwrap_or_default();
                (parse(text).unwrap_or_default(), behind.get(1..))
            }
            Step::Time(_) | Step::Width(_) => match rest.split_first() {
                Some((&IS_START, behind)) => match (behind.split_first_chunk(), by.step) {
                    (Some((start, behind)), Step::Width(_)) => {
                        (number_value(f64::from_be_bytes(*start)), Some(behind))
                    }
                    (Some((start, behind)), _) => (time_value(i64::from_be_bytes(*start)), Some(behind)),
                    (None, _) => (Value::Null, None),
                },
                Some((_, behind)) => (Value::Null, Some(behind)),
                None => (Value::Null, None),
            },
        };
        values.push(value);
        rest = behind.unwrap_or_default();
    }
    values
}

/// A group whose documents have all come.
#[derive(Debug)]
struct Row {
    /// Rows are sorted by it.
    order: Vec<u8>,
    key: Box<[u8]>,
    states: Box<[State]>,
}

impl Row {
    fn object(&mut self, pipeline: &Pipeline) -> Object {
        let by = pipeline.by.iter().zip(values(pipeline, &self.key));
        let mut row: Object = by.map(|(by, value)| (by.name.clone(), value)).collect();
        for ((name, function), state) in pipeline.functions.iter().zip(&mut self.states) {
            row.insert(name.clone(), state.result(function));
        }
        row
    }

    fn sort_key(&mut self, pipeline: &Pipeline, keys: &[(String, bool)]) {
        let row = self.object(pipeline);
        let mut order = Vec::new();
        for (name, is_descending) in keys {
            let from = order.len();
            write_key(row.get(name).unwrap_or(&Value::Null), &mut order);
            if *is_descending {
                // No key begins another, so the complement has the opposite order.
                order.iter_mut().skip(from).for_each(|byte| *byte = !*byte);
            }
        }
        self.order = order;
    }
}

/// The rows of an answer. Each is made when it is asked for, since all of them may be much larger than the groups.
#[derive(Debug)]
pub struct AggregateRows {
    pipeline: Arc<Pipeline>,
    rows: Vec<Row>,
}

impl AggregateRows {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One of them, from 0, as often as it is asked for.
    pub fn row(&mut self, index: usize) -> Option<Object> {
        let row = self.rows.get_mut(index)?;
        Some(row.object(&self.pipeline))
    }

    /// All of them, one after the other.
    pub fn all(&mut self) -> impl Iterator<Item = Object> {
        let Self { pipeline, rows } = self;
        rows.iter_mut().map(|row| row.object(pipeline))
    }
}
