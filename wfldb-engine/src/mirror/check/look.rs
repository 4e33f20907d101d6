//! Looking at one path: what it should be in a state of the store, what it is, and how the two differ.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wfldb_core::encoding::hex;
use wfldb_core::id::{LogPosition, VersionId};
use wfldb_core::mirror::Manifest;
use wfldb_core::object::BucketKind;

use super::held::Standing;
use super::pass::Watch;
use super::table::{Kind, Stamp, kind_of};
use super::view::{Due, View, WHOLE_BYTES_MAX};
use super::{MirrorFault, document};
use crate::error::EngineError;
use crate::mirror::root::{root, signers};
use crate::mirror::state::{DELETED, META, METADATA, MirrorContent};
use crate::mirror::tree::Tree;
use crate::object::ObjectReader;
use crate::row::BucketRow;

/// Objects above this are not read while the mirror stands still.
const LARGE_BYTES: u64 = 4 << 20;

/// What a look came to.
pub(super) enum Verdict {
    Same,
    Differs(MirrorFault, String),
    /// It cannot be said now.
    Undecided,
}

/// A large object that was found to differ: what it takes to say so again without reading it again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Large {
    version: VersionId,
    expected: [u8; 32],
    /// Of its file, where there is one.
    stamp: Option<Stamp>,
    found: Option<[u8; 32]>,
}

fn differs(fault: MirrorFault, detail: &str) -> Verdict {
    Verdict::Differs(fault, detail.to_owned())
}

impl Watch {
    /// Looks at a path, and notes what was found: a difference only where the files stand still.
    pub(super) fn look(
        &mut self,
        view: &View,
        tree: &Tree,
        path: &str,
        standing: Standing<'_>,
    ) -> Result<(), EngineError> {
        let kind = kind_of(tree, path).map_err(read)?;
        let (expected, verdict) = self.compare(view, tree, path, kind, standing)?;
        let verdict = match verdict {
            // What is removed from the store can go while an older state of it is read.
            Verdict::Differs(MirrorFault::Unreadable, _)
                if standing.is_held() && view.is_outdated(path)? =>
            {
                Verdict::Undecided
            }
            verdict => verdict,
        };
        let same = matches!(verdict, Verdict::Same);
        let settled = match kind {
            // What was changed while it was read, or may be without another time, is looked at again.
            Kind::File(stamp) => {
                same && !stamp.is_racy(view.inner().now()) && kind_of(tree, path).map_err(read)? == kind
            }
            Kind::Absent | Kind::Other(_) => same,
        };
        self.table.set(path, kind, expected, settled);
        match verdict {
            Verdict::Same => {
                self.open.remove(path);
                self.large.remove(path);
                self.suspects.remove(path);
            }
            Verdict::Differs(fault, detail) if standing.holds() => {
                self.suspects.remove(path);
                self.differs(path, fault, detail);
            }
            Verdict::Differs(..) | Verdict::Undecided => self.suspect(path),
        }
        Ok(())
    }

    fn compare(
        &mut self,
        view: &View,
        tree: &Tree,
        path: &str,
        kind: Kind,
        standing: Standing<'_>,
    ) -> Result<(Option<[u8; 32]>, Verdict), EngineError> {
        let due = view.due(path)?;
        let whole = |bytes: &[u8]| Some(Sha256::digest(bytes).into());
        Ok(match due {
            Due::Nothing => (None, strange(kind)),
            Due::Unknown => (None, Verdict::Same),
            Due::Unreadable(why) => (None, Verdict::Differs(MirrorFault::Unreadable, why)),
            Due::Root => {
                let verdict = match Self::bytes(tree, path, kind)? {
                    Ok(found) => self.root(view, &found, standing)?,
                    Err(verdict) => verdict,
                };
                // Its bytes are those of a position, which is another soon.
                (Some([0; 32]), verdict)
            }
            // Asking for the key would make one.
            Due::Signers if !view.inner().dir().join("keys/node.key").exists() => (None, Verdict::Same),
            Due::Signers => {
                let expected = signers(view.inner())?;
                let verdict = match Self::bytes(tree, path, kind)? {
                    Ok(found) if found == expected => Verdict::Same,
                    Ok(_) => differs(MirrorFault::Signature, "it names other keys than the store's"),
                    Err(verdict) => verdict,
                };
                (whole(&expected), verdict)
            }
            Due::Manifest(dir) => (None, self.manifest(view, tree, &dir, path, kind, standing)?),
            Due::File(row, file) => match file.content {
                MirrorContent::Whole(expected) => {
                    let verdict = match Self::bytes(tree, path, kind)? {
                        Ok(found) => in_words(view, &row, path, &expected, &found),
                        Err(verdict) => verdict,
                    };
                    (whole(&expected), verdict)
                }
                MirrorContent::Object(reader) => self.object(tree, path, kind, *reader, standing)?,
            },
        })
    }

