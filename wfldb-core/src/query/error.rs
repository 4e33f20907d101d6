//! What is wrong with a query, and where in it.

use std::fmt;

use crate::Kind;

/// What is wrong with a query or a definition of an index, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at {}", Place(pointer))]
pub struct QueryError {
    /// What.
    pub fault: QueryFault,
    /// Where: a JSON pointer (RFC 6901) into the body. Its last name is the operator, where one is at fault.
    pub pointer: String,
}

impl QueryError {
    /// The stable error code.
    pub fn code(&self) -> &'static str {
        match self.fault {
            QueryFault::UnknownOperator => "UnknownOperator",
            _ => "BadQuery",
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

struct Place<'a>(&'a str);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("the top"),
            pointer => write!(f, "`{pointer}`"),
        }
    }
}

/// What is wrong with a query or a definition of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryFault {
    /// An operator that the language does not have.
    #[error("there is no such operator")]
    UnknownOperator,
    /// A member that a request does not have.
    #[error("there is no such member")]
    UnknownMember,
    /// A member is missing: this one.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// Another type of value than this is needed.
    #[error("{0} is needed")]
    Needs(&'static str),
    /// A name that cannot be one of a field.
    #[error("this is no name of a field")]
    Field,
    /// A condition that says nothing about which field it is for.
    #[error("a condition needs a field")]
    NoField,
    /// A regular expression that cannot be used.
    #[error("this is no regular expression of the supported kind, or one that is too large")]
    Pattern,
    /// More of something than is allowed.
    #[error("there are too many {0}")]
    TooMany(&'static str),
    /// Conditions in conditions in conditions.
    #[error("conditions are nested too deep")]
    TooDeep,
    /// `$text` below an operator that it cannot be below, or twice.
    #[error("a selector can have one `$text`, not below another operator than `$and`")]
    TextPlace,
    /// A number outside of its bounds.
    #[error("the number is not from {0} to {1}")]
    Bounds(u64, u64),
    /// A field that occurs twice in a list, or that this cannot be said of.
    #[error("this field cannot stand here")]
    FieldPlace,
    /// A bookmark of another query, bucket or caller, or none at all.
    #[error("this bookmark belongs to another query")]
    Bookmark,
    /// No index of this name can answer the query.
    #[error("this index cannot answer the query")]
    UseIndex,
}
