//! Preconditions of a write.

use super::{EtagCondition, ObjectError};
use crate::Kind;
use crate::id::{ContentHash, VersionId};

/// A precondition of a write does not hold; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a precondition does not hold")]
pub struct PreconditionFailed;

impl PreconditionFailed {
    /// The stable error code.
    pub fn code(&self) -> &'static str {
        "PreconditionFailed"
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        Kind::Precondition
    }
}

/// What must hold for a write to happen. All given conditions must; the default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// `if-match`: the newest version has this etag, or there is one (`*`).
    pub if_match: Option<EtagCondition>,
    /// `if-none-match: *`: there is no live version.
    pub if_none_match_any: bool,
    /// `x-wfldb-if-version`: the newest version is this one.
    pub if_version: Option<VersionId>,
}

impl Preconditions {
    /// Reads the values of the three headers.
    ///
    /// # Errors
    /// [`ObjectError::Condition`] when one is not valid; a write takes `if-none-match` only with `*`.
    pub fn parse(
        if_match: Option<&str>,
        if_none_match: Option<&str>,
        if_version: Option<&str>,
    ) -> Result<Self, ObjectError> {
        if if_none_match.is_some_and(|value| value != "*") {
            return Err(ObjectError::Condition);
        }
        let if_version = if_version
            .map(VersionId::parse)
            .transpose()
            .map_err(|_| ObjectError::Condition)?;
        Ok(Self {
            if_match: if_match.map(EtagCondition::parse).transpose()?,
            if_none_match_any: if_none_match.is_some(),
            if_version,
        })
    }

    /// Whether there is nothing to check.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the caller needs `get` as well, because the answer tells about the content.
    pub fn need_get(&self) -> bool {
        self.if_match.is_some() || self.if_version.is_some()
    }

    /// Checks against the newest live version; `None` when there is none (a tombstone is none).
    ///
    /// # Errors
    /// [`PreconditionFailed`] when one does not hold.
    pub fn check(&self, head: Option<(&ContentHash, &VersionId)>) -> Result<(), PreconditionFailed> {
        let etag = head.map(|(etag, _)| etag);
        let version = head.map(|(_, version)| version);
        let match_holds = self.if_match.is_none_or(|condition| condition.matches(etag));
        let none_holds = !self.if_none_match_any || head.is_none();
        let version_holds = self.if_version.is_none_or(|expected| version == Some(&expected));
        if match_holds && none_holds && version_holds {
            Ok(())
        } else {
            Err(PreconditionFailed)
        }
    }
}
