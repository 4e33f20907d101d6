//! What an index is: its name, its fields with their directions, and which documents it is about.
//!
//! ```
//! use wfldb_core::index::IndexDefinition;
//!
//! let definition = IndexDefinition::parse(&serde_json::json!({
//!     "index": {"fields": ["age", {"name.last": "desc"}]},
//!     "name": "by-age",
//!     "unique": true,
//! }))?;
//! let entries = definition.entries(&serde_json::json!({"age": 7, "name": {"last": "Ames"}}))?;
//! assert_eq!(entries.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::entry::{IndexEntry, IndexError, Shape, hash_of};
use super::key::{End, FieldKey, KeyRange, Way, prefix_end, range};
use crate::doc::{FieldPath, Object, Value};
use crate::kind::Kind;
use crate::limits::{INDEX_FIELDS_MAX, INDEX_NAME_BYTES_MAX};
use crate::query::{QueryError, Selector};

/// The name of an index: 1 to 128 of `A-Z a-z 0-9 _ - .`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexName(Arc<str>);

impl IndexName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`DefinitionError::Name`].
    pub fn parse(text: &str) -> Result<Self, DefinitionError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if (1..=INDEX_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.into()))
        } else {
            Err(DefinitionError::Name)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IndexName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an index finds documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// In the order of the fields' values: equality, ranges, sorting.
    Ordered,
    /// By a hash of all fields' values: equality of all of them, however long they are.
    Hash,
}

/// Why something is no definition of an index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// Not an object, or a member that is unknown or of a wrong type.
    #[error("`{0}` is not what an index has there")]
    Member(&'static str),
    /// Not a name.
    #[error("an index has a name of 1 to 128 characters of A-Z a-z 0-9 _ - .")]
    Name,
    /// None, too many, twice the same, or not a field.
    #[error(
        "an index has 1 to 8 different fields, each a name or {{\"name\": \"asc\" or \"desc\"}}, none of them _id"
    )]
    Fields,
    /// The selector of the documents that it is about.
    #[error(transparent)]
    Selector(#[from] QueryError),
    /// Its selector searches for words, which the values of a document do not tell.
    #[error("`$text` cannot decide which documents an index is about")]
    Text,
}

impl DefinitionError {
    /// The stable error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Selector(error) => error.code(),
            Self::Member(_) | Self::Name | Self::Fields | Self::Text => "BadIndex",
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }

    /// Where in the body of a request it is (RFC 6901).
    pub fn pointer(&self) -> String {
        match self {
            Self::Selector(error) => error.pointer.clone(),
            Self::Member(member) => format!("/{member}"),
            Self::Name => "/name".to_owned(),
            Self::Fields => "/index/fields".to_owned(),
            Self::Text => SELECTOR_POINTER.to_owned(),
        }
    }
}

/// Where the selector is in the body of a request.
const SELECTOR_POINTER: &str = "/index/partial_filter_selector";

/// An index as it is defined. It never changes: another definition is another index.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexDefinition {
    /// Its name, unique in its bucket.
    pub name: IndexName,
    /// How it finds documents.
    pub kind: IndexKind,
    fields: Vec<(FieldPath, Way)>,
    /// No two documents have the same values in all fields. A document that lacks one of them is the same as no other.
    pub unique: bool,
    /// Documents that lack one of the fields are not in it.
    pub sparse: bool,
    /// Only documents that this selects are in it.
    pub partial: Option<Selector>,
}

impl IndexDefinition {
    /// Reads a definition from JSON; without a name it gets one that says its fields.
    ///
    /// # Errors
    /// [`DefinitionError`] by what is wrong.
    pub fn parse(json: &Value) -> Result<Self, DefinitionError> {
        // `ddoc` is CouchDB's, where an index is in a document; here it says nothing.
        let known = ["index", "name", "type", "unique", "sparse", "ddoc"];
        let object = members(json, "(body)", &known)?;
        let index = object.get("index").ok_or(DefinitionError::Member("index"))?;
        let index = members(index, "index", &["fields", "partial_filter_selector"])?;
        let fields = index.get("fields").and_then(Value::as_array);
        let fields = fields.ok_or(DefinitionError::Fields)?;
        // One more than the limit is enough to be refused.
        let fields: Vec<_> = fields
            .iter()
            .take(INDEX_FIELDS_MAX + 1)
            .map(field)
            .collect::<Result<_, _>>()?;
        let repeated = fields
            .iter()
            .enumerate()
            .any(|(place, (path, _))| fields.iter().take(place).any(|(other, _)| other == path));
        if fields.is_empty() || fields.len() > INDEX_FIELDS_MAX || repeated {
            return Err(DefinitionError::Fields);
        }
        let partial = index
            .get("partial_filter_selector")
            .map(|selector| Selector::parse_at(selector, SELECTOR_POINTER))
            .transpose()?;
        if partial.as_ref().is_some_and(|partial| partial.text().is_some()) {
            return Err(DefinitionError::Text);
        }
        let kind = match object.get("type") {
            None => IndexKind::Ordered,
            Some(Value::String(kind)) if kind == "json" || kind == "ordered" => IndexKind::Ordered,
            Some(Value::String(kind)) if kind == "hash" => IndexKind::Hash,
            Some(_) => return Err(DefinitionError::Member("type")),
        };
        let mut definition = Self {
            name: IndexName("unnamed".into()),
            kind,
            fields,
            unique: flag(object, "unique")?,
            sparse: flag(object, "sparse")?,
            partial,
        };
        definition.name = match object.get("name") {
            None => definition.own_name(),
            Some(Value::String(name)) => IndexName::parse(name)?,
            Some(_) => return Err(DefinitionError::Name),
        };
        Ok(definition)
    }

