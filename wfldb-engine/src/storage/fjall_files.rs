//! fjall's files at one commit: journals up to where they are written now, and of each tree the manifest with the
//! tables and blobs that it names.
//!
//! Journals first, trees after them: what a flush moves from a journal to a table between the two is then in both, and
//! replay passes over what the tables have. The other way round it would be in neither.

use std::any::Any;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use fjall::{AbstractTree, Database, Keyspace, PersistMode};
use rustix::fs::{SeekFrom, seek};

use super::{Captured, CapturedFile, Content, StorageError};

/// A tree's manifest is replaced by flushes and compactions, seldom twice in a millisecond.
const TRIES_MAX: usize = 100;
/// Block in which a journal is looked through from its end.
const BLOCK_BYTES: u64 = 64 * 1024;
/// fjall's own tree of keyspaces. It is written only when a keyspace is made.
const META_TREE: &str = "0";

fn failed(what: &str) -> impl Fn(io::Error) -> StorageError {
    move |error| StorageError::Read(format!("{what}: {error}"))
}

/// Captures the database in `dir`. No commit may run meanwhile; flushes and compactions may.
pub(super) fn capture(
    dir: &Path,
    database: &Database,
    spaces: &[Keyspace],
) -> Result<Captured, StorageError> {
    database
        .persist(PersistMode::SyncAll)
        .map_err(|error| StorageError::Read(error.to_string()))?;
    let mut captured = Captured {
        files: Vec::new(),
        held: Vec::new(),
    };
    // ORDER: see the head of this file.
    journals(dir, &mut captured.files).map_err(failed("a journal"))?;
    #[cfg(test)]
    tests::between();
    for keyspace in spaces {
        tree(dir, keyspace, &mut captured)?;
    }
    meta_tree(dir, &mut captured.files).map_err(failed("the tree of keyspaces"))?;
    let version = fs::read(dir.join("version")).map_err(failed("version"))?;
    for (path, bytes) in [("version", version), ("lock", Vec::new())] {
        captured.files.push(CapturedFile {
            path: path.to_owned(),
            content: Content::Bytes(bytes),
        });
    }
    Ok(captured)
}

fn journals(dir: &Path, files: &mut Vec<CapturedFile>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if Path::new(&name)
            .extension()
            .is_none_or(|extension| extension != "jnl")
        {
            continue;
        }
        let file = match File::open(entry.path()) {
            // All of it is in tables by now, and the trees come later.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        let used = used_bytes(&file)?;
        files.push(CapturedFile {
            path: name,
            content: Content::Prefix(file, used),
        });
    }
    Ok(())
}

