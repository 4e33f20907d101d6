//! Forged and malformed key packets. All that are signed are signed by the trusted root: what is refused here is refused
//! for what it says, not for a signature that is wrong anyway.

use serde_json::{Value, json};
use wfldb_core::id::{Role, SecretKey};
use wfldb_core::name::Audience;
use wfldb_core::packet::{PacketError, TrustedRoots, verify};
use wfldb_core::time::UnixMillis;
use wfldb_security::{claims, count, header, packet_hs256, packet_of, packet_with};

const NOW: UnixMillis = UnixMillis::new(1_767_323_045_006);
const AUDIENCE: &str = "wfldb:test-cluster";

fn root() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

fn holder() -> SecretKey {
    SecretKey::from_seed([2; 32])
}

fn honest_header() -> Value {
    header(&root().key_id(Role::Root))
}

fn honest_claims() -> Value {
    claims(&root(), &holder(), AUDIENCE, NOW.seconds())
}

fn judged(packet: &str) -> Result<(), PacketError> {
    let trust = TrustedRoots::new([root().key_id(Role::Root)]);
    verify(packet, &trust, &Audience::parse(AUDIENCE).unwrap(), NOW).map(|_| ())
}

#[track_caller]
fn refused(about: &str, packet: &str) {
    assert!(judged(packet).is_err(), "{about} was accepted");
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

#[test]
fn the_honest_packet_is_accepted() {
    let packet = packet_of(
        &honest_header().to_string(),
        &honest_claims().to_string(),
        &root(),
    );
    assert_eq!(judged(&packet), Ok(()));
    count("honest packet", 1);
}

/// Defects it catches: an algorithm chosen by the header; a key taken out of the header; a header that is passed over.
#[test]
fn the_header_of_a_packet_chooses_nothing() {
    let mut cases = 0;
    let claims = honest_claims().to_string();
    let public = root().public_key();
    let id = root().key_id(Role::Root).to_string();
    let algorithms = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "HS256",
        "HS512",
        "BLAKE2B",
        "RS256",
        "PS256",
        "ES256",
        "ES256K",
        "Ed25519",
        "EDDSA",
        "eddsa",
        "EdDSA ",
        "ML-DSA-44",
    ];
    for algorithm in algorithms {
        let header = with(honest_header(), "alg", json!(algorithm)).to_string();
        for packet in [
            packet_of(&header, &claims, &root()),
            packet_with(&header, &claims, ""),
            packet_with(&header, &claims, &"A".repeat(86)),
            // HMAC under what is public: the key, its id, its hexadecimal form.
            packet_hs256(&header, &claims, public.as_bytes()),
            packet_hs256(&header, &claims, id.as_bytes()),
            packet_hs256(
                &header,
                &claims,
                wfldb_core::encoding::hex::encode(public.as_bytes()).as_bytes(),
            ),
            packet_hs256(&header, &claims, b""),
        ] {
            refused(algorithm, &packet);
            cases += 1;
        }
    }
    // With the honest algorithm, the other signatures are none either.
    let header = honest_header().to_string();
    for packet in [
        packet_with(&header, &claims, ""),
        packet_with(&header, &claims, &"A".repeat(86)),
        packet_hs256(&header, &claims, public.as_bytes()),
    ] {
        refused("no signature", &packet);
        cases += 1;
    }
    // A key that comes along, signed with that very key.
    let stranger = SecretKey::from_seed([9; 32]);
    let x = wfldb_core::encoding::base64url::encode(stranger.public_key().as_bytes());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    let members = [
        ("jwk", jwk.clone()),
        ("jku", json!("https://example.test/keys.json")),
        ("x5c", json!(["MIIB"])),
        ("x5u", json!("https://example.test/key.pem")),
        ("x5t", json!("AAAA")),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("cty", json!("JWT")),
        ("epk", jwk),
        ("kty", json!("oct")),
        ("extra", json!(1)),
    ];
    for (name, value) in members {
        let header = with(honest_header(), name, value).to_string();
        refused(name, &packet_of(&header, &claims, &root()));
        refused(name, &packet_of(&header, &claims, &stranger));
        cases += 2;
    }
    let types = [
        "JWT",
        "jwt",
        "at+jwt",
        "wfldb-link+jwt",
        "WFLDB-KP+JWT",
        "wfldb-kp+jwt ",
        "application/wfldb-kp+jwt",
        "",
    ];
    for typ in types {
        let header = with(honest_header(), "typ", json!(typ)).to_string();
        refused(typ, &packet_of(&header, &claims, &root()));
        cases += 1;
    }
    let mut kids = vec![
        json!(stranger.key_id(Role::Root).to_string()),
        json!("../../../etc/passwd"),
        json!("' OR 1=1"),
        json!(1),
    ];
    kids.extend([json!(null), json!([id.clone()]), json!(id.to_uppercase())]);
    for kid in kids {
        let header = with(honest_header(), "kid", kid.clone()).to_string();
        refused(&kid.to_string(), &packet_of(&header, &claims, &root()));
        refused(&kid.to_string(), &packet_of(&header, &claims, &stranger));
        cases += 2;
    }
    for missing in ["alg", "kid", "typ"] {
        let mut header = honest_header();
        header.as_object_mut().unwrap().remove(missing);
        refused(missing, &packet_of(&header.to_string(), &claims, &root()));
        cases += 1;
    }
    count("algorithm confusion", cases);
}

