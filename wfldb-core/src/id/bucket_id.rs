//! The random id that stands for a bucket on disk and in metrics.

use std::fmt;

use super::IdError;
use crate::encoding::hex;

/// The random 128-bit id of a bucket, which outlives no bucket and is never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketId([u8; 16]);

impl BucketId {
    /// An id from its 16 (random) bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads 32 lower-case hex digits.
    ///
    /// # Errors
    /// [`IdError::BucketId`] for anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        hex::decode_array(text).map(Self).map_err(|_| IdError::BucketId)
    }
}

impl fmt::Display for BucketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for BucketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketId({self})")
    }
}
