//! `range: bytes=` with one range (RFC 9110 §14), and the `content-range` of its answer.

/// Bytes `first..=last` of an object of `whole` bytes; `first` ≤ `last` < `whole`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    first: u64,
    last: u64,
    whole: u64,
}

/// Why a range is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Not one range of bytes.
    #[error("range is not one range of bytes")]
    Malformed,
    /// No byte of the object lies in it.
    #[error("no byte of the object lies in the range")]
    NotSatisfiable,
}

impl ByteRange {
    /// Parses the value of a `range` field for an object of `whole` bytes: `bytes=F-L`, `bytes=F-` or `bytes=-N`.
    ///
    /// # Errors
    /// [`RangeError::Malformed`] for anything else, several ranges included; [`RangeError::NotSatisfiable`] when
    /// the range begins behind the last byte, or asks for the last 0 bytes.
    pub fn parse(value: &str, whole: u64) -> Result<Self, RangeError> {
        let range = value.strip_prefix("bytes=").ok_or(RangeError::Malformed)?;
        let (first, last) = range.split_once('-').ok_or(RangeError::Malformed)?;
        let end = whole.checked_sub(1);
        let (first, last) = if first.is_empty() {
            let bytes = number(last)?;
            if bytes == 0 {
                return Err(RangeError::NotSatisfiable);
            }
            (whole.saturating_sub(bytes), end)
        } else {
            let first = number(first)?;
            if last.is_empty() {
                (first, end)
            } else {
                let last = number(last)?;
                if last < first {
                    return Err(RangeError::Malformed);
                }
                (first, end.map(|end| end.min(last)))
            }
        };
        match last {
            Some(last) if first <= last => Ok(Self { first, last, whole }),
            _ => Err(RangeError::NotSatisfiable),
        }
    }

    /// Offset of the first byte.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// How many bytes; at least one.
    pub fn len(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Never: a range has at least one byte.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The value of `content-range`.
    pub fn content_range(&self) -> String {
        format!("bytes {}-{}/{}", self.first, self.last, self.whole)
    }
}

/// The value of `content-range` beside 416.
pub fn unsatisfied(whole: u64) -> String {
    format!("bytes */{whole}")
}

fn number(text: &str) -> Result<u64, RangeError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RangeError::Malformed);
    }
    // More digits than a u64 holds is behind the end of any object.
    Ok(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_cut_to_the_object() {
        for (value, whole, want) in [
            ("bytes=0-0", 10, Ok((0, 1))),
            ("bytes=2-", 10, Ok((2, 8))),
            ("bytes=-3", 10, Ok((7, 3))),
            ("bytes=-30", 10, Ok((0, 10))),
            ("bytes=9-99999999999999999999999", 10, Ok((9, 1))),
            ("bytes=10-", 10, Err(RangeError::NotSatisfiable)),
            (
                "bytes=99999999999999999999999-",
                10,
                Err(RangeError::NotSatisfiable),
            ),
            ("bytes=-0", 10, Err(RangeError::NotSatisfiable)),
            ("bytes=0-", 0, Err(RangeError::NotSatisfiable)),
            ("bytes=-1", 0, Err(RangeError::NotSatisfiable)),
            ("bytes=3-2", 10, Err(RangeError::Malformed)),
            ("bytes=0-1,3-4", 10, Err(RangeError::Malformed)),
            ("bytes=-", 10, Err(RangeError::Malformed)),
            ("bytes= 1-2", 10, Err(RangeError::Malformed)),
            ("bytes=+1-2", 10, Err(RangeError::Malformed)),
            ("items=0-1", 10, Err(RangeError::Malformed)),
            ("", 10, Err(RangeError::Malformed)),
        ] {
            let got = ByteRange::parse(value, whole).map(|range| (range.first(), range.len()));
            assert_eq!(got, want, "{value:?} of {whole}");
        }
    }
}
