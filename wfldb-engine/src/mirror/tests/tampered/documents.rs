//! Attacks on the file of a document.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wfldb_core::doc::{self, canonical, parse_object};
use wfldb_core::encoding::hex;
use wfldb_core::id::SecretKey;
use wfldb_core::mirror::pretty;

use super::{A, Attack, B, Change, each, of_bytes};
use crate::MirrorFault;
use crate::tests::name;

/// Changes the members of a document, and writes it as the store would.
pub(super) fn edit(place: &Path, path: &str, change: impl FnOnce(&mut doc::Object)) {
    let mut document = parse_object(&fs::read(place.join(path)).unwrap()).unwrap();
    let signature = document.get("_sig").cloned();
    change(&mut document);
    // The signature comes last, where it is as it was.
    let same = document.get("_sig") == signature.as_ref();
    let parsed = signature
        .as_ref()
        .and_then(Value::as_str)
        .and_then(doc::DocumentSignature::parse);
    let text = match parsed.filter(|_| same) {
        Some(signature) => {
            document.remove("_sig");
            doc::with_signature(&canonical(&document), &signature)
        }
        None => canonical(&document),
    };
    fs::write(place.join(path), pretty(&text)).unwrap();
}

/// Makes `_hash` fit.
fn rehash(document: &mut doc::Object) {
    let payload = doc::payload(&name("docs"), document);
    let hash = hex::encode(&<[u8; 32]>::from(Sha256::digest(payload)));
    document.insert("_hash".to_owned(), format!("sha256:{hash}").into());
}

/// Seals the members of a document with a key of somebody's own.
fn seal(document: &mut doc::Object) {
    let body = doc::without_envelope(document.clone());
    let key = wfldb_core::name::ObjectKey::parse("a").unwrap();
    let now = wfldb_core::time::UnixMillis::new(1_700_000_000_000);
    let draft = doc::Draft::of(&name("docs"), &key, body, doc::Standing::default(), now, "wc1x").unwrap();
    let sealed = draft.sign(&SecretKey::from_seed([99; 32])).unwrap();
    *document = sealed.document;
    document.insert("_sig".to_owned(), sealed.signature.to_string().into());
}

fn set(member: &'static str, value: Value) -> Change {
    Box::new(move |place, _| {
        edit(place, A, |document| {
            document.insert(member.to_owned(), value.clone());
        });
    })
}

fn set_and_hash(member: &'static str, value: Value) -> Change {
    Box::new(move |place, _| {
        edit(place, A, |document| {
            document.insert(member.to_owned(), value.clone());
            rehash(document);
        });
    })
}

fn on_documents() -> Vec<Attack> {
    use MirrorFault as F;
    vec![
        ("a member was changed", set("name", "Eve".into()), &[(F::Hash, A)]),
        (
            "a member was changed, and the hash",
            set_and_hash("name", "Eve".into()),
            &[(F::Signature, A)],
        ),
        ("a member was added", set("more", 1.into()), &[(F::Hash, A)]),
        (
            "the writer was changed",
            set("_by", "wc1eve".into()),
            &[(F::Hash, A)],
        ),
        (
            "the time was forged",
            set_and_hash("_ts", "2020-01-01T00:00:00.000Z".into()),
            &[(F::Signature, A)],
        ),
        (
            "the version was forged",
            set_and_hash("_v", 7.into()),
            &[(F::Signature, A)],
        ),
        (
            "the predecessor was forged",
            set_and_hash("_prev", format!("sha256:{}", "0".repeat(64)).into()),
            &[(F::Signature, A)],
        ),
        (
            "the key was forged",
            set_and_hash("_id", "b".into()),
            &[(F::Signature, A)],
        ),
        (
            "a member of the envelope was taken away",
            Box::new(|place, _| edit(place, A, |document| _ = document.remove("_ts"))),
            &[(F::Envelope, A)],
        ),
        (
            "the signature was changed",
            Box::new(|place, _| {
                edit(place, A, |document| {
                    let signature = document["_sig"].as_str().unwrap();
                    let at = signature.rfind(':').unwrap() + 5;
                    let mut changed = signature.as_bytes().to_vec();
                    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
                    let changed = String::from_utf8(changed).unwrap();
                    document.insert("_sig".to_owned(), changed.into());
                });
            }),
            &[(F::Signature, A)],
        ),
        (
            "the signature was stripped",
            Box::new(|place, _| edit(place, A, |document| _ = document.remove("_sig"))),
            &[(F::Signature, A)],
        ),
        (
            "signed with another key",
            Box::new(|place, _| edit(place, A, seal)),
            &[(F::Signature, A)],
        ),
        (
            "a signed file was copied over another",
            Box::new(|place, _| _ = fs::copy(place.join(A), place.join(B)).unwrap()),
            &[(F::Elsewhere, B)],
        ),
        (
            "an older signed version was put back",
            Box::new(|place, old| fs::write(place.join(A), old).unwrap()),
            &[(F::OtherVersion, A)],
        ),
        (
            "white space only",
            of_bytes(A, |mut bytes| {
                bytes.push(b'\n');
                bytes
            }),
            &[(F::Spelling, A)],
        ),
        (
            "no JSON any more",
            of_bytes(A, |_| b"{".to_vec()),
            &[(F::Content, A)],
        ),
        ("emptied", of_bytes(A, |_| Vec::new()), &[(F::Content, A)]),
    ]
}

#[test]
fn what_is_done_to_a_document_is_found_and_named() {
    each(on_documents(), false);
}
