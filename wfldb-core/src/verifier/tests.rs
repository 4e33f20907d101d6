//! A table must answer as `verify_strict` does, for honest signatures and for every kind of dishonest one.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT as B, EIGHT_TORSION};
use proptest::prelude::*;

use super::*;
use crate::id::SecretKey;

/// The order of the base point, little-endian.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn join(r: [u8; 32], s: [u8; 32]) -> SignatureBytes {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&r);
    bytes[32..].copy_from_slice(&s);
    SignatureBytes::from_bytes(bytes)
}

/// Both answers, which must be one.
fn both(key: &PublicKey, message: &[u8], signature: &SignatureBytes) -> bool {
    let (table, plain) = (
        KeyTable::new(key).verify_strict(message, signature),
        key.verify_strict(message, signature),
    );
    assert_eq!(table, plain, "{signature:?}");
    table
}

fn challenge(r: [u8; 32], key: &PublicKey, message: &[u8]) -> Scalar {
    let hash = Sha512::new()
        .chain_update(r)
        .chain_update(key.as_bytes())
        .chain_update(message)
        .finalize();
    Scalar::from_bytes_mod_order_wide(&hash.into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn honest_signatures_and_others(seed: [u8; 32], message: Vec<u8>, place in 0_usize..64, flip in 1_u8.., other: [u8; 32]) {
        let secret = SecretKey::from_seed(seed);
        let key = secret.public_key();
        let signature = secret.sign(&message);
        prop_assert!(both(&key, &message, &signature));
        let mut changed = *signature.as_bytes();
        changed[place] ^= flip;
        prop_assert!(!both(&key, &message, &SignatureBytes::from_bytes(changed)));
        let mut longer = message.clone();
        longer.push(0);
        prop_assert!(!both(&key, &longer, &signature));
        prop_assert!(!both(&SecretKey::from_seed(other).public_key(), &message, &signature));
        let (r, s) = signature.halves();
        both(&key, &message, &join(other, s));
        both(&key, &message, &join(r, other));
    }
}

/// A defect it catches: S that is reduced instead of refused.
#[test]
fn a_signature_with_the_order_added_to_s_is_refused() {
    let secret = SecretKey::from_seed([3; 32]);
    let signature = secret.sign(b"message");
    let (r, s) = signature.halves();
    let mut carry = 0;
    let mut sum = [0; 32];
    for ((sum, a), b) in sum.iter_mut().zip(s).zip(L) {
        let whole = u16::from(a) + u16::from(b) + carry;
        (*sum, carry) = (whole.to_le_bytes()[0], whole >> 8);
    }
    assert!(both(&secret.public_key(), b"message", &signature));
    assert!(!both(&secret.public_key(), b"message", &join(r, sum)));
    assert!(!both(&secret.public_key(), b"message", &join(r, L)));
}

/// Signatures that only the order of R makes wrong: S = k a + r with R of small order and r = 0 verifies without the
/// check. A defect it catches: that check left out.
#[test]
fn r_of_small_order_is_refused_in_every_encoding() {
    let scalar = Scalar::from_bytes_mod_order([9; 32]);
    let key = PublicKey::from_bytes(&(B * scalar).compress().to_bytes()).unwrap();
    let mut fitting = 0;
    for torsion in EIGHT_TORSION {
        let mut encodings = vec![torsion.compress().to_bytes()];
        // The other sign of x, and y plus p where that fits into 255 bits.
        let mut signed = encodings[0];
        signed[31] ^= 0x80;
        encodings.push(signed);
        for encoding in encodings.clone() {
            if encoding[0] < 19
                && encoding[1..31].iter().all(|byte| *byte == 0)
                && matches!(encoding[31], 0 | 0x80)
            {
                let mut other = [0xff; 32];
                other[0] = 0xed + encoding[0];
                other[31] = 0x7f | encoding[31] & 0x80;
                encodings.push(other);
            }
        }
        for r in encodings {
            for message in 0..16_u8 {
                let k = challenge(r, &key, &[message]);
                let signature = join(r, (k * scalar).to_bytes());
                assert!(!both(&key, &[message], &signature));
                fitting += usize::from(torsion == EdwardsPoint::identity());
            }
        }
    }
    assert!(fitting > 0, "some of them satisfy the equation");
}

/// Keys with a part of small order are not weak, and some of their signatures verify: those whose challenge is a
/// multiple of that part's order. A defect it catches: a challenge that is multiplied by the cofactor, or not reduced.
#[test]
fn keys_with_a_part_of_small_order_are_treated_alike() {
    let (secret, blind) = (
        Scalar::from_bytes_mod_order([5; 32]),
        Scalar::from_bytes_mod_order([6; 32]),
    );
    for torsion in EIGHT_TORSION {
        let key = PublicKey::from_bytes(&(B * secret + torsion).compress().to_bytes()).unwrap();
        let verdicts: Vec<_> = (0..64_u8)
            .map(|message| {
                let r = (B * blind).compress().to_bytes();
                let s = blind + challenge(r, &key, &[message]) * secret;
                both(&key, &[message], &join(r, s.to_bytes()))
            })
            .collect();
        assert!(verdicts.contains(&true));
        assert_eq!(verdicts.contains(&false), torsion != EdwardsPoint::identity());
        // And R with such a part.
        for message in 0..8_u8 {
            let r = (B * blind + torsion).compress().to_bytes();
            let s = blind + challenge(r, &key, &[message]) * secret;
            both(&key, &[message], &join(r, s.to_bytes()));
        }
    }
}

fn made(verifier: &Verifier) -> usize {
    let keys = verifier.keys();
    keys.known
        .values()
        .filter(|known| matches!(known.table, Table::Made(_)))
        .count()
}

/// Defects it catches: a table for each key that comes by; more than the bound; tables that are never given back.
#[test]
fn keys_that_are_used_often_get_a_table_and_lose_it_again() {
    let verifier = Verifier::default();
    let key = |number: u8| SecretKey::from_seed([number; 32]);
    let use_key = |secret: &SecretKey, uses: u32| {
        let signature = secret.sign(b"m");
        for _ in 0..uses {
            assert!(verifier.verify_strict(&secret.public_key(), b"m", &signature));
            assert!(!verifier.verify_strict(&secret.public_key(), b"n", &signature));
        }
    };
    use_key(&key(0), USES_FOR_TABLE / 2 - 1);
    assert_eq!(made(&verifier), 0);
    use_key(&key(0), 2);
    assert_eq!(made(&verifier), 1);
    for number in 1..=u8::try_from(TABLES_MAX).unwrap() {
        use_key(&key(number), USES_FOR_TABLE / 2 + 1);
    }
    assert_eq!(made(&verifier), TABLES_MAX);
    let (mut keys, mut rounds) = (verifier.keys(), 0);
    while keys.tables > 0 {
        keys.age();
        rounds += 1;
    }
    assert_eq!(
        (keys.known.len(), rounds),
        (0, 7),
        "64 uses are halved to nothing"
    );
}

#[test]
fn many_threads_get_right_answers() {
    let verifier = Verifier::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..200_u8 {
                    let secret = SecretKey::from_seed([round % 2; 32]);
                    let signature = secret.sign(&[round]);
                    assert!(verifier.verify_strict(&secret.public_key(), &[round], &signature));
                    assert!(!verifier.verify_strict(&secret.public_key(), &[round, 1], &signature));
                }
            });
        }
    });
    assert_eq!((made(&verifier), verifier.keys().tables), (2, 2));
}
