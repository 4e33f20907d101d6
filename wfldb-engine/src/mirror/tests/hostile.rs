//! Keys that are made to leave the directory, or to meet another key in it.

use std::process::Command;

use serde_json::json;
use wfldb_core::name::ObjectKey;

use super::support::{Case, found};
use crate::tests::{configure, delete, put};

pub(super) fn keys() -> Vec<String> {
    let plain = [
        "..",
        ".",
        "../x",
        "../../etc/passwd",
        "a",
        "a/b",
        "a/b/",
        "a//b",
        "A",
        "CON",
        "con",
        "nul.txt",
        "COM1",
        "e\u{301}",
        "\u{e9}",
        "ends.",
        "ends ",
        " begins",
        ".git/config",
        ".git",
        ".metadata.json",
        "MANIFEST.sha256",
        "wfldb.json",
        ".deleted/a",
        ".deleted",
        ".meta/a.json",
        "a.json",
        "3f",
        "3F",
        "-rf",
        "--help",
        "a\\b",
        "a:b",
        "a\"b",
        "%2e%2e",
        "~",
        "$(x)",
        "name+1",
        "Name",
        "\u{202e}x",
    ];
    let mut keys: Vec<String> = plain.into_iter().map(str::to_owned).collect();
    keys.push("l".repeat(1024));
    keys.push(format!("{}X", "l".repeat(1023)));
    keys.push("/".repeat(512));
    // What the store takes for a key.
    keys.retain(|key| ObjectKey::parse(key).is_ok());
    assert!(keys.len() > 35, "{}: too many are refused", keys.len());
    keys
}

/// DEFECT: a key that leaves the directory, that is another's file, or that stands on the mirror's own files.
#[test]
fn hostile_keys_are_files_of_their_own() {
    let case = Case::new();
    configure(&case.engine, "docs", r#"{"kind":"documents"}"#);
    configure(&case.engine, "files", r#"{"mirror":true}"#);
    let mut stored = 0;
    for key in keys() {
        case.put_document("docs", &key, &json!({"key": key})).unwrap();
        put(&case.engine, "files", &key, key.as_bytes()).unwrap();
        stored += 1;
    }
    let files = case.mirrored();
    case.assert_equal("hostile keys");
    // Each has its own file, in lower case too.
    let of = |dir: &str| {
        let names = files
            .keys()
            .filter(|path| path.starts_with(dir) && !path.contains("/."));
        let names = names.filter(|path| !path.ends_with("MANIFEST.sha256"));
        names
            .map(|path| path.to_lowercase())
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!((of("docs/").len(), of("files/").len()), (stored, stored));
    for key in keys() {
        delete(&case.engine, "docs", &key).unwrap();
        delete(&case.engine, "files", &key).unwrap();
    }
    let files = case.mirrored();
    case.assert_equal("deleted");
    let deleted = files.keys().filter(|path| path.starts_with("docs/.deleted/"));
    assert_eq!(deleted.count(), stored);
    // Nothing is beside the mirror but the store.
    let mut beside: Vec<_> = std::fs::read_dir(case.place().join(".."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    beside.sort();
    assert_eq!(beside, ["data", "mirror"]);
}

/// DEFECT: a manifest that only our own code understands.
#[test]
fn sha256sum_checks_a_manifest_and_names_what_was_changed() {
    let case = Case::new();
    configure(&case.engine, "docs", r#"{"kind":"documents"}"#);
    configure(&case.engine, "files", r#"{"mirror":true}"#);
    for key in keys() {
        case.put_document("docs", &key, &json!({"key": key})).unwrap();
        put(&case.engine, "files", &key, key.as_bytes()).unwrap();
    }
    delete(&case.engine, "docs", "a").unwrap();
    case.mirrored();
    let check = |dir: &str| {
        let dir = case.place().join(dir);
        Command::new("sha256sum")
            .args(["--strict", "-c", "MANIFEST.sha256"])
            .current_dir(dir)
            .output()
            .unwrap()
    };
    for dir in ["docs", "files"] {
        let output = check(dir);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let lines = String::from_utf8(output.stdout).unwrap().lines().count();
        let manifest = format!("{dir}/MANIFEST.sha256");
        let files = found(&case.place());
        let files = files
            .keys()
            .filter(|path| path.starts_with(&format!("{dir}/")) && **path != manifest);
        assert_eq!(lines, files.count(), "every file is named");
    }
    let path = case.place().join("docs/a%2fb.json");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.push(b' ');
    std::fs::write(&path, bytes).unwrap();
    let output = check("docs");
    assert!(!output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let failed: Vec<&str> = text.lines().filter(|line| line.ends_with("FAILED")).collect();
    assert_eq!(failed, ["a%2fb.json: FAILED"]);
}
