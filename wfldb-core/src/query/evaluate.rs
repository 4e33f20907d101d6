//! A question asked of the text of a stored document: what it needs is found in the text, the rest is not read.

use std::borrow::Cow;

use super::project::put;
use super::sort::sort_key_of;
use super::{FindRequest, Selector};
use crate::doc::{DocumentSignature, FieldPath, FieldSet, Object, Raw, SIGNATURE, Value, with_signature};

/// What a question asks of each document. Texts are canonical, as documents are stored.
///
/// ```
/// use serde_json::json;
/// use wfldb_core::query::{Evaluator, FindRequest};
///
/// let request = FindRequest::parse(&json!({"selector": {"age": {"$gt": 40}}, "fields": ["name"]}))?;
/// let evaluator = Evaluator::new(&request);
/// let text = br#"{"_id":"o","age":41,"name":"O"}"#;
/// assert!(evaluator.matches(text));
/// assert_eq!(evaluator.answer(text, None), br#"{"name":"O"}"#);
/// # Ok::<(), wfldb_core::query::QueryError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Evaluator<'r> {
    request: &'r FindRequest,
    /// What the selector looks at.
    tested: FieldSet,
    sorted_by: FieldSet,
    answered: FieldSet,
}

impl<'r> Evaluator<'r> {
    /// Of this question.
    pub fn new(request: &'r FindRequest) -> Self {
        Self {
            request,
            tested: fields_of(&request.selector),
            sorted_by: set_of(request.sort.iter().map(|field| &field.path)),
            answered: set_of(&request.fields),
        }
    }

    /// Whether the selector wants the document, as [`Selector::matches`] says it.
    pub fn matches(&self, text: &[u8]) -> bool {
        let found = Found::of(&self.tested, text);
        let condition = self.request.selector.condition();
        condition.matches_of(&mut |path| found.value(path).map(Cow::Owned))
    }

    /// What the document is sorted by, as [`super::sort_key`] says it.
    pub fn sort_key(&self, text: &[u8]) -> Vec<u8> {
        let found = Found::of(&self.sorted_by, text);
        sort_key_of(&self.request.sort, |path| found.value(path).map(Cow::Owned))
    }

    /// The document as it is answered, in JSON: whole, or the members that were asked for.
    pub fn answer(&self, text: &[u8], signature: Option<&DocumentSignature>) -> Vec<u8> {
        if self.request.fields.is_empty() {
            return signature.map_or_else(|| text.to_vec(), |signature| with_signature(text, signature));
        }
        let found = Found::of(&self.answered, text);
        let mut projected = Object::new();
        for path in &self.request.fields {
            let value = match (path.names(), signature) {
                // It does not stand in the text.
                ([name], Some(signature)) if name == SIGNATURE => Some(Value::from(signature.to_string())),
                _ => found.value(path),
            };
            if let Some(value) = value {
                put(&mut projected, path.names(), &value);
            }
        }
        Value::Object(projected).to_string().into_bytes()
    }
}

/// What was found in one text.
struct Found<'f, 'd> {
    fields: &'f FieldSet,
    values: Vec<Option<Raw<'d>>>,
}

impl<'f, 'd> Found<'f, 'd> {
    fn of(fields: &'f FieldSet, text: &'d [u8]) -> Self {
        let mut values = fields.room();
        fields.find(text, &mut values);
        Self { fields, values }
    }

    fn value(&self, path: &FieldPath) -> Option<Value> {
        let number = self.fields.paths().iter().position(|known| known == path)?;
        self.values.get(number).copied().flatten().map(Raw::value)
    }
}

fn fields_of(selector: &Selector) -> FieldSet {
    let mut fields = FieldSet::default();
    selector.condition().paths(&mut |path| {
        fields.add(path);
    });
    fields
}

fn set_of<'a>(paths: impl IntoIterator<Item = &'a FieldPath>) -> FieldSet {
    let mut fields = FieldSet::default();
    for path in paths {
        fields.add(path);
    }
    fields
}
