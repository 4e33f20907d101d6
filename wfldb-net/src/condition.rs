//! Conditional reads: `if-match`, `if-none-match`, `if-modified-since`, `if-unmodified-since`.
//!
//! Conditions of writes are decided inside the commit (`wfldb_core::object::Preconditions`).

use wfldb_core::id::ContentHash;
use wfldb_core::object::EtagCondition;
use wfldb_core::time::UnixMillis;

use crate::date;

/// A condition that is not in its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a condition is not one quoted etag, `*` or an HTTP date")]
pub struct BadCondition;

/// The conditions of one read; the default always holds.
#[expect(
    clippy::struct_field_names,
    reason = "the fields carry the names of their headers"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadConditions {
    if_match: Option<EtagCondition>,
    if_none_match: Option<EtagCondition>,
    if_modified_since: Option<u64>,
    if_unmodified_since: Option<u64>,
}

/// What the conditions make of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answer with the object.
    Proceed,
    /// 304: the caller has it.
    NotModified,
    /// 412.
    Failed,
}

impl ReadConditions {
    /// Parses the conditions out of a request's header values; `value` is asked by lower-case name.
    ///
    /// # Errors
    /// [`BadCondition`] when one is there and not in its form.
    pub fn parse<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Result<Self, BadCondition> {
        let etag = |name| {
            value(name)
                .map(|text| EtagCondition::parse(text).map_err(|_| BadCondition))
                .transpose()
        };
        let time = |name| {
            value(name)
                .map(|text| date::parse(text).ok_or(BadCondition))
                .transpose()
        };
        Ok(Self {
            if_match: etag("if-match")?,
            if_none_match: etag("if-none-match")?,
            if_modified_since: time("if-modified-since")?,
            if_unmodified_since: time("if-unmodified-since")?,
        })
    }

    /// Evaluates the conditions against an object that exists, in the order of RFC 9110 §13.2.2: a date counts
    /// only where the etag condition of its side is not given.
    pub fn evaluate(&self, etag: &ContentHash, modified: UnixMillis) -> Outcome {
        let unchanged_since = |seconds: u64| modified.seconds() <= seconds;
        let failed = match (&self.if_match, self.if_unmodified_since) {
            (Some(condition), _) => !condition.matches(Some(etag)),
            (None, Some(since)) => !unchanged_since(since),
            (None, None) => false,
        };
        if failed {
            return Outcome::Failed;
        }
        let not_modified = match (&self.if_none_match, self.if_modified_since) {
            (Some(condition), _) => condition.matches(Some(etag)),
            (None, Some(since)) => unchanged_since(since),
            (None, None) => false,
        };
        if not_modified {
            Outcome::NotModified
        } else {
            Outcome::Proceed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_go_before_dates_and_match_before_none_match() {
        let etag = ContentHash::of(b"body");
        let same = format!("\"{etag}\"");
        let other = format!("\"{}\"", ContentHash::of(b"other"));
        let modified = UnixMillis::new(784_111_777_900);
        let then = "Sun, 06 Nov 1994 08:49:37 GMT";
        let before = "Sun, 06 Nov 1994 08:49:36 GMT";
        let cases: [(&[(&str, &str)], Outcome); 12] = [
            (&[], Outcome::Proceed),
            (&[("if-match", &same)], Outcome::Proceed),
            (&[("if-match", "*")], Outcome::Proceed),
            (&[("if-match", &other)], Outcome::Failed),
            (&[("if-none-match", &same)], Outcome::NotModified),
            (&[("if-none-match", "*")], Outcome::NotModified),
            (
                &[("if-none-match", &other), ("if-modified-since", then)],
                Outcome::Proceed,
            ),
            (&[("if-modified-since", then)], Outcome::NotModified),
            (&[("if-modified-since", before)], Outcome::Proceed),
            (&[("if-unmodified-since", before)], Outcome::Failed),
            (
                &[("if-match", &same), ("if-unmodified-since", before)],
                Outcome::Proceed,
            ),
            (&[("if-match", &other), ("if-none-match", &same)], Outcome::Failed),
        ];
        for (fields, want) in cases {
            let conditions = ReadConditions::parse(|name| {
                fields
                    .iter()
                    .find(|(field, _)| *field == name)
                    .map(|(_, value)| *value)
            });
            assert_eq!(conditions.unwrap().evaluate(&etag, modified), want, "{fields:?}");
        }
        for bad in ["W/\"x\"", "\"a\", \"b\"", "x", ""] {
            assert_eq!(
                ReadConditions::parse(|name| (name == "if-match").then_some(bad)),
                Err(BadCondition)
            );
        }
    }
}
