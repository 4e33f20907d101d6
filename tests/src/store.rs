//! A store's directory from outside, and its own verdict on itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Request, Server};

/// All files below `dir`, with their lengths.
#[must_use]
pub fn files(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(dir) else {
        return found;
    };
    // A file may go while it is looked at.
    for entry in entries.filter_map(Result::ok) {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => found.extend(files(&entry.path())),
            Ok(metadata) => {
                found.insert(entry.path(), metadata.len());
            }
            Err(_) => {}
        }
    }
    found
}

/// The chunk files of a store, half-written ones included.
#[must_use]
pub fn chunk_files(data: &Path) -> BTreeMap<PathBuf, u64> {
    files(&data.join("chunks"))
}

/// Copies a directory with all that is in it.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// Has the server check everything that it stores against everything else.
pub fn is_verified_sound(server: &Server) {
    let ask = Request::signed(
        &server.profile(),
        "POST",
        "/v1/_admin",
        &[],
        br#"{"do":"verify"}"#,
    );
    let answer = ask.send(&server.listen);
    assert_eq!(answer.status, 200, "{answer:?}");
    let verdict = answer.json();
    let sound = verdict.get("sound").and_then(serde_json::Value::as_bool);
    assert_eq!(sound, Some(true), "{verdict:#}");
}
