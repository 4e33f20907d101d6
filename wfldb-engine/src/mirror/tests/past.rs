//! Stores that are made of a mirror with its history in git.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::json;
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::{PublicKey, SecretKey};

use super::kept::{git, has_git, mirrored};
use super::support::Case;
use crate::mirror::{MirrorSource, Rebuilt};
use crate::tests::{assert_sound, configure, delete, object, put_with, read};
use crate::{Engine, EngineError, Which};

const BUCKETS: [&str; 2] = ["docs", "files"];

/// What a key was, from the oldest: the bytes, or that it was deleted.
type Versions = Vec<Option<Vec<u8>>>;

/// A store and its mirror, and what each key was at each commit.
struct Told {
    case: Case,
    expected: BTreeMap<(String, String), Versions>,
    /// Copies of the mirror, of each commit one.
    copies: tempfile::TempDir,
    commits: usize,
}

fn versions(engine: &Engine, bucket: &str, key: &str) -> Versions {
    let proof = object(bucket, key, Op::Get);
    let rows = engine.versions(&proof, None, 1000).unwrap().items;
    let mut all: Versions = rows
        .into_iter()
        .map(|row| {
            let which = Which::Version(row.version);
            (!row.deleted).then(|| bytes(engine, bucket, key, which).unwrap())
        })
        .collect();
    all.reverse();
    all
}

fn bytes(engine: &Engine, bucket: &str, key: &str, which: Which) -> Result<Vec<u8>, EngineError> {
    if bucket == "docs" {
        let document = engine.document(&object(bucket, key, Op::Get), which)?;
        Ok(document.json.to_vec())
    } else {
        read(engine, bucket, key, which)
    }
}

