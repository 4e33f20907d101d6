//! Commitments: salted hashes that show nothing of a value until its salt is shown too.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::encoding::{EncodingError, base64url};

/// What a commitment is to. Values under different labels never have the same commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// The bucket's id, 16 bytes.
    Bucket,
    /// The object's key, or the bucket's name for a change of a bucket.
    Key,
    /// [`Content::value`](super::Content::value).
    Content,
    /// [`evidence_value`].
    Evidence,
}

impl Label {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Bucket => "bucket",
            Self::Key => "key",
            Self::Content => "content",
            Self::Evidence => "evidence",
        }
    }
}

/// `SHA-256(salt ‖ label ‖ 0x00 ‖ value)`, spelled as 43 characters of base64url.
///
/// SECURITY: the salt is 32 random bytes, one for each change, kept beside its evidence. When that is erased, nobody
/// can tell by trying whether a value is the one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Commitment([u8; 32]);

impl Commitment {
    /// The commitment to a value.
    pub fn new(salt: &[u8; 32], label: Label, value: &[u8]) -> Self {
        let hash = Sha256::new()
            .chain_update(salt)
            .chain_update(label.as_str())
            .chain_update([0])
            .chain_update(value);
        Self(hash.finalize().into())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 43 characters of base64url.
    ///
    /// # Errors
    /// [`EncodingError::Base64Url`] for anything else.
    pub fn parse(text: &str) -> Result<Self, EncodingError> {
        base64url::decode_array(text).map(Self)
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commitment({self})")
    }
}

/// The value that is committed to under [`Label::Evidence`]: packet and canonical string, each behind its length in four
/// big-endian bytes, and the signature.
pub fn evidence_value(packet: &str, canonical: &[u8], signature: &[u8; 64]) -> Vec<u8> {
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    let mut value = Vec::with_capacity(8 + packet.len() + canonical.len() + signature.len());
    value.extend(length(packet.len()));
    value.extend(packet.as_bytes());
    value.extend(length(canonical.len()));
    value.extend(canonical);
    value.extend(signature);
    value
}
