//! What a chain is to revocations: of each link its hash, its keys and when it was issued.

use std::sync::Arc;

use super::KeyBytes;
use crate::id::PacketHash;

/// One link, as far as revocations look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkIdentity {
    /// The hash of the packet that ends with this link.
    pub hash: PacketHash,
    /// The public key that signed it.
    pub iss: KeyBytes,
    /// The public key of its holder.
    pub sub: KeyBytes,
    /// When it was issued, in seconds since 1970.
    pub iat: u64,
}

/// The links of a chain, from link 0 outward. Cheap to clone: a plan carries it into the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain(Arc<[LinkIdentity]>);

impl Chain {
    /// The chain of these links, from link 0 outward.
    pub fn new(links: impl IntoIterator<Item = LinkIdentity>) -> Self {
        Self(links.into_iter().collect())
    }

    /// The links, from link 0 outward.
    pub fn links(&self) -> &[LinkIdentity] {
        &self.0
    }
}
