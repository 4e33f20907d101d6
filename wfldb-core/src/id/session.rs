//! The id of a session.

use std::fmt;

use super::IdError;
use crate::encoding::base64url;

/// The id of a session: 16 random bytes, spelled as 22 characters of base64url. It is no secret: who knows it can do
/// nothing without the session's key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// An id from its 16 bytes, which have to be random.
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
    /// [`IdError::SessionId`] for anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        base64url::decode_array(text)
            .map(Self)
            .map_err(|_| IdError::SessionId)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}
