//! Ed25519 signatures as bytes and text.

use std::fmt;

use super::IdError;
use crate::encoding::base64url;

/// An Ed25519 signature: 64 bytes, spelled as 86 characters of base64url. Whether it verifies is
/// asked of a [`PublicKey`](super::PublicKey).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignatureBytes([u8; 64]);

impl SignatureBytes {
    /// A signature from its bytes.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// R, an encoded point, and S, a little-endian scalar.
    pub(crate) fn halves(&self) -> ([u8; 32], [u8; 32]) {
        let (mut r, mut s) = ([0; 32], [0; 32]);
        let (first, second) = self.0.split_at(32);
        r.copy_from_slice(first);
        s.copy_from_slice(second);
        (r, s)
    }

    /// Reads 86 characters of base64url.
    ///
    /// # Errors
    /// [`IdError::Signature`] for anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        base64url::decode_array(text)
            .map(Self)
            .map_err(|_| IdError::Signature)
    }
}

impl fmt::Display for SignatureBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for SignatureBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignatureBytes({self})")
    }
}
