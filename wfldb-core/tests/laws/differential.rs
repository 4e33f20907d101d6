//! A second opinion on packets: what we accept, jwt-simple accepts too. We may be stricter, never laxer.

use std::collections::HashSet;
use std::path::Path;

use jwt_simple::prelude::{
    Duration, Ed25519PublicKey, EdDSAPublicKeyLike as _, UnixTimeStamp, VerificationOptions,
};
use proptest::prelude::*;
use serde::Deserialize;
use wfldb_core::encoding::base64url;
use wfldb_core::id::{KeyId, Role, SecretKey};
use wfldb_core::packet::{self, Grant};
use wfldb_core::time::UnixMillis;

use crate::support::{NOW, audience, chain_claims, claims, issue, issue_chain, middle, root, trust};

/// Our own claims as loosely as serde reads them.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only whether it can be read is asked")]
struct OwnClaims {
    cap: Vec<serde_json::Value>,
    dlg: u64,
}

/// Each link by itself, with the key of the holder before it.
fn they_accept(token: &str, now: UnixMillis) -> bool {
    let signer = match loosely(token, "prf") {
        None => root().key_id(Role::Root),
        Some(parent) if !they_accept(&parent, now) => return false,
        Some(parent) => match loosely(&parent, "sub").and_then(|sub| KeyId::parse(&sub).ok()) {
            Some(holder) => holder,
            None => return false,
        },
    };
    they_accept_link(token, &signer, now)
}

/// A text claim, as serde reads it.
fn loosely(token: &str, claim: &str) -> Option<String> {
    let claims = base64url::decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    claims.get(claim)?.as_str().map(str::to_owned)
}

fn they_accept_link(token: &str, signer: &KeyId, now: UnixMillis) -> bool {
    let key = Ed25519PublicKey::from_bytes(signer.public_key().as_bytes()).unwrap();
    let options = VerificationOptions {
        required_key_id: Some(signer.to_string()),
        required_signature_type: Some("wfldb-kp+jwt".to_owned()),
        allowed_audiences: Some(HashSet::from([audience().to_string()])),
        allowed_issuers: Some(HashSet::from([signer.to_string()])),
        artificial_time: Some(UnixTimeStamp::from_secs(now.seconds())),
        time_tolerance: Some(Duration::from_secs(60)),
        max_token_length: Some(12 * 1024),
        ..VerificationOptions::default()
    };
    key.verify_token::<OwnClaims>(token, Some(options)).is_ok()
}

fn we_accept(token: &str, now: UnixMillis) -> bool {
    packet::verify(token, &trust(), &audience(), now).is_ok()
}

/// Signs any header and claims texts with a key.
fn sign_texts(key: &SecretKey, header: &str, claims: &str) -> String {
    let signed = format!(
        "{}.{}",
        base64url::encode(header.as_bytes()),
        base64url::encode(claims.as_bytes())
    );
    let signature = key.sign(signed.as_bytes());
    format!("{signed}.{signature}")
}

fn texts_of(token: &str) -> (String, String) {
    let mut parts = token
        .split('.')
        .map(|part| String::from_utf8(base64url::decode(part).unwrap_or_default()));
    (parts.next().unwrap().unwrap(), parts.next().unwrap().unwrap())
}

