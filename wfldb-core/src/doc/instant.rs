//! Times in documents: texts of RFC 3339 with any offset, or whole milliseconds since 1970.

use super::Raw;
use crate::time::{civil, days_since_1970};

/// Years and days of five whole cycles of the calendar, by which years before 1970 are moved behind it.
const CYCLES: (u64, i64) = (2000, 5 * 146_097);
const DAY_MS: i64 = 86_400_000;
/// 0001-01-01T00:00:00Z, the first time that RFC 3339 spells as an existing year.
const FIRST_MS: i64 = -62_135_596_800_000;
/// 9999-12-31T23:59:59.999Z.
const LAST_MS: i64 = 253_402_300_799_999;

/// The time that a value of a document names, in milliseconds since 1970, of the years 1 to 9999.
///
/// ```
/// use wfldb_core::doc::{FieldPath, FieldSet, instant};
///
/// let mut fields = FieldSet::default();
/// fields.add(&FieldPath::parse("at")?);
/// let mut found = fields.room();
/// fields.find(br#"{"at":"2026-01-02T05:04:05.006+02:00"}"#, &mut found);
/// assert_eq!(found[0].and_then(instant), Some(1_767_323_045_006));
/// # Ok::<(), wfldb_core::doc::PathError>(())
/// ```
pub fn instant(value: Raw<'_>) -> Option<i64> {
    let millis = match value.whole() {
        Some(millis) => millis,
        None => rfc3339(value.string()?.as_bytes())?,
    };
    (FIRST_MS..=LAST_MS).contains(&millis).then_some(millis)
}

/// `YYYY-MM-DDTHH:MM:SS[.f…](Z|±HH:MM)`; what is finer than a millisecond is cut off. Second 60 is refused, as everywhere.
fn rfc3339(text: &[u8]) -> Option<i64> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let [
        y0,
        y1,
        y2,
        y3,
        b'-',
        m0,
        m1,
        b'-',
        d0,
        d1,
        b'T' | b't',
        h0,
        h1,
        b':',
        i0,
        i1,
        b':',
        s0,
        s1,
    ] = *head
    else {
        return None;
    };
    let (year, month, day) = (
        decimal(&[y0, y1, y2, y3])?,
        decimal(&[m0, m1])?,
        decimal(&[d0, d1])?,
    );
    let (hour, minute, second) = (decimal(&[h0, h1])?, decimal(&[i0, i1])?, decimal(&[s0, s1])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let shifted = days_since_1970(year + CYCLES.0, month, day);
    if civil(shifted) != (year + CYCLES.0, month, day) {
        return None;
    }
    let days = i64::try_from(shifted).ok()? - CYCLES.1;
    let (milli, zone) = match rest.split_first()? {
        (b'.', rest) => fraction(rest)?,
        _ => (0, rest),
    };
    let seconds = i64::try_from((hour * 60 + minute) * 60 + second).ok()?;
    Some(days * DAY_MS + seconds * 1000 + milli - offset(zone)?)
}

/// Milliseconds of a fraction of a second, and what is behind it.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let len = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = text.split_at_checked(len)?;
    let digit = |place: usize| digits.get(place).map_or(0, |digit| i64::from(digit - b'0'));
    (len > 0).then(|| (digit(0) * 100 + digit(1) * 10 + digit(2), rest))
}

/// How far a zone is ahead of UTC, in milliseconds.
fn offset(zone: &[u8]) -> Option<i64> {
    match *zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hour, minute) = (decimal(&[h0, h1])?, decimal(&[m0, m1])?);
            if hour > 23 || minute > 59 {
                return None;
            }
            let ahead = i64::try_from(hour * 60 + minute).ok()? * 60_000;
            Some(if sign == b'-' { -ahead } else { ahead })
        }
        _ => None,
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        digit
            .is_ascii_digit()
            .then(|| value * 10 + u64::from(digit - b'0'))
    })
}

/// Year and month, from 1, of a time in milliseconds since 1970.
pub(crate) fn month_of(millis: i64) -> (i64, i64) {
    let (year, month, _) = date_of(millis);
    (year, month)
}

fn date_of(millis: i64) -> (i64, i64, i64) {
    let days = millis.div_euclid(DAY_MS) + CYCLES.1;
    let (year, month, day) = civil(u64::try_from(days).unwrap_or_default());
    let signed = |part: u64| i64::try_from(part).unwrap_or_default();
    (signed(year) - signed(CYCLES.0), signed(month), signed(day))
}

/// The beginning of a month of a year from 1, in milliseconds since 1970.
pub(crate) fn start_of_month(year: i64, month: i64) -> i64 {
    let unsigned = |part: i64| u64::try_from(part).unwrap_or_default();
    let shifted = days_since_1970(unsigned(year) + CYCLES.0, unsigned(month), 1);
    (i64::try_from(shifted).unwrap_or_default() - CYCLES.1) * DAY_MS
}

/// The 24-byte form of a time of the years 0 to 9999.
pub(crate) fn spell(millis: i64) -> String {
    let (year, month, day) = date_of(millis);
    let in_day = millis.rem_euclid(DAY_MS);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        in_day / 3_600_000,
        in_day / 60_000 % 60,
        in_day / 1000 % 60,
        in_day % 1000
    )
}
