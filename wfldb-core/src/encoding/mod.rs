//! The text encodings of the wire, each with exactly one accepted spelling of every value.
//! Not here: what the decoded bytes mean.

pub mod base32;
pub mod base64;
pub mod base64url;
pub mod hex;
mod json_object;
pub mod percent;
pub(crate) mod pointer;

pub use self::json_object::JsonObject;

use crate::Kind;

/// A text that is not the one spelling of anything in the expected encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// Not base32 as [`base32`] writes it.
    #[error("not canonical base32")]
    Base32,
    /// Not base64 as [`base64`] writes it.
    #[error("not canonical base64")]
    Base64,
    /// Not base64url as [`base64url`] writes it.
    #[error("not canonical base64url")]
    Base64Url,
    /// Not hex as [`hex`] writes it.
    #[error("not lower-case hex of the right length")]
    Hex,
    /// Not percent-encoded as [`percent`] writes it.
    #[error("not canonical percent-encoding")]
    Percent,
    /// Not a query as [`percent::encode_query`] writes it.
    #[error("not a canonical query")]
    Query,
}

impl EncodingError {
    /// The stable error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Base32 => "BadBase32",
            Self::Base64 => "BadBase64",
            Self::Base64Url => "BadBase64Url",
            Self::Hex => "BadHex",
            Self::Percent | Self::Query => "NotCanonical",
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}
