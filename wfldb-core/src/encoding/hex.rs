//! Lower-case hex.

use super::EncodingError;

/// Encodes bytes.
///
/// ```
/// assert_eq!(wfldb_core::encoding::hex::encode(&[0x0a, 0xff]), "0aff");
/// ```
pub fn encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn digit(value: u8) -> char {
    char::from(if value < 10 {
        b'0' + value
    } else {
        b'a' + (value - 10)
    })
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Decodes exactly `N` bytes from `2 N` lower-case digits.
///
/// # Errors
/// [`EncodingError::Hex`] for anything else.
pub fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], EncodingError> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return Err(EncodingError::Hex);
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = value(*high).zip(value(*low)).ok_or(EncodingError::Hex)?;
        *byte = (high << 4) | low;
    }
    Ok(bytes)
}
