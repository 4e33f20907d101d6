//! The `x-wfldb-content` header: length and hash of a body as sent.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{ObjectError, parse_decimal};
use crate::encoding::hex;
use crate::id::ContentHash;

/// What a request says about its body. There is no wire form for an unsigned body.
///
/// ```
/// use wfldb_core::object::ContentDigest;
///
/// let digest = ContentDigest::of(b"hello wflDB");
/// assert_eq!(ContentDigest::parse(&digest.to_string()), Ok(digest));
/// assert_eq!(ContentDigest::of(b"").to_string(), "none 0 -");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentDigest {
    /// No body bytes at all.
    None,
    /// A body with its BLAKE3 hash.
    Blake3 {
        /// Length in bytes, at least 1.
        len: u64,
        /// BLAKE3 of the bytes.
        hash: ContentHash,
    },
    /// A body with its SHA-256 hash.
    Sha256 {
        /// Length in bytes, at least 1.
        len: u64,
        /// SHA-256 of the bytes.
        hash: [u8; 32],
    },
    /// A body of which only the length is known: of a put by a link. It has no wire form, so no signed request says it.
    Unhashed {
        /// Length in bytes, at least 1.
        len: u64,
    },
}

impl ContentDigest {
    /// The digest of a body that is at hand, with BLAKE3.
    pub fn of(body: &[u8]) -> Self {
        if body.is_empty() {
            Self::None
        } else {
            Self::Blake3 {
                len: body.len() as u64,
                hash: ContentHash::of(body),
            }
        }
    }

    /// The digest of a body whose length and BLAKE3 hash are known.
    pub fn blake3(len: u64, hash: ContentHash) -> Self {
        if len == 0 {
            Self::None
        } else {
            Self::Blake3 { len, hash }
        }
    }

    /// What is known of a body without a hash.
    pub fn unhashed(len: u64) -> Self {
        if len == 0 {
            Self::None
        } else {
            Self::Unhashed { len }
        }
    }

    /// Reads the header value.
    ///
    /// # Errors
    /// [`ObjectError::Content`] for any other form; `none` is the only form of an empty body.
    pub fn parse(text: &str) -> Result<Self, ObjectError> {
        if text == "none 0 -" {
            return Ok(Self::None);
        }
        let (algorithm, rest) = text.split_once(' ').ok_or(ObjectError::Content)?;
        let (len, hash) = rest.split_once(' ').ok_or(ObjectError::Content)?;
        let len = parse_decimal(len)
            .filter(|len| *len > 0)
            .ok_or(ObjectError::Content)?;
        let hash = hex::decode_array(hash).map_err(|_| ObjectError::Content)?;
        match algorithm {
            "b3" => Ok(Self::Blake3 {
                len,
                hash: ContentHash::from_bytes(hash),
            }),
            "sha256" => Ok(Self::Sha256 { len, hash }),
            _ => Err(ObjectError::Content),
        }
    }

    /// The length of the body, in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Blake3 { len, .. } | Self::Sha256 { len, .. } | Self::Unhashed { len } => *len,
        }
    }

    /// Whether a whole body at hand is the one that was meant: its length and hash.
    #[must_use]
    pub fn matches(&self, body: &[u8]) -> bool {
        body.len() as u64 == self.len()
            && match self {
                Self::None | Self::Unhashed { .. } => true,
                Self::Blake3 { hash, .. } => ContentHash::of(body) == *hash,
                Self::Sha256 { hash, .. } => Sha256::digest(body).as_slice() == hash.as_slice(),
            }
    }

    /// Whether there is no body.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none 0 -"),
            Self::Blake3 { len, hash } => write!(f, "b3 {len} {hash}"),
            Self::Sha256 { len, hash } => write!(f, "sha256 {len} {}", hex::encode(hash)),
            Self::Unhashed { len } => write!(f, "unhashed {len} -"),
        }
    }
}
