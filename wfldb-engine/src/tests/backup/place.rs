//! Series of backups, and places that cannot be used.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use super::*;
use crate::{BackupError, list_backups, pick_backup};

fn store(dir: &Path) -> Engine {
    let engine = open(dir);
    make_bucket(&engine, "aaa");
    for n in 0..4 {
        put(&engine, "aaa", &format!("large{n}"), &large(n)).unwrap();
        put(&engine, "aaa", &format!("small{n}"), &[n; 300]).unwrap();
    }
    engine
}

fn chunk_files(dir: &Path) -> Vec<PathBuf> {
    laws::files(&dir.join("chunks"))
        .into_iter()
        .map(PathBuf::from)
        .collect()
}

fn inode(path: &Path) -> (u64, u64) {
    let file = fs::metadata(path).unwrap();
    (file.dev(), file.ino())
}

#[test]
fn a_second_backup_costs_only_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let series = tempfile::tempdir().unwrap();
    let engine = store(dir.path());
    let first = backup(&engine, series.path());
    put(&engine, "aaa", "large9", &large(9)).unwrap();
    let second = backup(&engine, series.path());
    assert_eq!((first.chunks.files, second.chunks.files), (4, 5));
    assert_eq!(second.linked.files - first.linked.files, 1, "no chunk was copied");
    assert!(second.copied.bytes < 200_000, "{second:?}");
    for (stored, kept) in chunk_files(dir.path()).iter().zip(chunk_files(&second.path)) {
        assert_eq!(inode(stored), inode(&kept));
    }
    must_be_sound(&first.path);
    must_be_sound(&second.path);
    // Each is whole by itself: the store and the first may go.
    engine.close().unwrap();
    drop(dir);
    fs::remove_dir_all(&first.path).unwrap();
    must_be_sound(&second.path);
}

/// On another file system: copied once, then linked from the backup before. Seeded: the backup before is not looked at.
#[test]
fn across_file_systems_only_what_is_new_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    let there = Path::new("/dev/shm");
    let Ok(series) = tempfile::tempdir_in(there) else {
        eprintln!("SKIPPED across_file_systems_only_what_is_new_is_copied: no /dev/shm");
        return;
    };
    if inode(series.path()).0 == inode(dir.path()).0 {
        eprintln!("SKIPPED across_file_systems_only_what_is_new_is_copied: one file system");
        return;
    }
    let (engine, storage) = engine_that_flushes(dir.path());
    make_bucket(&engine, "aaa");
    for n in 0..4 {
        put(&engine, "aaa", &format!("large{n}"), &large(n)).unwrap();
    }
    storage.rest().unwrap();
    let first = backup(&engine, series.path());
    assert_eq!(first.linked.files, 0);
    put(&engine, "aaa", "large9", &large(9)).unwrap();
    let second = backup(&engine, series.path());
    assert!(second.linked.files >= 4, "{second:?}");
    assert!(second.copied.bytes < first.copied.bytes, "{first:?} {second:?}");
    let [old, new] = [&first.path, &second.path].map(|path| chunk_files(path));
    let shared = new
        .iter()
        .filter(|new| old.iter().any(|old| inode(old) == inode(new)));
    assert_eq!(shared.count(), 4);
    must_be_sound(&first.path);
    must_be_sound(&second.path);
}

/// Seeded: `list_backups` that takes every directory with a manifest.
#[test]
fn a_half_backup_is_not_listed_and_the_next_removes_it() {
    let dir = tempfile::tempdir().unwrap();
    let series = tempfile::tempdir().unwrap();
    let engine = store(dir.path());
    let first = backup(&engine, series.path());
    // What a crash leaves just before the rename, and what a killed checker leaves.
    let half = series.path().join(".partial");
    laws::copy_tree(&first.path, &half);
    let scratch = series.path().join(".verify-4194305-0");
    fs::create_dir(&scratch).unwrap();
    let own = series.path().join(format!(".verify-{}-x", std::process::id()));
    fs::create_dir(&own).unwrap();
    assert_eq!(list_backups(series.path()).unwrap().len(), 1);
    let second = backup(&engine, series.path());
    assert!(!half.exists() && !scratch.exists());
    assert!(own.exists(), "this process may still use it");
    let found: Vec<PathBuf> = list_backups(series.path())
        .unwrap()
        .into_iter()
        .map(|info| info.path)
        .collect();
    assert_eq!(found, [first.path.clone(), second.path.clone()]);
    assert_eq!(pick_backup(series.path(), None).unwrap(), second.path);
    assert_eq!(pick_backup(series.path(), Some(first.time)).unwrap(), first.path);
    assert_eq!(pick_backup(&first.path, None).unwrap(), first.path);
    assert!(matches!(
        pick_backup(series.path(), Some(first.time.minus_ms(1))),
        Err(BackupError::NoneBefore(_))
    ));
}

