//! Self-certifying key ids: the role, the public key and a checksum in one text.

use std::fmt;

use super::{IdError, PublicKey};
use crate::encoding::base32;

/// Bytes of a BLAKE3 hash that guard a key's text form against typing errors.
pub(super) const CHECKSUM_BYTES: usize = 2;
/// Characters of base32 for 32 bytes and the checksum.
pub(super) const BODY_TEXT_BYTES: usize = 55;

/// What a key is used for. The role is part of the key id and must fit each use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Signs first links; trusted by the store.
    Root,
    /// Receives packets in order to issue narrower ones.
    Issuer,
    /// Signs requests.
    Client,
    /// A server's own key.
    Node,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Root, Self::Issuer, Self::Client, Self::Node];

    /// The three characters that a key id of this role begins with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Root => "wr1",
            Self::Issuer => "wi1",
            Self::Client => "wc1",
            Self::Node => "wn1",
        }
    }
}

/// A key id: `wr1…`, `wi1…`, `wc1…` or `wn1…`, the public key and its role in one text.
///
/// ```
/// use wfldb_core::id::{KeyId, Role};
///
/// let id = KeyId::parse("wc125njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkencm4a")?;
/// assert_eq!(id.role(), Role::Client);
/// assert_eq!(KeyId::new(Role::Client, id.public_key().clone()), id);
/// # Ok::<(), wfldb_core::id::IdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId {
    role: Role,
    key: PublicKey,
}

impl KeyId {
    /// The id of a public key in a role.
    pub fn new(role: Role, key: PublicKey) -> Self {
        Self { role, key }
    }

    /// Reads the one spelling of a key id.
    ///
    /// # Errors
    /// [`IdError::KeyId`] when prefix, length, alphabet, padding bits or checksum are wrong,
    /// [`IdError::PublicKey`] when the key inside is weak or no key.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (role, bytes) = bytes_of(text).ok_or(IdError::KeyId)?;
        Ok(Self {
            role,
            key: PublicKey::from_bytes(&bytes)?,
        })
    }

    /// The role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The public key. Trust and revocation compare this, not the role.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text_of(self.role, self.key.as_bytes()))
    }
}

/// The text of a key's id, for bytes that are known to be a key: decoding them costs more than the text.
pub(crate) fn text_of(role: Role, key: &[u8; 32]) -> String {
    [role.prefix(), &encode_checked(role.prefix(), key)].concat()
}

/// The inverse of [`text_of`]: whether the bytes are a key is for whoever uses them to find, which costs more than this.
pub(crate) fn bytes_of(text: &str) -> Option<(Role, [u8; 32])> {
    let (role, body) = Role::ALL
        .into_iter()
        .find_map(|role| Some((role, text.strip_prefix(role.prefix())?)))?;
    Some((role, decode_checked(role.prefix(), body)?))
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Base32 of the 32 bytes and the first two bytes of BLAKE3(prefix ‖ bytes).
pub(super) fn encode_checked(prefix: &str, bytes: &[u8; 32]) -> String {
    let mut body = zeroize::Zeroizing::new([0_u8; 32 + CHECKSUM_BYTES]);
    for (slot, byte) in body.iter_mut().zip(bytes.iter().chain(&checksum(prefix, bytes))) {
        *slot = *byte;
    }
    base32::encode(body.as_slice())
}

/// The inverse of [`encode_checked`]; `None` for anything but its one spelling.
pub(super) fn decode_checked(prefix: &str, body: &str) -> Option<[u8; 32]> {
    if body.len() != BODY_TEXT_BYTES {
        return None;
    }
    let decoded = zeroize::Zeroizing::new(base32::decode(body).ok()?);
    let (bytes, sum) = decoded.split_first_chunk::<32>()?;
    (sum == checksum(prefix, bytes)).then_some(*bytes)
}

fn checksum(prefix: &str, bytes: &[u8; 32]) -> [u8; CHECKSUM_BYTES] {
    let hash = blake3::Hasher::new()
        .update(prefix.as_bytes())
        .update(bytes)
        .finalize();
    let [first, second, ..] = *hash.as_bytes();
    [first, second]
}
