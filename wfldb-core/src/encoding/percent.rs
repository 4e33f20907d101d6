//! Percent-encoding of paths and queries with one spelling: `A-Z a-z 0-9 - . _ ~` are literal,
//! `/` is literal in a path only, everything else is `%XX` in upper case. What is decoded is UTF-8.

use super::EncodingError;

/// Which characters beside the unreserved ones stand for themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literal {
    /// A path: `/` is a separator and literal.
    Path,
    /// A name or value in a query: `/` is encoded.
    Component,
}

impl Literal {
    fn holds(self, byte: u8) -> bool {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => true,
            b'/' => self == Self::Path,
            _ => false,
        }
    }

    fn encode(self, text: &str) -> String {
        let mut encoded = String::with_capacity(text.len());
        for byte in text.bytes() {
            if self.holds(byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.push('%');
                encoded.push(upper_digit(byte >> 4));
                encoded.push(upper_digit(byte & 15));
            }
        }
        encoded
    }
}

fn upper_digit(value: u8) -> char {
    char::from(if value < 10 {
        b'0' + value
    } else {
        b'A' + (value - 10)
    })
}

fn upper_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Encodes a path (or a key inside one), leaving `/` as it is.
///
/// ```
/// use wfldb_core::encoding::percent;
/// assert_eq!(percent::encode_path_segmentwise("a b/ü"), "a%20b/%C3%BC");
/// ```
pub fn encode_path_segmentwise(path: &str) -> String {
    Literal::Path.encode(path)
}

/// Encodes a name or value of a query.
///
/// ```
/// use wfldb_core::encoding::percent;
/// assert_eq!(percent::encode_query_component("a/b+c"), "a%2Fb%2Bc");
/// ```
pub fn encode_query_component(text: &str) -> String {
    Literal::Component.encode(text)
}

/// Decodes text that is spelled exactly as the encoder would spell it.
///
/// # Errors
/// [`EncodingError::Percent`] for any other spelling and for bytes that are not UTF-8.
pub fn decode_canonical(encoded: &str, literal: Literal) -> Result<String, EncodingError> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    loop {
        rest = match rest {
            [] => break,
            [b'%', high, low, tail @ ..] => {
                let (high, low) = upper_value(*high)
                    .zip(upper_value(*low))
                    .ok_or(EncodingError::Percent)?;
                let byte = (high << 4) | low;
                // SECURITY: a byte that has a literal spelling must use it. Otherwise `%61` and `a`
                // would be two signed spellings of one key.
                if literal.holds(byte) {
                    return Err(EncodingError::Percent);
                }
                decoded.push(byte);
                tail
            }
            [byte, tail @ ..] if literal.holds(*byte) => {
                decoded.push(*byte);
                tail
            }
            _ => return Err(EncodingError::Percent),
        };
    }
    String::from_utf8(decoded).map_err(|_| EncodingError::Percent)
}

/// Encodes parameters as `k=v&k2=v2`, sorted by the bytes of their names.
///
/// The names are expected to be unique and not empty, as [`parse_query`] demands.
pub fn encode_query(pairs: &[(&str, &str)]) -> String {
    let mut sorted = pairs.to_vec();
    sorted.sort_unstable();
    let encoded: Vec<String> = sorted
        .iter()
        .map(|(name, value)| {
            format!(
                "{}={}",
                encode_query_component(name),
                encode_query_component(value)
            )
        })
        .collect();
    encoded.join("&")
}

/// Reads a query that is spelled exactly as [`encode_query`] would spell it: `k=v` pairs, always
/// with `=`, names unique and sorted bytewise (as decoded). The empty text has no pairs.
///
/// # Errors
/// [`EncodingError::Query`] or [`EncodingError::Percent`] for any other spelling.
pub fn parse_query(query: &str) -> Result<Vec<(String, String)>, EncodingError> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    if query.is_empty() {
        return Ok(pairs);
    }
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').ok_or(EncodingError::Query)?;
        let name = decode_canonical(name, Literal::Component)?;
        let value = decode_canonical(value, Literal::Component)?;
        let in_order = pairs.last().is_none_or(|(last, _)| *last < name);
        if name.is_empty() || !in_order {
            return Err(EncodingError::Query);
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}
