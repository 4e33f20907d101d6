//! What people did to the files of a mirror: which are gone, and what those of objects say now. It is told by the
//! manifests, which have what the mirror wrote there last; they are up to a second behind, and no clone of the history has
//! them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;

use sha2::{Digest as _, Sha256};
use wfldb_core::doc::{Object, Value};
use wfldb_core::id::{ContentHash, VersionId};
use wfldb_core::mirror::{Manifest, headers_of};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::ObjectHeaders;

use super::source::{MirrorSource, MirroredBucket, MirroredFile, SourceError, said_in};
use super::state::{META, MirrorPlace};

/// Largest manifest that is read: of some hundred thousand files.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// What the mirror wrote in the directories of a bucket.
#[derive(Debug, Default)]
pub struct Written {
    manifests: BTreeMap<String, Manifest>,
}

/// The files of an object, as they are now.
#[derive(Debug)]
pub struct EditedObject {
    /// Its key.
    pub key: ObjectKey,
    /// What stands beside its bytes; `None`: nothing does.
    pub said: Option<SaidOfObject>,
    /// Its bytes.
    pub body: File,
}

/// What is said of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaidOfObject {
    /// The version that the files were written of.
    pub version: VersionId,
    /// BLAKE3 of the bytes that were written.
    pub etag: ContentHash,
    /// What is kept with them.
    pub headers: ObjectHeaders,
    /// Whether it is what the mirror wrote, to the byte. If not, somebody edited it, or it was written a moment ago.
    pub as_written: bool,
}

impl MirrorSource {
    /// What the mirror wrote in the directories of a bucket, as far as it has manifests that can be read.
    ///
    /// # Errors
    /// `Io`.
    pub fn written(&self, bucket: &MirroredBucket) -> Result<Written, SourceError> {
        let mut written = Written::default();
        for dir in bucket.place().manifest_dirs() {
            let path = format!("{dir}/{}", Manifest::FILE);
            let text = match self.read(&path, MANIFEST_BYTES_MAX) {
                Err(SourceError::NoFile) => continue,
                text => text?,
            };
            let manifest = std::str::from_utf8(&text)
                .ok()
                .and_then(|text| Manifest::parse(text).ok());
            written.manifests.extend(manifest.map(|manifest| (dir, manifest)));
        }
        Ok(written)
    }

    /// The files of keys that are not deleted, which the mirror wrote and which are gone: their paths, and SHA-256 of what
    /// they were. A mirror that goes on moves and removes files too, so of each it has to be asked again
    /// ([`MirrorSource::holds`]) when it is known whose it is.
    ///
    /// # Errors
    /// `Io`.
    pub fn removed(
        &self,
        bucket: &MirroredBucket,
        written: &Written,
    ) -> Result<HashMap<String, [u8; 32]>, SourceError> {
        let files = self.files(bucket)?;
        let there: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let mut removed = HashMap::new();
        for (dir, manifest) in &written.manifests {
            let live = manifest
                .iter()
                .filter(|(path, _)| !path.contains('/') && !path.starts_with('.'));
            for (name, hash) in live {
                let path = format!("{dir}/{name}");
                if !there.contains(path.as_str()) {
                    removed.insert(path, *hash);
                }
            }
        }
        Ok(removed)
    }

    /// Whether a key that is not deleted has its file, wherever the bucket has its files by now.
    ///
    /// # Errors
    /// `Io`.
    pub fn holds(&self, bucket: &MirroredBucket, key: &ObjectKey) -> Result<bool, SourceError> {
        for sharded in [false, true] {
            let place = MirrorPlace::new(&bucket.name, bucket.config.kind, sharded);
            if self.file(&path_in(&place, key))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The files of an object that is not deleted. Where nothing stands beside its bytes, somebody made the file, and gave
    /// it a plain name.
    ///
    /// # Errors
    /// `NoFile`, `Malformed`, `Misplaced`, `Io`.
    pub fn edited_object(
        &self,
        bucket: &MirroredBucket,
        file: &MirroredFile,
        written: &Written,
    ) -> Result<EditedObject, SourceError> {
        let (key, said) = match self.beside(file) {
            Ok(text) => {
                let (key, said) = said_in(bucket, file, &text)?;
                let as_written = written.is_as_written(bucket, &key, &text);
                (key, Some(SaidOfObject::of(&said, as_written)?))
            }
            Err(SourceError::NoFile) => (bucket.key_of_plain(file)?, None),
            Err(error) => return Err(error),
        };
        let body = self.file(&file.path)?.ok_or(SourceError::NoFile)?;
        Ok(EditedObject { key, said, body })
    }

    /// The version that the files of an object were written of, if what stands beside its bytes is there.
    ///
    /// # Errors
    /// `Io`.
    pub fn version_beside(
        &self,
        bucket: &MirroredBucket,
        key: &ObjectKey,
    ) -> Result<Option<VersionId>, SourceError> {
        let path = bucket.path_of(key);
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let said = match self.said_at(&format!("{dir}/{META}/{name}.json")) {
            Err(SourceError::NoFile | SourceError::Malformed(_)) => return Ok(None),
            said => said?,
        };
        let version = said.get("version").and_then(Value::as_str);
        Ok(version.and_then(|version| VersionId::parse(version).ok()))
    }
}

impl MirroredBucket {
    /// Where the file of a key stands that is not deleted, below the mirror's directory.
    #[must_use]
    pub fn path_of(&self, key: &ObjectKey) -> String {
        path_in(self.place(), key)
    }
}

fn path_in(place: &MirrorPlace, key: &ObjectKey) -> String {
    let name = place.paths_of(key).into_iter().next().unwrap_or_default();
    format!("{}/{name}", place.dir_of(key))
}

impl Written {
    /// Whether what stands beside an object is what the mirror wrote there.
    fn is_as_written(&self, bucket: &MirroredBucket, key: &ObjectKey, text: &[u8]) -> bool {
        let place = bucket.place();
        let manifest = self.manifests.get(&place.dir_of(key));
        let name = place.paths_of(key).into_iter().nth(1).unwrap_or_default();
        let hash: [u8; 32] = Sha256::digest(text).into();
        manifest.and_then(|manifest| manifest.get(&name)) == Some(&hash)
    }
}

impl SaidOfObject {
    fn of(said: &Object, as_written: bool) -> Result<Self, SourceError> {
        let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default();
        Ok(Self {
            version: VersionId::parse(text("version")).map_err(SourceError::malformed)?,
            etag: ContentHash::parse(text("blake3")).map_err(SourceError::malformed)?,
            headers: headers_of(said).map_err(SourceError::malformed)?,
            as_written,
        })
    }
}
