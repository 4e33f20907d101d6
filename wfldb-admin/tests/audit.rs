//! `wfldb-admin audit` on copies in directories, sound and tampered with, as a stranger runs it.
#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]
#![expect(clippy::indexing_slicing, reason = "test helpers fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use wfldb_admin::LogCopy;
use wfldb_core::audit::{
    BundleId, Commitment, Entry, EntryActor, EntryOp, GrowingTree, Label, LogName, NoteSigner, Outcome,
    Receipt, Resource, SignedCheckpoint, TiledTree, TlogProof, encode_bundle, leaf_hash, parse_bundle,
};
use wfldb_core::id::{BucketId, LeafIndex, SecretKey};
use wfldb_core::name::Realm;
use wfldb_core::time::UnixMillis;

const SALT: [u8; 32] = [9; 32];

/// What is done to a copy.
type Tamper<'a> = Box<dyn Fn(&Log) + 'a>;

fn signer(seed: u8) -> NoteSigner {
    let name = LogName::of_store(&Realm::parse("local").unwrap(), &[0xab; 16]);
    NoteSigner::new(name, SecretKey::from_seed([seed; 32]))
}

fn entry(leaf: u64, op: EntryOp) -> Vec<u8> {
    let entry = Entry {
        leaf: LeafIndex::new(leaf),
        at: UnixMillis::new(1_767_323_045_006 + leaf),
        actor: Some(EntryActor::parse("system:expire").unwrap()),
        op,
        outcome: Outcome::Ok,
        bucket: Some(Commitment::new(&SALT, Label::Bucket, &[1; 16])),
        key: Some(Commitment::new(&SALT, Label::Key, b"a")),
        content: None,
        evidence: None,
    };
    entry.to_bytes()
}

/// A log as its server would publish it, in a directory.
struct Log {
    dir: TempDir,
    tree: GrowingTree,
    entries: Vec<Vec<u8>>,
}

impl Log {
    fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            tree: GrowingTree::new(),
            entries: Vec::new(),
        }
    }

    fn of(size: u64) -> Self {
        let mut log = Self::new();
        log.append((0..size).map(|leaf| entry(leaf, EntryOp::EXPIRE)));
        log.publish(7);
        log
    }

    fn append(&mut self, entries: impl IntoIterator<Item = Vec<u8>>) {
        for entry in entries {
            for tile in self.tree.push(leaf_hash(&entry)) {
                let resource = Resource::Tile(tile.id());
                self.copy().write(resource, &tile.to_bytes()).unwrap();
            }
            self.entries.push(entry);
        }
    }

    fn publish(&self, seed: u8) {
        for tile in self.tree.partial_tiles() {
            let resource = Resource::Tile(tile.id());
            self.copy().write(resource, &tile.to_bytes()).unwrap();
        }
        for (id, entries) in BundleId::all_in_tree(self.tree.size()).zip(self.entries.chunks(256)) {
            let bytes = encode_bundle(entries).unwrap();
            self.copy().write(Resource::Entries(id), &bytes).unwrap();
        }
        let checkpoint = self.checkpoint(seed);
        self.copy()
            .write(Resource::Checkpoint, checkpoint.text().as_bytes())
            .unwrap();
    }

    fn checkpoint(&self, seed: u8) -> SignedCheckpoint {
        SignedCheckpoint::sign(self.tree.size(), self.tree.root(), &signer(seed)).unwrap()
    }

    fn copy(&self) -> LogCopy {
        LogCopy::new(self.dir.path())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn receipt(&self, leaf: u64) -> Receipt {
        let copy = self.copy();
        let mut source = &copy;
        let hashes = TiledTree::new(self.tree.size(), &mut source)
            .inclusion_proof(LeafIndex::new(leaf))
            .unwrap();
        Receipt {
            entry: self.entries[usize::try_from(leaf).unwrap()].clone(),
            salt: SALT,
            bucket: Some(BucketId::from_bytes([1; 16])),
            key: Some("a".to_owned()),
            content: None,
            document: false,
            evidence: None,
            proof: TlogProof::new(LeafIndex::new(leaf), hashes, &self.checkpoint(7)),
        }
    }
}

fn admin(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wfldb-admin"))
        .args(arguments)
        .env_remove("WFLDB_PROFILE")
        .output()
        .unwrap()
}

