//! The key of a session and the tags that are made with it.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::encoding::base64url;

/// Bytes of a tag: a forger has one chance in 2^128 with each request, and a server to ask each time.
const TAG_BYTES: usize = 16;

/// The key that tags the requests of a session. It is wiped when dropped, and its `Debug` shows the type only.
#[derive(ZeroizeOnDrop)]
pub struct SessionKey(Zeroizing<[u8; 32]>);

impl SessionKey {
    pub(super) fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The tag over a message: the first 16 bytes of keyed BLAKE3.
    pub(crate) fn tag(&self, message: &[u8]) -> SessionTag {
        let hash = blake3::keyed_hash(&self.0, message);
        let (tag, _) = hash
            .as_bytes()
            .split_first_chunk()
            .unwrap_or((&[0; TAG_BYTES], &[]));
        SessionTag(*tag)
    }

    /// Whether the tag is the one over the message.
    #[must_use]
    pub(crate) fn verify(&self, message: &[u8], tag: &SessionTag) -> bool {
        // SECURITY: in constant time, so that the time to the refusal does not tell how much of a guess is right.
        self.tag(message).0.ct_eq(&tag.0).into()
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey")
    }
}

/// The tag of a session's request: 16 bytes, spelled as 22 characters of base64url. Compared in constant time by
/// its key only, so it has no `PartialEq`.
#[derive(Clone, Copy)]
pub struct SessionTag([u8; TAG_BYTES]);

impl SessionTag {
    /// Reads 22 characters of base64url; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        base64url::decode_array(text).map(Self).ok()
    }
}

impl fmt::Display for SessionTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for SessionTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionTag")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SessionKey {
        SessionKey::new(Zeroizing::new([byte; 32]))
    }

    /// A defect it catches: a comparison of the first bytes only.
    #[test]
    fn every_byte_of_a_tag_counts() {
        let tag = key(1).tag(b"message");
        assert!(key(1).verify(b"message", &tag));
        assert!(!key(2).verify(b"message", &tag));
        assert!(!key(1).verify(b"messagf", &tag));
        for place in 0..TAG_BYTES {
            let mut other = tag;
            other.0[place] ^= 1;
            assert!(!key(1).verify(b"message", &other), "byte {place}");
        }
    }

    #[test]
    fn a_key_and_a_tag_do_not_show_themselves() {
        let tag = key(7).tag(b"x");
        assert_eq!(format!("{:?} {tag:?}", key(7)), "SessionKey SessionTag");
        assert_eq!(tag.to_string().len(), 22);
        assert!(SessionTag::parse(&tag.to_string()).is_some_and(|same| key(7).verify(b"x", &same)));
        assert!(SessionTag::parse("AAAA").is_none());
    }
}