/// Defects it catches: a claim with a default; a number read as a float or cut to 64 bits; the last of two members.
#[test]
fn claims_are_all_there_once_and_of_their_type() {
    let mut cases = 0;
    let header = honest_header().to_string();
    let honest = honest_claims();
    let mut refused_claims = |about: &str, claims: &str| {
        refused(
            &format!("{about}: {claims}"),
            &packet_of(&header, claims, &root()),
        );
        cases += 1;
    };
    let names: Vec<String> = honest.as_object().unwrap().keys().cloned().collect();
    let values = [
        json!(null),
        json!(true),
        json!({}),
        json!([]),
        json!([1]),
        json!(""),
        json!("x"),
        json!("0"),
        json!(-1),
        json!(0.5),
        json!({"a": 1}),
        json!("\u{0}"),
    ];
    for name in &names {
        let mut claims = honest.clone();
        claims.as_object_mut().unwrap().remove(name);
        refused_claims("missing", &claims.to_string());
        for value in &values {
            // An empty list of grants is one; it allows nothing.
            if name == "cap" && *value == json!([]) {
                continue;
            }
            refused_claims("mistyped", &with(honest.clone(), name, value.clone()).to_string());
        }
        let text = honest.to_string();
        let member = format!("\"{name}\":{}", honest[name]);
        let twice = format!("{{{member},{}", &text[1..]);
        refused_claims("twice", &twice);
        let escaped = format!(
            "\"\\u{:04x}{}\":{}",
            u32::from(name.as_bytes()[0]),
            &name[1..],
            honest[name]
        );
        refused_claims(
            "twice, one of them escaped",
            &format!("{{{escaped},{}", &text[1..]),
        );
    }
    let numbers = [
        "1767323045.0",
        "1767323045e0",
        "1.767323045e9",
        "-1767323045",
        "+1767323045",
        "01767323045",
        "0x69572f25",
        "18446744073709551616",
        "99999999999999999999999999999999",
        "1e400",
        "NaN",
        "Infinity",
        "\"1767323045\"",
        "1767323045 1",
    ];
    for name in ["iat", "nbf", "exp", "dlg"] {
        for number in numbers {
            let member = format!("\"{name}\":{}", honest[name]);
            let text = honest
                .to_string()
                .replace(&member, &format!("\"{name}\":{number}"));
            assert_ne!(text, honest.to_string());
            refused_claims("number", &text);
        }
    }
    for (about, text) in [
        ("trailing bytes", format!("{honest} x")),
        ("two objects", format!("{honest}{honest}")),
        ("a list", format!("[{honest}]")),
        ("a byte order mark", format!("\u{feff}{honest}")),
        ("a comment", honest.to_string().replacen('{', "{/**/", 1)),
        (
            "a comma at the end",
            honest
                .to_string()
                .replacen("\"dlg\":0", "\"dlg\":0,", 1)
                .replace("0,,", "0,"),
        ),
        (
            "an unknown claim",
            with(honest.clone(), "scope", json!("all")).to_string(),
        ),
        (
            "a claim of another case",
            with(honest.clone(), "ISS", json!("x")).to_string(),
        ),
        (
            "a member of the prototype",
            with(honest.clone(), "__proto__", json!({"cap": []})).to_string(),
        ),
        (
            "depth",
            with(honest.clone(), "cap", json!([[[[[[[[1]]]]]]]])).to_string(),
        ),
    ] {
        // Some of these change nothing of these claims.
        let unchanged = honest.to_string();
        if text != unchanged {
            refused_claims(about, &text);
        }
    }
    let grant = |grant: Value| with(honest.clone(), "cap", json!([grant])).to_string();
    for (about, value) in [
        ("unknown op", json!({"b": "*", "p": "", "ops": ["get", "root"]})),
        ("op of another case", json!({"b": "*", "p": "", "ops": ["GET"]})),
        (
            "unknown limit",
            json!({"b": "*", "p": "", "ops": ["get"], "max_byte": 1}),
        ),
        (
            "limit as text",
            json!({"b": "*", "p": "", "ops": ["put"], "max_bytes": "1"}),
        ),
        (
            "limit as float",
            json!({"b": "*", "p": "", "ops": ["put"], "max_bytes": 1.5}),
        ),
        (
            "flag as number",
            json!({"b": "*", "p": "", "ops": ["put"], "create_only": 1}),
        ),
        (
            "network that is none",
            json!({"b": "*", "p": "", "ops": ["get"], "cidr": ["0.0.0.0/33"]}),
        ),
        (
            "network as text",
            json!({"b": "*", "p": "", "ops": ["get"], "cidr": "0.0.0.0/0"}),
        ),
        (
            "admin of one bucket",
            json!({"b": "photos", "p": "", "ops": ["admin"]}),
        ),
        ("bucket pattern", json!({"b": "photo*", "p": "", "ops": ["get"]})),
        ("no ops", json!({"b": "*", "p": ""})),
    ] {
        refused_claims(about, &grant(value));
    }
    let many = vec![json!({"b": "*", "p": "", "ops": ["get"]}); 33];
    refused_claims("33 grants", &with(honest.clone(), "cap", json!(many)).to_string());
    count("claims", cases);
}

