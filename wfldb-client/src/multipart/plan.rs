//! How a file is cut into parts. No file and no server here.

use wfldb_core::limits::{OBJECT_BYTES_MAX, PART_BYTES_MAX, PART_BYTES_MIN, PART_BYTES_STEP, PARTS_MAX};

use crate::Error;

/// The size of parts that nobody chose.
pub(super) const PART_BYTES: u64 = 16 * 1024 * 1024;

/// One part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) number: u16,
    pub(super) start: u64,
    pub(super) len: u64,
}

/// The size of the parts of a file of `len` bytes: what was asked for, or more where that needs too many.
pub(super) fn part_bytes(len: u64, wanted: Option<u64>) -> Result<u64, Error> {
    if len > OBJECT_BYTES_MAX {
        return Err(Error::Local(format!(
            "{len} bytes are more than an object can have: {OBJECT_BYTES_MAX}"
        )));
    }
    let least = len
        .div_ceil(u64::from(PARTS_MAX))
        .next_multiple_of(PART_BYTES_STEP);
    let wanted = wanted.unwrap_or(PART_BYTES).next_multiple_of(PART_BYTES_STEP);
    Ok(wanted.max(least).clamp(PART_BYTES_MIN, PART_BYTES_MAX))
}

/// The parts of a file, in order: all of one size but the last.
pub(super) fn ranges(len: u64, part_bytes: u64) -> impl Iterator<Item = Range> + Send {
    (1..=PARTS_MAX).map_while(move |number| {
        let start = part_bytes.saturating_mul(u64::from(number - 1));
        let left = len.checked_sub(start).filter(|left| *left > 0)?;
        Some(Range {
            number,
            start,
            len: left.min(part_bytes),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_parts_of_every_file_are_within_the_limits_and_make_it_whole() {
        for len in [
            1,
            5 * MIB,
            16 * MIB,
            16 * MIB + 1,
            100 * MIB,
            3 << 30,
            OBJECT_BYTES_MAX - 1,
            OBJECT_BYTES_MAX,
        ] {
            for wanted in [
                None,
                Some(1),
                Some(5 * MIB),
                Some(7 * MIB + 1),
                Some(u64::MAX >> 1),
            ] {
                let part_bytes = part_bytes(len, wanted).unwrap();
                assert!((PART_BYTES_MIN..=PART_BYTES_MAX).contains(&part_bytes));
                assert!(part_bytes.is_multiple_of(PART_BYTES_STEP));
                let ranges: Vec<_> = ranges(len, part_bytes).collect();
                let (last, before) = ranges.split_last().unwrap();
                assert!(before.iter().all(|range| range.len == part_bytes));
                assert!((1..=part_bytes).contains(&last.len));
                assert_eq!(ranges.iter().map(|range| range.len).sum::<u64>(), len);
                let mut end = 0;
                for (range, number) in ranges.iter().zip(1..) {
                    assert_eq!((range.number, range.start), (number, end));
                    end += range.len;
                }
            }
        }
        assert!(part_bytes(OBJECT_BYTES_MAX + 1, None).is_err());
    }

    #[test]
    fn parts_grow_only_when_a_file_needs_more_than_ten_thousand() {
        assert_eq!(part_bytes(100 * MIB, None).unwrap(), PART_BYTES);
        assert_eq!(part_bytes(50_000 * MIB, Some(5 * MIB)).unwrap(), 5 * MIB);
        assert_eq!(part_bytes(50_001 * MIB, Some(5 * MIB)).unwrap(), 6 * MIB);
    }
}
