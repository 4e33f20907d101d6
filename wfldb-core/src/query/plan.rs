//! From a question and the indexes that there are to the rows that are looked at. Pure: the engine carries it out.
//!
//! INVARIANT: every document that the selector wants has a row within the ranges of the plan, and where the plan says
//! that the walk gives the order, exactly one that the walk takes. Everything else is asked of the document.

use super::imply::{conjuncts, implies};
use super::source::{Source, of_elements, whole};
use super::{Condition, FindRequest, QueryError, QueryFault, SortField, Test};
use crate::doc::{FieldPath, Object, Value};
use crate::index::{End, IndexDefinition, IndexKind, KeyRange};
use crate::limits::{FIND_RANGES_MAX, INDEX_FIELDS_MAX};

/// An index that can be walked.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What stands for it in bookmarks.
    pub number: u32,
    /// What it is.
    pub definition: &'a IndexDefinition,
}

/// How a question is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Which rows are looked at.
    pub access: Access,
    /// They come in the order that is wanted; else all that are wanted are sorted.
    pub sorted: bool,
    /// The index that would have been better.
    pub wish: Option<IndexWish>,
}

/// Which rows are looked at.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// The documents themselves, by their keys.
    Documents {
        /// Bytes of keys, ascending, apart from each other.
        ranges: Vec<KeyRange>,
        /// From the last to the first.
        reverse: bool,
    },
    /// The entries of an index.
    Index {
        /// Its number.
        number: u32,
        /// Keys of entries, ascending, apart from each other.
        ranges: Vec<KeyRange>,
        /// From the last to the first.
        reverse: bool,
        /// Only entries with whole values count; else the first entry of each document within the ranges.
        whole: bool,
    },
}

/// The rows that a bookmark goes on in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// Documents.
    Documents,
    /// Entries of the index with this number.
    Index(u32),
    /// Any; what is wanted is sorted.
    Sorted,
}

/// An index that a question wishes existed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexWish {
    /// Its fields, and whether each is descending.
    pub fields: Vec<(FieldPath, bool)>,
}

impl IndexWish {
    /// The body that makes it.
    pub fn to_value(&self) -> Value {
        let fields = self.fields.iter().map(|(path, descending)| {
            let direction = if *descending { "desc" } else { "asc" };
            Value::Object(Object::from_iter([(path.to_string(), Value::from(direction))]))
        });
        serde_json::json!({"index": {"fields": fields.collect::<Value>()}})
    }
}

/// The cheapest way to answer a question. `resumed` is the walk that a bookmark goes on in.
///
/// # Errors
/// [`QueryFault::UseIndex`] when the index that the question names cannot answer it, [`QueryFault::Bookmark`] when the
/// bookmark's cannot.
pub fn plan(request: &FindRequest, indexes: &[Known<'_>], resumed: Option<Walk>) -> Result<Plan, QueryError> {
    // What a search of the full text finds is in no order of an index.
    if request.use_index.is_some() && request.selector.text().is_some() {
        return Err(unusable_index());
    }
    let conditions = conjuncts(request.selector.condition());
    let question = Question { request, conditions };
    let mut candidates = Vec::new();
    if request.use_index.is_none() {
        candidates.push(question.documents());
    }
    for known in indexes {
        let named = request.use_index.as_deref();
        if named.is_none_or(|name| name == known.definition.name.as_str()) {
            candidates.extend(question.index(known));
        }
    }
    if candidates.is_empty() {
        return Err(unusable_index());
    }
    candidates.retain(|candidate| match (resumed, &candidate.access) {
        (None | Some(Walk::Sorted), _) => true,
        (Some(Walk::Documents), Access::Documents { .. }) => candidate.sorted,
        (Some(Walk::Index(wanted)), Access::Index { number, .. }) => candidate.sorted && *number == wanted,
        _ => false,
    });
    let best = candidates
        .into_iter()
        .min_by(|left, right| left.cost.total_cmp(&right.cost));
    let best = best.ok_or_else(|| QueryError {
        fault: QueryFault::Bookmark,
        pointer: "/bookmark".to_owned(),
    })?;
    let wish = question.wish(&best, indexes);
    Ok(Plan {
        access: best.access,
        sorted: best.sorted && resumed != Some(Walk::Sorted),
        wish,
    })
}

fn unusable_index() -> QueryError {
    QueryError {
        fault: QueryFault::UseIndex,
        pointer: "/use_index".to_owned(),
    }
}

struct Question<'a> {
    request: &'a FindRequest,
    conditions: Vec<&'a Condition>,
}

