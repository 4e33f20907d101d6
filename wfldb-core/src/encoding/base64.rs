//! Base64 of RFC 4648, section 4, with padding and zero trailing bits: what the formats of transparency logs use.
//! Everything of our own is in [`base64url`](super::base64url).

use base64ct::{Base64, Encoding as _};

use super::EncodingError;

/// Encodes bytes.
///
/// ```
/// assert_eq!(wfldb_core::encoding::base64::encode(&[0xfb, 0xff]), "+/8=");
/// ```
pub fn encode(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// Decodes the one accepted spelling.
///
/// # Errors
/// [`EncodingError::Base64`] for other characters, missing padding, an impossible length or trailing bits that are not
/// zero.
pub fn decode(text: &str) -> Result<Vec<u8>, EncodingError> {
    let bytes = Base64::decode_vec(text).map_err(|_| EncodingError::Base64)?;
    // SECURITY: one spelling only, whatever the library's leniency, so that no byte of a proof can change unnoticed.
    if encode(&bytes) != text {
        return Err(EncodingError::Base64);
    }
    Ok(bytes)
}

/// Decodes exactly `N` bytes.
///
/// # Errors
/// As [`decode`], and when there are more or fewer bytes.
pub fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], EncodingError> {
    // The length is checked before anything is allocated for it.
    if text.len() != N.div_ceil(3) * 4 {
        return Err(EncodingError::Base64);
    }
    decode(text)?.try_into().map_err(|_| EncodingError::Base64)
}
