//! Names that users choose: buckets, keys, prefixes, realms. Not here: ids that we make ([`crate::id`]).

mod bucket;
mod key;
mod realm;

pub use bucket::BucketName;
pub use key::{KeyPrefix, ObjectKey};
pub use realm::{Audience, Realm};

use crate::Kind;

/// A text that is not a valid name of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not 3 to 63 of `a-z 0-9 -`, or it begins or ends with `-`.
    #[error("a bucket name has 3 to 63 characters of a-z, 0-9 and -, the first and last not -")]
    Bucket,
    /// Empty, too long, with a control character, or with a segment `.` or `..`.
    #[error("a key has 1 to 1024 bytes, no control characters and no segment . or ..")]
    Key,
    /// Not the beginning of any key.
    #[error("a prefix is the beginning of a key")]
    Prefix,
    /// Not 1 to 63 of `a-z 0-9 -`.
    #[error("a realm has 1 to 63 characters of a-z, 0-9 and -")]
    Realm,
    /// Not `wfldb:` and a realm.
    #[error("an audience is wfldb: followed by a realm")]
    Audience,
    /// A key that belongs to a route.
    #[error("this key is reserved")]
    Reserved,
}

impl NameError {
    /// The stable error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bucket => "BadBucketName",
            Self::Key => "BadKey",
            Self::Prefix => "BadPrefix",
            Self::Realm => "BadRealm",
            Self::Audience => "BadAudience",
            Self::Reserved => "ReservedKey",
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// The parts that every name newtype shares: reading it as text.
macro_rules! text_newtype {
    ($name:ident) => {
        impl $name {
            /// The name as text, which is also its wire form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::name::NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }
    };
}
use text_newtype;
