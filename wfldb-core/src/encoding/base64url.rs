//! Base64url of RFC 4648 without padding, with zero trailing bits.

use base64ct::{Base64UrlUnpadded, Encoding as _};

use super::EncodingError;

/// Encodes bytes.
///
/// ```
/// assert_eq!(wfldb_core::encoding::base64url::encode(&[0xfb, 0xff]), "-_8");
/// ```
pub fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// Decodes the one accepted spelling.
///
/// # Errors
/// [`EncodingError::Base64Url`] for other characters, padding, an impossible length or trailing bits
/// that are not zero.
pub fn decode(text: &str) -> Result<Vec<u8>, EncodingError> {
    let bytes = Base64UrlUnpadded::decode_vec(text).map_err(|_| EncodingError::Base64Url)?;
    // SECURITY: one spelling only, whatever the library's leniency: a second spelling of a packet
    // would have another hash, and so slip past a revocation by hash.
    if Base64UrlUnpadded::encoded_len(&bytes) != text.len() || encode(&bytes) != text {
        return Err(EncodingError::Base64Url);
    }
    Ok(bytes)
}

/// Decodes exactly `N` bytes.
///
/// # Errors
/// As [`decode`], and when there are more or fewer bytes.
pub fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], EncodingError> {
    // The length is checked before anything is allocated for it.
    if text.len() != (N * 8).div_ceil(6) {
        return Err(EncodingError::Base64Url);
    }
    decode(text)?.try_into().map_err(|_| EncodingError::Base64Url)
}