    /// A name that follows from everything else: the same for the same index.
    fn own_name(&self) -> IndexName {
        let mut json = self.to_json();
        if let Some(object) = json.as_object_mut() {
            object.remove("name");
        }
        let hash = blake3::hash(&crate::doc::canonical(&json)).to_hex();
        let fields = self.fields.iter().map(|(path, _)| path.to_string());
        let fields = fields.collect::<Vec<_>>().join("-");
        let fits =
            |character: &char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.');
        let fields: String = fields.chars().filter(fits).take(64).collect();
        IndexName(format!("{fields}-{}", hash.chars().take(8).collect::<String>()).into())
    }

    /// The definition as JSON, which [`IndexDefinition::parse`] reads as the same.
    pub fn to_json(&self) -> Value {
        let direction = |way: Way| if way == Way::Down { "desc" } else { "asc" };
        let fields: Vec<Value> = self
            .fields
            .iter()
            .map(|(path, way)| {
                let mut field = Object::new();
                field.insert(path.to_string(), direction(*way).into());
                Value::Object(field)
            })
            .collect();
        let mut json = Object::new();
        json.insert("name".to_owned(), self.name.as_str().into());
        let kind = match self.kind {
            IndexKind::Ordered => "json",
            IndexKind::Hash => "hash",
        };
        json.insert("type".to_owned(), kind.into());
        let mut index = Object::new();
        index.insert("fields".to_owned(), fields.into());
        if let Some(partial) = &self.partial {
            index.insert("partial_filter_selector".to_owned(), partial.source().clone());
        }
        json.insert("index".to_owned(), index.into());
        for (member, is_so) in [("unique", self.unique), ("sparse", self.sparse)] {
            if is_so {
                json.insert(member.to_owned(), true.into());
            }
        }
        Value::Object(json)
    }

    /// Whether it finds the same documents in the same way, whatever it is called.
    pub fn does_the_same(&self, other: &Self) -> bool {
        let named = Self {
            name: self.name.clone(),
            ..other.clone()
        };
        *self == named
    }

    /// The fields, in order, and whether each is descending.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&FieldPath, bool)> {
        self.fields.iter().map(|(path, way)| (path, *way == Way::Down))
    }

    /// The rows of a document, each once, in order.
    ///
    /// # Errors
    /// [`IndexError`] when it has more than one index may hold of one document.
    pub fn entries(&self, document: &Value) -> Result<Vec<IndexEntry>, IndexError> {
        if self
            .partial
            .as_ref()
            .is_some_and(|partial| !partial.matches(document))
        {
            return Ok(Vec::new());
        }
        let shape = Shape {
            fields: &self.fields,
            hash: self.kind == IndexKind::Hash,
            unique: self.unique,
            sparse: self.sparse,
        };
        shape.entries(document)
    }

    /// The keys of all documents whose first fields have these values (`None`: the field is absent), as a beginning. In
    /// an index by hash it needs all fields; `None` when they are not as many.
    pub fn key_of(&self, values: &[Option<&Value>]) -> Option<Vec<u8>> {
        match self.kind {
            IndexKind::Hash => (values.len() == self.fields.len()).then(|| hash_of(values.iter().copied())),
            IndexKind::Ordered => {
                let parts = self.fields.iter().zip(values);
                let key = parts.flat_map(|((_, way), value)| FieldKey::of(*value, *way).bytes);
                (values.len() <= self.fields.len()).then(|| key.collect())
            }
        }
    }

    /// The keys of all documents whose first fields have these values.
    pub fn equal(&self, values: &[Option<&Value>]) -> Option<KeyRange> {
        let from = self.key_of(values)?;
        let to = prefix_end(&from);
        Some(KeyRange { from, to })
    }

    /// The keys of all documents whose first fields have these values and whose next one is there and between two ends.
    /// It may have more documents than that, never fewer. `None` when there is no next field, or no order.
    pub fn between(&self, values: &[Option<&Value>], low: End<'_>, high: End<'_>) -> Option<KeyRange> {
        let (_, way) = self.fields.get(values.len())?;
        if self.kind == IndexKind::Hash {
            return None;
        }
        Some(range(&self.key_of(values)?, low, high, *way))
    }
}

fn field(json: &Value) -> Result<(FieldPath, Way), DefinitionError> {
    let path = |text: &str| match FieldPath::parse(text) {
        // The key is ordered by its bytes, and stands behind every entry anyway.
        Ok(path) if path.names() != ["_id"] => Ok(path),
        _ => Err(DefinitionError::Fields),
    };
    match json {
        Value::String(text) => Ok((path(text)?, Way::Up)),
        Value::Object(object) if object.len() == 1 => {
            let (text, direction) = object.iter().next().ok_or(DefinitionError::Fields)?;
            match direction.as_str() {
                Some("asc") => Ok((path(text)?, Way::Up)),
                Some("desc") => Ok((path(text)?, Way::Down)),
                _ => Err(DefinitionError::Fields),
            }
        }
        _ => Err(DefinitionError::Fields),
    }
}

/// The members of an object that has no others than these.
fn members<'a>(json: &'a Value, member: &'static str, known: &[&str]) -> Result<&'a Object, DefinitionError> {
    let object = json.as_object().ok_or(DefinitionError::Member(member))?;
    if object.keys().all(|member| known.contains(&member.as_str())) {
        Ok(object)
    } else {
        Err(DefinitionError::Member(member))
    }
}

fn flag(object: &Object, member: &'static str) -> Result<bool, DefinitionError> {
    match object.get(member) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(DefinitionError::Member(member)),
    }
}

impl Serialize for IndexDefinition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for IndexDefinition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Value::deserialize(deserializer)?;
        Self::parse(&json).map_err(serde::de::Error::custom)
    }
}
