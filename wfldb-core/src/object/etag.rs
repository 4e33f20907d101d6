//! Entity tags: strong, quoted, exactly one for each condition, or `*`.

use super::ObjectError;
use crate::id::ContentHash;

/// What `if-match` or `if-none-match` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtagCondition {
    /// `*`: any version that is there.
    Any,
    /// One etag.
    Is(ContentHash),
}

impl EtagCondition {
    /// Reads `*` or one quoted etag.
    ///
    /// # Errors
    /// [`ObjectError::Condition`] for lists, weak etags and anything else.
    pub fn parse(text: &str) -> Result<Self, ObjectError> {
        if text == "*" {
            Ok(Self::Any)
        } else {
            parse_etag(text).map(Self::Is)
        }
    }

    /// Whether an object with this etag (`None`: no object) is meant.
    pub fn matches(&self, etag: Option<&ContentHash>) -> bool {
        match self {
            Self::Any => etag.is_some(),
            Self::Is(expected) => etag == Some(expected),
        }
    }
}

/// The quoted form of an etag, `"<64 hex>"`.
pub fn format_etag(etag: &ContentHash) -> String {
    format!("\"{etag}\"")
}

/// Reads the quoted form of an etag.
///
/// # Errors
/// [`ObjectError::Condition`] for anything else, `W/` included.
pub fn parse_etag(text: &str) -> Result<ContentHash, ObjectError> {
    let hex = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or(ObjectError::Condition)?;
    ContentHash::parse(hex).map_err(|_| ObjectError::Condition)
}
