//! Buckets of time and of numbers: into which one a value falls, and how that is written.

use super::sum::number;
use crate::doc::{Raw, Value, instant, month_of, spell, start_of_month};
use crate::limits::AGGREGATE_STEP_DAYS_MAX;

const SECOND_MS: i64 = 1000;
const HOUR_MS: i64 = 3600 * SECOND_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
const WEEK_MS: i64 = 7 * DAY_MS;
/// 1969-12-29, the Monday before 1970: where weeks begin.
const MONDAY_MS: i64 = -3 * DAY_MS;

/// The year 0; nothing spells a time before it.
const FIRST_MS: i64 = -62_167_219_200_000;

/// How long a bucket of time is. All begin in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeStep {
    /// So many milliseconds, counted from a beginning.
    Millis { step: i64, from: i64 },
    /// So many months, counted from January of the year 0.
    Months(i64),
}

impl TimeStep {
    /// Reads a word (`day`) or a number with a unit (`15m`).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let word = match text {
            "second" => "1s",
            "minute" => "1m",
            "hour" => "1h",
            "day" => "1d",
            "week" => "1w",
            "month" => "1mo",
            "quarter" => "3mo",
            "year" => "1y",
            other => other,
        };
        let digits = word.find(|character: char| !character.is_ascii_digit())?;
        let (count, unit) = word.split_at_checked(digits)?;
        let count: i64 = count.parse().ok().filter(|count| *count > 0)?;
        if word.starts_with('0') {
            return None;
        }
        let millis = |unit: i64, from: i64| {
            let step = count.checked_mul(unit)?;
            let longest = i64::from(AGGREGATE_STEP_DAYS_MAX) * DAY_MS;
            (step <= longest).then_some(Self::Millis { step, from })
        };
        let months = |unit: i64| {
            let months = count.checked_mul(unit)?;
            (months <= i64::from(AGGREGATE_STEP_DAYS_MAX) / 30).then_some(Self::Months(months))
        };
        match unit {
            "ms" => millis(1, 0),
            "s" => millis(SECOND_MS, 0),
            "m" => millis(60 * SECOND_MS, 0),
            "h" => millis(HOUR_MS, 0),
            "d" => millis(DAY_MS, 0),
            "w" => millis(WEEK_MS, MONDAY_MS),
            "mo" => months(1),
            "y" => months(12),
            _ => None,
        }
    }

    /// The beginning of the bucket of a value, in milliseconds since 1970; `None` for what is no time.
    pub(super) fn start(self, value: Raw<'_>) -> Option<i64> {
        let millis = instant(value)?;
        let start = match self {
            Self::Millis { step, from } => millis - (millis - from).rem_euclid(step),
            Self::Months(step) => {
                let (year, month) = month_of(millis);
                let months = year * 12 + month - 1;
                let first = months - months.rem_euclid(step);
                start_of_month(first.div_euclid(12), first.rem_euclid(12) + 1)
            }
        };
        (start >= FIRST_MS).then_some(start)
    }
}

/// How the beginning of a bucket of time is written.
pub(super) fn time_value(start: i64) -> Value {
    Value::String(spell(start))
}

/// The lower bound of the bucket of a number; `None` for what is no number.
pub(super) fn width_start(width: f64, value: Raw<'_>) -> Option<f64> {
    let start = (value.double()? / width).floor() * width;
    // Zero has one sign.
    start.is_finite().then_some(start + 0.0)
}

/// How the lower bound of a bucket of numbers is written.
pub(super) fn number_value(start: f64) -> Value {
    number(start).map_or(Value::Null, Value::Number)
}
