//! Secret keys. Not here: where they come from or are kept.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::key_id::{decode_checked, encode_checked};
use super::{IdError, KeyId, PublicKey, Role, SignatureBytes};

const PREFIX: &str = "wsk1";

/// An Ed25519 secret key. It is wiped when dropped, its `Debug` shows the type only, and it has no
/// `Display`; [`SecretKey::to_wire`] is the one way out.
///
/// ```
/// use wfldb_core::id::{Role, SecretKey};
///
/// let key = SecretKey::from_seed([7; 32]);
/// let signature = key.sign(b"message");
/// assert!(key.public_key().verify_strict(b"message", &signature));
/// assert!(key.key_id(Role::Client).to_string().starts_with("wc1"));
/// assert_eq!(format!("{key:?}"), "SecretKey");
/// ```
#[derive(Clone, ZeroizeOnDrop)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A key from its 32-byte seed, which has to be random.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self(SigningKey::from_bytes(&seed))
    }

    /// Reads the text form `wsk1…`, in its one spelling.
    ///
    /// # Errors
    /// [`IdError::SecretKey`] for anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let body = text.strip_prefix(PREFIX).ok_or(IdError::SecretKey)?;
        decode_checked(PREFIX, body)
            .map(Self::from_seed)
            .ok_or(IdError::SecretKey)
    }

    /// The text form `wsk1…`, in memory that is wiped when dropped.
    pub fn to_wire(&self) -> Zeroizing<String> {
        let body = Zeroizing::new(encode_checked(PREFIX, self.0.as_bytes()));
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + body.len()));
        text.push_str(PREFIX);
        text.push_str(&body);
        text
    }

    /// The public key.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_verifying(self.0.verifying_key())
    }

    /// The key id in a role.
    pub fn key_id(&self, role: Role) -> KeyId {
        KeyId::new(role, self.public_key())
    }

    /// Signs a message (Ed25519, RFC 8032, deterministic).
    pub fn sign(&self, message: &[u8]) -> SignatureBytes {
        SignatureBytes::from_bytes(self.0.sign(message).to_bytes())
    }

    /// Seed and public key, the form that other Ed25519 libraries read.
    pub(crate) fn to_keypair_bytes(&self) -> Zeroizing<[u8; 64]> {
        Zeroizing::new(self.0.to_keypair_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}
