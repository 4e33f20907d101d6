//! Stores that are made of a mirror.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::PublicKey;
use wfldb_core::index::IndexDefinition;

use super::hostile::keys;
use super::support::{Case, Files};
use crate::Which;
use crate::mirror::{MirrorSource, Rebuilt};
use crate::tests::{assert_sound, configure, delete, of_bucket, put_with, read};

/// A store with documents and objects under every kind of key, some of them changed and deleted, and its mirror.
fn mirrored(shard_above: u64) -> (Case, Files) {
    let mut case = Case::new();
    case.shard_above = shard_above;
    configure(
        &case.engine,
        "docs",
        r#"{"kind":"documents","versions":{"keep":3}}"#,
    );
    configure(&case.engine, "files", r#"{"mirror":true}"#);
    configure(&case.engine, "unseen", r#"{"kind":"documents","mirror":false}"#);
    let manage = of_bucket("docs", Op::Manage);
    let index = json!({"index": {"fields": ["n"]}, "name": "by_n", "type": "ordered"});
    case.engine
        .define_index(&manage, IndexDefinition::parse(&index).unwrap())
        .wait()
        .unwrap();
    for (number, key) in keys().into_iter().enumerate() {
        for version in 0..=number % 5 {
            let document =
                json!({"n": number, "version": version, "text": "\u{e9} <&> \u{1F600}", "list": [1.5, null]});
            case.put_document("docs", &key, &document).unwrap();
        }
        let headers = [
            ("content-type", "text/plain"),
            ("x-wfldb-meta-a", "b"),
            ("x-wfldb-tags", "x=1"),
        ];
        put_with(
            &case.engine,
            "files",
            &key,
            format!("{number} bytes").as_bytes(),
            &headers,
        )
        .unwrap();
        if number % 3 == 0 {
            delete(&case.engine, "docs", &key).unwrap();
            delete(&case.engine, "files", &key).unwrap();
        }
    }
    put_with(&case.engine, "files", "large", &vec![7; 3 << 20], &[]).unwrap();
    put_with(&case.engine, "files", "empty", b"", &[]).unwrap();
    case.engine
        .put_schema(&manage, Some(br#"{"required":["n"]}"#))
        .wait()
        .unwrap();
    case.publish();
    let files = case.mirrored();
    assert!(files.contains_key("log/checkpoint"));
    // What is said there of a bucket is not asked.
    let planted = case.place().join("log/.metadata.json");
    fs::copy(case.place().join("docs/.metadata.json"), planted).unwrap();
    (case, files)
}

fn rebuild(from: &Case, to: &Case, trusted: Option<&Arc<[PublicKey]>>) -> Rebuilt {
    let source = MirrorSource::open(&from.place()).unwrap();
    let own: Arc<[PublicKey]> = Arc::from(source.keys());
    let proof = Authorized::local("test", Op::Admin, Target::Store);
    to.engine
        .rebuild_from(&proof, &source, trusted.unwrap_or(&own), true)
        .unwrap()
}

fn below<'a>(files: &'a Files, dir: &'a str) -> impl Iterator<Item = (&'a String, &'a Vec<u8>)> {
    files.iter().filter(move |(path, _)| path.starts_with(dir))
}

fn is_json(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "json")
}

/// What is said of an object, but for what is of the store that it is in.
fn said(bytes: &[u8]) -> Value {
    let mut said: Value = serde_json::from_slice(bytes).unwrap();
    for name in ["version", "modified", "by"] {
        assert!(said.as_object_mut().unwrap().remove(name).is_some(), "{said}");
    }
    said
}

/// DEFECT: a document, a deletion, a header or an index that a store made of a mirror does not have.
#[test]
fn a_store_made_of_a_mirror_has_the_same_mirror() {
    for shard_above in [u64::MAX, 4] {
        let (first, files) = mirrored(shard_above);
        let mut second = Case::new();
        second.shard_above = shard_above;
        let rebuilt = rebuild(&first, &second, None);
        assert_eq!(rebuilt.refused, []);
        assert_eq!((rebuilt.buckets, rebuilt.present), (2, 0));
        let again = second.mirrored();
        second.assert_equal("rebuilt");
        let names = |files: &Files| {
            files
                .keys()
                .filter(|path| path.contains('/') && !path.starts_with("log/"))
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&again), names(&files));
        for (path, bytes) in below(&files, "docs/") {
            assert_eq!(again.get(path), Some(bytes), "{path}");
        }
        for (path, bytes) in below(&files, "files/").filter(|(path, _)| !path.ends_with("MANIFEST.sha256")) {
            if path.contains("/.meta/") {
                assert_eq!(said(&again[path]), said(bytes), "{path}");
            } else {
                assert_eq!(&again[path], bytes, "{path}");
            }
        }
        // Who reads the new mirror verifies with both stores' keys.
        let keys =
            |files: &Files| serde_json::from_slice::<Value>(&files["wfldb.json"]).unwrap()["keys"].clone();
        let (theirs, ours) = (keys(&files), keys(&again));
        assert_eq!((ours.as_array().unwrap().len(), &ours[1]), (2, &theirs[0]));
        assert_sound(&second.engine);
        // Once more there is nothing to do.
        let done = rebuild(&first, &second, None);
        assert_eq!(
            (done.present, done.refused.len()),
            (rebuilt.keys + rebuilt.deleted, 0)
        );
        let mut after = second.mirrored();
        // How far the log is says that the buckets were configured once more.
        after.insert("wfldb.json".to_owned(), again["wfldb.json"].clone());
        let differ = again
            .iter()
            .filter(|(path, bytes)| after.get(*path) != Some(*bytes));
        assert_eq!((differ.count(), after.len()), (0, again.len()));
    }
}

/// DEFECT: a second run deletes what was written since the first, where the mirror has something deleted.
#[test]
fn what_is_newer_in_the_store_outlives_another_run() {
    let (first, files) = mirrored(u64::MAX);
    let second = Case::new();
    rebuild(&first, &second, None);
    let gone = below(&files, "files/.deleted/.meta/").next().unwrap();
    let gone: Value = serde_json::from_slice(gone.1).unwrap();
    let key = gone["key"].as_str().unwrap();
    put_with(&second.engine, "files", key, b"newer", &[]).unwrap();
    second.put_document("docs", key, &json!({"n": 1})).unwrap();
    rebuild(&first, &second, None);
    assert_eq!(
        read(&second.engine, "files", key, Which::Newest).unwrap(),
        b"newer"
    );
    assert!(read(&second.engine, "docs", key, Which::Newest).is_ok());
}

/// DEFECT: a file that somebody changed, or made, becomes a document of the store.
#[test]
fn what_is_not_as_it_was_signed_is_named_and_left_out() {
    let (first, files) = mirrored(u64::MAX);
    let path = |name: &str| first.place().join("docs").join(name);
    let documents: Vec<&String> = below(&files, "docs/")
        .map(|(path, _)| path)
        .filter(|path| is_json(path) && path.matches('/').count() == 1 && !path.contains("/."))
        .collect();
    let [edited, stripped, moved, linked, cut] = documents[..5] else {
        panic!("{documents:?}")
    };
    let at = |path: &str| first.place().join(path);
    let text = |path: &str| String::from_utf8(files[path].clone()).unwrap();
    fs::write(at(edited), text(edited).replace("1.5", "1.6")).unwrap();
    let signature = text(stripped)
        .lines()
        .find(|line| line.contains("\"_sig\""))
        .unwrap()
        .to_owned();
    let without = text(stripped).replace(&signature, "  \"_sig\": \"\"");
    fs::write(at(stripped), without).unwrap();
    fs::write(path("new.json"), text(moved)).unwrap();
    fs::remove_file(at(linked)).unwrap();
    symlink(at(moved), at(linked)).unwrap();
    fs::write(at(cut), &files[cut][..20]).unwrap();
    fs::write(path("made.json"), r#"{"n":1}"#).unwrap();
    fs::write(first.place().join("files/stranger"), "x").unwrap();
    fs::write(first.place().join("files/empty"), "no longer").unwrap();

    let second = Case::new();
    let rebuilt = rebuild(&first, &second, None);
    let mut refused: Vec<&str> = rebuilt.refused.iter().map(|(path, _)| path.as_str()).collect();
    refused.sort_unstable();
    let mut expected = vec![
        edited,
        stripped,
        linked,
        cut,
        "docs/new.json",
        "docs/made.json",
        "files/stranger",
        "files/empty",
    ];
    expected.sort_unstable();
    assert_eq!(refused, expected, "{:#?}", rebuilt.refused);
    let again = second.mirrored();
    assert!(refused.iter().all(|path| !again.contains_key(*path)));
    assert_eq!(again[moved], files[moved]);
    assert_sound(&second.engine);

    // Whose signatures count is not for the directory to say.
    let third = Case::new();
    let nobody: Arc<[PublicKey]> = Arc::from([]);
    let rebuilt = rebuild(&first, &third, Some(&nobody));
    let of_docs =
        |path: &String| path.starts_with("docs/") && is_json(path) && !path.ends_with(".metadata.json");
    assert!(rebuilt.refused.len() >= files.keys().filter(|path| of_docs(path)).count());
    assert!(!third.mirrored().keys().any(of_docs));
}
