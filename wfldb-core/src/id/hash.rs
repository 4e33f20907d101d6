//! BLAKE3 hashes, one type for each thing that is hashed.

use super::IdError;
use crate::encoding::hex;

macro_rules! hash_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The BLAKE3 hash of the bytes.
            pub fn of(bytes: &[u8]) -> Self {
                Self(*blake3::hash(bytes).as_bytes())
            }

            /// A hash from its 32 bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Reads 64 lower-case hex digits.
            ///
            /// # Errors
            /// [`IdError::Hash`] for anything else.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                hex::decode_array(text).map(Self).map_err(|_| IdError::Hash)
            }
        }

        impl From<blake3::Hash> for $name {
            fn from(hash: blake3::Hash) -> Self {
                Self(*hash.as_bytes())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(&self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

hash_newtype! {
    /// The BLAKE3 hash of an object's bytes: what `b3sum` prints, and the object's etag.
    ///
    /// ```
    /// use wfldb_core::id::ContentHash;
    ///
    /// let hash = ContentHash::of(b"hello wflDB");
    /// assert!(hash.to_string().starts_with("92494b5d"));
    /// assert_eq!(ContentHash::parse(&hash.to_string()), Ok(hash));
    /// ```
    ContentHash
}
hash_newtype! {
    /// The BLAKE3 hash of one chunk's bytes.
    ChunkHash
}
hash_newtype! {
    /// The BLAKE3 hash of a key packet's bytes as sent.
    PacketHash
}
