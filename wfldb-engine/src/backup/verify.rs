//! Reading a backup back: is it whole, does its store open, is every byte in it what it was?
//!
//! Nothing in the backup is changed: its database is opened as a copy made of links, in a directory beside the backup
//! (or in the system's, where that cannot be written to).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use wfldb_core::id::{BucketId, ChunkHash};
use wfldb_core::time::UnixMillis;

use super::chunks::{self, List, NamedChunk};
use super::copy::hash_file;
use super::manifest::{self, Manifest};
use super::place::{SCRATCH, make_dir};
use super::{BackupError, Tally};
use crate::check::CheckReport;
use crate::chunk::Checker;
use crate::row::CommitMark;
use crate::storage::{FjallStorage, Snapshot, Storage};
use crate::store::{
    HighWaterMark, Layout, Probed, Prober, StoreFile, Verdict, copy_database, remove_all, run_probe, verify,
};

/// Findings that are named; more are counted only.
const FINDINGS_MAX: usize = 100;

/// One thing that is wrong with a backup's files; what is wrong with its rows and chunks is in `rows`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupFinding {
    /// A stable word: `FileMissing`, `FileDamaged`, `FileUnlisted`, `StoreFile`, `Mark`, `Unopenable`, `StoreDamaged`,
    /// `ListWrong`, `Unreadable`.
    pub code: &'static str,
    /// What and where, for people.
    pub what: String,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    named: Vec<BackupFinding>,
    count: u64,
}

impl Findings {
    pub(super) fn add(&mut self, code: &'static str, what: String) {
        self.count += 1;
        if self.named.len() < FINDINGS_MAX {
            self.named.push(BackupFinding { code, what });
        }
    }
}

/// The answer to whether a backup is good.
#[derive(Debug, Clone, Serialize)]
pub struct BackupVerdict {
    /// Nothing is wrong with it.
    pub sound: bool,
    /// The backup.
    pub path: PathBuf,
    /// The store's id.
    pub store: String,
    /// The store's realm.
    pub realm: String,
    /// When it was taken.
    #[serde(serialize_with = "super::as_text")]
    pub time: UnixMillis,
    /// The last log position in it.
    pub position: u64,
    /// Files that were compared with the manifest.
    pub files: Tally,
    /// Chunks in it, as its rows name them.
    pub chunks: Tally,
    /// What is wrong with its files, the first hundred.
    pub findings: Vec<BackupFinding>,
    /// How much is.
    pub findings_count: u64,
    /// The full check of its rows, bodies and chunks; absent when its files are not what was written.
    pub rows: Option<CheckReport>,
}

/// Reads the backup in `dir` from end to end.
///
/// # Errors
/// When it cannot be looked at: there is none, a newer release took it, no room for the copy. Everything that is wrong
/// with it is a finding instead; its rows are read only if its files are what was written.
pub fn verify_backup(dir: &Path, prober: &Prober) -> Result<BackupVerdict, BackupError> {
    let manifest = Manifest::read(dir)?;
    let mut findings = Findings::default();
    let mut chunks = Tally::default();
    let mut rows = None;
    let files = check_files(dir, &manifest, &mut findings);
    // A database whose files are not what was written can end or hold up whoever opens it, and what it says is worth
    // nothing.
    let is_intact = findings.count == 0;
    if let Some(mark) = manifest.mark() {
        check_store_file(dir, &manifest, &mut findings);
        check_mark(dir, &mark, &mut findings);
        if is_intact {
            rows = check_rows(dir, &mark, prober, &mut findings)?;
            chunks = check_list(dir, &manifest, &mut findings);
        }
    }
    Ok(BackupVerdict {
        sound: findings.count == 0 && rows.as_ref().is_some_and(|rows| rows.sound),
        path: dir.to_path_buf(),
        time: manifest.taken_at(),
        position: manifest.position(),
        store: manifest.store,
        realm: manifest.realm,
        files,
        chunks,
        findings: findings.named,
        findings_count: findings.count,
        rows,
    })
}

fn check_files(dir: &Path, manifest: &Manifest, findings: &mut Findings) -> Tally {
    let mut files = Tally::default();
    let mut listed: BTreeSet<PathBuf> = BTreeSet::from([dir.join(manifest::NAME)]);
    for file in &manifest.files {
        let path = dir.join(&file.path);
        let is_file = path.symlink_metadata().is_ok_and(|found| found.is_file());
        match is_file.then(|| hash_file(&path, &|| Ok(()))) {
            None => findings.add("FileMissing", file.path.clone()),
            Some(Ok((hash, bytes))) if hash.to_hex().as_str() == file.blake3 && bytes == file.bytes => {
                files.add(bytes);
            }
            Some(Ok(_)) => findings.add("FileDamaged", file.path.clone()),
            Some(Err(error)) => findings.add("Unreadable", error.to_string()),
        }
        listed.insert(path);
    }
    for file in files_but_chunks(dir) {
        if !listed.contains(&file) {
            let name = file.strip_prefix(dir).unwrap_or(&file);
            findings.add("FileUnlisted", name.display().to_string());
        }
    }
    files
}

