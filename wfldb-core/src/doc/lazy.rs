//! Values of a document found in its canonical text, without reading the rest of it.
//!
//! The text is one that [`super::canonical`] wrote: members stand in the order of their UTF-16 units, each name and
//! number has one spelling, and there are no spaces. So one pass finds all wanted members, and ends behind the last of
//! them. Of a text that is not canonical an answer may be missing or another one; it is never a panic, and the pass
//! never goes backwards.

use std::borrow::Cow;

use serde_json::Number;

use super::path::place;
use super::{FieldPath, Value, canonical, parse};

/// Whole numbers of so many digits are exact in 64 bits.
const SURE_DIGITS: usize = 18;

/// Paths that are looked for together, in one pass over each text.
///
/// ```
/// use wfldb_core::doc::{FieldPath, FieldSet};
///
/// let mut fields = FieldSet::default();
/// let city = fields.add(&FieldPath::parse("address.city")?);
/// let age = fields.add(&FieldPath::parse("age")?);
/// let mut found = fields.room();
/// fields.find(br#"{"address":{"city":"Kyiv","zip":"01001"},"age":41,"name":"O"}"#, &mut found);
/// assert_eq!(found[city].map(|raw| raw.value()), Some(serde_json::json!("Kyiv")));
/// assert_eq!(found[age].and_then(|raw| raw.number()), Some(41.into()));
/// # Ok::<(), wfldb_core::doc::PathError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FieldSet {
    root: Node,
    paths: Vec<FieldPath>,
}

/// What is wanted of one value.
#[derive(Clone, Debug, Default)]
struct Node {
    /// The value itself, under this number.
    wanted: Option<usize>,
    /// What is wanted inside of it, in the order in which canonical text has members.
    inner: Vec<Inner>,
}

/// A member that is wanted, or a place in an array: which of them the name means, the value tells.
#[derive(Clone, Debug)]
struct Inner {
    name: String,
    /// The name as canonical text has it, without the quotes.
    written: Vec<u8>,
    /// Only such names have the same order as bytes and as UTF-16 units, against every name without a backslash.
    is_plain: bool,
    place: Option<usize>,
    node: Node,
}

impl FieldSet {
    /// Adds a path, and answers the number under which its value is found. The same path has the same number.
    pub fn add(&mut self, path: &FieldPath) -> usize {
        if let Some(known) = self.paths.iter().position(|known| known == path) {
            return known;
        }
        let number = self.paths.len();
        self.paths.push(path.clone());
        self.root.want(path.names(), number);
        number
    }

    /// The paths by their numbers.
    pub fn paths(&self) -> &[FieldPath] {
        &self.paths
    }

    /// Room for what [`Self::find`] finds.
    pub fn room<'a>(&self) -> Vec<Option<Raw<'a>>> {
        vec![None; self.paths.len()]
    }

    /// Looks for all paths in a canonical text; `found` has the values by their numbers afterwards.
    pub fn find<'a>(&self, text: &'a [u8], found: &mut [Option<Raw<'a>>]) {
        found.fill(None);
        self.root.find(text, found);
    }
}

impl Node {
    fn want(&mut self, names: &[String], number: usize) {
        let Some((name, rest)) = names.split_first() else {
            self.wanted = Some(number);
            return;
        };
        let behind = self
            .inner
            .partition_point(|inner| inner.name.encode_utf16().lt(name.encode_utf16()));
        if self.inner.get(behind).is_none_or(|inner| inner.name != *name) {
            self.inner.insert(behind, Inner::new(name));
        }
        if let Some(inner) = self.inner.get_mut(behind) {
            inner.node.want(rest, number);
        }
    }

    /// Looks into one value, which is the whole text.
    fn find<'a>(&self, text: &'a [u8], found: &mut [Option<Raw<'a>>]) {
        if let Some(room) = self.wanted.and_then(|number| found.get_mut(number)) {
            *room = Some(Raw(text));
        }
        if self.inner.is_empty() {
            return;
        }
        match text.first() {
            Some(b'{') => self.find_members(text, found),
            Some(b'[') => self.find_places(text, found),
            _ => {}
        }
    }

    fn find_members<'a>(&self, text: &'a [u8], found: &mut [Option<Raw<'a>>]) {
        let mut left = self.inner.as_slice();
        let mut at = 1;
        while let Some((name, is_escaped, colon)) = name_at(text, at) {
            let start = colon + 1;
            let (Some(b':'), Some(end)) = (text.get(colon), value_end(text, start)) else {
                return;
            };
            while let Some((next, rest)) = left.split_first() {
                if next.written == name {
                    next.node.find(text.get(start..end).unwrap_or_default(), found);
                    left = rest;
                } else if !next.is_plain || is_escaped {
                    // Their bytes do not tell which stands first.
                    if let Some(inner) = left.iter().find(|inner| inner.written == name) {
                        inner.node.find(text.get(start..end).unwrap_or_default(), found);
                    }
                } else if next.written.as_slice() < name {
                    // It would have come before: it is not there.
                    left = rest;
                    continue;
                }
                break;
            }
            if left.is_empty() || text.get(end) != Some(&b',') {
                return;
            }
            at = end + 1;
        }
    }

