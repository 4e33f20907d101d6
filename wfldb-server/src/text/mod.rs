//! Full text as the server has it: with the feature `text` the indexes of the store, without it a refusal that says
//! how to get them.

#[cfg(not(feature = "text"))]
mod absent;
#[cfg(feature = "text")]
mod views;

use wfldb_core::Kind;
use wfldb_core::id::BucketId;
use wfldb_core::text::RequestError;
use wfldb_engine::TextMatch;

#[cfg(not(feature = "text"))]
pub(crate) use self::absent::Text;
#[cfg(feature = "text")]
pub(crate) use self::views::Text;

/// Why a search was not answered.
#[derive(Debug, thiserror::Error)]
#[expect(
    dead_code,
    reason = "with an index one thing cannot go wrong, without one the others cannot"
)]
pub(crate) enum SearchFault {
    #[error(
        "this server was built without full text; `cargo build --release -p wfldb-server --features text` has it"
    )]
    NotBuilt,
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("the bucket has no full-text index; its setting `text` makes one")]
    NotIndexed,
    #[error("the full-text index is being made; try again")]
    Building,
    #[error("the full-text index has come to seq {0} only; try again")]
    Behind(u64),
    #[error("more than 20,000 documents match")]
    TooManyHits,
    /// The index failed, and is made again. The reason is for the log.
    #[error("the full-text index is being made again; try again")]
    Failed(String),
}

impl SearchFault {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotBuilt => "TextNotBuilt",
            Self::Request(error) => error.code(),
            Self::NotIndexed => "NotIndexed",
            Self::Building | Self::Failed(_) => "TextNotReady",
            Self::Behind(_) => "TextBehind",
            Self::TooManyHits => "TooManyHits",
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Request(error) => error.kind(),
            Self::NotBuilt | Self::NotIndexed | Self::TooManyHits => Kind::Invalid,
            Self::Building | Self::Behind(_) | Self::Failed(_) => Kind::Unavailable,
        }
    }
}

/// All that a search found, best first.
#[derive(Debug)]
pub(crate) struct Matches {
    pub(crate) found: Vec<TextMatch>,
    /// Every change of the bucket up to this one was looked at.
    pub(crate) seq: u64,
}

/// How far the index of a bucket is.
#[derive(Debug)]
pub(crate) struct TextFigures {
    pub(crate) bucket: BucketId,
    pub(crate) behind: u64,
    pub(crate) documents: u64,
    pub(crate) made: u64,
    pub(crate) failures: u64,
}
