//! Attacks on files of all kinds, and on directories.

use std::fs;
use std::os::unix::fs::symlink;

use sha2::{Digest as _, Sha256};
use wfldb_core::doc;
use wfldb_core::encoding::hex;
use wfldb_core::id::SecretKey;

use super::documents::edit;
use super::{A, Attack, each, of_bytes};
use crate::MirrorFault;

#[expect(
    clippy::too_many_lines,
    reason = "one list, each attack beside what is said of it"
)]
fn on_files() -> Vec<Attack> {
    use MirrorFault as F;
    const MANIFEST: &str = "docs/MANIFEST.sha256";
    vec![
        (
            "a file was removed",
            Box::new(|place, _| fs::remove_file(place.join(A)).unwrap()),
            &[(F::Missing, A)],
        ),
        (
            "a file was added",
            Box::new(|place, _| _ = fs::copy(place.join(A), place.join("docs/c.json")).unwrap()),
            &[(F::Added, "docs/c.json")],
        ),
        (
            "a file beside the buckets",
            Box::new(|place, _| fs::write(place.join("x"), "x").unwrap()),
            &[(F::Added, "x")],
        ),
        (
            "a deleted document was brought back",
            Box::new(|place, _| {
                fs::rename(
                    place.join("docs/.deleted/gone.json"),
                    place.join("docs/gone.json"),
                )
                .unwrap();
            }),
            &[
                (F::Missing, "docs/.deleted/gone.json"),
                (F::Added, "docs/gone.json"),
            ],
        ),
        (
            "a link to the very bytes",
            Box::new(|place, _| {
                fs::rename(place.join(A), place.join("../kept")).unwrap();
                symlink(place.join("../kept"), place.join(A)).unwrap();
            }),
            &[(F::WrongType, A)],
        ),
        (
            "a link in the place of a bucket",
            Box::new(|place, _| {
                fs::rename(place.join("files"), place.join("../kept")).unwrap();
                symlink(place.join("../kept"), place.join("files")).unwrap();
            }),
            &[
                (F::Missing, "files/.meta/x.json"),
                (F::Missing, "files/.metadata.json"),
                (F::Missing, "files/MANIFEST.sha256"),
                (F::Missing, "files/x"),
                (F::WrongType, "files"),
            ],
        ),
        (
            "a manifest was edited",
            of_bytes(MANIFEST, |mut bytes| {
                bytes[0] ^= 1;
                bytes
            }),
            &[(F::Manifest, MANIFEST)],
        ),
        (
            "a line of a manifest was removed",
            of_bytes(MANIFEST, |bytes| bytes[bytes.len() / 2..].to_vec()),
            &[(F::Manifest, MANIFEST)],
        ),
        (
            "a manifest was removed",
            Box::new(|place, _| fs::remove_file(place.join("docs/MANIFEST.sha256")).unwrap()),
            &[(F::Missing, MANIFEST)],
        ),
        (
            "a file and its line were changed",
            Box::new(|place, _| {
                let was = hex::encode(&<[u8; 32]>::from(Sha256::digest(
                    fs::read(place.join(A)).unwrap(),
                )));
                edit(place, A, |document| {
                    document.insert("name".to_owned(), "Eve".into());
                });
                let is = hex::encode(&<[u8; 32]>::from(Sha256::digest(
                    fs::read(place.join(A)).unwrap(),
                )));
                let manifest = fs::read_to_string(place.join(MANIFEST)).unwrap();
                fs::write(place.join(MANIFEST), manifest.replace(&was, &is)).unwrap();
            }),
            &[(F::Hash, A), (F::Manifest, MANIFEST)],
        ),
        (
            "an object's bytes",
            of_bytes("files/x", |mut bytes| {
                bytes[3] ^= 1;
                bytes
            }),
            &[(F::Content, "files/x")],
        ),
        (
            "what is said of an object",
            of_bytes("files/.meta/x.json", |mut bytes| {
                bytes[9] ^= 1;
                bytes
            }),
            &[(F::Metadata, "files/.meta/x.json")],
        ),
        (
            "what a bucket is",
            of_bytes("docs/.metadata.json", |mut bytes| {
                bytes.pop();
                bytes
            }),
            &[(F::Metadata, "docs/.metadata.json")],
        ),
        (
            "whose mirror it is",
            of_bytes("wfldb.json", |mut bytes| {
                bytes.pop();
                bytes
            }),
            &[(F::Metadata, "wfldb.json")],
        ),
        (
            "the keys were substituted",
            of_bytes("keys/allowed_signers", |_| {
                doc::allowed_signer_in(
                    "wfldb",
                    &["doc@wfldb", "git"],
                    &SecretKey::from_seed([99; 32]).public_key(),
                )
                .into_bytes()
            }),
            &[(F::Signature, "keys/allowed_signers")],
        ),
        (
            "the directory of a bucket was removed",
            Box::new(|place, _| fs::remove_dir_all(place.join("files")).unwrap()),
            &[
                (F::Missing, "files/.meta/x.json"),
                (F::Missing, "files/.metadata.json"),
                (F::Missing, "files/MANIFEST.sha256"),
                (F::Missing, "files/x"),
            ],
        ),
    ]
}

#[test]
fn what_is_done_to_files_is_found_and_named() {
    each(on_files(), false);
}