struct Candidate {
    access: Access,
    sorted: bool,
    cost: f64,
}

/// What walking everything costs.
const ALL: f64 = 1.0;
/// What one wanted value leaves of that, and what a span with one end and with two does.
const POINT: f64 = 0.01;
const HALF: f64 = 0.3;
const BETWEEN: f64 = 0.1;
/// What an entry costs more than a document in order: it leads to a document elsewhere.
const DETOUR: f64 = 1.5;

impl<'a> Question<'a> {
    /// Sorting needs all that is wanted; a walk in order ends with the page.
    fn cost(&self, share: f64, sorted: bool) -> f64 {
        match (self.request.sort.is_empty(), sorted) {
            (true, _) => share,
            (false, true) => share * 0.5,
            (false, false) => share * 2.0,
        }
    }

    fn documents(&self) -> Candidate {
        let Ok(key) = FieldPath::parse("_id") else {
            return Candidate {
                access: Access::Documents {
                    ranges: vec![all_keys()],
                    reverse: false,
                },
                sorted: false,
                cost: ALL,
            };
        };
        let (ranges, share) = match whole(&self.conditions, &key) {
            None => (vec![all_keys()], ALL),
            Some(Source::Points(points)) => {
                let keys = points.into_iter().filter_map(Value::as_str);
                let ranges: Vec<_> = keys
                    .map(|key| KeyRange {
                        from: key.as_bytes().to_vec(),
                        to: [key.as_bytes(), &[0]].concat(),
                    })
                    .collect();
                let share = POINT * POINT * u32::try_from(ranges.len()).map_or(f64::MAX, f64::from);
                (ranges, share)
            }
            Some(source @ Source::Spans(_)) => {
                let narrows = source.narrows();
                let Source::Spans(spans) = source else {
                    return self.documents_of(Vec::new(), 0.0);
                };
                let ranges = spans.iter().filter_map(|span| keys_between(span.low, span.high));
                (ranges.collect(), if narrows { HALF } else { ALL })
            }
        };
        self.documents_of(ranges, share)
    }

    fn documents_of(&self, ranges: Vec<KeyRange>, share: f64) -> Candidate {
        let (sorted, reverse) = match self.unpinned().as_slice() {
            [] => (true, false),
            [first, ..] => (first.is_key(), first.descending && first.is_key()),
        };
        Candidate {
            access: Access::Documents {
                ranges: apart(ranges),
                reverse,
            },
            sorted,
            cost: self.cost(share, sorted),
        }
    }

