//! What an index is of.

use std::fmt;

use super::{QueryError, QueryFault, Selector};
use super::condition::is_key;
use crate::doc::{FieldPath, Object, Value, canonical};
use crate::limits::{INDEX_FIELDS_MAX, INDEX_NAME_BYTES_MAX};

/// The name of an index, unique in its bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexName(String);

impl IndexName {
    /// Reads a name: 1 to 64 of `A-Z a-z 0-9 - _ .`, the first a letter or digit.
    ///
    /// # Errors
    /// [`QueryFault::IndexName`].
    pub fn parse(text: &str) -> Result<Self, QueryFault> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if first && text.len() <= INDEX_NAME_BYTES_MAX && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(QueryFault::IndexName)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IndexName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which way round values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Direction {
    /// The smallest first.
    #[default]
    Ascending,
    /// The largest first.
    Descending,
}

impl Direction {
    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ascending => "asc",
            Self::Descending => "desc",
        }
    }

    /// Reads the wire form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ascending, Self::Descending]
            .into_iter()
            .find(|known| known.as_str() == text)
    }

    /// The other one.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }
}

/// A field of an index or of a sort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexField {
    /// Which.
    pub path: FieldPath,
    /// Which way round.
    pub direction: Direction,
}

impl IndexField {
    /// Reads `"field"` or `{"field": "asc" | "desc"}`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(value: &Value) -> Result<Self, QueryFault> {
        let (name, direction) = match value {
            Value::String(name) => (name, Direction::Ascending),
            Value::Object(members) => match (members.len(), members.iter().next()) {
                (1, Some((name, Value::String(direction)))) => {
                    let direction = Direction::parse(direction);
                    (name, direction.ok_or(QueryFault::Needs("`asc` or `desc`"))?)
                }
                _ => return Err(QueryFault::Needs("a field with `asc` or `desc`")),
            },
            _ => return Err(QueryFault::Needs("a field")),
        };
        let path = FieldPath::parse(name).map_err(|_| QueryFault::Field)?;
        Ok(Self { path, direction })
    }

    /// What [`IndexField::parse`] reads.
    pub fn to_value(&self) -> Value {
        let name = self.path.to_string();
        match self.direction {
            Direction::Ascending => Value::String(name),
            Direction::Descending => {
                Value::Object(Object::from_iter([(name, Value::from(self.direction.as_str()))]))
            }
        }
    }
}

/// What an index can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// Equality, ranges, order.
    Ordered,
    /// Equality of all its fields.
    Hash,
}

impl IndexKind {
    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Hash => "hash",
        }
    }

    /// Reads the wire form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ordered, Self::Hash]
            .into_iter()
            .find(|known| known.as_str() == text)
    }
}

/// An index as it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexDefinition {
    /// Its name.
    pub name: IndexName,
    /// The fields, the most significant first.
    pub fields: Vec<IndexField>,
    /// What it can be asked.
    pub kind: IndexKind,
    /// No two documents have an entry with the same key.
    pub unique: bool,
    /// Only of documents that have all its fields; else of all, and fields that are not there come first.
    pub sparse: bool,
    /// Only of documents that these conditions select.
    pub partial: Option<Selector>,
}

