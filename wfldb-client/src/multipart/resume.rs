//! What an interrupted upload leaves on this machine: a small file with the upload's id, so that the next run can go on.
//!
//! It says where to look and nothing else: which parts are there is asked of the server, and whether they are right is
//! decided by hashing the file again. So a file that is lost, old or broken costs time and never correctness.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use wfldb_core::id::UploadId;

use crate::Error;

/// The longest key, path and metadata, escaped, are far below this.
const FILE_BYTES_MAX: u64 = 256 * 1024;
const OPENINGS_MAX: usize = 5;

/// Where the command line keeps these files: `$XDG_STATE_HOME/wfldb/uploads`, else `~/.local/state/wfldb/uploads`; `None`
/// without a home directory.
pub fn default_upload_state(xdg_state_home: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
    let absolute = |text: &OsStr| Some(PathBuf::from(text)).filter(|path| path.is_absolute());
    let state = xdg_state_home
        .and_then(absolute)
        .or_else(|| Some(home.and_then(absolute)?.join(".local").join("state")))?;
    Some(state.join("wfldb").join("uploads"))
}

/// What is uploaded, by whom and to where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct What {
    pub(super) url: String,
    pub(super) realm: String,
    pub(super) holder: String,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) mtime: (i64, i64),
    /// The server keeps them since the start of the upload, so others need another one.
    pub(super) headers: Vec<(String, String)>,
}

/// The upload that carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) what: What,
    pub(super) upload: String,
    pub(super) part_bytes: u64,
    /// All parts were there, and the completion was about to be asked for.
    pub(super) completing: bool,
}

impl State {
    pub(super) fn id(&self) -> Option<UploadId> {
        UploadId::parse(&self.upload).ok()
    }
}

/// The file, ours alone until we end.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Opens the file for one source and target. `None` where another process holds it, or the directory cannot be used:
    /// then the upload goes on without it. Blocks.
    pub(super) fn open(directory: &Path, what: &What) -> Option<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .ok()?;
        let path = directory.join(file_name(what));
        let nofollow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
        for _ in 0..OPENINGS_MAX {
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(nofollow)
                .open(&path)
                .ok()?;
            flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
            // Between open and lock, the one who held it may have removed it.
            let (ours, named) = (file.metadata().ok()?, std::fs::symlink_metadata(&path));
            if named.is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
                return Some(Self { file, path });
            }
        }
        None
    }

    /// What an earlier run noted; `None` for a new or a broken file. Blocks.
    pub(super) fn earlier(&mut self) -> Option<State> {
        let mut text = Vec::new();
        self.file.seek(SeekFrom::Start(0)).ok()?;
        (&self.file).take(FILE_BYTES_MAX).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Notes the upload. Written in place: half a file is a broken one, and ignored. Blocks.
    pub(super) fn note(&mut self, state: &State) -> Result<(), Error> {
        let mut text = serde_json::to_vec(state).map_err(|error| Error::Local(error.to_string()))?;
        text.push(b'\n');
        let mut write = || {
            self.file.set_len(0)?;
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&text)?;
            self.file.sync_all()
        };
        write().map_err(|error| Error::io("cannot write", &self.path, &error))
    }

    /// Removes the file. Blocks.
    pub(super) fn forget(self) {
        // What stays is found stale by the next run.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// One name for each source and target: an upload of another state of the file takes the place of the last one.
fn file_name(what: &What) -> String {
    let mut hasher = blake3::Hasher::new();
    for text in [&what.url, &what.realm, &what.holder, &what.bucket, &what.key] {
        hasher.update(text.as_bytes()).update(&[0]);
    }
    hasher.update(what.path.as_os_str().as_bytes());
    format!("{}.json", hasher.finalize().to_hex())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn state() -> State {
        State {
            what: What {
                url: "http://127.0.0.1:1".to_owned(),
                realm: "local".to_owned(),
                holder: "wc1".to_owned(),
                bucket: "photos".to_owned(),
                key: "k".to_owned(),
                path: "/x/y".into(),
                size: 7,
                mtime: (1, 2),
                headers: vec![("x-wfldb-tags".to_owned(), "a=b".to_owned())],
            },
            upload: "00112233445566778899aabbccddeeff".to_owned(),
            part_bytes: 5 << 20,
            completing: false,
        }
    }

    #[test]
    fn what_was_noted_is_read_back_private_and_by_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = dir.path().join("a/b");
        let state = state();
        let mut journal = Journal::open(&uploads, &state.what).unwrap();
        assert_eq!(journal.earlier(), None);
        journal.note(&state).unwrap();
        assert!(Journal::open(&uploads, &state.what).is_none(), "held by another");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&uploads), mode(&journal.path)), (0o700, 0o600));
        drop(journal);

        let mut newer = state.clone();
        newer.what.size = 8;
        let mut journal = Journal::open(&uploads, &newer.what).unwrap();
        assert_eq!(
            journal.earlier(),
            Some(state.clone()),
            "the same file for another state of the source"
        );
        journal.note(&newer).unwrap();
        assert_eq!(journal.earlier(), Some(newer));
        std::fs::write(&journal.path, b"{\"what\":").unwrap();
        assert_eq!(journal.earlier(), None, "a broken file is ignored");
        journal.forget();
        assert_eq!(std::fs::read_dir(&uploads).unwrap().count(), 0);

        let mut elsewhere = state.clone();
        elsewhere.what.key = "other".to_owned();
        let _one = Journal::open(&uploads, &state.what).unwrap();
        assert!(Journal::open(&uploads, &elsewhere.what).is_some());
        std::fs::write(dir.path().join("file"), b"").unwrap();
        assert!(Journal::open(&dir.path().join("file"), &state.what).is_none());
    }

    #[test]
    fn the_default_place_follows_xdg() {
        let place = |xdg: Option<&str>, home: Option<&str>| {
            default_upload_state(xdg.map(OsStr::new), home.map(OsStr::new))
        };
        assert_eq!(place(Some("/s"), Some("/h")), Some("/s/wfldb/uploads".into()));
        assert_eq!(
            place(Some("s"), Some("/h")),
            Some("/h/.local/state/wfldb/uploads".into())
        );
        assert_eq!(place(None, None), None);
    }
}
