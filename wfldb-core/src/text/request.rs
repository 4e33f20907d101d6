//! What a request for a search says.

use serde::{Deserialize, Serialize};

use super::{Operator, Query, TextConfig, TextError};
use crate::Kind;
use crate::doc;
use crate::limits::{TEXT_BODY_BYTES_MAX, TEXT_LIMIT_MAX, TEXT_SKIP_MAX};

/// A search as it is asked for, before the bucket is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// The search, in the language of docs/PROTOCOL.md.
    pub query: String,
    /// How words side by side belong together.
    #[serde(default)]
    pub operator: Operator,
    /// The field that words are searched in which name none; all fields when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Most hits: 1 to [`TEXT_LIMIT_MAX`].
    #[serde(default = "limit")]
    pub limit: usize,
    /// Hits that are passed over: at most [`TEXT_SKIP_MAX`].
    #[serde(default)]
    pub skip: usize,
    /// Whether each hit comes with the places that matched.
    #[serde(default)]
    pub highlight: bool,
    /// Whether each hit comes with its document.
    #[serde(default)]
    pub documents: bool,
}

fn limit() -> usize {
    20
}

/// Why a request for a search is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Too long, no JSON, or not the members of a search.
    #[error("not the JSON of a search: {0}")]
    Body(String),
    /// The search itself.
    #[error(transparent)]
    Query(#[from] TextError),
}

impl RequestError {
    /// The stable error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Body(_) => "BadBody",
            Self::Query(_) => "BadSearch",
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl SearchRequest {
    /// A search with everything else as it is when it is not given.
    pub fn new(query: impl Into<String>) -> Self {
        Self {
            query: query.into(),
            operator: Operator::default(),
            field: None,
            limit: limit(),
            skip: 0,
            highlight: false,
            documents: false,
        }
    }

    /// Reads the JSON of a request.
    ///
    /// # Errors
    /// [`RequestError::Body`].
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        let refuse = |why: &str| RequestError::Body(why.to_owned());
        if body.len() > TEXT_BODY_BYTES_MAX {
            return Err(refuse("too long"));
        }
        let object = doc::parse_object(body).map_err(|error| RequestError::Body(error.to_string()))?;
        let request: Self = serde_json::from_value(doc::Value::Object(object))
            .map_err(|_| refuse("`query` is needed, and known members of the right types"))?;
        request.check()?;
        Ok(request)
    }

    /// Asserts that the numbers are within their limits.
    ///
    /// # Errors
    /// [`RequestError::Body`].
    pub fn check(&self) -> Result<(), RequestError> {
        if !(1..=TEXT_LIMIT_MAX).contains(&self.limit) {
            return Err(RequestError::Body("`limit` is 1 to 1,000".to_owned()));
        }
        if self.skip > TEXT_SKIP_MAX {
            return Err(RequestError::Body("`skip` is at most 10,000".to_owned()));
        }
        Ok(())
    }

    /// Reads the search itself in the fields of a bucket.
    ///
    /// # Errors
    /// [`TextError`] with the place of the first fault.
    pub fn read(&self, config: &TextConfig) -> Result<Query, TextError> {
        Query::parse_in(self.field.as_deref(), &self.query, self.operator, config)
    }

    /// Reads the argument of `$text` in a selector: a search, or an object with `query` and `operator`. `field` is the
    /// field that the operator stands in, if it does.
    ///
    /// # Errors
    /// [`RequestError::Body`].
    pub fn of_selector(argument: &doc::Value, field: Option<String>) -> Result<Self, RequestError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Argument {
            query: String,
            #[serde(default)]
            operator: Operator,
        }
        let argument = match argument {
            doc::Value::String(query) => Ok(Argument {
                query: query.clone(),
                operator: Operator::default(),
            }),
            doc::Value::Object(_) => serde_json::from_value(argument.clone()),
            _ => Err(serde::de::Error::custom("neither text nor object")),
        };
        let argument = argument.map_err(|_| {
            RequestError::Body("`$text` takes a search, or an object with `query` and `operator`".to_owned())
        })?;
        Ok(Self {
            operator: argument.operator,
            field,
            ..Self::new(argument.query)
        })
    }
}