    /// The fields of the sort that are not the same in all documents that are wanted.
    fn unpinned(&self) -> Vec<&'a SortField> {
        let fields = self.request.sort.iter();
        fields.filter(|field| !self.is_pinned(&field.path)).collect()
    }

    fn is_pinned(&self, path: &FieldPath) -> bool {
        matches!(whole(&self.conditions, path), Some(Source::Points(points)) if points.len() == 1)
    }

    fn index(&self, known: &Known<'_>) -> Vec<Candidate> {
        let definition = known.definition;
        let partial = definition.partial.as_ref();
        let covers = partial.is_none_or(|partial| implies(&self.conditions, partial.condition()));
        let present = |path: &FieldPath| {
            self.conditions.iter().any(
                |condition| matches!(condition, Condition::Field(found, test) if found == path && *test != Test::Exists(false)),
            )
        };
        if !covers || (definition.sparse && !definition.fields().all(|(path, _)| present(path))) {
            return Vec::new();
        }
        let mut candidates = Vec::new();
        candidates.extend(self.walk(known, true));
        if definition.kind == IndexKind::Ordered {
            candidates.extend(self.walk(known, false));
        }
        candidates
    }

    /// The entries of an index: those with whole values only, or those of elements too.
    fn walk(&self, known: &Known<'_>, whole_only: bool) -> Option<Candidate> {
        let definition = known.definition;
        let mut prefixes: Vec<Vec<Option<&Value>>> = vec![Vec::new()];
        let mut share = ALL;
        let mut points_of = 0;
        let mut spans = None;
        let mut of_element = false;
        for (path, _) in definition.fields() {
            let value = whole(&self.conditions, path);
            let element = || of_elements(&self.conditions, path);
            let source = match value {
                Some(Source::Points(points)) => Some((Source::Points(points), false)),
                other if whole_only => other.map(|source| (source, false)),
                other => match element() {
                    Some(points @ Source::Points(_)) => Some((points, true)),
                    Some(spans) if !other.as_ref().is_some_and(Source::narrows) => Some((spans, true)),
                    _ => other.map(|source| (source, false)),
                },
            };
            match source {
                Some((Source::Points(points), element))
                    if prefixes.len().saturating_mul(points.len()) <= FIND_RANGES_MAX =>
                {
                    let with = |prefix: &Vec<Option<&'a Value>>, point: &'a Value| {
                        let mut prefix = prefix.clone();
                        prefix.push(Some(point));
                        prefix
                    };
                    share *= (POINT * u32::try_from(points.len()).map_or(ALL, f64::from)).min(0.5);
                    prefixes = prefixes
                        .iter()
                        .flat_map(|prefix| points.iter().map(move |point| with(prefix, point)))
                        .collect();
                    points_of += 1;
                    of_element |= element;
                }
                Some((Source::Spans(found), element)) => {
                    share *= found
                        .iter()
                        .map(|span| share_of(span.low, span.high))
                        .sum::<f64>()
                        .min(0.95);
                    of_element |= element;
                    spans = Some(found);
                    break;
                }
                _ => break,
            }
        }
        let all_fields = points_of == definition.fields().len();
        if (definition.kind == IndexKind::Hash && !all_fields) || (!whole_only && !of_element) {
            return None;
        }
        if all_fields && definition.unique {
            share *= POINT;
        }
        let mut ranges = Vec::new();
        for prefix in &prefixes {
            match &spans {
                None => ranges.push(definition.equal(prefix)?),
                Some(spans) => {
                    for span in spans {
                        ranges.push(definition.between(prefix, span.low, span.high)?);
                    }
                }
            }
        }
        let order = whole_only.then(|| self.order(definition)).flatten();
        let sorted = self.unpinned().is_empty() || order.is_some();
        // Who walks all of an index has to gain the order by it.
        if share >= ALL
            && (order.is_none() || self.request.sort.is_empty())
            && self.request.use_index.is_none()
        {
            return None;
        }
        Some(Candidate {
            access: Access::Index {
                number: known.number,
                ranges: apart(ranges),
                reverse: order.unwrap_or(false),
                whole: whole_only,
            },
            sorted,
            cost: self.cost(share * DETOUR, sorted),
        })
    }

    /// Whether the entries with whole values come in the order of the sort: forwards, or in reverse.
    fn order(&self, definition: &IndexDefinition) -> Option<bool> {
        if definition.kind == IndexKind::Hash {
            return None;
        }
        let sort = self.unpinned();
        let mut wanted = sort.iter();
        let mut next = wanted.next();
        let mut reverse = None;
        let mut fits = |descending: bool| {
            let turned = *reverse.get_or_insert(descending);
            turned == descending
        };
        for (path, descending) in definition.fields() {
            match next {
                None => break,
                Some(field) if field.path == *path => {
                    if !fits(field.descending != descending) {
                        return None;
                    }
                    next = wanted.next();
                }
                _ if self.is_pinned(path) => {}
                Some(_) => return None,
            }
        }
        // Entries with the same values come in the order of the keys.
        if let Some(field) = next.filter(|field| field.is_key()) {
            if !fits(field.descending) {
                return None;
            }
            next = wanted.next();
        }
        next.is_none().then(|| reverse.unwrap_or(false))
    }

    /// The index that would have been better: first what has one value, then the order, or else a span.
    fn wish(&self, best: &Candidate, indexes: &[Known<'_>]) -> Option<IndexWish> {
        let mut points = Vec::new();
        let mut spans = Vec::new();
        for condition in &self.conditions {
            for path in paths(condition) {
                let sources = [whole(&self.conditions, path), of_elements(&self.conditions, path)];
                let narrow = sources.into_iter().flatten().find(Source::narrows);
                match narrow {
                    Some(Source::Points(_)) if !points.contains(&path) => points.push(path),
                    Some(Source::Spans(_)) if !spans.contains(&path) => spans.push(path),
                    _ => {}
                }
            }
        }
        let key = |path: &&FieldPath| super::condition::is_key(path);
        if points.iter().any(key) {
            return None;
        }
        let mut fields: Vec<(FieldPath, bool)> =
            points.into_iter().map(|path| (path.clone(), false)).collect();
        let sort = self.unpinned();
        let sorts = sort.iter().filter(|field| !field.is_key());
        fields.extend(sorts.map(|field| (field.path.clone(), field.descending)));
        if sort.is_empty() {
            let span = spans.into_iter().find(|path| !key(path));
            fields.extend(span.map(|path| (path.clone(), false)));
        }
        fields.truncate(INDEX_FIELDS_MAX);
        let has = |known: &Known<'_>| {
            let first = known.definition.fields().take(fields.len());
            let first: Vec<&FieldPath> = first.map(|(path, _)| path).collect();
            first.len() == fields.len() && fields.iter().all(|(path, _)| first.contains(&path))
        };
        let served = match &best.access {
            Access::Index { number, .. } => {
                best.sorted && indexes.iter().any(|known| known.number == *number && has(known))
            }
            Access::Documents { .. } => false,
        };
        (!fields.is_empty() && !served).then_some(IndexWish { fields })
    }
}

