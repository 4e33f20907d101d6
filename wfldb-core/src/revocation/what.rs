//! What a revocation names.

use std::fmt;

use crate::encoding::hex;
use crate::id::PacketHash;

/// The 32 bytes of a public key. Revocation compares these, never ids: one key has an id for each role.
pub type KeyBytes = [u8; 32];

/// What is revoked.
///
/// Its text (`packet:<hash>`, `key:<key>`, `below:<link>:<key>`, 64 hex digits each) is what listings and the change log
/// call it by.
///
/// ```
/// use wfldb_core::revocation::Revoked;
///
/// let key = Revoked::Key([7; 32]);
/// assert_eq!(Revoked::parse(&key.to_string()), Some(key));
/// assert_eq!(Revoked::parse("key:07"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revoked {
    /// A packet, and every chain that goes on from it; or a link in a URL, by the hash of its bytes.
    Packet(PacketHash),
    /// A public key.
    Key(KeyBytes),
    /// A public key, in chains that contain one very link, from that link on.
    Below {
        /// The hash of the packet that ends with the link.
        link: PacketHash,
        /// The key.
        key: KeyBytes,
    },
}

impl Revoked {
    /// Reads the text of a revocation.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "packet" => PacketHash::parse(rest).ok().map(Self::Packet),
            "key" => hex::decode_array(rest).ok().map(Self::Key),
            "below" => {
                let (link, key) = rest.split_once(':')?;
                let link = PacketHash::parse(link).ok()?;
                hex::decode_array(key).ok().map(|key| Self::Below { link, key })
            }
            _ => None,
        }
    }

    /// Whether it is about a key, so that packets which are issued later are not covered.
    pub fn is_of_key(&self) -> bool {
        match self {
            Self::Packet(_) => false,
            Self::Key(_) | Self::Below { .. } => true,
        }
    }
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(hash) => write!(f, "packet:{hash}"),
            Self::Key(key) => write!(f, "key:{}", hex::encode(key)),
            Self::Below { link, key } => write!(f, "below:{link}:{}", hex::encode(key)),
        }
    }
}
