//! A local tree in the order of its keys, one directory in memory per level. What cannot or shall not be copied is
//! part of the walk, so that the caller reports it; nothing is left out silently.

use std::collections::VecDeque;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use wfldb_core::name::ObjectKey;

use super::meta::FileMeta;
use super::name::{NameError, directory_key_of, escaped_name, key_of};
use super::part::is_part_name;
use crate::Error;

/// One thing found in the tree.
#[derive(Debug)]
pub enum Found {
    /// A regular file to copy.
    File {
        /// Where it is.
        path: PathBuf,
        /// The key it goes to.
        key: ObjectKey,
        /// Its size when the walk passed.
        len: u64,
        /// Its time and mode.
        meta: FileMeta,
    },
    /// A directory without entries: a zero-byte object whose key ends with `/`.
    EmptyDirectory {
        /// Where it is.
        path: PathBuf,
        /// The key it goes to.
        key: ObjectKey,
        /// Its time and mode.
        meta: FileMeta,
    },
    /// By rule not copied.
    Skipped {
        /// Where it is.
        path: PathBuf,
        /// Which rule.
        why: &'static str,
    },
    /// Should be copied, and cannot.
    Failed {
        /// Where it is.
        path: PathBuf,
        /// What is in the way.
        error: Error,
    },
}

/// The walk: an iterator that reads directories as it goes. Blocks.
#[derive(Debug)]
pub struct Walk {
    root: PathBuf,
    real_root: PathBuf,
    prefix: String,
    follow: bool,
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    /// (device, inode) of the directory, to find a followed link that leads back up.
    id: (u64, u64),
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    order: String,
    relative: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    File(std::fs::Metadata),
    Directory(std::fs::Metadata),
    Skipped(&'static str),
    Failed(Error),
}

impl Walk {
    /// Starts at a directory. With `follow`, symbolic links are taken for what they point at, as long as that lies
    /// inside the tree.
    ///
    /// # Errors
    /// `Local` when the root is no directory or cannot be read.
    pub fn new(root: &Path, prefix: &str, follow: bool) -> Result<Self, Error> {
        let failed = |error| Error::io("cannot read directory", root, &error);
        let real_root = root.canonicalize().map_err(failed)?;
        let metadata = root.metadata().map_err(failed)?;
        let mut walk = Self {
            root: root.to_owned(),
            real_root,
            prefix: prefix.to_owned(),
            follow,
            levels: Vec::new(),
        };
        let entries = walk.read(Path::new("")).map_err(failed)?;
        walk.levels.push(Level {
            id: (metadata.dev(), metadata.ino()),
            entries,
        });
        Ok(walk)
    }

    fn read(&self, relative: &Path) -> std::io::Result<VecDeque<Entry>> {
        let directory = self.root.join(relative);
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            let kind = self.look_at(&entry);
            let mut name = entry.file_name();
            let path = relative.join(&name);
            if matches!(kind, Kind::Directory(_)) {
                name.push("/");
            }
            entries.push(Entry {
                order: escaped_name(&self.prefix, relative, &name),
                relative: path,
                kind,
            });
        }
        entries.sort_by(|a, b| a.order.as_bytes().cmp(b.order.as_bytes()));
        Ok(entries.into())
    }

