//! The id that names one request in the log and in its answer.

use std::fmt;

/// 16 random bytes, as 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId([u8; 16]);

impl RequestId {
    /// A fresh id. Without random bytes it is all zeros: the id protects nothing, it only names.
    pub(crate) fn random() -> Self {
        let mut bytes = [0; 16];
        let _ = getrandom::fill(&mut bytes);
        Self(bytes)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}