#[test]
fn of_the_corpus_we_accept_nothing_that_they_refuse() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/vectors/packets.json");
    let corpus: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut stricter = 0;
    for vector in corpus["vectors"].as_array().unwrap() {
        let now = UnixMillis::parse(vector["now"].as_str().unwrap()).unwrap();
        let token = vector["token"].as_str().unwrap();
        let (ours, theirs) = (we_accept(token, now), they_accept(token, now));
        assert!(theirs || !ours, "{vector}");
        stricter += usize::from(theirs && !ours);
    }
    // Among them: the cofactored signature, unknown claims, unknown operations, repeated members.
    assert!(
        stricter > 20,
        "the corpus shows where we are stricter: {stricter}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_we_issue_both_accept(
        prefix in "[a-z/\"\\\\ü]{0,9}",
        max_bytes in any::<Option<u64>>(),
        dlg in 0_u8..4,
        life in 1_u64..1_000_000,
    ) {
        let mut grant = Grant::parse_json(r#"{"b":"photos","p":"","ops":["get","put"]}"#).unwrap();
        grant.prefix = wfldb_core::name::KeyPrefix::parse(&prefix).unwrap();
        grant.limits.max_bytes = max_bytes;
        let mut claims = claims(vec![grant]);
        claims.dlg = dlg;
        claims.exp = claims.nbf + life;
        let token = packet::issue(&root(), Role::Root, &claims).unwrap();
        prop_assert!(they_accept(&token, NOW));
        let packet = packet::verify(&token, &trust(), &audience(), NOW).unwrap();
        prop_assert_eq!(packet.links(), &[claims]);
    }

    #[test]
    fn a_changed_packet_is_refused(place in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]{0,2}") {
        let token = issue(vec![Grant::everything()]);
        let mut changed = token.clone();
        let place = place.index(token.len());
        changed.replace_range(place..=place, &with);
        if changed != token {
            prop_assert!(!we_accept(&changed, NOW));
        }
    }

    /// The signature is good here, so only the parsers decide.
    #[test]
    fn of_signed_texts_we_accept_nothing_that_they_refuse(
        in_header in any::<bool>(),
        place in any::<prop::sample::Index>(),
        removed in 0_usize..4,
        with in prop_oneof!["[ -~]{0,3}", Just(",".to_owned()), Just("\"x\":1,".to_owned()), Just(".0".to_owned()), "[0-9]", Just("null".to_owned())],
        seconds in -200_i64..4000,
    ) {
        let (mut header, mut claims) = texts_of(&issue(vec![Grant::everything()]));
        let text = if in_header { &mut header } else { &mut claims };
        let place = place.index(text.len());
        text.replace_range(place..(place + removed).min(text.len()), &with);
        let token = sign_texts(&root(), &header, &claims);
        let now = UnixMillis::new(NOW.get().saturating_add_signed(seconds * 1000));
        prop_assert!(they_accept(&token, now) || !we_accept(&token, now), "{header} {claims}");
    }

    /// The same for the last link of a chain, whose parent is among its claims.
    #[test]
    fn of_signed_last_links_we_accept_nothing_that_they_refuse(
        place in any::<prop::sample::Index>(),
        removed in 0_usize..4,
        with in prop_oneof!["[ -~]{0,3}", "[0-9A-Za-z_.-]", Just("\"prf\":1,".to_owned()), Just("\"prf\":\"a.b.c\",".to_owned())],
        seconds in -200_i64..4000,
    ) {
        let caps = [vec![Grant::everything()], vec![Grant::everything()]];
        let (header, mut claims) = texts_of(&issue_chain(&chain_claims(&caps)));
        let place = place.index(claims.len());
        claims.replace_range(place..(place + removed).min(claims.len()), &with);
        let token = sign_texts(&middle(0), &header, &claims);
        let now = UnixMillis::new(NOW.get().saturating_add_signed(seconds * 1000));
        prop_assert!(they_accept(&token, now) || !we_accept(&token, now), "{header} {claims}");
    }

    /// And for link 0 under a last link that is signed as it should be.
    #[test]
    fn of_signed_first_links_we_accept_nothing_that_they_refuse(
        place in any::<prop::sample::Index>(),
        removed in 0_usize..4,
        with in prop_oneof!["[ -~]{0,3}", Just("\"x\":1,".to_owned()), Just(".0".to_owned()), "[0-9]"],
    ) {
        let caps = [vec![Grant::everything()], vec![Grant::everything()]];
        let token = issue_chain(&chain_claims(&caps));
        let parent = loosely(&token, "prf").unwrap();
        let (header, mut claims) = texts_of(&parent);
        let place = place.index(claims.len());
        claims.replace_range(place..(place + removed).min(claims.len()), &with);
        let changed = sign_texts(&root(), &header, &claims);
        let (header, last) = texts_of(&token);
        let token = sign_texts(&middle(0), &header, &last.replace(&parent, &changed));
        prop_assert!(they_accept(&token, NOW) || !we_accept(&token, NOW), "{claims}");
    }
}