fn verify(log: &Log, more: &[&str]) -> (i32, String) {
    let key = signer(7).verifier_key().to_string();
    let dir = log.dir.path().to_str().unwrap();
    let output = admin(&[&["audit", "verify", dir, "--key", &key], more].concat());
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn store(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_sound_copy_is_sound_and_a_stranger_can_tell_from_a_key_a_receipt_and_the_copy() {
    let outside = TempDir::new().unwrap();
    let mut log = Log::of(300);
    let old = store(outside.path(), "old", log.checkpoint(7).text());
    let receipt = log.receipt(17).to_json().unwrap();
    let receipt = store(outside.path(), "receipt.json", &format!("{receipt}\n"));
    log.append((300..1000).map(|leaf| entry(leaf, EntryOp::EXPIRE)));
    log.publish(7);

    let (code, text) = verify(&log, &["--old", &old, "--receipt", &receipt]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.starts_with("sound: 1000 leaves of wfldb/local/abab"),
        "{text}"
    );
    assert!(text.contains("goes on from 2 older checkpoints"), "{text}");

    let key = store(
        outside.path(),
        "log.vkey",
        &format!("{}\n", signer(7).verifier_key()),
    );
    let output = admin(&["--json", "audit", "receipt", "verify", &receipt, "--key", &key]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let facts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&facts["leaf"], &facts["op"]), (&17.into(), &"expire".into()));

    let output = admin(&[
        "audit",
        "receipt",
        "verify",
        &receipt,
        "--key",
        &signer(8).verifier_key().to_string(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let changed = fs::read_to_string(&receipt)
        .unwrap()
        .replace("\"key\":\"a\"", "\"key\":\"b\"");
    let changed = store(outside.path(), "changed.json", &changed);
    let output = admin(&["audit", "receipt", "verify", &changed, "--key", &key]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), said.contains("does not commit to this key")),
        (Some(1), true),
        "{said}"
    );
    let (code, text) = verify(&log, &["--receipt", &changed]);
    assert_eq!(code, 1, "{text}");
}

/// Each way to falsify a copy, and what is said about it.
#[test]
fn what_was_done_to_a_copy_is_named() {
    let tampered = |tamper: &dyn Fn(&Log)| {
        let log = Log::of(600);
        tamper(&log);
        verify(&log, &[])
    };
    let rebundle = |log: &Log, change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let id = BundleId::full(1);
        let bytes = log.copy().read(Resource::Entries(id)).unwrap().unwrap();
        let mut entries: Vec<Vec<u8>> = parse_bundle(id, &bytes)
            .unwrap()
            .into_iter()
            .map(<[u8]>::to_vec)
            .collect();
        change(&mut entries);
        fs::write(log.path("tile/entries/001"), encode_bundle(&entries).unwrap()).unwrap();
    };
    let cases: [(&str, Tamper<'_>); 8] = [
        (
            "leaf 260 does not have the hash that its tile has",
            Box::new(|log: &Log| {
                rebundle(log, &|entries| entries[4] = entry(260, EntryOp::ERASE));
            }),
        ),
        (
            "leaf 260 says that it is leaf 261",
            Box::new(|log: &Log| {
                rebundle(log, &|entries| entries.swap(4, 5));
            }),
        ),
        (
            "tile/entries/001 cannot be read",
            Box::new(|log: &Log| {
                rebundle(log, &|entries| drop(entries.remove(4)));
            }),
        ),
        (
            "tile/entries/002.p/88 is missing",
            Box::new(|log: &Log| {
                fs::remove_file(log.path("tile/entries/002.p/88")).unwrap();
            }),
        ),
        (
            "tile/0/001 is missing",
            Box::new(|log: &Log| {
                fs::remove_file(log.path("tile/0/001")).unwrap();
            }),
        ),
        (
            "tile/1/000.p/2 differs from what is below it, from hash 1 on",
            Box::new(|log: &Log| {
                let mut bytes = fs::read(log.path("tile/1/000.p/2")).unwrap();
                bytes[63] ^= 1;
                fs::write(log.path("tile/1/000.p/2"), bytes).unwrap();
            }),
        ),
        ("not signed by the key", Box::new(|log: &Log| log.publish(8))),
        (
            "is larger than any part of a log",
            Box::new(|log: &Log| {
                fs::write(log.path("checkpoint"), vec![b'x'; 2_000_000]).unwrap();
            }),
        ),
    ];
    for (said, tamper) in cases {
        let (code, text) = tampered(&*tamper);
        assert_eq!((code, text.contains(said)), (1, true), "{said}: {text}");
    }
}

/// The server itself forged the past and signed it.
#[test]
fn a_rewritten_log_is_found_with_an_older_checkpoint() {
    let outside = TempDir::new().unwrap();
    let honest = Log::of(300);
    let old = store(outside.path(), "old", honest.checkpoint(7).text());
    let mut rewritten = Log::new();
    rewritten.append((0..600).map(|leaf| {
        let op = if leaf == 17 {
            EntryOp::ERASE
        } else {
            EntryOp::EXPIRE
        };
        entry(leaf, op)
    }));
    rewritten.publish(7);
    assert_eq!(verify(&rewritten, &[]).0, 0, "by itself it is sound");
    let (code, text) = verify(&rewritten, &["--old", &old]);
    assert_eq!(code, 1);
    assert!(
        text.contains("the first 300 leaves are not those of the old checkpoint"),
        "{text}"
    );

    let (code, text) = verify(&Log::of(299), &["--old", &old]);
    assert_eq!(code, 1);
    assert!(
        text.contains("shorter than the old checkpoint, of 300 leaves"),
        "{text}"
    );
}

#[test]
fn growth_is_checked_by_proofs_and_what_was_outgrown_goes() {
    let mut log = Log::of(300);
    let old = log.checkpoint(7);
    log.append((300..600).map(|leaf| entry(leaf, EntryOp::EXPIRE)));
    log.publish(7);
    let copy = log.copy();
    let new = log.checkpoint(7);
    copy.check_growth(&new, Some(&old)).unwrap();
    let forged = SignedCheckpoint::sign(300, leaf_hash(b"another"), &signer(7)).unwrap();
    assert!(copy.check_growth(&new, Some(&forged)).is_err());
    assert!(copy.check_growth(&forged, None).is_err());

    assert!(log.path("tile/0/001.p/44").exists() && log.path("tile/entries/001.p/44").exists());
    for resource in Resource::all_in_tree(new.size()) {
        copy.remove_outgrown(resource).unwrap();
    }
    assert!(!log.path("tile/0/001.p").exists() && !log.path("tile/1/000.p/1").exists());
    assert!(log.path("tile/1/000.p/2").exists() && log.path("tile/0/002.p/88").exists());
    assert_eq!(verify(&log, &[]).0, 0);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for arguments in [
        &["audit", "verify", "/nowhere"][..],
        &["audit", "verify", "/nowhere", "--key", "a+b+c"],
        &["audit", "prove", "bucket", "--key", "/nowhere"],
        &["audit"],
    ] {
        assert_eq!(admin(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let key = signer(7).verifier_key().to_string();
    assert_eq!(
        admin(&["audit", "verify", "/nowhere", "--key", &key])
            .status
            .code(),
        Some(1)
    );
}

/// The copy, by a verifier that knows nothing of wflDB.
#[test]
fn a_verifier_from_outside_agrees() {
    let python = std::env::var("WFLDB_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_verifier = Command::new(&python).args(["-c", "import aics_tlog"]).output();
    if !has_verifier.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED a_verifier_from_outside_agrees: {python} has no aics_tlog (WFLDB_TEST_PYTHON)");
        return;
    }
    let mut log = Log::of(300);
    let old = log.checkpoint(7);
    log.append((300..1000).map(|leaf| entry(leaf, EntryOp::EXPIRE)));
    log.publish(7);
    let check = |log: &Log| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/outside/check_copy.py");
        let (key, size, root) = (
            signer(7).verifier_key().to_string(),
            old.size().to_string(),
            old.root().to_string(),
        );
        let dir = log.dir.path().to_str().unwrap();
        Command::new(&python)
            .args([script, dir, &key, &size, &root])
            .output()
            .unwrap()
    };
    let output = check(&log);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "sound 5 tiles 4 bundles\n"
    );

    let mut bytes = fs::read(log.path("tile/entries/002")).unwrap();
    bytes[100] ^= 1;
    fs::write(log.path("tile/entries/002"), bytes).unwrap();
    assert!(!check(&log).status.success(), "it can refuse");
}
