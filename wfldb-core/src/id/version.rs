//! The id of an object's version.

use std::fmt;

use super::IdError;
use crate::time::UnixMillis;

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TEXT_BYTES: usize = 26;
const RANDOM_BITS: u32 = 80;

/// The id of a version: a ULID, 48 bits of milliseconds and 80 random bits, spelled as 26 upper-case
/// characters of Crockford's base32. Text and number have the same order.
///
/// ```
/// use wfldb_core::{id::VersionId, time::UnixMillis};
///
/// let version = VersionId::from_parts(UnixMillis::new(1_767_323_045_006), [7; 10]);
/// assert_eq!(VersionId::parse(&version.to_string()), Ok(version));
/// assert!(version.next() > Some(version));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId(u128);

impl VersionId {
    /// Reads the one spelling: upper case, 26 characters, no `I L O U`, not above 128 bits.
    ///
    /// # Errors
    /// [`IdError::Version`] for anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        // The first of 26 characters carries three bits; more would be a number above 128 bits.
        let fits = text.len() == TEXT_BYTES && text.bytes().next().is_some_and(|first| first <= b'7');
        if !fits {
            return Err(IdError::Version);
        }
        text.bytes()
            .try_fold(0_u128, |value, character| {
                let digit = CROCKFORD
                    .iter()
                    .zip(0_u128..)
                    .find(|(known, _)| **known == character);
                digit.map(|(_, digit)| (value << 5) | digit)
            })
            .map(Self)
            .ok_or(IdError::Version)
    }

    /// A version of the given time, with the given random bits.
    pub fn from_parts(time: UnixMillis, random: [u8; 10]) -> Self {
        let low = random
            .iter()
            .fold(0_u128, |value, byte| (value << 8) | u128::from(*byte));
        Self((u128::from(time.get()) << RANDOM_BITS) | low)
    }

    /// The smallest version above this one. When the random bits are all ones, that is one of the
    /// next millisecond. `None` after the very last.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    /// The time in it, to the millisecond.
    pub fn millis(self) -> UnixMillis {
        UnixMillis::new(u64::try_from(self.0 >> RANDOM_BITS).unwrap_or(u64::MAX))
    }

    /// The id as 16 bytes, big-endian, in the same order as the ids.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The inverse of [`VersionId::to_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = (0..TEXT_BYTES)
            .rev()
            .filter_map(|place| {
                let digit = usize::try_from((self.0 >> (5 * place)) & 31).ok()?;
                CROCKFORD.get(digit).copied().map(char::from)
            })
            .collect();
        f.write_str(&text)
    }
}

impl fmt::Debug for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VersionId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_and_the_same_order() {
        assert_eq!(
            VersionId::parse("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"),
            Ok(VersionId(u128::MAX))
        );
        assert_eq!(VersionId(0).to_string(), "0".repeat(26));
        assert_eq!(VersionId(u128::MAX).next(), None);
        let last_of_ms = VersionId::from_parts(UnixMillis::new(5), [255; 10]);
        assert_eq!(
            last_of_ms.next(),
            Some(VersionId::from_parts(UnixMillis::new(6), [0; 10]))
        );
        for text in [
            "80000000000000000000000000",
            "01arz3ndektsv4rrffq69g5fav",
            "01ARZ3NDEKTSV4RRFFQ69G5FAI",
            "01ARZ3NDEKTSV4RRFFQ69G5FA",
            "01ARZ3NDEKTSV4RRFFQ69G5FAVV",
            "",
        ] {
            assert_eq!(VersionId::parse(text), Err(IdError::Version), "{text}");
        }
    }
}
