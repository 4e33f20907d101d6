//! Whether a mirror is what its store says: every file, down to the byte, at one state of the store. Nothing is changed,
//! and nothing that stands in the mirror is believed: what should be there is computed from the store.

mod document;
mod found;
mod history;
mod log;
mod report;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::encoding::hex;
use wfldb_core::id::LogPosition;
use wfldb_core::mirror::Manifest;
use wfldb_core::object::BucketKind;

use self::found::{Found, Kind};
pub use self::report::{MirrorFault, MirrorFinding, MirrorHead, MirrorReport};
use super::cursor::Cursor;
use super::root::{ROOT, SIGNERS, root, signers};
use super::state::{METADATA, MirrorContent, MirrorFile, MirrorPlace, SHARD_ABOVE_KEYS, State};
use crate::engine::{Engine, Inner};
use crate::error::EngineError;
use crate::row::BucketRow;

/// Findings that a verdict lists; more are counted.
const FINDINGS_MAX: usize = 1000;
/// Keys that are looked up at once.
const KEYS_AT_ONCE: usize = 1000;
/// Largest file that is read whole: a manifest of a bucket without shards, a document.
const WHOLE_BYTES_MAX: u64 = 64 << 20;

impl Engine {
    /// Compares the mirror in `dir` (`None`: `mirror` in the store's directory) with the store, beside whatever else goes
    /// on; of a mirror that is being kept, what is on its way is found to differ. Blocks for as long as it takes to read
    /// both.
    ///
    /// # Errors
    /// `Forbidden`; when the storage cannot be read.
    pub fn verify_mirror(&self, proof: &Authorized, dir: Option<&Path>) -> Result<MirrorReport, EngineError> {
        if proof.op() != Op::Admin || *proof.target() != Target::Store {
            return Err(EngineError::Forbidden);
        }
        let dir = dir.map_or_else(|| self.inner.dir().join("mirror"), Path::to_owned);
        Check::new(&self.inner, dir).run()
    }
}

struct Check {
    inner: Arc<Inner>,
    state: State,
    dir: PathBuf,
    /// What is there and was not looked at yet.
    found: Found,
    report: MirrorReport,
}

impl Check {
    fn new(inner: &Arc<Inner>, dir: PathBuf) -> Self {
        Self {
            inner: Arc::clone(inner),
            state: State::of(inner),
            dir,
            found: Found::default(),
            report: MirrorReport::default(),
        }
    }

    fn run(mut self) -> Result<MirrorReport, EngineError> {
        self.report.position = self.state.mark()?.position.get();
        self.found = match Found::below(&self.dir) {
            Ok(found) => found,
            Err(error) => {
                self.find(
                    MirrorFault::Missing,
                    "",
                    &format!("{}: {error}", self.dir.display()),
                );
                return Ok(self.report);
            }
        };
        let regular = self.found.files();
        self.root()?;
        let cursor = fs::metadata(&self.dir).ok().and_then(|of| {
            let identity = format!("{}:{}", of.dev(), of.ino());
            Cursor::load(
                &self.inner.dir().join("views/mirror"),
                self.inner.store,
                &identity,
            )
        });
        for row in self.state.buckets()? {
            let known = cursor
                .as_ref()
                .and_then(|cursor| cursor.buckets.get(&row.id.to_string()));
            let sharded = match known {
                Some(known) => known.sharded,
                None => self.says_sharded(&row) || self.state.keys(&row.id)? > SHARD_ABOVE_KEYS,
            };
            self.bucket(&row, &MirrorPlace::new(&row.name, row.config.kind, sharded))?;
        }
        self.log()?;
        for (path, kind) in std::mem::take(&mut self.found).into_rest() {
            match kind {
                Kind::File(_) => self.find(MirrorFault::Added, &path, "the store has no such file"),
                Kind::Other(what) => self.find(MirrorFault::WrongType, &path, what),
            }
        }
        self.history(regular);
        self.report.sound = self.report.findings.is_empty();
        Ok(self.report)
    }

    fn find(&mut self, kind: MirrorFault, path: &str, detail: &str) {
        if self.report.findings.len() == FINDINGS_MAX {
            self.report.findings_omitted += 1;
            return;
        }
        self.report.findings.push(MirrorFinding {
            kind,
            path: path.to_owned(),
            detail: detail.to_owned(),
        });
    }

    /// The files about the mirror as a whole.
    fn root(&mut self) -> Result<(), EngineError> {
        if let Some(found) = self.take(ROOT) {
            let position = |bytes: &[u8]| {
                let said: Option<Value> = serde_json::from_slice(bytes).ok();
                said.and_then(|said| said.get("position")?.as_u64())
            };
            let at = position(&found).unwrap_or(0);
            self.report.mirror_position = at;
            let here = self.report.position;
            if found != root(&self.inner, LogPosition::new(at))? {
                self.find(MirrorFault::Metadata, ROOT, "it is not what the store writes");
            } else if at > here {
                let detail = format!("it has change {at}, and the store ends at {here}");
                self.find(MirrorFault::Metadata, ROOT, &detail);
            }
        }
        // Asking for the key would make one.
        if !self.inner.dir().join("keys/node.key").exists() {
            self.found.take(SIGNERS);
        } else if let Some(found) = self.take(SIGNERS)
            && found != signers(&self.inner)?
        {
            let detail = "it names other keys than the store's";
            self.find(MirrorFault::Signature, SIGNERS, detail);
        }
        Ok(())
    }