/// DESIGN 8. Seeded: `keys/store.secret` copied like the other files.
#[test]
fn a_backup_holds_no_key_and_only_its_owner_enters() {
    let dir = tempfile::tempdir().unwrap();
    let series = tempfile::tempdir().unwrap();
    let place = series.path().join("made/here");
    let engine = store(dir.path());
    fs::create_dir(dir.path().join("bootstrap")).unwrap();
    fs::write(dir.path().join("bootstrap/root.key"), "wsk1secret").unwrap();
    let secret = fs::read(dir.path().join("keys/store.secret")).unwrap();
    let report = backup(&engine, &place);
    let mut top: Vec<_> = fs::read_dir(&report.path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    top.sort();
    assert_eq!(top, ["BACKUP.json", "CHUNKS", "HWM", "STORE", "chunks", "db"]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for dir in [
        &place,
        &report.path,
        &report.path.join("db"),
        &report.path.join("chunks"),
    ] {
        assert_eq!(mode(dir), 0o700, "{}", dir.display());
    }
    for name in ["BACKUP.json", "CHUNKS", "HWM", "STORE", "db/version", "db/0.jnl"] {
        assert_eq!(mode(&report.path.join(name)), 0o600, "{name}");
    }
    for file in laws::files(&report.path) {
        let content = fs::read(&file).unwrap();
        let holds = |needle: &[u8]| content.windows(needle.len()).any(|part| part == needle);
        assert!(!holds(&secret) && !holds(b"wsk1secret"), "{file}");
    }
}

#[test]
fn a_place_that_cannot_be_used_is_refused_and_writes_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let series = tempfile::tempdir().unwrap();
    let engine = store(dir.path());
    let refused = |dest: &Path| {
        let error = engine.backup(&admin(), dest).unwrap_err();
        put(&engine, "aaa", "k", b"v").unwrap();
        error
    };
    // A file where a directory should be.
    fs::write(series.path().join("file"), "").unwrap();
    let error = refused(&series.path().join("file/below"));
    assert!(
        matches!(&error, EngineError::BackupFailed(why) if why.contains("file/below")),
        "{error}"
    );
    // The store itself, by whatever name.
    std::os::unix::fs::symlink(dir.path(), series.path().join("link")).unwrap();
    for inside in ["chunks", "new", "new/deeper"] {
        assert!(matches!(
            refused(&dir.path().join(inside)),
            EngineError::BackupFailed(_)
        ));
        assert!(matches!(
            refused(&series.path().join("link").join(inside)),
            EngineError::BackupFailed(_)
        ));
    }
    assert!(!dir.path().join("new").exists());
    // Another one that runs.
    let place = series.path().join("busy");
    fs::create_dir(&place).unwrap();
    let lock = fs::File::create(place.join(".lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert!(matches!(refused(&place), EngineError::BackupRunning));
    drop(lock);
    // A backup in a backup.
    let first = backup(&engine, &place);
    assert!(matches!(refused(&first.path), EngineError::BackupFailed(_)));
    assert_eq!(list_backups(&place).unwrap().len(), 1);
}

/// A small file system of its own, unmounted in the end.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(bytes: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "none"])
            .arg(dir.path())
            .stderr(std::process::Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(dir))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

/// Seeded: a backup that leaves what it has made when it fails.
#[test]
fn a_full_place_is_said_to_be_full_and_left_empty() {
    let Some(small) = Small::mount("400k") else {
        eprintln!("SKIPPED a_full_place_is_said_to_be_full_and_left_empty: nothing can be mounted here");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let engine = store(dir.path());
    let error = engine.backup(&admin(), small.0.path()).unwrap_err();
    assert!(matches!(error, EngineError::BackupFull), "{error:?}");
    assert!(!small.0.path().join(".partial").exists());
    assert_eq!(list_backups(small.0.path()).unwrap().len(), 0);
    put(&engine, "aaa", "k", b"v").unwrap();
    assert_eq!(engine.health().writable, Ok(()));
}
