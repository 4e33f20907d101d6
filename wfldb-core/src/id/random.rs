//! Random 128-bit ids, one type for each thing that has one.

use std::fmt;

use super::IdError;
use crate::encoding::hex;

macro_rules! random_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
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
            #[doc = concat!("[`IdError::", stringify!($name), "`] for anything else.")]
            pub fn parse(text: &str) -> Result<Self, IdError> {
                hex::decode_array(text).map(Self).map_err(|_| IdError::$name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

random_newtype! {
    /// The random id that stands for a bucket on disk and in metrics; it outlives no bucket and is never used twice.
    BucketId
}
random_newtype! {
    /// The random id of an upload in parts.
    UploadId
}
random_newtype! {
    /// The random id of a transaction that is under way. Who has it can do nothing with it without the key that began it.
    TxId
}
