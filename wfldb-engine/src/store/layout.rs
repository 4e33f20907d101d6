//! The paths of a store's directory, and the few file operations that must reach the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Paths below one directory.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) dir: PathBuf,
}

impl Layout {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_path_buf(),
        }
    }

    pub(crate) fn store_file(&self) -> PathBuf {
        self.dir.join("STORE")
    }

    pub(crate) fn high_water_mark(&self) -> PathBuf {
        self.dir.join("HWM")
    }

    pub(crate) fn replay_mark(&self) -> PathBuf {
        self.dir.join("REPLAY")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub(crate) fn secret(&self) -> PathBuf {
        self.dir.join("keys").join("store.secret")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.join("db")
    }

    pub(crate) fn chunks(&self) -> PathBuf {
        self.dir.join("chunks")
    }

    pub(crate) fn probe(&self) -> PathBuf {
        self.dir.join("probe")
    }

    /// Present while a store is being made: what is beside it without a `STORE` file holds no data yet.
    pub(crate) fn creating(&self) -> PathBuf {
        self.dir.join("CREATING")
    }
}

/// Makes names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces `path` by `content`, whole or not at all, on stable storage. `mode` holds for the new file.
pub(crate) fn write_synced(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let temp = path.with_extension("tmp");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temp)?;
    file.write_all(content)?;
    // DURABILITY: content, then name, then the directory that holds the name.
    file.sync_all()?;
    fs::rename(&temp, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Removes a file or directory tree; that it is not there is no error.
pub(crate) fn remove_all(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
