//! What somebody put into the directory: links, files and directories in the way. Nothing is followed, everything is put
//! right where the mirror writes.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::json;

use super::support::{Case, found};
use crate::mirror::MirrorError;
use crate::tests::{configure, delete};
use crate::{Mirror, MirrorOptions};

fn case() -> Case {
    let case = Case::new();
    configure(&case.engine, "docs", r#"{"kind":"documents"}"#);
    case.put_document("docs", "a", &json!({"n": 1})).unwrap();
    case.mirrored();
    case
}

/// A directory beside the mirror that must stay as it is.
struct Outside(tempfile::TempDir);

impl Outside {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.json"), "mine").unwrap();
        fs::write(dir.path().join("MANIFEST.sha256"), "mine").unwrap();
        Self(dir)
    }

    fn assert_untouched(&self, what: &str) {
        let files = found(self.0.path());
        assert_eq!(files.len(), 2, "{what}");
        assert!(files.values().all(|bytes| bytes == b"mine"), "{what}");
    }
}

/// DEFECT: a path that is opened as a whole, so that a link in it leads out of the directory.
#[test]
fn links_in_the_place_of_files_and_directories_are_not_followed() {
    type Plant = fn(&std::path::Path, &std::path::Path);
    let plants: [(&str, Plant); 7] = [
        ("a file", |mirror, out| {
            fs::remove_file(mirror.join("docs/a.json")).unwrap();
            symlink(out.join("a.json"), mirror.join("docs/a.json")).unwrap();
        }),
        ("a manifest", |mirror, out| {
            fs::remove_file(mirror.join("docs/MANIFEST.sha256")).unwrap();
            symlink(out.join("MANIFEST.sha256"), mirror.join("docs/MANIFEST.sha256")).unwrap();
        }),
        ("a bucket", |mirror, out| {
            fs::rename(mirror.join("docs"), mirror.join(".was")).unwrap();
            fs::remove_dir_all(mirror.join(".was")).unwrap();
            symlink(out, mirror.join("docs")).unwrap();
        }),
        ("what was deleted", |mirror, out| {
            symlink(out, mirror.join("docs/.deleted")).unwrap();
        }),
        ("the place of temporary files", |mirror, out| {
            fs::remove_dir_all(mirror.join(".tmp")).unwrap();
            symlink(out, mirror.join(".tmp")).unwrap();
        }),
        ("the file about the mirror", |mirror, out| {
            fs::remove_file(mirror.join("wfldb.json")).unwrap();
            symlink(out.join("a.json"), mirror.join("wfldb.json")).unwrap();
        }),
        ("the keys", |mirror, out| {
            fs::remove_dir_all(mirror.join("keys")).unwrap();
            symlink(out, mirror.join("keys")).unwrap();
        }),
    ];
    for (what, plant) in plants {
        let case = case();
        let outside = Outside::new();
        plant(&case.place(), outside.0.path());
        case.put_document("docs", "a", &json!({"n": 2})).unwrap();
        case.put_document("docs", "b", &json!({"n": 3})).unwrap();
        delete(&case.engine, "docs", "b").unwrap();
        super::model::finish(&case);
        outside.assert_untouched(what);
        case.assert_equal(what);
    }
}

/// DEFECT: giving up for ever where a directory has the name of a file, or a file that of a directory.
#[test]
fn what_is_in_the_way_is_moved_aside() {
    let case = case();
    let docs = case.place().join("docs");
    fs::remove_file(docs.join("a.json")).unwrap();
    fs::create_dir_all(docs.join("a.json/deep/er")).unwrap();
    fs::write(docs.join("a.json/deep/file"), "x").unwrap();
    fs::write(docs.join(".deleted"), "x").unwrap();
    case.put_document("docs", "a", &json!({"n": 2})).unwrap();
    case.put_document("docs", "b", &json!({"n": 3})).unwrap();
    delete(&case.engine, "docs", "b").unwrap();
    case.mirrored();
    case.assert_equal("in the way");
    assert!(
        fs::read_dir(case.place().join(".tmp")).unwrap().next().is_none(),
        "it is removed in the end"
    );
}

/// DEFECT: a bucket that is written whole and keeps what no key owns.
#[test]
fn a_bucket_that_is_written_whole_keeps_nothing_that_no_key_owns() {
    let case = case();
    let docs = case.place().join("docs");
    let outside = Outside::new();
    fs::write(docs.join("stranger"), "x").unwrap();
    fs::create_dir_all(docs.join("dir/dir")).unwrap();
    fs::create_dir_all(docs.join(".deleted")).unwrap();
    fs::write(docs.join(".deleted/stranger.json"), "x").unwrap();
    symlink(outside.0.path(), docs.join("link")).unwrap();
    fs::create_dir_all(case.place().join("gone")).unwrap();
    fs::write(case.place().join("gone/.metadata.json"), "{}").unwrap();
    fs::write(case.place().join("docs/a.json"), "edited").unwrap();
    fs::remove_file(case.cursor()).unwrap();
    case.mirrored();
    case.assert_equal("written whole");
    outside.assert_untouched("a link that no key owns");
    assert!(!docs.join("dir").exists() && !case.place().join("gone").exists());
}

