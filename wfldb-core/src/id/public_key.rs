//! Ed25519 public keys.

use std::{cmp::Ordering, fmt, hash};

use curve25519_dalek::EdwardsPoint;
use ed25519_dalek::{Signature, VerifyingKey};

use super::{IdError, SignatureBytes};
use crate::encoding::hex;

/// An Ed25519 public key, decoded once, never weak (of small order) and in its one encoding.
#[derive(Clone)]
pub struct PublicKey {
    key: VerifyingKey,
}

impl PublicKey {
    /// Reads a key from its 32 bytes.
    ///
    /// # Errors
    /// [`IdError::PublicKey`] when the bytes are no point, are not the canonical encoding of their
    /// point, or the point is of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, IdError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| IdError::PublicKey)?;
        // SECURITY: a weak key has signatures that verify under any message; a second encoding of a
        // point would be a second identity of one holder.
        let canonical = key.to_edwards().compress().to_bytes() == *bytes;
        if key.is_weak() || !canonical {
            return Err(IdError::PublicKey);
        }
        Ok(Self { key })
    }

    pub(super) fn from_verifying(key: VerifyingKey) -> Self {
        Self { key }
    }

    pub(crate) fn point(&self) -> EdwardsPoint {
        self.key.to_edwards()
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether the signature over the message was made with this key. Malleable and small-order
    /// signatures are refused.
    #[must_use]
    pub fn verify_strict(&self, message: &[u8], signature: &SignatureBytes) -> bool {
        let signature = Signature::from_bytes(signature.as_bytes());
        self.key.verify_strict(message, &signature).is_ok()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for PublicKey {}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl hash::Hash for PublicKey {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", hex::encode(self.as_bytes()))
    }
}
