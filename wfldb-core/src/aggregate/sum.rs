//! Exact sums: whole numbers as such, doubles in a fixed-point number as wide as all of them. So the order in which values
//! come does not matter, and what is answered was rounded once.

use serde_json::Number;

use crate::doc::Raw;

/// Digits of 32 bits: 2^-1074, the least bit of a double, is bit 0; there is room above 2^1024 for 2^64 of the largest.
const DIGITS: usize = 70;
/// Bits of the fixed-point number below 1.
const POINT: usize = 1074;
/// So many doubles can be added before digits have to be carried.
const CARRY_EVERY: u32 = 1 << 29;
const DIGIT_BITS: u32 = 32;
const DIGIT_MASK: i64 = 0xffff_ffff;
const MANTISSA_BITS: u32 = 52;
/// The exponent of the largest doubles as it stands in their bits.
const EXPONENT_MAX: u64 = 2046;

/// What a group's sum takes beside itself once it has a double.
pub(super) const WIDE_BYTES: usize = size_of::<Wide>() + 16;

/// A sum of numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    whole: i128,
    wide: Option<Box<Wide>>,
    count: u64,
}

/// Signed digits, the least first; what they come to is what counts.
#[derive(Clone, Debug)]
struct Wide {
    digits: [i64; DIGITS],
    pending: u32,
}

impl Sum {
    /// Whether adding this value takes [`WIDE_BYTES`].
    pub(super) fn widens(&self, value: Raw<'_>) -> bool {
        self.wide.is_none() && value.whole().is_none() && value.double().is_some()
    }

    /// Adds a value, if it is a number.
    pub(super) fn add(&mut self, value: Raw<'_>) {
        if let Some(whole) = value.whole() {
            self.whole += i128::from(whole);
        } else if let Some(double) = value.double() {
            self.wide.get_or_insert_with(Box::default).add(double);
        } else {
            return;
        }
        self.count += 1;
    }

    /// Adds what another one has, and answers by how many bytes that grew.
    pub(super) fn merge(&mut self, other: Self) -> usize {
        self.whole += other.whole;
        self.count += other.count;
        match (&mut self.wide, other.wide) {
            (_, None) => 0,
            (Some(wide), Some(other)) => {
                wide.merge(*other);
                0
            }
            (empty @ None, other) => {
                *empty = other;
                WIDE_BYTES
            }
        }
    }

    /// The sum; `None` where it is larger than any double.
    pub(super) fn total(&self) -> Option<Number> {
        if self.wide.is_none()
            && let Ok(whole) = i64::try_from(self.whole)
        {
            return Some(whole.into());
        }
        number(self.double()?)
    }

    /// The mean; `None` of no numbers, and where the sum is larger than any double.
    #[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 documents")]
    pub(super) fn mean(&self) -> Option<Number> {
        if self.count == 0 {
            return None;
        }
        number(self.double()? / self.count as f64)
    }

    fn double(&self) -> Option<f64> {
        let mut wide = self.wide.as_deref().cloned().unwrap_or_default();
        wide.add_whole(self.whole);
        wide.round()
    }
}

impl Default for Wide {
    fn default() -> Self {
        Self {
            digits: [0; DIGITS],
            pending: 0,
        }
    }
}

impl Wide {
    fn add(&mut self, double: f64) {
        let bits = double.to_bits();
        let exponent = (bits >> MANTISSA_BITS) & 0x7ff;
        let fraction = bits & ((1 << MANTISSA_BITS) - 1);
        let (mantissa, shift) = match exponent {
            0 => (fraction, 0),
            _ => (fraction | 1 << MANTISSA_BITS, exponent - 1),
        };
        self.add_at(
            u128::from(mantissa),
            usize::try_from(shift).unwrap_or_default(),
            double < 0.0,
        );
    }

    fn add_whole(&mut self, whole: i128) {
        let magnitude = whole.unsigned_abs();
        let half = u128::from(u64::MAX);
        self.add_at(magnitude & half, POINT, whole < 0);
        self.add_at(magnitude >> 64, POINT + 64, whole < 0);
    }

    /// Adds at most 64 bits, moved up by `shift`.
    fn add_at(&mut self, magnitude: u128, shift: usize, is_negative: bool) {
        let digit_bits = DIGIT_BITS as usize;
        let mut left = magnitude << (shift % digit_bits);
        for digit in self.digits.iter_mut().skip(shift / digit_bits) {
            if left == 0 {
                break;
            }
            let part = i64::try_from(left & 0xffff_ffff).unwrap_or_default();
            *digit += if is_negative { -part } else { part };
            left >>= DIGIT_BITS;
        }
        self.pending += 1;
        if self.pending == CARRY_EVERY {
            self.carry();
        }
    }

    fn merge(&mut self, mut other: Self) {
        // Carried digits are far from what they can hold.
        self.carry();
        other.carry();
        for (digit, more) in self.digits.iter_mut().zip(other.digits) {
            *digit += more;
        }
        self.carry();
    }

    /// Brings all digits but the last between 0 and 2^32.
    fn carry(&mut self) {
        let mut carried = 0;
        let last = DIGITS - 1;
        for digit in self.digits.iter_mut().take(last) {
            let value = *digit + carried;
            *digit = value & DIGIT_MASK;
            carried = value >> DIGIT_BITS;
        }
        if let Some(digit) = self.digits.last_mut() {
            *digit += carried;
        }
        self.pending = 0;
    }