    fn look_at(&self, entry: &std::fs::DirEntry) -> Kind {
        let path = entry.path();
        if is_part_name(&entry.file_name()) {
            return Kind::Skipped("unfinished download of wfldb");
        }
        let failed = |error: std::io::Error| Kind::Failed(Error::io("cannot read", &path, &error));
        let own = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) => return failed(error),
        };
        let metadata = if !own.is_symlink() {
            own
        } else if !self.follow {
            return Kind::Skipped("symbolic link, not followed (see --follow)");
        } else {
            match path.canonicalize().and_then(|real| Ok((real.metadata()?, real))) {
                Ok((_, real)) if !real.starts_with(&self.real_root) => {
                    return Kind::Skipped("symbolic link that leaves the tree");
                }
                Ok((metadata, _)) => metadata,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Kind::Skipped("symbolic link to nothing");
                }
                Err(error) => return failed(error),
            }
        };
        if metadata.is_file() {
            Kind::File(metadata)
        } else if metadata.is_dir() {
            Kind::Directory(metadata)
        } else {
            Kind::Skipped("special file (socket, pipe or device)")
        }
    }

    fn enter(&mut self, relative: &Path, metadata: &std::fs::Metadata) -> Option<Found> {
        let path = self.root.join(relative);
        let id = (metadata.dev(), metadata.ino());
        if self.levels.iter().any(|level| level.id == id) {
            return Some(Found::Skipped {
                path,
                why: "symbolic link that leads back to a directory above it",
            });
        }
        match self.read(relative) {
            Err(error) => Some(Found::Failed {
                error: Error::io("cannot read directory", &path, &error),
                path,
            }),
            Ok(entries) if entries.is_empty() => {
                let meta = FileMeta::of(metadata);
                Some(match directory_key_of(&self.prefix, relative) {
                    Ok(key) => Found::EmptyDirectory { path, key, meta },
                    Err(error) => Found::Failed {
                        error: unnameable(&path, error),
                        path,
                    },
                })
            }
            Ok(entries) => {
                self.levels.push(Level { id, entries });
                None
            }
        }
    }
}

fn unnameable(path: &Path, error: NameError) -> Error {
    Error::Local(format!("{}: {error}", path.display()))
}

impl Iterator for Walk {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let level = self.levels.last_mut()?;
            let Some(entry) = level.entries.pop_front() else {
                self.levels.pop();
                continue;
            };
            let path = self.root.join(&entry.relative);
            let found = match entry.kind {
                Kind::Skipped(why) => Found::Skipped { path, why },
                Kind::Failed(error) => Found::Failed { path, error },
                Kind::File(metadata) => match key_of(&self.prefix, &entry.relative) {
                    Ok(key) => Found::File {
                        path,
                        key,
                        len: metadata.len(),
                        meta: FileMeta::of(&metadata),
                    },
                    Err(error) => Found::Failed {
                        error: unnameable(&path, error),
                        path,
                    },
                },
                Kind::Directory(metadata) => match self.enter(&entry.relative, &metadata) {
                    Some(found) => found,
                    None => continue,
                },
            };
            return Some(found);
        }
    }
}

/// A guess at what a file holds, from the end of its name; `None` where a guess would be no use.
pub fn content_type(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.as_bytes().to_ascii_lowercase();
    Some(match extension.as_slice() {
        b"avif" => "image/avif",
        b"css" => "text/css",
        b"csv" => "text/csv",
        b"gif" => "image/gif",
        b"gz" | b"tgz" => "application/gzip",
        b"htm" | b"html" => "text/html",
        b"ico" => "image/vnd.microsoft.icon",
        b"jpeg" | b"jpg" => "image/jpeg",
        b"js" | b"mjs" => "text/javascript",
        b"json" => "application/json",
        b"md" => "text/markdown",
        b"mp3" => "audio/mpeg",
        b"mp4" => "video/mp4",
        b"pdf" => "application/pdf",
        b"png" => "image/png",
        b"svg" => "image/svg+xml",
        b"tar" => "application/x-tar",
        b"toml" => "application/toml",
        b"txt" => "text/plain",
        b"wasm" => "application/wasm",
        b"wav" => "audio/wav",
        b"webm" => "video/webm",
        b"webp" => "image/webp",
        b"woff" => "font/woff",
        b"woff2" => "font/woff2",
        b"xml" => "application/xml",
        b"yaml" | b"yml" => "application/yaml",
        b"zip" => "application/zip",
        b"zst" => "application/zstd",
        _ => return None,
    })
}