fn paths(condition: &Condition) -> Vec<&FieldPath> {
    match condition {
        Condition::Field(path, _) => vec![path],
        Condition::Any(any) => any.iter().flat_map(conjuncts).flat_map(paths).collect(),
        Condition::All(_) | Condition::Itself(_) => Vec::new(),
    }
}

fn share_of(low: End<'_>, high: End<'_>) -> f64 {
    match (low, high) {
        (End::Open, End::Open) => 0.95,
        (End::Open, _) | (_, End::Open) => HALF,
        (End::Begins(_), _) => 0.05,
        _ => BETWEEN,
    }
}

fn all_keys() -> KeyRange {
    KeyRange {
        from: Vec::new(),
        to: Vec::new(),
    }
}

/// The keys between two ends, by their bytes; `None`: none. A key is a text, above all values of other types but arrays
/// and objects.
fn keys_between(low: End<'_>, high: End<'_>) -> Option<KeyRange> {
    let behind = |text: &str| [text.as_bytes(), &[0]].concat();
    let is_above = |value: &Value| value.is_array() || value.is_object();
    let from = match low {
        End::Begins(begin) => begin.as_bytes().to_vec(),
        End::Included(Value::String(text)) => text.as_bytes().to_vec(),
        End::Excluded(Value::String(text)) => behind(text),
        End::Included(value) | End::Excluded(value) if is_above(value) => return None,
        End::Open | End::Included(_) | End::Excluded(_) => Vec::new(),
    };
    let to = match high {
        End::Open => Vec::new(),
        End::Begins(begin) => return Some(beginning_with(begin.as_bytes())),
        End::Included(Value::String(text)) => behind(text),
        // No key is before the empty text.
        End::Excluded(Value::String(text)) if text.is_empty() => return None,
        End::Excluded(Value::String(text)) => text.as_bytes().to_vec(),
        End::Included(value) | End::Excluded(value) if is_above(value) => Vec::new(),
        End::Included(_) | End::Excluded(_) => return None,
    };
    Some(KeyRange { from, to })
}

/// All keys that begin with some bytes of UTF-8, none of which is the last of all.
fn beginning_with(prefix: &[u8]) -> KeyRange {
    let mut to = prefix.to_vec();
    if let Some(last) = to.last_mut() {
        *last = last.saturating_add(1);
    }
    KeyRange {
        from: prefix.to_vec(),
        to,
    }
}

/// The same rows in ranges that are ascending and have none in common.
fn apart(mut ranges: Vec<KeyRange>) -> Vec<KeyRange> {
    ranges.retain(|range| range.to.is_empty() || range.from < range.to);
    ranges.sort_unstable_by(|left, right| left.from.cmp(&right.from));
    let mut kept: Vec<KeyRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match kept.last_mut() {
            Some(last) if last.to.is_empty() || range.from <= last.to => {
                if range.to.is_empty() || (!last.to.is_empty() && range.to > last.to) {
                    last.to = range.to;
                }
            }
            _ => kept.push(range),
        }
    }
    kept
}
