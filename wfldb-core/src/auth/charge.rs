//! What an access is charged to. Not here: the counters (engine, server).

use std::fmt;

use crate::encoding::hex;

/// What a grant's counters are kept under: BLAKE3 of the link's `iss` and `sub` and the grant's `b`
/// and `p`. Renewing or minting packets leaves it the same, so it resets no counter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId([u8; 32]);

impl GrantId {
    /// An id from its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GrantId({self})")
    }
}

/// A counter that an access is charged to, with the tightest limits that the access's grants set it. No counter occurs
/// twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// What the counters are kept under.
    pub grant: GrantId,
    /// Most stored bytes, all versions together.
    pub quota_bytes: Option<u64>,
    /// Most requests in a second.
    pub rate: Option<u64>,
}

impl Charge {
    /// Takes over what limits the same counter more tightly elsewhere.
    pub(super) fn tighten(&mut self, other: &Self) {
        let tighter = |left: Option<u64>, right: Option<u64>| left.into_iter().chain(right).min();
        self.quota_bytes = tighter(self.quota_bytes, other.quota_bytes);
        self.rate = tighter(self.rate, other.rate);
    }
}
