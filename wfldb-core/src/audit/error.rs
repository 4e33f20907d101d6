//! What can be wrong with a part of the audit log.

use crate::Kind;

/// Something of the audit log that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// Bytes that are not a thing of this form, in its one spelling.
    #[error("not a valid {0}")]
    Form(&'static str),
    /// A leaf, a tile or a size that lies outside the tree.
    #[error("outside of the tree")]
    Range,
    /// The note has no signature of this key that verifies, or one that does not.
    #[error("not signed by the key")]
    Signature,
    /// The note is of another log.
    #[error("of another log")]
    Origin,
    /// The proof does not lead from the leaf to the root.
    #[error("the inclusion proof does not lead to the root")]
    Inclusion,
    /// The proof does not show that the smaller tree is the beginning of the larger one.
    #[error("the consistency proof does not join the two roots")]
    Consistency,
}

impl AuditError {
    /// The stable error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Form(_) => "BadAuditForm",
            Self::Range => "OutsideTree",
            Self::Signature => "BadCheckpointSignature",
            Self::Origin => "OtherLog",
            Self::Inclusion => "NotIncluded",
            Self::Consistency => "Inconsistent",
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}
