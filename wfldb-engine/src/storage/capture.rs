//! The files of a storage at one commit, held so that they can be copied while it goes on.

use std::any::Any;
use std::fs::File;
use std::path::PathBuf;

/// The files of a storage as they stood at one commit.
#[derive(Debug)]
pub struct Captured {
    /// Every file that the storage needs to open as it stood.
    pub files: Vec<CapturedFile>,
    /// Keeps immutable files on disk for as long as this is there.
    pub held: Vec<Box<dyn Any + Send>>,
}

/// One file.
#[derive(Debug)]
pub struct CapturedFile {
    /// Where it stands below the storage's directory, parts joined by `/`.
    pub path: String,
    /// What is in it.
    pub content: Content,
}

/// What is in a captured file.
#[derive(Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The first so many bytes of an open file that grows at its end only, whatever becomes of its name.
    Prefix(File, u64),
    /// A file that nobody writes any more, and that stays while it is held.
    Immutable(PathBuf),
}
