//! What is kept with an object or bucket and what a request says about it: headers, tags, content
//! digest, preconditions, bucket configuration. Not here: versions and rows (engine), routes (net).

mod bucket_config;
mod content;
mod etag;
mod headers;
mod precondition;
mod tags;

pub use bucket_config::{BucketConfig, BucketKind, Retention};
pub use content::ContentDigest;
pub use etag::{EtagCondition, format_etag, parse_etag};
pub(crate) use headers::is_header_name;
pub use headers::{HeaderText, ObjectHeaders, is_header_text};
pub use precondition::{PreconditionFailed, Preconditions};
pub use tags::Tags;

use crate::Kind;

/// A part of a request that describes an object or bucket and is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// A header value that is not visible ASCII with single inner spaces, or is too long.
    #[error("a header value is visible ASCII with single spaces inside")]
    Header,
    /// Too many or too large metadata, or a name that is not one.
    #[error("at most 32 metadata names, 8 KiB in all, of lower-case token characters")]
    Meta,
    /// Tags that are not canonical, or too many, or too long.
    #[error("tags are at most 16 pairs in canonical query form")]
    Tags,
    /// A time to live that is not a positive whole number of seconds below the limit.
    #[error("a time to live is a whole number of seconds from 1")]
    Ttl,
    /// A content header that is none of the three forms.
    #[error("content is `none 0 -`, `b3 <length> <hex>` or `sha256 <length> <hex>`")]
    Content,
    /// A condition that is not one quoted strong etag, `*` where allowed, or a version id.
    #[error("a condition names exactly one strong quoted etag, a version, or *")]
    Condition,
    /// A bucket configuration that is not the documented JSON.
    #[error("not a bucket configuration")]
    BucketConfig,
}

impl ObjectError {
    /// The stable error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Header => "NotCanonical",
            Self::Meta => "BadMetadata",
            Self::Tags => "BadTags",
            Self::Ttl => "BadTtl",
            Self::Content => "BadContent",
            Self::Condition => "BadCondition",
            Self::BucketConfig => "BadBucketConfig",
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// Reads a whole number without sign or leading zero.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && digits {
        text.parse().ok()
    } else {
        None
    }
}