/// DEFECT: a manifest that is missing and is begun anew, without the files that are there.
#[test]
fn a_manifest_that_is_gone_has_its_bucket_written_whole() {
    let case = case();
    fs::remove_file(case.place().join("docs/MANIFEST.sha256")).unwrap();
    case.put_document("docs", "b", &json!({"n": 2})).unwrap();
    super::model::finish(&case);
    case.assert_equal("without its manifest");
}

/// DEFECT: a cursor that is believed of a store that was set back, of a directory that was emptied or replaced, or one that
/// is no cursor.
#[test]
fn a_cursor_of_another_history_or_directory_counts_as_none() {
    type Change = fn(&Case);
    fn edited(case: &Case, from: &str, to: &str) {
        let cursor = fs::read_to_string(case.cursor()).unwrap();
        assert!(cursor.contains(from), "{cursor}");
        fs::write(case.cursor(), cursor.replacen(from, to, 1)).unwrap();
    }
    let changes: [(&str, Change); 6] = [
        ("another change", |case| {
            edited(case, r#""change":""#, r#""change":"00"#);
        }),
        ("a position to come", |case| {
            edited(case, r#""position":"#, r#""position":9"#);
        }),
        ("another place", |case| {
            edited(case, r#""place":""#, r#""place":"1"#);
        }),
        ("no cursor", |case| edited(case, "{", "")),
        ("another directory", |case| {
            let other = case.place().with_extension("other");
            fs::rename(case.place(), &other).unwrap();
            fs::create_dir(case.place()).unwrap();
            fs::rename(other.join("docs"), case.place().join("docs")).unwrap();
            fs::copy(other.join("wfldb.json"), case.place().join("wfldb.json")).unwrap();
        }),
        ("emptied", |case| {
            fs::remove_dir_all(case.place().join("docs")).unwrap();
            fs::remove_file(case.place().join("wfldb.json")).unwrap();
        }),
    ];
    for (what, change) in changes {
        let case = case();
        change(&case);
        fs::create_dir_all(case.place().join("docs")).unwrap();
        fs::write(case.place().join("docs/stray.json"), "x").unwrap();
        case.mirrored();
        case.assert_equal(what);
    }
}

/// DEFECT: a directory that somebody named by mistake, and that is emptied.
#[test]
fn a_directory_that_is_something_else_is_not_touched() {
    let case = Case::new();
    configure(&case.engine, "docs", r#"{"kind":"documents"}"#);
    fs::create_dir_all(case.place().join("docs")).unwrap();
    fs::write(case.place().join("docs/.metadata.json"), "mine").unwrap();
    let start = |case: &Case| {
        let dir = Some(case.place());
        Mirror::start(
            &case.engine,
            MirrorOptions {
                dir,
                history: None,
                git: false,
            },
        )
    };
    assert!(matches!(start(&case), Err(MirrorError::NotEmpty(name)) if name == "docs"));
    fs::write(
        case.place().join("wfldb.json"),
        r#"{"format":1,"store":"00","keys":[]}"#,
    )
    .unwrap();
    assert!(matches!(start(&case), Err(MirrorError::Foreign)));
    assert_eq!(
        fs::read(case.place().join("docs/.metadata.json")).unwrap(),
        b"mine"
    );
}

/// DEFECT: leftovers of a stop that stay for ever, or that hold up what is written.
#[test]
fn what_a_stop_left_in_the_place_of_temporary_files_goes() {
    let case = case();
    let temp = case.place().join(".tmp");
    let mut deep = temp.join("deep");
    for _ in 0..50 {
        deep = deep.join("d");
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "x").unwrap();
    for file in 0..20 {
        fs::write(temp.join(file.to_string()), "half").unwrap();
    }
    case.mirrored();
    assert!(fs::read_dir(temp).unwrap().next().is_none());
}

/// Files are for their owner only.
#[test]
fn nobody_else_reads_the_files() {
    let case = case();
    for (path, mode) in [("docs", 0o700), ("docs/a.json", 0o600), ("wfldb.json", 0o600)] {
        let metadata = fs::metadata(case.place().join(path)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path}");
    }
}
