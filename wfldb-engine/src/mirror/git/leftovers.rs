//! What processes that were killed left behind: locks, halves of packs and objects, reports of crashes.
//!
//! Whoever holds the repository is the only one that writes, so what is older than that belongs to nobody. Locks are
//! removed only at the beginning and after a program of ours was killed: somebody may use git in the mirror.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::GitError;
use super::repository::Repository;

/// What `fast-import` writes into a file that keeps a pack while it works, and nobody else. Before that the file is empty.
const KEPT_BY_IMPORT: &[u8] = b"fast-import";

fn is_lock(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "lock")
}

impl Repository {
    /// Removes what is not newer than now, `locks` too or not. Nothing of ours may run.
    pub(super) fn clear_leftovers(&self, locks: bool) -> Result<(), GitError> {
        let now = self.now()?;
        let in_dir = |name: &str| {
            let lock = is_lock(name) && name != "index.lock";
            lock && locks || name.starts_with("fast_import_crash_") || name == "packed-refs.new"
        };
        sweep(self.dir(), now, in_dir)?;
        sweep(&self.dir().join("refs/heads"), now, |name| locks && is_lock(name))?;
        let objects = self.dir().join("objects");
        sweep(&objects.join("pack"), now, |name| {
            name.starts_with("tmp_") || name.starts_with(".tmp-")
        })?;
        self.release_packs()?;
        self.drop_unfinished_packs(now)?;
        let is_fan = |name: &str| name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        for fan in entries(&objects)? {
            let real = fan.file_type().is_ok_and(|kind| kind.is_dir());
            if real && fan.file_name().to_str().is_some_and(is_fan) {
                sweep(&fan.path(), now, |name| name.starts_with("tmp_obj_"))?;
            }
        }
        Ok(())
    }

    /// Packs that an import had for itself until it would be done.
    fn release_packs(&self) -> Result<(), GitError> {
        for file in entries(&self.dir().join("objects/pack"))? {
            let path = file.path();
            let keeps = path.extension().is_some_and(|extension| extension == "keep");
            let small = file.metadata().is_ok_and(|it| it.is_file() && it.len() <= 64);
            let ours = |text: &[u8]| text.is_empty() || text.trim_ascii() == KEPT_BY_IMPORT;
            if keeps && small && fs::read(&path).is_ok_and(|text| ours(&text)) {
                fs::remove_file(&path).map_err(GitError::io(&path))?;
            }
        }
        Ok(())
    }

    /// Packs and indexes of packs without one another: the second was never written, so no commit needs the first.
    fn drop_unfinished_packs(&self, now: SystemTime) -> Result<(), GitError> {
        let pack = self.dir().join("objects/pack");
        sweep(&pack, now, |name| {
            let partner = match name.rsplit_once('.') {
                Some((stem, "pack" | "rev" | "mtimes" | "bitmap")) => format!("{stem}.idx"),
                Some((stem, "idx")) => format!("{stem}.pack"),
                _ => return false,
            };
            !pack.join(partner).exists()
        })
    }
}

fn sweep(dir: &Path, before: SystemTime, is_leftover: impl Fn(&str) -> bool) -> Result<(), GitError> {
    for file in entries(dir)? {
        if !file.file_name().to_str().is_some_and(&is_leftover) {
            continue;
        }
        // Of a link it is the link's own.
        let Ok(found) = file.metadata() else { continue };
        if found.is_dir() || found.modified().is_ok_and(|time| time > before) {
            continue;
        }
        match fs::remove_file(file.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(GitError::io(&file.path())(error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn entries(dir: &Path) -> Result<Vec<fs::DirEntry>, GitError> {
    let entries = fs::read_dir(dir).and_then(Iterator::collect);
    entries.map_err(GitError::io(dir))
}