    /// The nearest double, to the even one of two that are as near.
    fn round(mut self) -> Option<f64> {
        self.carry();
        let is_negative = self.digits.last().is_some_and(|digit| *digit < 0);
        if is_negative {
            for digit in &mut self.digits {
                *digit = -*digit;
            }
            self.carry();
        }
        let Some(top) = self.digits.iter().rposition(|digit| *digit != 0) else {
            return Some(0.0);
        };
        // The three highest digits hold the 53 bits that stay and the one that decides; the others only whether it is a tie.
        let low = top.saturating_sub(2);
        let digit = |place: usize| self.digits.get(place).map_or(0, |digit| digit.unsigned_abs());
        let leading = (low..=top).rev().fold(0_u128, |value, place| {
            (value << DIGIT_BITS) | u128::from(digit(place))
        });
        let below = self.digits.iter().take(low).any(|digit| *digit != 0);
        let bits = u128::BITS - leading.leading_zeros();
        let kept = MANTISSA_BITS + 1;
        let magnitude = if low == 0 && bits <= kept {
            // Its bits are those of the double, also below the smallest normal one.
            u64::try_from(leading).ok()?
        } else {
            let cut = bits - kept;
            let mantissa = u64::try_from(leading >> cut).ok()?;
            let half = 1_u128 << (cut - 1);
            let rest = leading & ((1_u128 << cut) - 1);
            let up = rest > half || (rest == half && (below || mantissa & 1 == 1));
            // Behind the exponent of the smallest normal doubles.
            let exponent = u64::try_from(low).ok()? * u64::from(DIGIT_BITS) + u64::from(cut) + 1;
            if exponent > EXPONENT_MAX {
                return None;
            }
            (exponent << MANTISSA_BITS) + (mantissa - (1 << MANTISSA_BITS)) + u64::from(up)
        };
        let double = f64::from_bits(magnitude);
        double
            .is_finite()
            .then_some(if is_negative { -double } else { double })
    }
}

/// A double as JSON spells it in answers: whole ones that are exact without a point.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "within 2^53, where doubles are exact"
)]
pub(super) fn number(value: f64) -> Option<Number> {
    const EXACT: f64 = (1_u64 << 53) as f64;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::doc::{FieldPath, FieldSet};

    fn sum_of(values: &[f64]) -> Option<f64> {
        let mut sum = Sum::default();
        let mut fields = FieldSet::default();
        fields.add(&FieldPath::parse("v").unwrap());
        for value in values {
            let text = format!("{{\"v\":{value:?}}}");
            let mut found = fields.room();
            fields.find(text.as_bytes(), &mut found);
            sum.add(found[0].unwrap());
        }
        sum.double()
    }

    /// DEFECT: a small number that is lost beside a large one; an overflow on the way to a sum that is none.
    #[test]
    fn sums_are_exact_and_rounded_once() {
        assert_eq!(sum_of(&[1e300, 1.0, -1e300]), Some(1.0));
        assert_eq!(sum_of(&[0.1; 10]), Some(1.0));
        assert_eq!(sum_of(&[f64::MAX, f64::MAX, -f64::MAX]), Some(f64::MAX));
        assert_eq!(sum_of(&[f64::MAX, f64::MAX]), None);
        assert_eq!(sum_of(&[5e-324, 5e-324]), Some(1e-323));
        assert_eq!(sum_of(&[2_f64.powi(53), 1.0, 5e-324]), Some(2_f64.powi(53) + 2.0));
        assert_eq!(sum_of(&[2_f64.powi(53), 1.0]), Some(2_f64.powi(53)));
        assert_eq!(sum_of(&[-0.5, 0.25]), Some(-0.25));
        assert_eq!(sum_of(&[]), Some(0.0));
    }

    #[test]
    fn whole_numbers_are_exact_as_far_as_64_bits_go() {
        let sum = Sum {
            whole: i128::from(i64::MAX),
            ..Sum::default()
        };
        assert_eq!(sum.total(), Some(i64::MAX.into()));
        let more = Sum {
            whole: i128::from(i64::MAX) + 1,
            ..Sum::default()
        };
        assert_eq!(more.total(), Number::from_f64(2_f64.powi(63)));
    }

    proptest! {
        #[test]
        fn a_double_is_its_own_sum(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
            prop_assert_eq!(sum_of(&[value]), Some(value));
            prop_assert_eq!(sum_of(&[value, value, -value]), Some(value));
        }

        /// Two terms: the processor rounds their sum once too.
        #[test]
        fn two_doubles_are_added_as_the_processor_adds_them(
            left in any::<f64>().prop_filter("finite", |value| value.is_finite()),
            shift in -80_i32..80,
            right in -1e3..1e3_f64,
        ) {
            let right = right * 2_f64.powi(shift) * if left.abs() > 1e200 { 1e180 } else { 1.0 };
            let expected = Some(left + right).filter(|sum| sum.is_finite());
            prop_assert_eq!(sum_of(&[left, right]), expected);
            prop_assert_eq!(sum_of(&[right, left]), expected);
        }

        #[test]
        fn the_order_of_values_does_not_matter(mut values in prop::collection::vec(-1e18..1e18_f64, 0..20)) {
            let sum = sum_of(&values);
            values.reverse();
            prop_assert_eq!(sum_of(&values), sum);
            values.sort_by(f64::total_cmp);
            prop_assert_eq!(sum_of(&values), sum);
        }
    }
}