/// Every file in the backup that is no chunk. A directory that cannot be read shows itself by its files being missing.
fn files_but_chunks(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.path() != dir.join("chunks") {
                    waiting.push(entry.path());
                }
            } else {
                found.push(entry.path());
            }
        }
    }
    found
}

fn check_store_file(dir: &Path, manifest: &Manifest, findings: &mut Findings) {
    match StoreFile::read(&Layout::new(dir)) {
        Ok(Some(file)) if file.store == manifest.store && file.realm.as_str() == manifest.realm => {}
        Ok(_) => findings.add("StoreFile", "STORE is of another store".to_owned()),
        Err(error) => findings.add("StoreFile", error.to_string()),
    }
}

/// The high-water mark equals exactly what was committed.
fn check_mark(dir: &Path, mark: &CommitMark, findings: &mut Findings) {
    match HighWaterMark::read(&dir.join("HWM")) {
        Ok(Some(found)) if found == *mark => {}
        Ok(_) => findings.add("Mark", "HWM is not the mark of the backup".to_owned()),
        Err(error) => findings.add("Mark", error.to_string()),
    }
}

/// Opens a copy of the database, as a server's start does, and checks everything in it.
fn check_rows(
    dir: &Path,
    mark: &CommitMark,
    prober: &Prober,
    findings: &mut Findings,
) -> Result<Option<CheckReport>, BackupError> {
    let scratch = Scratch::beside(dir)?;
    let layout = Layout::new(&scratch.dir);
    if let Err(error) = copy_database(&dir.join("db"), &layout.probe()) {
        findings.add("Unopenable", format!("db: {error}"));
        return Ok(None);
    }
    let high_water = fs::read(dir.join("HWM")).unwrap_or_default();
    fs::write(layout.high_water_mark(), high_water).map_err(BackupError::io("the copy"))?;
    match run_probe(&layout, prober).map_err(BackupError::io("the copy"))? {
        Probed::Sound => {}
        Probed::Damaged(reason) => findings.add("StoreDamaged", reason),
        Probed::Unopenable(reason) => {
            findings.add("Unopenable", reason);
            return Ok(None);
        }
    }
    let storage = match FjallStorage::open(&layout.probe(), 32 << 20) {
        Ok(storage) => storage,
        Err(error) => {
            findings.add("Unopenable", error.to_string());
            return Ok(None);
        }
    };
    let snapshot = storage.snapshot();
    // What is damaged was said by the probe already.
    if let Verdict::Sound(found) = verify(&*snapshot, Some(*mark))
        && found != *mark
    {
        let what = format!(
            "the rows are of commit {}, the backup of {}",
            found.number, mark.number
        );
        findings.add("Mark", what);
    }
    list_is_of_rows(dir, &*snapshot, findings);
    drop(snapshot);
    let checker = Checker::new();
    let read_chunk = |bucket: &BucketId, hash: &ChunkHash, len: usize| {
        let chunk = NamedChunk {
            bucket: *bucket,
            hash: *hash,
            len: u32::try_from(len).unwrap_or(u32::MAX),
        };
        checker.check(&dir.join(chunk.path()), hash, chunk.len)
    };
    Ok(Some(CheckReport::of(&storage, &read_chunk, &mut |_| {})))
}

/// `CHUNKS` names exactly the chunks that the rows name.
fn list_is_of_rows(dir: &Path, snapshot: &dyn Snapshot, findings: &mut Findings) {
    let Ok(mut list) = List::open(dir) else {
        // Its absence was found among the files.
        return;
    };
    let same = |named: Result<NamedChunk, BackupError>, list: &mut List| matches!((named, list.next()), (Ok(named), Some(Ok(listed))) if named == listed);
    let all = chunks::named_by_rows(snapshot).all(|named| same(named, &mut list));
    if !all || list.next().is_some() {
        findings.add("ListWrong", format!("{} is not what the rows name", chunks::NAME));
    }
}

/// The files of the chunks are as many and as long as the manifest says. What is in them is read with the rows.
fn check_list(dir: &Path, manifest: &Manifest, findings: &mut Findings) -> Tally {
    let mut found = Tally::default();
    for chunk in List::open(dir).into_iter().flatten().flatten() {
        found.add(Checker::file_bytes(&dir.join(chunk.path()), chunk.len).unwrap_or(0));
    }
    if found != manifest.chunks {
        let what = format!("{} counts other chunks than there are", manifest::NAME);
        findings.add("ListWrong", what);
    }
    found
}

/// A directory for the copy, removed in the end.
struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    fn beside(backup: &Path) -> Result<Self, BackupError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{SCRATCH}{}-{number}", std::process::id());
        let absolute = std::path::absolute(backup).map_err(BackupError::io(backup.display()))?;
        let beside = absolute.parent().unwrap_or(&absolute).join(&name);
        if make_dir(&beside).is_ok() {
            return Ok(Self { dir: beside });
        }
        // A backup on a medium that cannot be written to.
        let dir = std::env::temp_dir().join(format!("wfldb{name}"));
        make_dir(&dir).map_err(BackupError::io(dir.display()))?;
        Ok(Self { dir })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is removed by the next backup into the series.
        let _ = remove_all(&self.dir);
    }
}
