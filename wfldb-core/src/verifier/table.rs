//! Multiples of one point, laid out so that a product with a scalar is a few dozen additions and no doubling.

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity as _;

/// A scalar that is reduced has 253 bits; recoding to signed digits carries at most one bit beyond them.
const SCALAR_BITS: u32 = 254;

/// For each `WIDTH` bits of a scalar the multiples 1 to 2^(WIDTH-1) of the point times the value of those bits.
///
/// Digits are signed, so half of the multiples is enough: the others are subtracted. 160 bytes each. For public values
/// only: how long a product takes depends on the scalar.
pub(super) struct PointTable<const WIDTH: u32> {
    multiples: Vec<EdwardsPoint>,
}

impl<const WIDTH: u32> PointTable<WIDTH> {
    /// Multiples of one row.
    const ROW: usize = 1 << (WIDTH - 1);
    const ROWS: u32 = SCALAR_BITS.div_ceil(WIDTH);

    pub(super) fn new(point: EdwardsPoint) -> Self {
        let mut multiples = Vec::with_capacity(Self::ROW * Self::ROWS as usize);
        let mut unit = point;
        for _ in 0..Self::ROWS {
            let mut multiple = EdwardsPoint::identity();
            multiples.extend(
                std::iter::repeat_with(|| {
                    multiple += unit;
                    multiple
                })
                .take(Self::ROW),
            );
            // The last is half of the next row's unit.
            unit = multiple + multiple;
        }
        Self { multiples }
    }

    /// `sum` and `scalar` times the point.
    pub(super) fn add_product(&self, mut sum: EdwardsPoint, scalar: &Scalar) -> EdwardsPoint {
        let bytes = scalar.as_bytes();
        let mut carry = false;
        for (row, place) in self
            .multiples
            .chunks_exact(Self::ROW)
            .zip((0..).step_by(WIDTH as usize))
        {
            let digit = bits(bytes, place) % (1 << WIDTH) + usize::from(carry);
            // Above the half, the digit is what is missing to the next row's unit.
            carry = digit > Self::ROW;
            if carry {
                let missing = (1 << WIDTH) - digit;
                if let Some(multiple) = missing.checked_sub(1).and_then(|index| row.get(index)) {
                    sum -= multiple;
                }
            } else if let Some(multiple) = digit.checked_sub(1).and_then(|index| row.get(index)) {
                sum += multiple;
            }
        }
        sum
    }
}

/// At least 9 bits of a little-endian number, from bit `place` on.
fn bits(bytes: &[u8; 32], place: usize) -> usize {
    let byte = |index: usize| usize::from(bytes.get(index).copied().unwrap_or(0));
    (byte(place / 8) | byte(place / 8 + 1) << 8) >> (place % 8)
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::ED25519_BASEPOINT_POINT as B;
    use proptest::prelude::*;

    use super::*;

    fn check<const WIDTH: u32>(scalar: &Scalar) {
        let table = PointTable::<WIDTH>::new(B + B);
        assert_eq!(
            table.add_product(B, scalar),
            B + (B + B) * scalar,
            "width {WIDTH}"
        );
    }

    /// Defects it catches: a carry that is lost at the end or between rows; a digit of exactly half.
    #[test]
    fn products_at_the_edges() {
        let small = (0..300_u64).map(Scalar::from);
        let largest = (1..300_u64).map(|less| -Scalar::from(less));
        let powers = (0..253).map(|bit| {
            let mut bytes = [0; 32];
            bytes[bit / 8] = 1 << (bit % 8);
            Scalar::from_bytes_mod_order(bytes)
        });
        let (six, eight) = (PointTable::<6>::new(B), PointTable::<8>::new(B));
        for scalar in small.chain(largest).chain(powers) {
            let product = B * scalar;
            assert_eq!(six.add_product(EdwardsPoint::identity(), &scalar), product);
            assert_eq!(eight.add_product(EdwardsPoint::identity(), &scalar), product);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn products_are_products(bytes: [u8; 32]) {
            let scalar = Scalar::from_bytes_mod_order(bytes);
            check::<4>(&scalar);
            check::<5>(&scalar);
            check::<6>(&scalar);
            check::<7>(&scalar);
            check::<8>(&scalar);
        }
    }
}
