//! What the store adds to a document, and that nothing of it can be changed unnoticed.

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use serde_json::json;
use wfldb_core::doc::{
    DocumentFault, DocumentSignature, Draft, Envelope, EnvelopeError, Object, Sealed, Standing, Value,
    allowed_signer, canonical, parse_object, payload, signature_file, split_signature, stored_text, verify,
    with_signature, without_envelope,
};
use wfldb_core::id::{PublicKey, SecretKey};
use wfldb_core::limits::DOCUMENT_BYTES_MAX;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::time::UnixMillis;

const NOW: UnixMillis = UnixMillis::new(1_750_000_000_000);
const BY: &str = "wc1someone";

fn bucket() -> BucketName {
    BucketName::parse("users").unwrap()
}

fn key() -> ObjectKey {
    ObjectKey::parse("user/1").unwrap()
}

fn node() -> SecretKey {
    SecretKey::from_seed([3; 32])
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

fn draft(body: Value, standing: Standing<'_>, now: UnixMillis) -> Result<Draft, EnvelopeError> {
    Draft::of(&bucket(), &key(), object(body), standing, now, BY)
}

fn first(body: Value) -> Sealed {
    draft(body, Standing::default(), NOW)
        .unwrap()
        .sign(&node())
        .unwrap()
}

fn second(below: &Sealed, body: Value, now: UnixMillis) -> Sealed {
    let envelope = Envelope::of(&below.document).unwrap();
    let standing = Standing {
        current: Some((&below.document, &below.signature)),
        below: Some(&envelope),
        ..Standing::default()
    };
    draft(body, standing, now).unwrap().sign(&node()).unwrap()
}

fn check(sealed: &Sealed) -> Result<Envelope, DocumentFault> {
    verify(&bucket(), &key(), &sealed.document, &sealed.signature)
}

#[test]
fn versions_count_name_their_predecessor_and_never_go_back_in_time() {
    let one = first(json!({"name": "Ann"}));
    let envelope = check(&one).unwrap();
    assert_eq!((envelope.version, envelope.previous), (1, None));
    assert_eq!((envelope.id.as_str(), envelope.by.as_str()), ("user/1", BY));
    assert_eq!(envelope.time, NOW);
    // A clock that was set back.
    let two = second(&one, json!({"name": "Bob"}), NOW.minus_ms(5_000));
    let after = check(&two).unwrap();
    assert_eq!((after.version, after.previous), (2, Some(envelope.hash)));
    assert_eq!(after.time, NOW.plus_ms(1));
    assert_eq!(after.follows(&envelope), Ok(()));
    assert_eq!(envelope.follows(&after), Err(DocumentFault::Sequence));
    assert_eq!(
        check(&second(&two, json!({}), NOW.plus_ms(9))).unwrap().time,
        NOW.plus_ms(9)
    );
    assert_eq!(without_envelope(two.document), object(json!({"name": "Bob"})));
}

/// DEFECT: a caller who gives itself a version, or another author.
#[test]
fn an_envelope_in_a_body_is_the_current_one_or_refused() {
    let one = first(json!({"name": "Ann"}));
    let whole = with_signature(&one.text, &one.signature);
    assert_eq!(stored_text(&whole), Some(one.text.clone()));
    assert_eq!(stored_text(&one.text), None);
    let read = parse_object(&whole).unwrap();
    // Read, changed and sent back as it is.
    let mut again = Value::Object(read.clone());
    again["name"] = "Bob".into();
    let two = second(&one, again, NOW);
    assert_eq!(two.document["name"], "Bob");
    assert_eq!(two.document["_v"], 2);

    let envelope = Envelope::of(&one.document).unwrap();
    let standing = Standing {
        current: Some((&one.document, &one.signature)),
        below: Some(&envelope),
        ..Standing::default()
    };
    for (name, value) in [
        ("_v", json!(2)),
        ("_ts", json!("2030-01-01T00:00:00.000Z")),
        ("_prev", json!("sha256:00")),
        ("_by", json!("wc1other")),
        ("_hash", json!("")),
        ("_sig", json!("ed25519:x:y")),
    ] {
        let refused = draft(json!({ name: value }), standing, NOW).unwrap_err();
        assert_eq!(
            refused,
            EnvelopeError::NotCurrent(match name {
                "_v" => "_v",
                "_ts" => "_ts",
                "_prev" => "_prev",
                "_by" => "_by",
                "_hash" => "_hash",
                _ => "_sig",
            })
        );
        assert_eq!(refused.pointer(), format!("/{name}"));
        // And nothing is current where nothing is.
        let same = one.document.get(name).cloned().unwrap_or(json!(1));
        assert!(
            draft(json!({ name: same }), Standing::default(), NOW).is_err(),
            "{name}"
        );
    }
    let refused = draft(json!({"_id": "user/2"}), standing, NOW).unwrap_err();
    assert_eq!(
        (refused.clone(), refused.pointer()),
        (EnvelopeError::WrongId, "/_id".into())
    );
    assert!(draft(json!({"_id": "user/1"}), Standing::default(), NOW).is_ok());
    for name in ["_", "_x", "_fmt", "_b", "_a/~"] {
        let refused = draft(json!({ name: 1 }), standing, NOW).unwrap_err();
        assert_eq!(refused, EnvelopeError::Reserved(name.into()));
    }
    assert_eq!(EnvelopeError::Reserved("_a/~".into()).pointer(), "/_a~1~0");
    // Below the top the names are the user's.
    assert!(draft(json!({"a": {"_x": 1}}), standing, NOW).is_ok());
}

#[test]
fn a_document_is_as_large_as_the_limit_with_its_envelope_and_no_larger() {
    let of = |bytes: usize| {
        draft(json!({ "a": "x".repeat(bytes) }), Standing::default(), NOW)
            .unwrap()
            .sign(&node())
    };
    let envelope = of(0).unwrap().text.len();
    let largest = of(DOCUMENT_BYTES_MAX - envelope).unwrap();
    assert_eq!(largest.text.len(), DOCUMENT_BYTES_MAX);
    assert_eq!(
        of(DOCUMENT_BYTES_MAX - envelope + 1).unwrap_err(),
        EnvelopeError::TooLarge
    );
}

#[test]
fn what_is_read_is_what_is_stored_with_the_signature_last() {
    let one = first(json!({"name": "Ann", "zoo": 1, "A": 2}));
    assert_eq!(one.text, canonical(&one.document));
    let read = with_signature(&one.text, &one.signature);
    let text = String::from_utf8(read.clone()).unwrap();
    let (stored, signature) = text.split_once(",\"_sig\":").unwrap();
    assert_eq!(format!("{stored}}}").as_bytes(), one.text);
    assert_eq!(signature, format!("\"{}\"}}", one.signature));
    let (document, signature) = split_signature(parse_object(&read).unwrap()).unwrap();
    assert_eq!(
        (document, signature),
        (one.document.clone(), one.signature.clone())
    );
    assert_eq!(
        DocumentSignature::parse(&one.signature.to_string()),
        Some(one.signature.clone())
    );
    assert!(one.signature.to_string().starts_with("ed25519:wn1"));
    for bad in ["", "ed25519:", "ed25519:wn1:x", "wn1:x"] {
        assert_eq!(DocumentSignature::parse(bad), None, "{bad}");
    }
    assert_eq!(split_signature(one.document), Err(DocumentFault::Signature));
}

/// Written out once by hand: what other implementations sign.
#[test]
fn the_payload_is_the_one_of_the_protocol() {
    let one = first(json!({"name": "Ann"}));
    let written = concat!(
        r#"{"_b":"users","_by":"wc1someone","_fmt":"wfldb-doc-1","_id":"user/1","#,
        r#""_ts":"2025-06-15T15:06:40.000Z","_v":1,"name":"Ann"}"#
    );
    assert_eq!(
        String::from_utf8(payload(&bucket(), &one.document)).unwrap(),
        written
    );
    let hash = "sha256:1080bc32af4fe9ef3843adab5b81817e91d4161eb30e7909120f4313ae6c79a0";
    assert_eq!(one.document["_hash"], hash);
}

fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1_000_000i64..1_000_000).prop_map(Value::from),
        "[a-z\u{20ac}\u{1f600}]{0,8}".prop_map(Value::from),
    ];
    proptest::collection::btree_map("[a-zA-Z]{1,4}", leaf, 0..6)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    /// DEFECT: any of bucket, id, version, time, predecessor, author or member that is not under the signature.
    #[test]
    fn nothing_of_a_document_can_be_changed_or_taken_away(body in documents(), other in documents()) {
        let one = first(body.clone());
        let two = second(&one, other.clone(), NOW.plus_ms(7));
        prop_assert!(check(&one).is_ok() && check(&two).is_ok());
        let elsewhere = BucketName::parse("others").unwrap();
        prop_assert_eq!(verify(&elsewhere, &key(), &two.document, &two.signature), Err(DocumentFault::Hash));
        let another = ObjectKey::parse("user/2").unwrap();
        prop_assert_eq!(verify(&bucket(), &another, &two.document, &two.signature), Err(DocumentFault::Id));
        // The signature of one version does not serve another.
        if one.document != two.document {
            prop_assert_eq!(verify(&bucket(), &key(), &two.document, &one.signature), Err(DocumentFault::Signature));
        }
        let replaced = [
            ("_id", json!("user/2")),
            ("_v", json!(3)),
            ("_ts", json!("2025-06-15T15:06:39.000Z")),
            ("_prev", json!(format!("sha256:{}", "0".repeat(64)))),
            ("_by", json!("wc1other")),
            ("_hash", one.document["_hash"].clone()),
            ("added", json!(1)),
        ];
        for (name, value) in replaced {
            let mut changed = two.clone();
            changed.document.insert(name.to_owned(), value);
            prop_assert!(check(&changed).is_err(), "{} was changed", name);
            // Nor with a hash that fits: that is what the signature is for.
            let fitting = payload(&bucket(), &changed.document);
            let digest = <sha2::Sha256 as sha2::Digest>::digest(&fitting);
            let hash = format!("sha256:{}", wfldb_core::encoding::hex::encode(&digest));
            changed.document.insert("_hash".to_owned(), hash.into());
            if name != "_hash" {
                prop_assert!(check(&changed).is_err(), "{} was changed, and the hash with it", name);
            }
        }
        for name in two.document.keys() {
            let mut stripped = two.clone();
            stripped.document.remove(name);
            prop_assert!(check(&stripped).is_err(), "{} was taken away", name);
        }
    }
}

/// OpenSSH verifies a document with no code of ours.
#[test]
fn ssh_keygen_verifies_a_document() {
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        println!("SKIPPED: there is no ssh-keygen on this machine");
        return;
    }
    let one = first(json!({"name": "Ann \u{20ac}"}));
    let dir = tempfile::tempdir().unwrap();
    let public = PublicKey::from_bytes(&one.signature.key).unwrap();
    let (signers, signature) = (dir.path().join("allowed_signers"), dir.path().join("doc.sig"));
    std::fs::write(&signers, allowed_signer("node", &public)).unwrap();
    std::fs::write(&signature, signature_file(&public, &one.signature.bytes)).unwrap();
    let verifies = |payload: &[u8]| {
        let mut ssh = Command::new("ssh-keygen")
            .args(["-Y", "verify", "-I", "node", "-n", "doc@wfldb", "-f"])
            .arg(&signers)
            .arg("-s")
            .arg(&signature)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        ssh.stdin.take().unwrap().write_all(payload).unwrap();
        ssh.wait().unwrap().success()
    };
    let payload = payload(&bucket(), &one.document);
    assert!(verifies(&payload));
    assert!(!verifies(&[payload.as_slice(), b" "].concat()));
}
