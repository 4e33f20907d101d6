//! A whole selector.

use super::parse::Parser;
use super::{Condition, QueryError};
use crate::doc::{FieldPath, Value};

/// Which documents are wanted: CouchDB's Mango selectors, and `$contains`, `$startsWith`, `$endsWith`, `$text`.
///
/// ```
/// use wfldb_core::query::Selector;
/// use serde_json::json;
///
/// let selector = Selector::parse(&json!({"year": {"$gte": 1980}, "tags": {"$all": ["red"]}}))?;
/// assert!(selector.matches(&json!({"year": 1999, "tags": ["blue", "red"]})));
/// assert!(!selector.matches(&json!({"tags": ["red"]})));
/// # Ok::<(), wfldb_core::query::QueryError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    condition: Condition,
    text: Option<TextSearch>,
    source: Value,
}

/// The `$text` of a selector.
#[derive(Clone, Debug, PartialEq)]
pub struct TextSearch {
    /// In which field; `None`: in the whole document.
    pub field: Option<FieldPath>,
    /// What stands behind the operator: a text, or an object.
    pub argument: Value,
    /// Where in the body it stands, a JSON pointer.
    pub pointer: String,
}

impl Selector {
    /// Reads one.
    ///
    /// # Errors
    /// [`QueryError`] with the place of the first fault.
    pub fn parse(value: &Value) -> Result<Self, QueryError> {
        Self::parse_at(value, "")
    }

    /// Reads one that stands at a place in a larger body: errors name the whole place.
    ///
    /// # Errors
    /// As [`Selector::parse`].
    pub fn parse_at(value: &Value, pointer: &str) -> Result<Self, QueryError> {
        let mut parser = Parser::new(pointer);
        let condition = parser.selector(value)?;
        Ok(Self {
            condition,
            text: parser.into_text(),
            source: value.clone(),
        })
    }

    /// What all of these want.
    #[must_use]
    pub fn all(selectors: &[Self]) -> Self {
        let conditions = selectors.iter().map(|selector| selector.condition.clone());
        let sources: Value = selectors.iter().map(|selector| selector.source.clone()).collect();
        Self {
            condition: Condition::All(conditions.collect()),
            text: selectors.iter().find_map(|selector| selector.text.clone()),
            source: serde_json::json!({ "$and": sources }),
        }
    }

    /// Whether a document is wanted, as far as its values say; which documents `$text` finds is for who asks the index.
    pub fn matches(&self, document: &Value) -> bool {
        self.condition.matches(document)
    }

    /// The conditions.
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Its `$text`.
    pub fn text(&self) -> Option<&TextSearch> {
        self.text.as_ref()
    }

    /// As it was written.
    pub fn source(&self) -> &Value {
        &self.source
    }
}