    /// The bytes of a file that should be there, or what is wrong with it.
    fn bytes(tree: &Tree, path: &str, kind: Kind) -> Result<Result<Vec<u8>, Verdict>, EngineError> {
        match kind {
            Kind::Absent => Ok(Err(missing(tree, path)?)),
            Kind::Other(what) => Ok(Err(differs(MirrorFault::WrongType, what))),
            Kind::File(_) => {
                let read = tree.read(path, WHOLE_BYTES_MAX);
                let bytes = read.ok().flatten();
                let unread = || differs(MirrorFault::Content, "it cannot be read, or is too large");
                Ok(bytes.ok_or_else(unread))
            }
        }
    }

    fn root(&mut self, view: &View, found: &[u8], standing: Standing<'_>) -> Result<Verdict, EngineError> {
        let said: Option<Value> = serde_json::from_slice(found).ok();
        let said = said.and_then(|said| said.get("position")?.as_u64());
        let at = said.unwrap_or(0);
        self.mirror_position = at;
        let here = view.position;
        if found != root(view.inner(), LogPosition::new(at))? {
            return Ok(differs(MirrorFault::Metadata, "it is not what the store writes"));
        }
        let written = standing.written().filter(|written| *written != at);
        Ok(if let Some(written) = written {
            let detail = format!("it has change {at}, and the mirror wrote {written}");
            Verdict::Differs(MirrorFault::Metadata, detail)
        } else if at > here {
            let detail = format!("it has change {at}, and the store ends at {here}");
            Verdict::Differs(MirrorFault::Metadata, detail)
        } else {
            Verdict::Same
        })
    }

    fn object(
        &mut self,
        tree: &Tree,
        path: &str,
        kind: Kind,
        mut reader: ObjectReader,
        standing: Standing<'_>,
    ) -> Result<(Option<[u8; 32]>, Verdict), EngineError> {
        let (version, len) = (reader.meta().version, reader.meta().len);
        let stamp = match kind {
            Kind::File(stamp) => Some(stamp),
            Kind::Absent | Kind::Other(_) => None,
        };
        let known = self
            .large
            .get(path)
            .copied()
            .filter(|known| known.version == version);
        let before = known.filter(|known| known.stamp == stamp);
        let is_large = len.max(stamp.map_or(0, |stamp| stamp.len)) > LARGE_BYTES;
        if is_large && standing.is_held() && before.is_none() {
            return Ok((None, Verdict::Undecided));
        }
        let expected = match known {
            Some(known) => known.expected,
            None => match hash_of(|| reader.next()) {
                Ok(hash) => hash,
                Err(error @ (EngineError::Corrupt(_) | EngineError::Read(_))) => {
                    return Ok((None, Verdict::Differs(MirrorFault::Unreadable, error.to_string())));
                }
                Err(error) => return Err(error),
            },
        };
        let found = match (before, stamp) {
            (Some(before), _) => before.found,
            (None, Some(stamp)) if stamp.len == len => hash(tree, path),
            (None, _) => None,
        };
        if found == Some(expected) {
            return Ok((Some(expected), Verdict::Same));
        }
        if is_large {
            let large = Large {
                version,
                expected,
                stamp,
                found,
            };
            self.large.insert(path.to_owned(), large);
        }
        let verdict = match kind {
            Kind::Absent => missing(tree, path)?,
            Kind::Other(what) => differs(MirrorFault::WrongType, what),
            Kind::File(_) => differs(MirrorFault::Content, "its bytes are not the object's"),
        };
        Ok((Some(expected), verdict))
    }

    /// Compares the manifest of `dir` with what the store has for each of its files.
    fn manifest(
        &mut self,
        view: &View,
        tree: &Tree,
        dir: &str,
        path: &str,
        kind: Kind,
        standing: Standing<'_>,
    ) -> Result<Verdict, EngineError> {
        if standing.is_held() {
            // What became of its files since they were looked at.
            let dirs = ["", DELETED, META, &format!("{DELETED}/{META}")];
            let dirs = dirs.map(|below| format!("{dir}/{below}").trim_end_matches('/').to_owned());
            for changed in self.table.walk_some(tree, &dirs).map_err(read)? {
                if changed != path {
                    self.look(view, tree, &changed, standing)?;
                }
            }
        }
        if self.is_unsure_below(dir, path) {
            return Ok(Verdict::Undecided);
        }
        let unreadable = self.open.range(format!("{dir}/")..);
        let mut unreadable = unreadable.take_while(|(path, _)| path.starts_with(dir));
        if unreadable.any(|(_, (fault, _))| *fault == MirrorFault::Unreadable) {
            return Ok(Verdict::Same);
        }
        let above_shards = view.is_above_shards(dir);
        let mut expected = Manifest::default();
        let mut set = |path: &str, hash: Option<[u8; 32]>| {
            let below = path.strip_prefix(dir).and_then(|path| path.strip_prefix('/'));
            if let (Some(below), Some(hash)) = (below, hash) {
                expected.set(below, Some(hash));
            }
        };
        if above_shards {
            let metadata = format!("{dir}/{METADATA}");
            let entry = self.table.get(&metadata);
            set(&metadata, entry.and_then(|entry| entry.expected));
        } else {
            self.table
                .below(dir)
                .for_each(|(path, entry)| set(path, entry.expected));
        }
        if expected.is_empty() {
            return Ok(strange(kind));
        }
        Ok(match Self::bytes(tree, path, kind)? {
            Ok(found) => manifest_in_words(&expected, &found),
            Err(verdict) => verdict,
        })
    }
}

