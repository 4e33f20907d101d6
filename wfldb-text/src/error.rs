//! What can go wrong with a search or a view.

use wfldb_core::Kind;
use wfldb_core::text::{RequestError, TextError};
use wfldb_engine::EngineError;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum TextViewError {
    /// The request.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The documents could not be read, or the caller may not.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The bucket's configuration asks for no index.
    #[error("the bucket has no full-text index; its setting `text` makes one")]
    NotIndexed,
    /// The index is being made.
    #[error("the full-text index is being made")]
    Building,
    /// The index did not come as far as was asked for in time.
    #[error("the full-text index has come to seq {0} only")]
    Behind(u64),
    /// More documents match than can be looked at.
    #[error("more than 20,000 documents match")]
    TooManyHits,
    /// The index could not be read or written. It is made again.
    #[error("the full-text index failed: {0}")]
    Index(String),
}

impl TextViewError {
    /// The stable error code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Request(error) => error.code(),
            Self::Engine(error) => error.code(),
            Self::NotIndexed => "NotIndexed",
            Self::Building | Self::Index(_) => "TextNotReady",
            Self::Behind(_) => "TextBehind",
            Self::TooManyHits => "TooManyHits",
        }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Request(error) => error.kind(),
            Self::Engine(error) => error.kind(),
            Self::NotIndexed | Self::TooManyHits => Kind::Invalid,
            Self::Building | Self::Behind(_) | Self::Index(_) => Kind::Unavailable,
        }
    }
}

impl From<TextError> for TextViewError {
    fn from(error: TextError) -> Self {
        Self::Request(error.into())
    }
}

impl From<tantivy::TantivyError> for TextViewError {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::Index(error.to_string())
    }
}

impl From<std::io::Error> for TextViewError {
    fn from(error: std::io::Error) -> Self {
        Self::Index(error.to_string())
    }
}