    /// What the bucket's own file says of shards, where nothing better is known.
    fn says_sharded(&self, row: &BucketRow) -> bool {
        let place = MirrorPlace::new(&row.name, row.config.kind, false);
        let path = self.dir.join(place.dir()).join(METADATA);
        let said = found::read(&path, WHOLE_BYTES_MAX)
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        said.is_some_and(|said| {
            said.get("shards")
                .and_then(Value::as_u64)
                .is_some_and(|shards| shards > 0)
        })
    }

    fn bucket(&mut self, row: &BucketRow, place: &MirrorPlace) -> Result<(), EngineError> {
        self.report.buckets += 1;
        let mut manifests: BTreeMap<String, Manifest> = place
            .manifest_dirs()
            .map(|dir| (dir, Manifest::default()))
            .collect();
        self.file(row, place.dir(), State::metadata(row, place)?, &mut manifests);
        let mut after = None;
        loop {
            let keys = self.state.keys_behind(&row.id, after.as_ref(), KEYS_AT_ONCE)?;
            for key in &keys {
                let dir = place.dir_of(key);
                match self.state.files(row, place, key) {
                    Ok(files) => {
                        for file in files {
                            self.file(row, &dir, file, &mut manifests);
                        }
                    }
                    Err(error @ (EngineError::Corrupt(_) | EngineError::Read(_))) => {
                        self.find(MirrorFault::Unreadable, &dir, &format!("{key}: {error}"));
                    }
                    Err(error) => return Err(error),
                }
            }
            match keys.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        for (dir, manifest) in manifests {
            self.manifest(&dir, &manifest);
        }
        Ok(())
    }

    /// Compares a file, and notes what its manifest has to say of it.
    fn file(
        &mut self,
        row: &BucketRow,
        dir: &str,
        file: MirrorFile,
        manifests: &mut BTreeMap<String, Manifest>,
    ) {
        let MirrorFile { path, content } = file;
        let hash = match content {
            MirrorContent::Whole(expected) => {
                let found = self.take(&path);
                if let Some(found) = found.filter(|found| *found != expected) {
                    let is_document = row.config.kind == BucketKind::Documents && !path.ends_with(METADATA);
                    let (kind, detail) = if is_document {
                        document::what_differs(&self.inner, &row.name, &expected, &found)
                    } else {
                        (MirrorFault::Metadata, "it is not what the store says".to_owned())
                    };
                    self.find(kind, &path, &detail);
                }
                Ok(Sha256::digest(&expected).into())
            }
            MirrorContent::Object(mut reader) => {
                let expected = hash_of(|| reader.next());
                let is_there = self.found.take(&path);
                match (&expected, is_there) {
                    (Ok(_), None) => self.missing(&path),
                    (Ok(expected), Some(Kind::Other(what))) => {
                        let _ = expected;
                        self.find(MirrorFault::WrongType, &path, what);
                    }
                    (Ok(expected), Some(Kind::File(_))) => {
                        self.report.files += 1;
                        if found::hash(&self.dir.join(&path)) != Some(*expected) {
                            self.find(MirrorFault::Content, &path, "its bytes are not the object's");
                        }
                    }
                    (Err(_), _) => {}
                }
                expected
            }
        };
        match hash {
            Ok(hash) => {
                let below = path.strip_prefix(dir).and_then(|path| path.strip_prefix('/'));
                if let (Some(manifest), Some(below)) = (manifests.get_mut(dir), below) {
                    manifest.set(below, Some(hash));
                }
            }
            Err(error) => self.find(MirrorFault::Unreadable, &path, &error.to_string()),
        }
    }

    fn manifest(&mut self, dir: &str, expected: &Manifest) {
        let path = format!("{dir}/{}", Manifest::FILE);
        if expected.is_empty() {
            return;
        }
        let Some(found) = self.take(&path) else { return };
        let text = expected.to_text();
        if found == text.as_bytes() {
            return;
        }
        let text = String::from_utf8_lossy(&found).into_owned();
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
        self.find(MirrorFault::Manifest, &path, &detail);
    }

    /// The bytes of a file that should be there; a finding where there is none.
    fn take(&mut self, path: &str) -> Option<Vec<u8>> {
        match self.found.take(path) {
            None => self.missing(path),
            Some(Kind::Other(what)) => self.find(MirrorFault::WrongType, path, what),
            Some(Kind::File(_)) => {
                self.report.files += 1;
                match found::read(&self.dir.join(path), WHOLE_BYTES_MAX) {
                    Some(bytes) => return Some(bytes),
                    None => self.find(MirrorFault::Content, path, "it cannot be read, or is too large"),
                }
            }
        }
        None
    }

    fn missing(&mut self, path: &str) {
        // A link in the place of a directory is what is to be named.
        let mut above = Path::new(path).ancestors().filter_map(Path::to_str).skip(1);
        let detail = match above.find(|above| self.found.is_other(above)) {
            Some(above) => format!("{above} is no directory"),
            None => "there is no such file".to_owned(),
        };
        self.find(MirrorFault::Missing, path, &detail);
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
