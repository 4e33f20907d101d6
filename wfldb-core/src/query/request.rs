//! A whole question: the body of `_find` and `_explain`.

use super::{QueryError, QueryFault, Selector, SortField};
use crate::doc::{FieldPath, Object, Value};
use crate::encoding::pointer;
use crate::limits::{FIND_FIELDS_MAX, FIND_LIMIT, FIND_LIMIT_MAX, FIND_SKIP_MAX, FIND_SORT_MAX};

/// A question about the documents of a bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct FindRequest {
    /// Which documents.
    pub selector: Selector,
    /// Which of their members; none: all.
    pub fields: Vec<FieldPath>,
    /// In which order; none: in that of the walk.
    pub sort: Vec<SortField>,
    /// How many at most.
    pub limit: usize,
    /// So many are passed over first.
    pub skip: usize,
    /// Where an earlier answer ended.
    pub bookmark: Option<String>,
    /// The index to walk.
    pub use_index: Option<String>,
    /// The answer says what it cost.
    pub execution_stats: bool,
    /// The answer says how many documents there are, whatever `limit` and `skip` are.
    pub count: bool,
}

impl FindRequest {
    /// A question for all documents that a selector wants.
    pub fn new(selector: Selector) -> Self {
        Self {
            selector,
            fields: Vec::new(),
            sort: Vec::new(),
            limit: FIND_LIMIT,
            skip: 0,
            bookmark: None,
            use_index: None,
            execution_stats: false,
            count: false,
        }
    }

    /// Reads the body.
    ///
    /// # Errors
    /// [`QueryError`] with the place of the first fault.
    pub fn parse(body: &Value) -> Result<Self, QueryError> {
        let members = body
            .as_object()
            .ok_or_else(|| at("", QueryFault::Needs("an object")))?;
        let selector = members
            .get("selector")
            .ok_or_else(|| at("", QueryFault::Missing("selector")))?;
        let mut request = Self::new(Selector::parse_at(selector, "/selector")?);
        for (name, value) in members {
            match name.as_str() {
                "selector" => {}
                "fields" => request.fields = list(members, "fields", FIND_FIELDS_MAX, field)?,
                "sort" => request.sort = list(members, "sort", FIND_SORT_MAX, SortField::parse)?,
                "limit" => request.limit = number(value, "/limit", FIND_LIMIT_MAX)?,
                "skip" => request.skip = number(value, "/skip", FIND_SKIP_MAX)?,
                "bookmark" => request.bookmark = Some(text(value, "/bookmark")?),
                "use_index" => request.use_index = Some(text(value, "/use_index")?),
                "execution_stats" => request.execution_stats = flag(value, "/execution_stats")?,
                "count" => request.count = flag(value, "/count")?,
                unknown => {
                    return Err(at(&pointer::inside("", unknown), QueryFault::UnknownMember));
                }
            }
        }
        for (place, field) in request.sort.iter().enumerate() {
            let earlier = request.sort.iter().take(place);
            // Behind the key, which is different in all documents, nothing decides any more.
            if earlier
                .clone()
                .any(|earlier| earlier.path == field.path || earlier.is_key())
            {
                return Err(at(&format!("/sort/{place}"), QueryFault::FieldPlace));
            }
        }
        Ok(request)
    }

    /// What [`FindRequest::parse`] reads.
    pub fn to_value(&self) -> Value {
        let mut body = Object::new();
        body.insert("selector".to_owned(), self.selector.source().clone());
        if !self.fields.is_empty() {
            let fields = self.fields.iter().map(|field| Value::from(field.to_string()));
            body.insert("fields".to_owned(), fields.collect());
        }
        if !self.sort.is_empty() {
            body.insert(
                "sort".to_owned(),
                self.sort.iter().map(SortField::to_value).collect(),
            );
        }
        body.insert("limit".to_owned(), self.limit.into());
        if self.skip > 0 {
            body.insert("skip".to_owned(), self.skip.into());
        }
        for (name, text) in [("bookmark", &self.bookmark), ("use_index", &self.use_index)] {
            if let Some(text) = text {
                body.insert(name.to_owned(), text.as_str().into());
            }
        }
        for (name, flag) in [("execution_stats", self.execution_stats), ("count", self.count)] {
            if flag {
                body.insert(name.to_owned(), true.into());
            }
        }
        Value::Object(body)
    }

    /// What a bookmark is bound to: everything that decides which documents come in which order.
    pub fn identity(&self) -> Vec<u8> {
        let identity = serde_json::json!([
            self.selector.source(),
            self.sort.iter().map(SortField::to_value).collect::<Value>(),
            self.use_index,
        ]);
        crate::doc::canonical(&identity)
    }
}

fn at(pointer: &str, fault: QueryFault) -> QueryError {
    QueryError {
        fault,
        pointer: pointer.to_owned(),
    }
}

fn field(value: &Value) -> Result<FieldPath, QueryFault> {
    let name = value.as_str().ok_or(QueryFault::Needs("a field"))?;
    FieldPath::parse(name).map_err(|_| QueryFault::Field)
}

fn list<T>(
    members: &Object,
    name: &'static str,
    most: usize,
    read: fn(&Value) -> Result<T, QueryFault>,
) -> Result<Vec<T>, QueryError> {
    let Some(Value::Array(values)) = members.get(name) else {
        return Err(at(&format!("/{name}"), QueryFault::Needs("a list")));
    };
    if values.len() > most {
        return Err(at(&format!("/{name}"), QueryFault::TooMany("fields")));
    }
    let each = values.iter().enumerate();
    each.map(|(place, value)| read(value).map_err(|fault| at(&format!("/{name}/{place}"), fault)))
        .collect()
}

fn number(value: &Value, pointer: &str, most: usize) -> Result<usize, QueryError> {
    let bounds = QueryFault::Bounds(0, most as u64);
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    number
        .filter(|number| *number <= most)
        .ok_or_else(|| at(pointer, bounds))
}

fn text(value: &Value, pointer: &str) -> Result<String, QueryError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(at(pointer, QueryFault::Needs("a text"))),
    }
}

fn flag(value: &Value, pointer: &str) -> Result<bool, QueryError> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        _ => Err(at(pointer, QueryFault::Needs("true or false"))),
    }
}
