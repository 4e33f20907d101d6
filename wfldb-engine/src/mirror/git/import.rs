//! Files into a tree, by `git fast-import`.
//!
//! It makes trees for its own commits only, which cannot be signed. So it is given one that is emptied again when the tree
//! is told: the same commit each time, on no branch, which it therefore writes once.

use std::io::{self, Cursor, Read};

use wfldb_core::mirror::GitId;

use super::GitError;
use super::program::{self, Git, Input, QUICK, STEADY};

/// Room for the longest: bucket, shard, `.deleted`, name.
const PATH_BYTES_MAX: usize = 1024;
const BLOCK_BYTES: usize = 64 * 1024;
/// Below any other reference, and gone again before git would write it.
const HEAD: &str = "commit refs/wfldb/tree\ncommitter wfldb <> 0 +0000\ndata 0\n";
const TAIL: &str = "ls \"\"\ndeleteall\n\nreset refs/wfldb/tree\n\ndone\n";
const ARGUMENTS: [&str; 3] = ["fast-import", "--quiet", "--done"];

/// A file that changed.
#[derive(Debug)]
pub(crate) struct GitChange {
    /// Its path below the mirror, parts joined by `/`.
    pub(crate) path: String,
    /// Its bytes; `None` when it is not there any more.
    pub(crate) content: Option<Content>,
}

/// What takes the files of a commit one after the other.
pub(crate) type Sink<'a> = dyn FnMut(GitChange) -> Result<(), GitError> + 'a;
/// What hands them over.
pub(crate) type Changes<'a> = Box<dyn FnOnce(&mut Sink<'_>) -> Result<(), GitError> + 'a>;

/// The bytes of a file, whose number is known.
pub(crate) struct Content {
    len: u64,
    bytes: Box<dyn Read>,
}

impl Content {
    /// Exactly `len` bytes, to be read when they are needed.
    pub(crate) fn new(len: u64, bytes: impl Read + 'static) -> Self {
        Self {
            len,
            bytes: Box::new(bytes),
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes.len() as u64, Cursor::new(bytes))
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} bytes)", self.len)
    }
}

/// Writes the tree that comes of `base` and the changes.
pub(super) fn import(git: &Git, base: Option<GitId>, changes: Changes<'_>) -> Result<GitId, GitError> {
    let answer = git.run(&ARGUMENTS, STEADY, |input| {
        input.write_all(HEAD.as_bytes())?;
        if let Some(tree) = base {
            input.write_all(format!("M 040000 {tree} \"\"\n").as_bytes())?;
        }
        changes(&mut |change| write_change(input, change))?;
        input.write_all(TAIL.as_bytes())
    })?;
    let answer = answer.trim_ascii();
    if answer == b"missing" {
        // No file is left.
        let arguments = ["hash-object", "-t", "tree", "-w", "--stdin"];
        let empty = git.run(&arguments, QUICK, |_| Ok(()))?;
        return program::id(&arguments, empty.trim_ascii_end());
    }
    program::id(
        &ARGUMENTS,
        answer.strip_prefix(b"040000 tree ").unwrap_or_default(),
    )
}

fn write_change(input: &mut Input<'_>, change: GitChange) -> Result<(), GitError> {
    let GitChange { path, content } = change;
    if !is_path(&path) {
        return Err(GitError::Path(path));
    }
    let Some(Content { len, bytes }) = content else {
        return input.write_all(format!("D {path}\n").as_bytes());
    };
    input.write_all(format!("M 100644 inline {path}\ndata {len}\n").as_bytes())?;
    let mut bytes = bytes.take(len);
    let mut left = len;
    let mut block = vec![0; BLOCK_BYTES.min(usize::try_from(len).unwrap_or(BLOCK_BYTES))];
    while left > 0 {
        let count = match bytes.read(&mut block) {
            Ok(0) => return Err(GitError::Source(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(GitError::Source(error)),
        };
        input.write_all(block.get(..count).unwrap_or_default())?;
        left -= count as u64;
    }
    input.write_all(b"\n")
}

/// SECURITY: a path stands in a line of its own, unquoted, so nothing in it may end the line or begin a quotation; and it
/// stays below the directory and out of `.git`.
pub(super) fn is_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b':');
    let segment = |part: &str| !matches!(part, "" | "." | "..") && !part.eq_ignore_ascii_case(".git");
    path.len() <= PATH_BYTES_MAX && path.bytes().all(plain) && path.split('/').all(segment)
}
