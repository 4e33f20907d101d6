//! The manifests that are being changed: read once, kept while their directories change, written at rest points.

use std::collections::HashMap;
use std::io::{self, Write as _};

use bytes::Bytes;
use wfldb_core::mirror::Manifest;

use super::dir::MirrorDir;
use super::state::DELETED;

/// Lines that are kept in memory, about 150 bytes each.
const LINES_MAX: usize = 500_000;
/// Largest manifest that is read.
const BYTES_MAX: u64 = 1 << 30;

/// Why a manifest is not there to be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestFault {
    /// It is not what was written: what it speaks of is written anew.
    #[error("the manifest of {0} is damaged")]
    Damaged(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[derive(Debug)]
struct Kept {
    manifest: Manifest,
    changed: bool,
    used: u64,
}

/// Manifests by the directories that they are of.
#[derive(Debug, Default)]
pub(crate) struct Manifests {
    kept: HashMap<String, Kept>,
    lines: usize,
    clock: u64,
}

impl Manifests {
    /// The manifest of a directory.
    pub(crate) fn of(&mut self, dir: &MirrorDir, place: &str) -> Result<&Manifest, ManifestFault> {
        Ok(&self.kept(dir, place)?.manifest)
    }

    /// Sets the hash of a file below `place`, or takes it out.
    pub(crate) fn set(
        &mut self,
        dir: &MirrorDir,
        place: &str,
        path: &str,
        hash: Option<[u8; 32]>,
    ) -> Result<(), ManifestFault> {
        let kept = self.kept(dir, place)?;
        let before = kept.manifest.len();
        if kept.manifest.get(path) != hash.as_ref() {
            kept.manifest.set(path, hash);
            kept.changed = true;
        }
        let after = kept.manifest.len();
        self.lines = (self.lines + after).saturating_sub(before);
        Ok(())
    }

    /// Begins the manifest of a directory with nothing in it.
    pub(crate) fn begin(&mut self, place: &str) {
        self.forget(place);
        let kept = Kept {
            manifest: Manifest::default(),
            changed: true,
            used: self.clock,
        };
        self.kept.insert(place.to_owned(), kept);
    }

    /// Forgets a directory, which is gone.
    pub(crate) fn forget(&mut self, place: &str) {
        if let Some(kept) = self.kept.remove(place) {
            self.lines = self.lines.saturating_sub(kept.manifest.len());
        }
    }

    fn kept(&mut self, dir: &MirrorDir, place: &str) -> Result<&mut Kept, ManifestFault> {
        self.clock += 1;
        if !self.kept.contains_key(place) {
            let bytes = dir.read(&path_of(place), BYTES_MAX)?;
            let damaged = || ManifestFault::Damaged(place.to_owned());
            let manifest = match &bytes {
                Some(bytes) => {
                    let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
                    Manifest::parse(text).map_err(|_| damaged())?
                }
                // A directory without files has none.
                None if is_empty(dir, place)? => Manifest::default(),
                None => return Err(damaged()),
            };
            self.lines += manifest.len();
            let kept = Kept {
                manifest,
                changed: false,
                used: 0,
            };
            self.kept.insert(place.to_owned(), kept);
        }
        let kept = self.kept.entry(place.to_owned()).or_insert_with(|| Kept {
            manifest: Manifest::default(),
            changed: true,
            used: 0,
        });
        kept.used = self.clock;
        Ok(kept)
    }

    /// Whether so much is kept that some of it should be let go.
    pub(crate) fn is_full(&self) -> bool {
        self.lines > LINES_MAX
    }

    /// Writes what changed, tells `written` of it (`None`: it was removed, with the last of its files), and lets go of
    /// what was not used for longest.
    pub(crate) fn write(
        &mut self,
        dir: &MirrorDir,
        mut written: impl FnMut(String, Option<Bytes>),
    ) -> io::Result<()> {
        for (place, kept) in self.kept.iter_mut().filter(|(_, kept)| kept.changed) {
            let path = path_of(place);
            let bytes = kept.manifest.to_text().into_bytes();
            if kept.manifest.is_empty() {
                if dir.remove(&path)? {
                    written(path, None);
                }
            } else {
                dir.write(&path, |file| file.write_all(&bytes))?;
                written(path, Some(Bytes::from(bytes)));
            }
            kept.changed = false;
        }
        if self.is_full() {
            let mut oldest: Vec<_> = self
                .kept
                .iter()
                .map(|(place, kept)| (kept.used, place.clone()))
                .collect();
            oldest.sort_unstable();
            for (_, place) in oldest {
                if self.lines <= LINES_MAX / 2 {
                    break;
                }
                self.forget(&place);
            }
        }
        Ok(())
    }
}

/// Whether there are no files that a manifest should name.
fn is_empty(dir: &MirrorDir, place: &str) -> io::Result<bool> {
    let files = |place: &str| {
        let entries = dir.list(place)?;
        Ok::<_, io::Error>(entries.iter().any(|entry| !entry.is_dir))
    };
    Ok(!files(place)? && !files(&format!("{place}/{DELETED}"))?)
}

fn path_of(place: &str) -> String {
    format!("{place}/{}", Manifest::FILE)
}
