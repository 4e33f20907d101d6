//! Attacks on the stored bytes of a mirror, each with what `mirror verify` says of it. Each case is the defect that it is
//! named for, not found, or found in another place.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::doc::{self, canonical, parse_object};
use wfldb_core::encoding::hex;
use wfldb_core::id::SecretKey;
use wfldb_core::mirror::pretty;

use super::support::Case;
use crate::mirror::Mirror;
use crate::tests::{configure, delete, name, put};
use crate::{MirrorFault, MirrorOptions, MirrorReport};

const A: &str = "docs/a.json";
const B: &str = "docs/b.json";

fn verified(case: &Case) -> MirrorReport {
    let proof = Authorized::local("test", Op::Admin, Target::Store);
    case.engine.verify_mirror(&proof, Some(&case.place())).unwrap()
}

fn mirrored_once(case: &Case) {
    let options = MirrorOptions {
        dir: Some(case.place()),
        ..MirrorOptions::default()
    };
    let mirror = Mirror::start(&case.engine, options).unwrap();
    assert!(mirror.caught_up(Duration::from_mins(1)));
}

fn git(place: &Path, arguments: &[&str]) -> String {
    let said = Command::new("git")
        .arg("-C")
        .arg(place)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        said.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&said.stderr)
    );
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

fn has_git() -> bool {
    let has = Command::new("git").arg("--version").output().is_ok();
    if !has {
        println!("SKIPPED in part: there is no git on this machine");
    }
    has
}

