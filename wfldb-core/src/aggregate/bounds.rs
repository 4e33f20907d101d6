//! Between which keys the documents of a pipeline are, as far as its conditions on `_id` say.

use crate::doc::Value;
use crate::query::{Comparison, Condition, Test};

/// Bounds of keys, compared bytewise: `from <= key`, and `key < to` where there is an end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyBounds {
    /// The first key that may be among them.
    pub from: Vec<u8>,
    /// The first one behind them; `None`: there is no end.
    pub to: Option<Vec<u8>>,
}

impl KeyBounds {
    /// All keys that begin with `prefix`.
    pub fn beginning_with(prefix: &str) -> Self {
        let mut to = prefix.as_bytes().to_vec();
        // The next text of bytes that does not begin so.
        while let Some(last) = to.pop() {
            if let Some(next) = last.checked_add(1) {
                to.push(next);
                break;
            }
        }
        Self {
            from: prefix.as_bytes().to_vec(),
            to: (!to.is_empty()).then_some(to),
        }
    }

    /// Whether they leave out nothing.
    pub fn are_all(&self) -> bool {
        self.from.is_empty() && self.to.is_none()
    }

    /// Whether a key is between them.
    pub fn contain(&self, key: &[u8]) -> bool {
        self.from.as_slice() <= key && self.to.as_deref().is_none_or(|to| key < to)
    }

    /// What is between these and others too.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.from = self.from.max(other.from);
        self.to = match (self.to, other.to) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self
    }

    /// Whether nothing is between them.
    pub fn are_none(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }

    /// Leaves out keys for which a condition cannot hold. What is not understood leaves out nothing.
    pub(super) fn narrow(&mut self, condition: &Condition) {
        match condition {
            Condition::All(conditions) => {
                for condition in conditions {
                    self.narrow(condition);
                }
            }
            Condition::Field(path, test) if matches!(path.names(), [name] if name == "_id") => {
                if let Some(bounds) = Self::of(test) {
                    *self = std::mem::take(self).and(bounds);
                }
            }
            Condition::Any(_) | Condition::Field(..) | Condition::Itself(_) => {}
        }
    }

    fn of(condition: &Test) -> Option<Self> {
        let (comparison, text) = match condition {
            Test::StartsWith(prefix) => return Some(Self::beginning_with(prefix)),
            Test::Compare(comparison, Value::String(text)) => (*comparison, text.as_bytes()),
            _ => return None,
        };
        let at = text.to_vec();
        // No key is between a text and the text with a zero byte behind it.
        let behind = [text, &[0]].concat();
        let (from, to) = match comparison {
            Comparison::Equal => (at, Some(behind)),
            Comparison::Less => (Vec::new(), Some(at)),
            Comparison::AtMost => (Vec::new(), Some(behind)),
            Comparison::Greater => (behind, None),
            Comparison::AtLeast => (at, None),
            Comparison::NotEqual => return None,
        };
        Some(Self { from, to })
    }
}