impl IndexDefinition {
    /// Reads `{"index":{"fields":[…],"partial_filter_selector":{…}},"name":…,"type":…,"unique":…,"sparse":…}`; all
    /// but `index` and its `fields` optional. Without a name it gets one that follows from the rest.
    ///
    /// # Errors
    /// [`QueryError`] with the place of the first fault.
    pub fn parse(value: &Value) -> Result<Self, QueryError> {
        let members = object(value, "")?;
        known(members, "", &["index", "name", "type", "unique", "sparse"])?;
        let index = members.get("index").ok_or_else(|| at("", QueryFault::Missing("index")))?;
        let index = object(index, "/index")?;
        known(index, "/index", &["fields", "partial_filter_selector"])?;
        let kind = match members.get("type") {
            None => IndexKind::Ordered,
            Some(kind) => kind
                .as_str()
                .and_then(IndexKind::parse)
                .ok_or_else(|| at("/type", QueryFault::Needs("`ordered` or `hash`")))?,
        };
        let flag = |name: &'static str| match members.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(at(&format!("/{name}"), QueryFault::Needs("true or false"))),
        };
        let fields = fields(index, kind)?;
        let partial = index
            .get("partial_filter_selector")
            .map(|partial| Selector::parse_at(partial, "/index/partial_filter_selector"))
            .transpose()?;
        if let Some(text) = partial.as_ref().and_then(Selector::text) {
            return Err(at(&text.pointer, QueryFault::TextPlace));
        }
        let mut definition = Self {
            name: IndexName(String::new()),
            fields,
            kind,
            unique: flag("unique")?,
            sparse: flag("sparse")?,
            partial,
        };
        definition.name = match members.get("name") {
            None => definition.own_name(),
            Some(Value::String(name)) => IndexName::parse(name).map_err(|fault| at("/name", fault))?,
            Some(_) => return Err(at("/name", QueryFault::Needs("a text"))),
        };
        Ok(definition)
    }

    /// What [`IndexDefinition::parse`] reads, with every member.
    pub fn to_value(&self) -> Value {
        let fields = self.fields.iter().map(IndexField::to_value).collect();
        let mut index = Object::from_iter([("fields".to_owned(), Value::Array(fields))]);
        if let Some(partial) = &self.partial {
            index.insert("partial_filter_selector".to_owned(), partial.source().clone());
        }
        serde_json::json!({
            "index": index,
            "name": self.name.as_str(),
            "type": self.kind.as_str(),
            "unique": self.unique,
            "sparse": self.sparse,
        })
    }

    /// Whether another definition is the same but for its name.
    pub fn same_entries(&self, other: &Self) -> bool {
        let nameless = |definition: &Self| Self {
            name: IndexName(String::new()),
            ..definition.clone()
        };
        nameless(self) == nameless(other)
    }

    /// The name of one that was given none.
    fn own_name(&self) -> IndexName {
        let hash = blake3::hash(&canonical(&self.to_value())).to_hex();
        IndexName(format!("index-{}", hash.get(..16).unwrap_or_default()))
    }
}

fn at(pointer: &str, fault: QueryFault) -> QueryError {
    QueryError {
        fault,
        pointer: pointer.to_owned(),
    }
}

fn object<'a>(value: &'a Value, pointer: &str) -> Result<&'a Object, QueryError> {
    value
        .as_object()
        .ok_or_else(|| at(pointer, QueryFault::Needs("an object")))
}

fn known(members: &Object, pointer: &str, names: &[&str]) -> Result<(), QueryError> {
    match members.keys().find(|name| !names.contains(&name.as_str())) {
        Some(unknown) => {
            let name = unknown.replace('~', "~0").replace('/', "~1");
            Err(at(&format!("{pointer}/{name}"), QueryFault::UnknownMember))
        }
        None => Ok(()),
    }
}

fn fields(index: &Object, kind: IndexKind) -> Result<Vec<IndexField>, QueryError> {
    let pointer = "/index/fields";
    let values = match index.get("fields") {
        Some(Value::Array(values)) if !values.is_empty() => values,
        Some(_) => return Err(at(pointer, QueryFault::Needs("a list of fields"))),
        None => return Err(at("/index", QueryFault::Missing("fields"))),
    };
    if values.len() > INDEX_FIELDS_MAX {
        return Err(at(pointer, QueryFault::TooMany("fields")));
    }
    let mut fields: Vec<IndexField> = Vec::with_capacity(values.len());
    for (place, value) in values.iter().enumerate() {
        let pointer = format!("{pointer}/{place}");
        let field = IndexField::parse(value).map_err(|fault| at(&pointer, fault))?;
        // The key of a document is in every entry already, behind its values.
        if is_key(&field.path) || fields.iter().any(|earlier| earlier.path == field.path) {
            return Err(at(&pointer, QueryFault::FieldPlace));
        }
        if kind == IndexKind::Hash && field.direction == Direction::Descending {
            return Err(at(&pointer, QueryFault::Needs("a field without order")));
        }
        fields.push(field);
    }
    Ok(fields)
}