/// A mirror with documents in two versions, a deleted one, and an object; and the first version of `a`.
fn mirror() -> (Case, Vec<u8>) {
    let case = Case::new();
    configure(&case.engine, "docs", r#"{"kind":"documents"}"#);
    configure(&case.engine, "files", r#"{"mirror":true}"#);
    for key in ["a", "b", "gone"] {
        case.put_document("docs", key, &json!({"name": key, "n": 1}))
            .unwrap();
    }
    put(&case.engine, "files", "x", b"the bytes of an object").unwrap();
    delete(&case.engine, "docs", "gone").unwrap();
    mirrored_once(&case);
    let old = fs::read(case.place().join(A)).unwrap();
    case.put_document("docs", "a", &json!({"name": "a", "n": 2}))
        .unwrap();
    mirrored_once(&case);
    (case, old)
}

/// Changes the members of a document, and writes it as the store would.
fn edit(place: &Path, path: &str, change: impl FnOnce(&mut doc::Object)) {
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

/// What is done to a mirror, given the bytes of an older version of [`A`].
type Change = Box<dyn Fn(&Path, &[u8])>;
type Attack = (&'static str, Change, &'static [(MirrorFault, &'static str)]);

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

fn of_bytes(path: &'static str, change: fn(Vec<u8>) -> Vec<u8>) -> Change {
    Box::new(move |place, _| {
        fs::write(place.join(path), change(fs::read(place.join(path)).unwrap())).unwrap();
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

fn on_history() -> Vec<Attack> {
    use MirrorFault as F;
    let commit = |place: &Path, arguments: &[&str]| {
        let name = ["-c", "user.name=x", "-c", "user.email=x"];
        git(place, &[name.as_slice(), arguments].concat())
    };
    vec![
        (
            "the branch was moved to an unsigned commit",
            Box::new(move |place, _| {
                let forged = commit(place, &["commit-tree", "-m", "x", "-p", "main", "main^{tree}"]);
                git(place, &["update-ref", "refs/heads/main", &forged]);
            }),
            &[(F::History, ".git")],
        ),
        (
            "the history was begun anew below the newest commit",
            Box::new(move |place, _| {
                let text = git(place, &["cat-file", "commit", "main"]);
                let base = commit(place, &["commit-tree", "-m", "x", "main^{tree}"]);
                let parent = text.lines().find(|line| line.starts_with("parent ")).unwrap();
                let forged = text.replace(parent, &format!("parent {base}")) + "\n";
                fs::write(place.join("../forged"), forged).unwrap();
                let path = place.join("../forged").display().to_string();
                let forged = git(place, &["hash-object", "-t", "commit", "-w", &path]);
                git(place, &["update-ref", "refs/heads/main", &forged]);
            }),
            &[(F::History, ".git")],
        ),
        (
            "the branch was moved back",
            Box::new(|place, _| _ = git(place, &["update-ref", "refs/heads/main", "main~1"])),
            &[(F::History, "refs/heads/main")],
        ),
        (
            "the branch was removed",
            Box::new(|place, _| _ = git(place, &["update-ref", "-d", "refs/heads/main"])),
            &[(F::History, ".git")],
        ),
        (
            "an object was corrupted",
            Box::new(|place, _| {
                let packs = fs::read_dir(place.join(".git/objects/pack")).unwrap();
                let pack = packs
                    .map(|file| file.unwrap().path())
                    .find(|path| path.extension().is_some_and(|it| it == "pack"));
                let pack = pack.unwrap();
                let mut bytes = fs::read(&pack).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
                fs::remove_file(&pack).unwrap();
                fs::write(&pack, bytes).unwrap();
            }),
            &[(F::History, ".git")],
        ),
        (
            "a hook was planted",
            Box::new(|place, _| {
                fs::create_dir_all(place.join(".git/hooks")).unwrap();
                fs::write(place.join(".git/hooks/post-checkout"), "#!/bin/sh\n").unwrap();
            }),
            &[(F::History, ".git/hooks/post-checkout")],
        ),
        (
            "its settings were changed",
            of_bytes(".git/config", |mut bytes| {
                bytes.extend(b"[core]\n\tpager = x\n");
                bytes
            }),
            &[(F::History, ".git/config")],
        ),
        (
            "it was led elsewhere",
            Box::new(|place, _| {
                fs::write(place.join(".git/objects/info/alternates"), "/elsewhere\n").unwrap();
            }),
            &[(F::History, ".git")],
        ),
    ]
}

/// Each attack on a copy of one mirror.
fn each(attacks: Vec<Attack>, everywhere: bool) {
    let (case, old) = mirror();
    let proof = Authorized::local("test", Op::Admin, Target::Store);
    let before = verified(&case);
    assert!(
        before.sound && before.findings.is_empty(),
        "before: {:?}",
        before.findings
    );
    for (what, attack, expected) in attacks {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("mirror");
        let copied = Command::new("cp")
            .arg("-a")
            .arg(case.place())
            .arg(&place)
            .status();
        assert!(copied.unwrap().success());
        attack(&place, &old);
        let report = case.engine.verify_mirror(&proof, Some(&place)).unwrap();
        assert!(!report.sound, "{what}");
        // A file that is not as it should be is not as the newest commit has it either.
        let findings = report
            .findings
            .iter()
            .filter(|found| everywhere || found.kind != MirrorFault::History);
        let mut found: Vec<_> = findings.map(|found| (found.kind, found.path.as_str())).collect();
        found.sort_unstable_by_key(|(_, path)| *path);
        found.dedup();
        let mut expected = expected.to_vec();
        expected.sort_unstable_by_key(|(_, path)| *path);
        assert_eq!(found, expected, "{what}: {:?}", report.findings);
    }
}

#[test]
fn what_is_done_to_a_document_is_found_and_named() {
    each(on_documents(), false);
}

#[test]
fn what_is_done_to_files_is_found_and_named() {
    each(on_files(), false);
}

#[test]
fn what_is_done_to_the_history_is_found_and_named() {
    if has_git() {
        each(on_history(), true);
    }
}

/// Catches: a byte that no rule looks at.
#[test]
fn every_byte_of_every_file_counts() {
    let case = Case::new();
    configure(&case.engine, "docs", r#"{"kind":"documents"}"#);
    case.put_document("docs", "a", &json!({"name": "a"})).unwrap();
    for path in case.mirrored().into_keys() {
        let path = case.place().join(path);
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(&path, changed).unwrap();
            assert!(!verified(&case).sound, "{}: byte {at}", path.display());
        }
        fs::write(&path, bytes).unwrap();
    }
    assert!(verified(&case).sound);
}

#[test]
fn a_shard_that_was_removed_is_found() {
    let mut case = Case::new();
    case.shard_above = 10;
    configure(&case.engine, "docs", r#"{"kind":"documents"}"#);
    for n in 0..40 {
        case.put_document("docs", &format!("k{n}"), &json!({"n": n}))
            .unwrap();
    }
    case.mirrored();
    let report = verified(&case);
    assert!(report.sound, "{:?}", report.findings);
    let shards = fs::read_dir(case.place().join("docs")).unwrap();
    let shard = shards
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_dir())
        .unwrap();
    let count = fs::read_dir(&shard).unwrap().count();
    fs::remove_dir_all(&shard).unwrap();
    let report = verified(&case);
    assert_eq!(report.findings.len(), count);
    assert!(
        report
            .findings
            .iter()
            .all(|found| found.kind == MirrorFault::Missing)
    );
}
