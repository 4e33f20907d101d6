//! Ids and keys that we make: versions, hashes, numbers, Ed25519 keys and what they sign.
//! Not here: names that users choose ([`crate::name`]), and any source of randomness.

mod hash;
mod key_id;
mod nonce;
mod number;
mod public_key;
mod random;
mod secret;
mod session;
mod signature;
mod version;

pub use hash::{ChunkHash, ContentHash, PacketHash};
pub use key_id::{KeyId, Role};
pub(crate) use key_id::{bytes_of as key_id_bytes, text_of as key_id_text};
pub use nonce::Nonce;
pub use number::{ByteLen, CommitNumber, LeafIndex, LogPosition, Seq};
pub use public_key::PublicKey;
pub use random::{BucketId, TxId, UploadId};
pub use secret::SecretKey;
pub use session::SessionId;
pub use signature::SignatureBytes;
pub use version::VersionId;

use crate::Kind;

/// A text or byte string that is not a valid id of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a ULID in its one spelling.
    #[error("not a version id")]
    Version,
    /// Not 64 lower-case hex digits.
    #[error("not a hash")]
    Hash,
    /// Not a key id: prefix, length, alphabet, padding bits or checksum.
    #[error("not a key id")]
    KeyId,
    /// Not a usable Ed25519 public key.
    #[error("not a usable public key")]
    PublicKey,
    /// Not a secret key: prefix, length, alphabet, padding bits or checksum.
    #[error("not a secret key")]
    SecretKey,
    /// Not 22 characters of base64url.
    #[error("not a nonce")]
    Nonce,
    /// Not 22 characters of base64url.
    #[error("not a session id")]
    SessionId,
    /// Not 86 characters of base64url.
    #[error("not a signature")]
    Signature,
    /// Not 32 lower-case hex digits.
    #[error("not a bucket id")]
    BucketId,
    /// Not 32 lower-case hex digits.
    #[error("not an upload id")]
    UploadId,
    /// Not 32 lower-case hex digits.
    #[error("not a transaction id")]
    TxId,
}

impl IdError {
    /// The stable error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Version => "BadVersionId",
            Self::Hash => "BadHash",
            Self::KeyId => "BadKeyId",
            Self::PublicKey => "BadPublicKey",
            Self::SecretKey => "BadSecretKey",
            Self::Nonce => "BadNonce",
            Self::SessionId => "BadSessionId",
            Self::Signature => "BadSignature",
            Self::BucketId => "BadBucketId",
            Self::UploadId => "BadUploadId",
            Self::TxId => "BadTransactionId",
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}