/// Defects it catches: trust or holdership by the 32 bytes of a key, whatever its role says.
#[test]
fn a_key_in_the_wrong_role_signs_and_holds_nothing() {
    let mut cases = 0;
    let roles = [Role::Root, Role::Issuer, Role::Client, Role::Node];
    for signs in roles {
        for holds in roles {
            let id = root().key_id(signs);
            let mut claims = with(honest_claims(), "iss", json!(id.to_string()));
            claims = with(claims, "sub", json!(holder().key_id(holds).to_string()));
            let packet = packet_of(&header(&id).to_string(), &claims.to_string(), &root());
            let fits = signs == Role::Root && holds != Role::Root;
            assert_eq!(judged(&packet).is_ok(), fits, "{signs:?} for {holds:?}");
            cases += 1;
        }
    }
    // The header's id and the claims' are one and the same, role included.
    for role in [Role::Issuer, Role::Client, Role::Node] {
        let header = header(&root().key_id(role)).to_string();
        refused(
            "kid of another role",
            &packet_of(&header, &honest_claims().to_string(), &root()),
        );
        cases += 1;
    }
    // A secret key, and the holder's own, where the signer's id belongs.
    for id in [
        holder().key_id(Role::Root).to_string(),
        root().to_wire().to_string(),
    ] {
        let claims = with(honest_claims(), "iss", json!(id.clone())).to_string();
        let header = with(honest_header(), "kid", json!(id)).to_string();
        refused("own root", &packet_of(&header, &claims, &holder()));
        cases += 1;
    }
    count("wrong role of key", cases);
}

/// Every spelling of a packet but the one that was issued.
#[test]
fn a_packet_has_one_spelling() {
    let packet = packet_of(
        &honest_header().to_string(),
        &honest_claims().to_string(),
        &root(),
    );
    let mut cases = 0;
    let (front, signature) = packet.rsplit_once('.').unwrap();
    // A last character with the same bytes behind other padding bits.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for letter in alphabet.chars() {
        let other = format!("{front}.{}{letter}", &signature[..85]);
        if other != packet {
            refused("padding bits", &other);
            cases += 1;
        }
    }
    for other in [
        format!("{packet}="),
        format!("{packet}=="),
        format!("{packet}."),
        format!("{packet}.{signature}"),
        format!(".{packet}"),
        format!(" {packet}"),
        format!("{packet}\n"),
        packet.replacen('.', "..", 1),
        packet.replace('-', "+").replace('_', "/"),
        format!("{{\"payload\":\"{packet}\"}}"),
        String::new(),
        "..".to_owned(),
        format!("{packet}{}", "A".repeat(20_000)),
    ] {
        if other != packet {
            refused("another spelling", &other);
            cases += 1;
        }
    }
    count("spellings of a packet", cases);
}
