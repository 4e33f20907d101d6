//! The time of a document in a bucket that wants one.

use super::{FieldPath, FieldSet, instant};
use crate::Kind;
use crate::encoding::pointer;
use crate::time::UnixMillis;

/// A document without a time where its bucket wants one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the document has no time in the bucket's time field, RFC 3339 or milliseconds since 1970")]
pub struct TimeFieldError {
    /// Where it should be: a JSON pointer.
    pub pointer: String,
}

impl TimeFieldError {
    /// The stable error code.
    pub fn code(&self) -> &'static str {
        "BadTimeField"
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// The time of a document, from 1970 on, given by its canonical text.
///
/// # Errors
/// [`TimeFieldError`].
pub fn document_time(field: &FieldPath, text: &[u8]) -> Result<UnixMillis, TimeFieldError> {
    let mut fields = FieldSet::default();
    let number = fields.add(field);
    let mut found = fields.room();
    fields.find(text, &mut found);
    let millis = found.get(number).copied().flatten().and_then(instant);
    let millis = millis.and_then(|millis| u64::try_from(millis).ok());
    millis.map(UnixMillis::new).ok_or_else(|| TimeFieldError {
        pointer: field
            .names()
            .iter()
            .fold(String::new(), |pointer, name| pointer::inside(&pointer, name)),
    })
}