    fn find_places<'a>(&self, text: &'a [u8], found: &mut [Option<Raw<'a>>]) {
        let Some(last) = self.inner.iter().filter_map(|inner| inner.place).max() else {
            return;
        };
        let mut at = 1;
        for index in 0..=last {
            let Some(end) = value_end(text, at).filter(|end| *end > at) else {
                return;
            };
            for inner in self.inner.iter().filter(|inner| inner.place == Some(index)) {
                inner.node.find(text.get(at..end).unwrap_or_default(), found);
            }
            if text.get(end) != Some(&b',') {
                return;
            }
            at = end + 1;
        }
    }
}

impl Inner {
    fn new(name: &str) -> Self {
        let quoted = canonical(&name);
        let written = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
        Self {
            name: name.to_owned(),
            written: written.to_vec(),
            is_plain: written.is_ascii() && !written.contains(&b'\\'),
            place: place(name),
            node: Node::default(),
        }
    }
}

/// The name of the member that begins at `at`, whether it has escapes, and what is behind its closing quote.
fn name_at(text: &[u8], at: usize) -> Option<(&[u8], bool, usize)> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    let start = at + 1;
    let mut is_escaped = false;
    let mut bytes = text.get(start..)?.iter().enumerate();
    while let Some((offset, byte)) = bytes.next() {
        match byte {
            b'"' => {
                let end = start + offset;
                return Some((text.get(start..end)?, is_escaped, end + 1));
            }
            b'\\' => {
                is_escaped = true;
                bytes.next();
            }
            _ => {}
        }
    }
    None
}

/// What is behind the text whose opening quote is at `at`.
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    let mut from = at + 1;
    loop {
        let stop = from + memchr::memchr2(b'"', b'\\', text.get(from..)?)?;
        if text.get(stop) == Some(&b'"') {
            return Some(stop + 1);
        }
        from = stop + 2;
    }
}

/// What is behind the value that begins at `at`; never less than `at`.
fn value_end(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => string_end(text, at),
        b'{' | b'[' => nested_end(text, at),
        _ => {
            let rest = text.get(at..)?;
            let len = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']'));
            Some(at + len.unwrap_or(rest.len()))
        }
    }
}

/// What is behind the object or array that begins at `at`.
fn nested_end(text: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = at;
    loop {
        match text.get(at)? {
            b'"' => {
                at = string_end(text, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// The canonical text of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(&'a [u8]);

impl<'a> Raw<'a> {
    /// The text. Two values are the same where their texts are.
    pub fn text(self) -> &'a [u8] {
        self.0
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.0 == b"null"
    }

    /// The number, if it is one.
    pub fn number(self) -> Option<Number> {
        if let Some(whole) = self.whole() {
            return Some(whole.into());
        }
        Number::from_f64(self.double()?)
    }

    /// The whole number, if it is one and has a few digits only, as those of documents do.
    pub fn whole(self) -> Option<i64> {
        let (sign, digits) = match self.0.split_first()? {
            (b'-', digits) => (-1, digits),
            _ => (1, self.0),
        };
        if digits.is_empty() || digits.len() > SURE_DIGITS {
            return None;
        }
        let value = digits.iter().try_fold(0_i64, |value, digit| {
            digit
                .is_ascii_digit()
                .then(|| value * 10 + i64::from(digit - b'0'))
        })?;
        Some(sign * value)
    }

    /// The number as a double, if it is one. Whole numbers of documents are exact in it.
    pub fn double(self) -> Option<f64> {
        if !matches!(self.0.first()?, b'-' | b'0'..=b'9') {
            return None;
        }
        let text = std::str::from_utf8(self.0).ok()?;
        text.parse().ok().filter(|double: &f64| double.is_finite())
    }

    /// The text that it stands for, if it is one.
    pub fn string(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        if inner.contains(&b'\\') {
            return serde_json::from_slice::<String>(self.0).ok().map(Cow::Owned);
        }
        std::str::from_utf8(inner).ok().map(Cow::Borrowed)
    }

    /// The value; null for what is no JSON, which a stored document never is.
    pub fn value(self) -> Value {
        if let Some(whole) = self.whole() {
            return Value::from(whole);
        }
        match self.string() {
            Some(text) => Value::String(text.into_owned()),
            None => parse(self.0).unwrap_or_default(),
        }
    }
}