/// How far a journal is written: fjall makes it 64 MiB long and fills it from the front, and what it writes last is a
/// magic number without zeros at its end.
fn used_bytes(file: &File) -> io::Result<u64> {
    let mut end = written_end(file)?;
    let mut block = vec![0; usize::try_from(BLOCK_BYTES).unwrap_or(0)];
    while end > 0 {
        let start = end.saturating_sub(BLOCK_BYTES);
        let len = usize::try_from(end - start).unwrap_or(0);
        let Some(block) = block.get_mut(..len) else { break };
        file.read_exact_at(block, start)?;
        if let Some(last) = block.iter().rposition(|byte| *byte != 0) {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The end of the last part of the file that is no hole. A file system without holes says: the whole file.
fn written_end(file: &File) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let mut end = 0;
    while end < len {
        let data = match seek(file, SeekFrom::Data(end)) {
            Ok(data) => data,
            Err(rustix::io::Errno::NXIO) => return Ok(end),
            Err(_) => return Ok(len),
        };
        end = match seek(file, SeekFrom::Hole(data)) {
            Ok(hole) => hole,
            Err(_) => return Ok(len),
        };
    }
    Ok(len.min(end))
}

/// One keyspace: its version is held in memory, which keeps the files that it names; the manifest on disk must be of
/// that very version.
fn tree(dir: &Path, keyspace: &Keyspace, captured: &mut Captured) -> Result<(), StorageError> {
    let folder = format!("keyspaces/{}", keyspace.id());
    for _ in 0..TRIES_MAX {
        let version = keyspace.tree.current_version();
        let name = format!("v{}", version.id());
        let Some((current, manifest)) =
            manifest(&dir.join(&folder), version.id()).map_err(failed("a manifest"))?
        else {
            // A flush or compaction has just replaced it.
            continue;
        };
        let tables = version
            .iter_tables()
            .map(|table| ("tables", table.path.to_path_buf()));
        let blobs = version
            .blob_files
            .iter()
            .map(|blob| ("blobs", blob.path().to_path_buf()));
        let mut files = Vec::new();
        for (kind, path) in tables.chain(blobs) {
            files.push(immutable(&folder, kind, path)?);
        }
        files.push(bytes(format!("{folder}/current"), current));
        files.push(bytes(format!("{folder}/{name}"), manifest));
        captured.files.append(&mut files);
        captured.held.push(Box::new(version) as Box<dyn Any + Send>);
        return Ok(());
    }
    Err(StorageError::Read(format!(
        "the manifest of {folder} changed {TRIES_MAX} times while it was read"
    )))
}

/// `current` and the manifest that it names, if that is version `id`.
fn manifest(folder: &Path, id: u64) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let current = fs::read(folder.join("current"))?;
    if current
        .first_chunk::<8>()
        .map(|number| u64::from_le_bytes(*number))
        != Some(id)
    {
        return Ok(None);
    }
    match fs::read(folder.join(format!("v{id}"))) {
        Ok(manifest) => Ok(Some((current, manifest))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn immutable(folder: &str, kind: &str, path: PathBuf) -> Result<CapturedFile, StorageError> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| StorageError::Read(format!("a file of {folder}/{kind} has no name")))?;
    Ok(CapturedFile {
        path: format!("{folder}/{kind}/{name}"),
        content: Content::Immutable(path),
    })
}

fn bytes(path: String, content: Vec<u8>) -> CapturedFile {
    CapturedFile {
        path,
        content: Content::Bytes(content),
    }
}

fn meta_tree(dir: &Path, files: &mut Vec<CapturedFile>) -> io::Result<()> {
    let folder = format!("keyspaces/{META_TREE}");
    let place = dir.join(&folder);
    for entry in fs::read_dir(&place)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push(bytes(format!("{folder}/{name}"), fs::read(entry.path())?));
        }
    }
    for kind in ["tables", "blobs"] {
        let entries = match fs::read_dir(place.join(kind)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push(CapturedFile {
                path: format!("{folder}/{kind}/{name}"),
                content: Content::Immutable(entry.path()),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::Write;
    use std::time::{Duration, Instant};

    use bytes::Bytes;

    use super::super::{Batch, FjallStorage, Snapshot, Space, Storage};
    use super::*;

    thread_local! {
        static BETWEEN: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
    }

    /// What a test has happen in the middle of a capture.
    pub(super) fn between() {
        let hook = BETWEEN.with(|hook| hook.borrow_mut().take());
        if let Some(hook) = hook {
            hook();
        }
    }

    /// What was captured, as a directory.
    fn written(captured: Captured) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in captured.files {
            let to = dir.path().join(&file.path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            match file.content {
                Content::Bytes(bytes) => fs::write(to, bytes).unwrap(),
                Content::Immutable(from) => drop(fs::copy(from, to).unwrap()),
                Content::Prefix(from, len) => {
                    let mut bytes = vec![0; usize::try_from(len).unwrap()];
                    from.read_exact_at(&mut bytes, 0).unwrap();
                    fs::write(to, bytes).unwrap();
                }
            }
        }
        dir
    }

    fn commit(storage: &FjallStorage, key: &str, value: Vec<u8>) {
        let write = (
            Space::Heads,
            Bytes::from(key.to_owned()),
            Some(Bytes::from(value)),
        );
        storage.commit(Batch { writes: vec![write] }).unwrap();
    }

    fn keys(snapshot: &dyn Snapshot) -> Vec<Bytes> {
        let rows = snapshot.range(Space::Heads, &[], &[], false);
        rows.map(|row| row.unwrap().0).collect()
    }

    /// A flush in the middle moves rows from a journal, which then goes, to a table. Seeded: trees before journals.
    #[test]
    fn a_flush_in_the_middle_of_a_capture_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let storage = std::rc::Rc::new(FjallStorage::open(dir.path(), 1 << 20).unwrap());
        // More than fjall keeps in one journal, less than makes it flush by itself.
        for n in 0..66 {
            let space = if n % 2 == 0 { Space::Heads } else { Space::Versions };
            let write = (
                space,
                Bytes::from(format!("k{n:02}")),
                Some(Bytes::from(vec![7; 1 << 20])),
            );
            storage.commit(Batch { writes: vec![write] }).unwrap();
        }
        commit(&storage, "last", b"in the second journal or the first".to_vec());
        let expected = keys(&*storage.snapshot());
        let (inside, first) = (std::rc::Rc::clone(&storage), dir.path().join("0.jnl"));
        assert!(first.exists(), "it was flushed already");
        let gone = std::rc::Rc::new(std::cell::Cell::new(false));
        let went = std::rc::Rc::clone(&gone);
        BETWEEN.with(|hook| {
            *hook.borrow_mut() = Some(Box::new(move || {
                let start = Instant::now();
                while first.exists() && start.elapsed() < Duration::from_secs(20) {
                    inside.rest().unwrap();
                    std::thread::park_timeout(Duration::from_millis(5));
                }
                went.set(!first.exists());
            }));
        });
        let captured = storage.capture().unwrap();
        assert!(gone.get(), "the first journal went in the middle");
        let copy = written(captured);
        let again = FjallStorage::open(copy.path(), 1 << 20).unwrap();
        assert_eq!(keys(&*again.snapshot()), expected);
    }

    /// What is committed after the capture is not in it, though it stands in the same journal.
    #[test]
    fn a_capture_ends_where_it_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let storage = FjallStorage::open(dir.path(), 1 << 20).unwrap();
        commit(&storage, "a", vec![1; 300]);
        let captured = storage.capture().unwrap();
        commit(&storage, "b", vec![2; 300]);
        let copy = written(captured);
        let again = FjallStorage::open(copy.path(), 1 << 20).unwrap();
        assert_eq!(keys(&*again.snapshot()), ["a"]);
    }

    #[test]
    fn a_journal_is_used_up_to_its_last_byte_that_is_not_zero() {
        let dir = tempfile::tempdir().unwrap();
        for used in [0, 1, 4095, 4096, 65_535, 65_536, 65_537, 1_000_000] {
            let path = dir.path().join(format!("{used}.jnl"));
            let mut file = File::create_new(&path).unwrap();
            file.set_len(4 << 20).unwrap();
            file.write_all(&vec![0; used]).unwrap();
            if used > 0 {
                file.write_all_at(&[3], used as u64 - 1).unwrap();
            }
            assert_eq!(used_bytes(&File::open(&path).unwrap()).unwrap(), used as u64);
        }
    }
}
