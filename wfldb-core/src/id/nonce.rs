//! The nonce of a signed request.

use std::fmt;

use super::IdError;
use crate::encoding::base64url;

/// The nonce of a request: 16 random bytes, spelled as 22 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce([u8; 16]);

impl Nonce {
    /// A nonce from its 16 bytes, which have to be random.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads 22 characters of base64url.
    ///
    /// # Errors
    /// [`IdError::Nonce`] for anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        base64url::decode_array(text)
            .map(Self)
            .map_err(|_| IdError::Nonce)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({self})")
    }
}
