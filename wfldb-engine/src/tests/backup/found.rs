//! Damage in backups is found, and a restored store is the store that it was, but for what must differ.

use std::fs;
use std::path::PathBuf;

use wfldb_core::limits::SKEW_MS_MAX;

use super::*;
use crate::{BackupError, RestoreOptions, restore};

/// A store with tables, a journal, bodies and chunks; its backup.
fn backed_up(dir: &Path, series: &Path) -> PathBuf {
    let (engine, storage) = engine_that_flushes(dir);
    make_bucket(&engine, "aaa");
    for n in 0..3 {
        put(&engine, "aaa", &format!("large{n}"), &large(n)).unwrap();
        put(&engine, "aaa", &format!("small{n}"), &[n; 3000]).unwrap();
    }
    storage.rest().unwrap();
    held::until(|| storage.write_buffer_bytes() == 0);
    put(&engine, "aaa", "last", b"in the journal").unwrap();
    let report = backup(&engine, series);
    engine.close().unwrap();
    report.path
}

fn codes(dir: &Path) -> Vec<&'static str> {
    let verdict = verified(dir);
    let mut codes: Vec<_> = verdict.findings.iter().map(|finding| finding.code).collect();
    if verdict.rows.as_ref().is_some_and(|rows| !rows.sound) {
        codes.push("rows");
    }
    assert_eq!(verdict.sound, codes.is_empty());
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

/// Seeded: a check of files that passes over their hashes.
#[test]
fn every_damaged_or_missing_file_is_found_and_refused() {
    let dir = tempfile::tempdir().unwrap();
    let series = tempfile::tempdir().unwrap();
    let sound = backed_up(dir.path(), series.path());
    let verdict = must_be_sound(&sound);
    let rows = verdict.rows.unwrap();
    assert_eq!((verdict.chunks.files, rows.changes, rows.versions), (3, 8, 7));
    let files: Vec<PathBuf> = laws::files(&sound)
        .iter()
        .map(|file| Path::new(file).strip_prefix(&sound).unwrap().to_path_buf())
        .collect();
    assert!(
        files
            .iter()
            .any(|file| file.to_string_lossy().contains("/blobs/"))
    );
    for file in files {
        for remove in [false, true] {
            let copy = tempfile::tempdir().unwrap();
            let damaged = copy.path().join("backup");
            laws::copy_tree(&sound, &damaged);
            let path = damaged.join(&file);
            if remove {
                fs::remove_file(&path).unwrap();
            } else if fs::metadata(&path).unwrap().len() == 0 {
                fs::write(&path, "x").unwrap();
            } else {
                flip(&path);
            }
            let what = format!("{} {remove}", file.display());
            let is_manifest = file == Path::new("BACKUP.json");
            match verify_backup(&damaged, &Prober::default()) {
                Ok(verdict) => assert!(!verdict.sound, "{what}"),
                Err(error) => assert!(is_manifest, "{what}: {error}"),
            }
            let to = copy.path().join("restored");
            let options = RestoreOptions::new(UnixMillis::new(1_800_000_000_000));
            if let Err(error) = restore(&damaged, &to, &options) {
                assert!(!to.join("STORE").exists(), "{what}: {error}");
                assert_eq!(laws::files(&to), Vec::<String>::new(), "{what}");
            } else {
                panic!("{what} was restored");
            }
        }
    }
}

#[test]
fn findings_say_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let series = tempfile::tempdir().unwrap();
    let backup = backed_up(dir.path(), series.path());
    assert_eq!(codes(&backup), Vec::<&str>::new());
    fs::write(backup.join("db/stray"), "").unwrap();
    assert_eq!(codes(&backup), ["FileUnlisted"]);
    fs::remove_file(backup.join("db/stray")).unwrap();
    let chunk = laws::files(&backup.join("chunks")).remove(0);
    let kept = fs::read(&chunk).unwrap();
    // Not in place: the store has the same inode.
    fs::remove_file(&chunk).unwrap();
    assert_eq!(codes(&backup), ["ListWrong", "rows"]);
    fs::write(&chunk, &kept[..kept.len() - 1]).unwrap();
    assert_eq!(codes(&backup), ["ListWrong", "rows"]);
    let mut flipped = kept.clone();
    flipped[10] ^= 1;
    fs::write(&chunk, &flipped).unwrap();
    assert_eq!(codes(&backup), ["rows"]);
    fs::write(&chunk, &kept).unwrap();
    assert_eq!(codes(&backup), Vec::<&str>::new());
    assert!(matches!(
        verify_backup(series.path(), &Prober::default()),
        Err(BackupError::NotABackup(_))
    ));
}

/// PROTOCOL 4. Seeded: the mark of the store that was backed up, restored as it was.
#[test]
fn a_restored_store_is_the_same_but_for_secret_and_replay_mark() {
    let dir = tempfile::tempdir().unwrap();
    let series = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    make_bucket(&engine, "aaa");
    put(&engine, "aaa", "large", &large(1)).unwrap();
    let accepted = engine.inner.now().plus_ms(5000);
    engine.replay_mark().reserve(accepted).unwrap();
    let report = backup(&engine, series.path());
    let (realm, trust) = (engine.realm().clone(), engine.trust().to_vec());
    let secret = engine.store_secret("cursor");
    engine.close().unwrap();

    let to = series.path().join("restored");
    let now = accepted.plus_ms(1);
    let restored = restore(&report.path, &to, &RestoreOptions::new(now)).unwrap();
    assert_eq!(restored.replay_mark, now.plus_ms(SKEW_MS_MAX));
    let again = open(&to);
    assert_eq!((again.realm(), again.trust()), (&realm, trust.as_slice()));
    assert_eq!(again.replay_mark().at_start(), restored.replay_mark);
    assert_ne!(again.store_secret("cursor"), secret);
    assert!(!again.created_now());
    assert_eq!(read(&again, "aaa", "large", Which::Newest).unwrap(), large(1));
    // Nothing is shared with the backup: it stays what it was.
    put(&again, "aaa", "more", &large(2)).unwrap();
    again.close().unwrap();
    must_be_sound(&report.path);
    let refused = restore(&report.path, &to, &RestoreOptions::new(now));
    assert!(matches!(refused, Err(BackupError::NotEmpty(_))));
    assert!(to.join("STORE").exists(), "a store that is there stays");
}