impl Told {
    fn new() -> Self {
        let case = Case::new();
        configure(&case.engine, "docs", r#"{"kind":"documents"}"#);
        configure(&case.engine, "files", r#"{"mirror":true}"#);
        Self {
            case,
            expected: BTreeMap::new(),
            copies: tempfile::tempdir().unwrap(),
            commits: 0,
        }
    }

    fn put(&self, bucket: &str, key: &str, n: u32) {
        if bucket == "docs" {
            let document = json!({"n": n, "text": "\u{e9} <&>"});
            self.case.put_document(bucket, key, &document).unwrap();
        } else {
            let tag = format!("n={n}");
            let headers = [("content-type", "text/plain"), ("x-wfldb-tags", tag.as_str())];
            put_with(&self.case.engine, bucket, key, n.to_string().as_bytes(), &headers).unwrap();
        }
    }

    fn delete(&self, bucket: &str, key: &str) {
        delete(&self.case.engine, bucket, key).unwrap();
    }

    fn restore(&self, bucket: &str, key: &str) {
        let proof = object(bucket, key, Op::Put);
        self.case
            .engine
            .settled(|engine| engine.undelete(&proof))
            .unwrap();
    }

    fn erase(&mut self, bucket: &str, key: &str) {
        let rows = self
            .case
            .engine
            .versions(&object(bucket, key, Op::Get), None, 1000);
        for row in rows.unwrap().items {
            let proof = object(bucket, key, Op::Erase);
            self.case
                .engine
                .erase(&proof, row.version, wfldb_core::object::Preconditions::default())
                .wait()
                .unwrap();
        }
        self.expected.remove(&(bucket.to_owned(), key.to_owned()));
    }

    /// Comes to a commit, and keeps in mind what the keys are.
    fn commit(&mut self, keys: &[&str]) {
        mirrored(&self.case, true);
        for (bucket, key) in BUCKETS
            .iter()
            .flat_map(|bucket| keys.iter().map(move |key| (bucket, key)))
        {
            let proof = object(bucket, key, Op::Get);
            let Ok(rows) = self.case.engine.versions(&proof, None, 2) else {
                continue;
            };
            let of = |at: usize| {
                let row = rows.items.get(at).filter(|row| !row.deleted)?;
                bytes(&self.case.engine, bucket, key, Which::Version(row.version)).ok()
            };
            let known = self
                .expected
                .entry(((*bucket).to_owned(), (*key).to_owned()))
                .or_default();
            let (newest, below) = (of(0), of(1));
            let deleted = newest.is_none();
            let shown = newest.or(below);
            if known.last() != Some(&shown) && !(deleted && known.last() == Some(&None)) {
                known.push(shown);
            }
            if deleted && known.last() != Some(&None) {
                known.push(None);
            }
        }
        self.commits += 1;
        let to = self.copies.path().join(self.commits.to_string());
        assert!(
            Command::new("cp")
                .arg("-a")
                .args([&self.case.place(), &to])
                .status()
                .unwrap()
                .success()
        );
    }

    /// A history with versions of every kind.
    fn of_all_kinds() -> Self {
        let mut told = Self::new();
        let keys = ["plain", "Gone/x", "back", "again", "twice", "late"];
        for bucket in BUCKETS {
            for key in &keys[..5] {
                told.put(bucket, key, 1);
            }
        }
        told.commit(&keys);
        for bucket in BUCKETS {
            told.put(bucket, "plain", 2);
            told.delete(bucket, "Gone/x");
            told.delete(bucket, "back");
            told.put(bucket, "twice", 2);
            told.put(bucket, "twice", 3);
        }
        told.commit(&keys);
        for bucket in BUCKETS {
            told.put(bucket, "plain", 3);
            told.restore(bucket, "back");
            told.erase(bucket, "again");
            told.put(bucket, "late", 1);
            told.delete(bucket, "late");
        }
        told.commit(&keys);
        for bucket in BUCKETS {
            told.put(bucket, "again", 5);
            told.put(bucket, "Gone/x", 6);
        }
        told.commit(&keys);
        // Behind the last commit: in the files only.
        told.put("docs", "plain", 9);
        told.case.mirrored();
        let newest = bytes(&told.case.engine, "docs", "plain", Which::Newest).unwrap();
        let known = told.expected.get_mut(&("docs".to_owned(), "plain".to_owned()));
        known.unwrap().push(Some(newest));
        told
    }

    fn keys(&self) -> Arc<[PublicKey]> {
        Arc::from(MirrorSource::open(&self.case.place()).unwrap().keys())
    }

    fn rebuild(&self, from: &Path, to: &Case, history: bool) -> Rebuilt {
        rebuild(from, to, &self.keys(), history)
    }

    fn assert_same(&self, engine: &Engine) {
        for ((bucket, key), expected) in &self.expected {
            let text = |versions: &Versions| {
                let one = |version: &Option<Vec<u8>>| {
                    version
                        .as_ref()
                        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
                };
                versions.iter().map(one).collect::<Vec<_>>()
            };
            let found = versions(engine, bucket, key);
            assert_eq!(text(&found), text(expected), "{bucket}/{key}");
        }
        assert_sound(engine);
        for ((_, key), _) in self.expected.iter().filter(|((bucket, _), _)| bucket == "docs") {
            let history = engine
                .history(&object("docs", key, Op::Get), None, 100, true)
                .unwrap();
            assert!(
                history
                    .items
                    .iter()
                    .all(|item| item.verified != Some(Ok(())) || item.json.is_some())
            );
            assert!(
                !history
                    .items
                    .iter()
                    .any(|item| matches!(item.verified, Some(Err(_)))),
                "{key}"
            );
        }
    }
}

fn rebuild(from: &Path, to: &Case, trusted: &Arc<[PublicKey]>, history: bool) -> Rebuilt {
    let source = MirrorSource::open(from).unwrap();
    let proof = Authorized::local("test", Op::Admin, Target::Store);
    to.engine.rebuild_from(&proof, &source, trusted, history).unwrap()
}

/// DEFECT: a version, a deletion or a restored one that the history has and the new store does not, or in another order;
/// one that was erased and is back; a second or interrupted run that ends in another way.
#[test]
fn the_versions_that_git_has_are_in_the_store_once() {
    if !has_git() {
        return;
    }
    let told = Told::of_all_kinds();
    let place = told.case.place();
    let store = Case::new();
    let rebuilt = told.rebuild(&place, &store, true);
    assert_eq!(rebuilt.refused, []);
    let commits = git(&told.case, &["rev-list", "--count", "main"]);
    assert_eq!(
        (rebuilt.commits.to_string(), rebuilt.present, rebuilt.too_large),
        (commits, 0, 0)
    );
    told.assert_same(&store.engine);
    // Headers are those of each version.
    let proof = object("files", "plain", Op::Get);
    let rows = store.engine.versions(&proof, None, 10).unwrap().items;
    let tags: Vec<_> = rows.iter().map(|row| row.headers.tags.to_string()).collect();
    assert_eq!(tags, ["n=3", "n=2", "n=1"]);
    let again = told.rebuild(&place, &store, true);
    assert_eq!(again.present, rebuilt.keys + rebuilt.deleted);
    assert_eq!((again.versions, again.refused.len()), (0, 0));
    told.assert_same(&store.engine);
    // Files only: nothing that is there goes.
    told.rebuild(&place, &store, false);
    told.assert_same(&store.engine);

    // From the state of each commit to the next, as if each run had ended there.
    let store = Case::new();
    for commit in 1..=told.commits {
        let from = told.copies.path().join(commit.to_string());
        assert_eq!(told.rebuild(&from, &store, true).refused, [], "{commit}");
        // What is erased there stays here.
        for bucket in BUCKETS.iter().filter(|_| commit == 3) {
            let rows = store.engine.versions(&object(bucket, "again", Op::Get), None, 10);
            for row in rows.unwrap().items {
                let proof = object(bucket, "again", Op::Erase);
                let erased =
                    store
                        .engine
                        .erase(&proof, row.version, wfldb_core::object::Preconditions::default());
                erased.wait().unwrap();
            }
        }
    }
    told.rebuild(&place, &store, true);
    told.assert_same(&store.engine);

    let store = Case::new();
    let rebuilt = told.rebuild(&place, &store, false);
    assert_eq!((rebuilt.commits, rebuilt.versions), (0, 0));
    assert_eq!(versions(&store.engine, "docs", "plain").len(), 1);
}

/// DEFECT: settings that were made later keep older versions, and with them the newest, out.
#[test]
fn a_bucket_is_configured_behind_its_versions() {
    if !has_git() {
        return;
    }
    let mut told = Told::new();
    for n in 1..=4 {
        told.put("docs", "a", n);
        told.put("files", "a", n);
        told.commit(&["a"]);
    }
    configure(
        &told.case.engine,
        "docs",
        r#"{"kind":"documents","append_only":true}"#,
    );
    configure(
        &told.case.engine,
        "files",
        r#"{"mirror":true,"quota_bytes":1,"versions":{"keep":2}}"#,
    );
    told.commit(&["a"]);
    for expected in told
        .expected
        .iter_mut()
        .filter(|((bucket, _), _)| bucket == "files")
    {
        expected.1.drain(..2);
    }
    let store = Case::new();
    for _ in 0..2 {
        let rebuilt = told.rebuild(&told.case.place(), &store, true);
        assert_eq!(rebuilt.refused, []);
        told.assert_same(&store.engine);
        assert!(store.put_document("docs", "a", &json!({})).is_err());
    }
}

/// DEFECT: a history that somebody made, or changed, comes into the store, or keeps the files out of it.
#[test]
fn a_history_that_is_not_as_it_was_signed_is_named_and_left_out() {
    if !has_git() {
        return;
    }
    let told = Told::of_all_kinds();
    let place = told.case.place();
    // Nobody whom we trust signed it; the documents neither.
    let stranger: Arc<[PublicKey]> = Arc::from([SecretKey::from_seed([9; 32]).public_key()]);
    let store = Case::new();
    let rebuilt = rebuild(&place, &store, &stranger, true);
    let head = git(&told.case, &["rev-parse", "main"]);
    let (path, why) = &rebuilt.refused[0];
    assert!(path == ".git" && why.contains(&head), "{why}");
    assert_eq!((rebuilt.commits, rebuilt.versions), (0, 0));
    assert_eq!(versions(&store.engine, "files", "plain"), [Some(b"3".to_vec())]);

    // A commit of another on top: everything below it is out, and the files are in.
    let tree = git(&told.case, &["rev-parse", "main^{tree}"]);
    let theirs = git(
        &told.case,
        &[
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@x",
            "commit-tree",
            "-p",
            "main",
            "-m",
            "x",
            &tree,
        ],
    );
    git(&told.case, &["update-ref", "refs/heads/main", &theirs]);
    let store = Case::new();
    let rebuilt = told.rebuild(&place, &store, true);
    assert!(rebuilt.refused[0].1.contains(&theirs), "{:?}", rebuilt.refused);
    assert_eq!((rebuilt.refused.len(), rebuilt.commits), (1, 0));
    let newest = bytes(&told.case.engine, "docs", "plain", Which::Newest).unwrap();
    assert_eq!(versions(&store.engine, "docs", "plain"), [Some(newest)]);
    git(&told.case, &["update-ref", "refs/heads/main", &head]);

    // A blob that is not what its name says: as loose objects, of which git takes the loose one before the packed one.
    let all = git(
        &told.case,
        &["log", "--reverse", "--format=%H", "main", "--", "docs/plain.json"],
    );
    let first = all.lines().next().unwrap();
    let blob = |path: &str| git(&told.case, &["rev-parse", &format!("{first}:{path}")]);
    for (path, edited) in [
        ("docs/plain.json", "{\"_id\":\"plain\",\"n\":1}"),
        ("files/plain", "7"),
    ] {
        loose(&told, &blob(path), edited.as_bytes());
    }
    let store = Case::new();
    let rebuilt = told.rebuild(&place, &store, true);
    let named = |path: &str| rebuilt.refused.iter().any(|(found, _)| found == path);
    assert!(
        named(&format!("docs/plain.json in commit {first}")),
        "{:?}",
        rebuilt.refused
    );
    assert!(named(".git"), "{:?}", rebuilt.refused);
    let expected = &told.expected[&("docs".to_owned(), "plain".to_owned())][1..];
    assert_eq!(versions(&store.engine, "docs", "plain"), expected);
    // Nothing vouches for an object but the history, which is not whole.
    assert_eq!(versions(&store.engine, "files", "plain"), [Some(b"3".to_vec())]);
    assert_sound(&store.engine);

    // One that git cannot read at all.
    let path = loose(&told, &blob("docs/plain.json"), b"");
    fs::write(path, "garbage").unwrap();
    let store = Case::new();
    let rebuilt = told.rebuild(&place, &store, true);
    let named = |path: &str| rebuilt.refused.iter().any(|(found, _)| found == path);
    assert!(
        named(&format!("docs/plain.json in commit {first}")),
        "{:?}",
        rebuilt.refused
    );
    assert_eq!(versions(&store.engine, "docs", "plain"), expected);
}

/// Puts an object under the name of another.
fn loose(told: &Told, id: &str, content: &[u8]) -> std::path::PathBuf {
    let scratch = told.copies.path().join("scratch");
    let run = |arguments: &[&str]| {
        let output = Command::new("git")
            .current_dir(&scratch)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    fs::create_dir_all(&scratch).unwrap();
    run(&["init", "-q"]);
    fs::write(scratch.join("content"), content).unwrap();
    let made = run(&["hash-object", "-w", "content"]);
    let place = |dir: &Path, id: &str| {
        let (first, rest) = id.split_at(2);
        dir.join(".git/objects").join(first).join(rest)
    };
    let to = place(&told.case.place(), id);
    // What is packed is found first.
    unpack(told);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let _ = fs::remove_file(&to);
    fs::copy(place(&scratch, &made), &to).unwrap();
    let mut permissions = fs::metadata(&to).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    fs::set_permissions(&to, permissions).unwrap();
    to
}

fn unpack(told: &Told) {
    let packs = told.case.place().join(".git/objects/pack");
    let files: Vec<_> = fs::read_dir(&packs)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    for pack in files
        .iter()
        .filter(|path| path.extension().is_some_and(|it| it == "pack"))
    {
        let aside = told.copies.path().join(pack.file_name().unwrap());
        fs::rename(pack, &aside).unwrap();
        fs::remove_file(pack.with_extension("idx")).unwrap();
        let unpacked = Command::new("git")
            .arg("-C")
            .arg(told.case.place())
            .args(["unpack-objects", "-q"])
            .stdin(fs::File::open(&aside).unwrap())
            .status();
        assert!(unpacked.unwrap().success());
    }
}
