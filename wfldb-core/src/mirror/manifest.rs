//! The manifest of a directory: what `sha256sum -c MANIFEST.sha256` checks.

use std::collections::BTreeMap;

use crate::encoding::hex;

/// The files of a directory, by their paths below it, with SHA-256 of their bytes.
///
/// A line for each, sorted by the bytes of the path: 64 lower-case hexadecimal digits, two spaces, the path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest(BTreeMap<String, [u8; 32]>);

/// A manifest that is not in its one spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of a manifest is not a hash and a path, in order")]
pub struct ManifestError {
    /// Which line, from 1.
    pub line: usize,
}

impl Manifest {
    /// The name of its file.
    pub const FILE: &str = "MANIFEST.sha256";

    /// Reads one.
    ///
    /// # Errors
    /// The first line that is none, or is out of order.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut files = BTreeMap::new();
        let mut before: Option<&str> = None;
        for (at, line) in text.split_inclusive('\n').enumerate() {
            let fault = ManifestError { line: at + 1 };
            let line = line.strip_suffix('\n').ok_or(fault)?;
            let (hash, path) = line.split_once("  ").ok_or(fault)?;
            let hash = hex::decode_array(hash).map_err(|_| fault)?;
            if !is_path(path) || before.is_some_and(|before| before >= path) {
                return Err(fault);
            }
            before = Some(path);
            files.insert(path.to_owned(), hash);
        }
        Ok(Self(files))
    }

    /// Writes it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(self.0.len() * 96);
        for (path, hash) in &self.0 {
            text.push_str(&hex::encode(hash));
            text.push_str("  ");
            text.push_str(path);
            text.push('\n');
        }
        text
    }

    /// Sets the hash of a file, or takes the file out.
    pub fn set(&mut self, path: &str, hash: Option<[u8; 32]>) {
        match hash {
            Some(hash) => {
                self.0.insert(path.to_owned(), hash);
            }
            None => {
                self.0.remove(path);
            }
        }
    }

    /// The hash of a file.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&[u8; 32]> {
        self.0.get(path)
    }

    /// The files, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8; 32])> {
        self.0.iter().map(|(path, hash)| (path.as_str(), hash))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A path that stays below its directory, in characters that need no quoting.
fn is_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    let segment = |segment: &str| !matches!(segment, "" | "." | "..");
    path.bytes().all(plain) && path.split('/').all(segment)
}
