//! Base32 of RFC 4648, lower case, without padding, with zero trailing bits.

use super::EncodingError;

/// Encodes bytes.
///
/// ```
/// assert_eq!(wfldb_core::encoding::base32::encode(b"wfl"), "o5tgy");
/// ```
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for group in bytes.chunks(5) {
        // Forty bits, the first byte in front; a group that is not whole ends with zero bits.
        let bits = group
            .iter()
            .enumerate()
            .fold(0_u64, |bits, (at, byte)| bits | u64::from(*byte) << (32 - 8 * at));
        let digits = (group.len() * 8).div_ceil(5);
        text.extend((0..digits).map(|at| digit(bits >> (35 - 5 * at))));
    }
    text
}

fn digit(value: u64) -> char {
    let [low, ..] = (value & 31).to_le_bytes();
    char::from(if low < 26 { b'a' + low } else { b'2' + (low - 26) })
}

/// Decodes the one accepted spelling.
///
/// # Errors
/// [`EncodingError::Base32`] for other characters, upper case, padding, an impossible length or
/// trailing bits that are not zero.
pub fn decode(text: &str) -> Result<Vec<u8>, EncodingError> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let mut pending: u32 = 0;
    let mut bits = 0;
    for character in text.bytes() {
        let value = match character {
            b'a'..=b'z' => character - b'a',
            b'2'..=b'7' => character - b'2' + 26,
            _ => return Err(EncodingError::Base32),
        };
        pending = (pending << 5) | u32::from(value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            let [low, ..] = (pending >> bits).to_le_bytes();
            bytes.push(low);
            pending &= (1 << bits) - 1;
        }
    }
    // Five or more left-over bits would be a whole character that carries nothing.
    if bits >= 5 || pending != 0 {
        return Err(EncodingError::Base32);
    }
    Ok(bytes)
}