impl Watch {
    /// Whether it is not known yet what a file below `dir`, but for `path`, should be.
    fn is_unsure_below(&self, dir: &str, path: &str) -> bool {
        let below = format!("{dir}/");
        let suspects = self.suspects.range(below.clone()..);
        let mut suspects = suspects.take_while(|suspect| suspect.starts_with(&below));
        suspects.any(|suspect| suspect != path && !is_manifest(suspect))
    }
}

/// Whether a path is that of a manifest.
pub(super) fn is_manifest(path: &str) -> bool {
    path.rsplit('/').next() == Some(Manifest::FILE)
}

fn strange(kind: Kind) -> Verdict {
    match kind {
        Kind::Absent => Verdict::Same,
        Kind::File(_) => differs(MirrorFault::Added, "the store has no such file"),
        Kind::Other(what) => differs(MirrorFault::WrongType, what),
    }
}

fn missing(tree: &Tree, path: &str) -> Result<Verdict, EngineError> {
    // A link in the place of a directory is what is to be named.
    for above in Path::new(path).ancestors().filter_map(Path::to_str).skip(1) {
        if !above.is_empty()
            && matches!(
                kind_of(tree, above).map_err(read)?,
                Kind::File(_) | Kind::Other(_)
            )
        {
            let detail = format!("{above} is no directory");
            return Ok(Verdict::Differs(MirrorFault::Missing, detail));
        }
    }
    Ok(differs(MirrorFault::Missing, "there is no such file"))
}

fn in_words(view: &View, row: &BucketRow, path: &str, expected: &[u8], found: &[u8]) -> Verdict {
    if expected == found {
        return Verdict::Same;
    }
    let is_document = row.config.kind == BucketKind::Documents && !path.ends_with(METADATA);
    if is_document {
        let (fault, detail) = document::what_differs(view.inner(), &row.name, expected, found);
        Verdict::Differs(fault, detail)
    } else {
        differs(MirrorFault::Metadata, "it is not what the store says")
    }
}

fn manifest_in_words(expected: &Manifest, found: &[u8]) -> Verdict {
    if found == expected.to_text().as_bytes() {
        return Verdict::Same;
    }
    let text = String::from_utf8_lossy(found).into_owned();
    let detail = match Manifest::parse(&text) {
        Err(error) => error.to_string(),
        Ok(found) => {
            let wrong = expected
                .iter()
                .find(|(path, hash)| found.get(path) != Some(*hash));
            let more = found.iter().find(|(path, _)| expected.get(path).is_none());
            match (wrong, more) {
                (Some((path, hash)), _) => format!("the hash of {path} should be {}", hex::encode(hash)),
                (None, Some((path, _))) => format!("it names {path}, which the store does not have"),
                (None, None) => "it is not in its one spelling".to_owned(),
            }
        }
    };
    Verdict::Differs(MirrorFault::Manifest, detail)
}

/// SHA-256 of a file.
fn hash(tree: &Tree, path: &str) -> Option<[u8; 32]> {
    let mut file = tree.file(path).ok()??;
    let mut hash = Sha256::new();
    let mut block = vec![0; 256 * 1024];
    loop {
        match file.read(&mut block).ok()? {
            0 => return Some(hash.finalize().into()),
            count => hash.update(block.get(..count)?),
        }
    }
}

fn hash_of(
    mut next: impl FnMut() -> Result<Option<bytes::Bytes>, EngineError>,
) -> Result<[u8; 32], EngineError> {
    let mut hash = Sha256::new();
    while let Some(piece) = next()? {
        hash.update(&piece);
    }
    Ok(hash.finalize().into())
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
pub(super) fn read(error: std::io::Error) -> EngineError {
    EngineError::Read(format!("the mirror: {error}"))
}

/// Large objects that differ, by path.
pub(super) type Larges = BTreeMap<String, Large>;
