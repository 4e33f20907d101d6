//! Directories for their owner only, and the small files in them that hold secrets.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The file system refused.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct FileError {
    /// What was written or read.
    pub path: String,
    /// The reason.
    pub source: io::Error,
}

/// A directory for its owner only.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The one at `path`, which need not be there.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where a file of it is.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes it, and what is above it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn create(&self) -> Result<(), FileError> {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
            .map_err(failed(&self.0))
    }

    /// Writes a file for its owner only, whole or not at all.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), FileError> {
        let (path, fresh) = (self.path(name), self.path(&format!("{name}.new")));
        let write = || {
            match fs::remove_file(&fresh) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&fresh)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            self.sync()
        };
        write().map_err(failed(&path))
    }

    /// Reads a file as text that is wiped when it is dropped.
    ///
    /// # Errors
    /// When the file system refuses, or it is no text.
    pub fn read(&self, name: &str) -> Result<Zeroizing<String>, FileError> {
        let path = self.path(name);
        fs::read_to_string(&path)
            .map(Zeroizing::new)
            .map_err(failed(&path))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove(&self, name: &str) -> Result<(), FileError> {
        let path = self.path(name);
        fs::remove_file(&path)
            .and_then(|()| self.sync())
            .map_err(failed(&path))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.display().to_string();
    move |source| FileError { path, source }
}
