//! Wire time: milliseconds since 1970 and their one 24-byte spelling. Not here: any clock.

use std::fmt;

use crate::Kind;

const DAY_MS: u64 = 86_400_000;
/// 9999-12-31T23:59:59.999Z, the last time that the 24-byte form can spell.
const LAST_MS: u64 = 253_402_300_799_999;

/// A text that is not a time in the form `YYYY-MM-DDTHH:MM:SS.mmmZ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time in the form YYYY-MM-DDTHH:MM:SS.mmmZ")]
pub struct TimeError;

impl TimeError {
    /// The stable error code.
    pub fn code(&self) -> &'static str {
        "BadTime"
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// A point in time, in whole milliseconds since 1970-01-01T00:00:00Z, up to the year 9999.
///
/// ```
/// use wfldb_core::time::UnixMillis;
///
/// let time = UnixMillis::parse("2026-01-02T03:04:05.006Z")?;
/// assert_eq!(time.get(), 1_767_323_045_006);
/// assert_eq!(time.to_string(), "2026-01-02T03:04:05.006Z");
/// assert!(UnixMillis::parse("2026-02-30T00:00:00.000Z").is_err());
/// # Ok::<(), wfldb_core::time::TimeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// The last time that has a wire form.
    pub const MAX: Self = Self(LAST_MS);

    /// A time from milliseconds; one after the year 9999 becomes [`UnixMillis::MAX`], since it
    /// would have no wire form.
    pub const fn new(millis: u64) -> Self {
        if millis > LAST_MS { Self::MAX } else { Self(millis) }
    }

    /// Milliseconds since 1970.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// This time, `millis` later, at most [`UnixMillis::MAX`].
    #[must_use]
    pub const fn plus_ms(self, millis: u64) -> Self {
        Self::new(self.0.saturating_add(millis))
    }

    /// This time, `millis` earlier, at least 1970.
    #[must_use]
    pub const fn minus_ms(self, millis: u64) -> Self {
        Self(self.0.saturating_sub(millis))
    }

    /// Reads the 24-byte wire form. Exactly one spelling of each time is accepted.
    ///
    /// # Errors
    /// [`TimeError`] for any other form, a date that does not exist, second 60, or a year before 1970.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let bytes: &[u8; 24] = text.as_bytes().try_into().map_err(|_| TimeError)?;
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
            b'T',
            h0,
            h1,
            b':',
            i0,
            i1,
            b':',
            s0,
            s1,
            b'.',
            f0,
            f1,
            f2,
            b'Z',
        ] = *bytes
        else {
            return Err(TimeError);
        };
        let year = decimal(&[y0, y1, y2, y3])?;
        let month = decimal(&[m0, m1])?;
        let day = decimal(&[d0, d1])?;
        let (hour, minute) = (decimal(&[h0, h1])?, decimal(&[i0, i1])?);
        let (second, milli) = (decimal(&[s0, s1])?, decimal(&[f0, f1, f2])?);
        if year < 1970 || hour > 23 || minute > 59 || second > 59 {
            return Err(TimeError);
        }
        let days = days_since_1970(year, month, day);
        let date_is_real = civil(days) == (year, month, day);
        if !date_is_real {
            return Err(TimeError);
        }
        Ok(Self(
            days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + milli,
        ))
    }
}

fn decimal(digits: &[u8]) -> Result<u64, TimeError> {
    digits.iter().try_fold(0, |value, digit| match digit {
        b'0'..=b'9' => Ok(value * 10 + u64::from(digit - b'0')),
        _ => Err(TimeError),
    })
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible
/// low-level date algorithms"), for years from 1970. A day that does not exist gives the number of
/// another date, which is how [`UnixMillis::parse`] notices it.
pub(crate) fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year / 400;
    let year_of_era = shifted_year % 400;
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    // 719_468 days lie between 0000-03-01 and 1970-01-01; `day` counts from 1.
    days.saturating_sub(719_469)
}

/// The inverse of [`days_since_1970`].
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0 / DAY_MS);
        let in_day = self.0 % DAY_MS;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            in_day / 3_600_000,
            in_day / 60_000 % 60,
            in_day / 1000 % 60,
            in_day % 1000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_have_their_one_spelling() {
        for (text, millis) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2000-02-29T23:59:59.999Z", 951_868_799_999),
            ("2026-01-02T03:04:05.006Z", 1_767_323_045_006),
            ("9999-12-31T23:59:59.999Z", LAST_MS),
        ] {
            assert_eq!(UnixMillis::parse(text), Ok(UnixMillis(millis)));
            assert_eq!(UnixMillis(millis).to_string(), text);
        }
        assert_eq!(UnixMillis::new(u64::MAX), UnixMillis::MAX);
    }

    #[test]
    fn a_time_that_does_not_exist_is_refused() {
        for text in [
            "2026-02-29T00:00:00.000Z",
            "1900-01-01T00:00:00.000Z",
            "1969-12-31T23:59:59.999Z",
            "2026-00-01T00:00:00.000Z",
            "2026-13-01T00:00:00.000Z",
            "2026-01-00T00:00:00.000Z",
            "1970-01-00T00:00:00.000Z",
            "2026-01-32T00:00:00.000Z",
            "2026-01-01T24:00:00.000Z",
            "2026-01-01T00:60:00.000Z",
            "2026-06-30T23:59:60.000Z",
            "2026-01-01T00:00:00.000z",
            "2026-01-01 00:00:00.000Z",
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.00+Z",
        ] {
            assert_eq!(UnixMillis::parse(text), Err(TimeError), "{text}");
        }
    }
}
