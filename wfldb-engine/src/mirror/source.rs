//! A mirror's directory, read back: by whoever makes a store of it, or takes edits of its files. It may be anybody's, and
//! anything may stand in it: nothing is followed, everything has a limit, and what a file says of itself is compared with
//! where it stands.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use wfldb_core::doc::{self, Object, Value};
use wfldb_core::id::{KeyId, PublicKey, Role};
use wfldb_core::index::IndexDefinition;
use wfldb_core::limits::{DOCUMENT_BYTES_MAX, JSON_DEPTH_MAX};
use wfldb_core::mirror::{BESIDE_BUCKETS, Manifest, Shard, bucket_dir};
use wfldb_core::name::{BucketName, ObjectKey, Realm};
use wfldb_core::object::{BucketConfig, BucketKind};

use super::root::{FORMAT, ROOT};
use super::state::{DELETED, META, METADATA, MirrorPlace};
use super::tree::Tree;

/// Largest file that says what a mirror, a bucket or an object is.
const SAID_BYTES_MAX: u64 = 4 << 20;
/// Largest file of a document: each byte on a line of its own, as deep as it may stand.
const DOCUMENT_FILE_BYTES_MAX: u64 = (DOCUMENT_BYTES_MAX * (2 * JSON_DEPTH_MAX + 4)) as u64;

/// Why a mirror, or a file of one, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There is no mirror, or one of another form.
    #[error("the directory is no mirror that this release reads")]
    NoMirror,
    /// A file that should be there is not, or is no plain file, or is too large.
    #[error("no file, or no plain one, or one that is too large")]
    NoFile,
    /// It is not JSON of the kind that stands there.
    #[error("it does not say what a file of a mirror says there: {0}")]
    Malformed(String),
    /// What it says of itself does not go with its name or its place.
    #[error("it does not stand where it says that it does")]
    Misplaced,
}

impl SourceError {
    pub(super) fn malformed(error: impl std::fmt::Display) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// A mirror that is read.
#[derive(Debug)]
pub struct MirrorSource {
    tree: Tree,
    dir: PathBuf,
    realm: Realm,
    keys: Vec<PublicKey>,
}

/// A bucket of it.
#[derive(Debug, Clone)]
pub struct MirroredBucket {
    /// Its name.
    pub name: BucketName,
    /// How it is configured.
    pub config: BucketConfig,
    /// The indexes of its documents.
    pub indexes: Vec<IndexDefinition>,
    /// The JSON Schema of its documents.
    pub schema: Option<Value>,
    place: MirrorPlace,
}

/// A file of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MirroredFile {
    /// Where it stands, below the mirror's directory.
    pub path: String,
    /// The key was deleted.
    pub deleted: bool,
    /// The directory whose manifest has it.
    dir: String,
    /// Its name there, and below the directory of what was deleted.
    pub(super) name: String,
}

/// An object of it.
#[derive(Debug)]
pub struct MirroredObject {
    /// Its key.
    pub key: ObjectKey,
    /// What is said of it.
    pub said: Object,
    /// Its bytes.
    pub body: File,
}

#[derive(Deserialize)]
struct RootSaid {
    format: u32,
    keys: Vec<String>,
    realm: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BucketSaid {
    bucket: String,
    config: BucketConfig,
    indexes: Vec<Value>,
    #[serde(default)]
    schema: Option<Value>,
    shards: usize,
}

impl MirrorSource {
    /// Opens the mirror at `path`. Nothing is written.
    ///
    /// # Errors
    /// `NoMirror`, `Malformed`, `Io`.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let tree = Tree::open(path)?;
        let said = tree.read(ROOT, SAID_BYTES_MAX)?.ok_or(SourceError::NoMirror)?;
        let said: RootSaid = serde_json::from_slice(&said).map_err(SourceError::malformed)?;
        if said.format != FORMAT {
            return Err(SourceError::NoMirror);
        }
        let keys = said.keys.iter().map(|key| {
            let id = KeyId::parse(key).map_err(SourceError::malformed)?;
            if id.role() == Role::Node {
                Ok(id.public_key().clone())
            } else {
                Err(SourceError::Malformed("a key that signs no documents".to_owned()))
            }
        });
        Ok(Self {
            keys: keys.collect::<Result<_, _>>()?,
            realm: Realm::parse(&said.realm).map_err(SourceError::malformed)?,
            tree,
            dir: path.to_owned(),
        })
    }

    /// The directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether it has a history in git.
    pub(super) fn has_history(&self) -> bool {
        fs::symlink_metadata(self.dir.join(".git")).is_ok()
    }

    /// The bytes of a file.
    pub(super) fn read(&self, path: &str, max: u64) -> Result<Vec<u8>, SourceError> {
        self.tree.read(path, max)?.ok_or(SourceError::NoFile)
    }

    /// The realm that the mirror names.
    #[must_use]
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// The keys that the mirror says its documents are signed with. Whoever made the directory could name any.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Its buckets, by name.
    ///
    /// # Errors
    /// `Malformed` and `Misplaced` with the file that is wrong, `Io`.
    pub fn buckets(&self) -> Result<Vec<MirroredBucket>, (String, SourceError)> {
        let names = list(&self.tree, "").map_err(|error| (String::new(), error))?;
        let mut buckets = Vec::new();
        for (name, is_dir) in names {
            if !is_dir || name.starts_with('.') || BESIDE_BUCKETS.contains(&name.as_str()) {
                continue;
            }
            let path = format!("{name}/{METADATA}");
            match self.bucket(&name, &path) {
                Ok(bucket) => buckets.push(bucket),
                // Something of somebody else.
                Err(SourceError::NoFile) => {}
                Err(error) => return Err((path, error)),
            }
        }
        Ok(buckets)
    }

    fn bucket(&self, dir: &str, path: &str) -> Result<MirroredBucket, SourceError> {
        MirroredBucket::parse(dir, &self.read(path, SAID_BYTES_MAX)?)
    }

    /// The files of a bucket's keys, what is not deleted first, each kind in the order of paths; those beside objects are
    /// not among them. Names that no key has are, and whoever reads them finds out.
    ///
    /// # Errors
    /// `Io`.
    pub fn files(&self, bucket: &MirroredBucket) -> Result<Vec<MirroredFile>, SourceError> {
        let mut files = Vec::new();
        for deleted in [false, true] {
            for dir in bucket.place.manifest_dirs() {
                let inner = if deleted {
                    format!("{dir}/{DELETED}")
                } else {
                    dir.clone()
                };
                for (name, is_dir) in list(&self.tree, &inner)? {
                    let own = name == Manifest::FILE || name.starts_with('.');
                    if !is_dir && !own {
                        let path = format!("{inner}/{name}");
                        let dir = dir.clone();
                        files.push(MirroredFile {
                            path,
                            deleted,
                            dir,
                            name,
                        });
                    }
                }
            }
        }
        Ok(files)
    }

    /// What stands in the file of a document, and its key.
    ///
    /// # Errors
    /// `NoFile`, `Malformed`, `Misplaced`, `Io`.
    pub fn document(
        &self,
        bucket: &MirroredBucket,
        file: &MirroredFile,
    ) -> Result<(ObjectKey, Object), SourceError> {
        let text = self.read(&file.path, DOCUMENT_FILE_BYTES_MAX)?;
        document_in(bucket, file, &text)
    }

    /// An object, what is said of it, and its bytes.
    ///
    /// # Errors
    /// As [`MirrorSource::document`].
    pub fn object(
        &self,
        bucket: &MirroredBucket,
        file: &MirroredFile,
    ) -> Result<MirroredObject, SourceError> {
        let (key, said) = said_in(bucket, file, &self.beside(file)?)?;
        let body = self.tree.file(&file.path)?.ok_or(SourceError::NoFile)?;
        Ok(MirroredObject { key, said, body })
    }

    /// What stands beside the bytes of an object.
    pub(super) fn beside(&self, file: &MirroredFile) -> Result<Vec<u8>, SourceError> {
        let above = file.path.strip_suffix(&file.name).unwrap_or_default();
        self.read(&format!("{above}{META}/{}.json", file.name), SAID_BYTES_MAX)
    }

    /// What is said of an object, wherever that stands.
    pub(super) fn said_at(&self, path: &str) -> Result<Object, SourceError> {
        doc::parse_object(&self.read(path, SAID_BYTES_MAX)?).map_err(SourceError::malformed)
    }

    /// The plain file at a path, open.
    pub(super) fn file(&self, path: &str) -> Result<Option<File>, SourceError> {
        Ok(self.tree.file(path)?)
    }
}

impl MirroredBucket {
    /// Reads what a file says of the bucket in whose directory it stands.
    pub(super) fn parse(dir: &str, said: &[u8]) -> Result<Self, SourceError> {
        let said: BucketSaid = serde_json::from_slice(said).map_err(SourceError::malformed)?;
        let name = BucketName::parse(&said.bucket).map_err(SourceError::malformed)?;
        if bucket_dir(&name) != dir {
            return Err(SourceError::Misplaced);
        }
        let sharded = match said.shards {
            0 => false,
            Shard::COUNT => true,
            _ => return Err(SourceError::Malformed("shards".to_owned())),
        };
        let indexes = said.indexes.iter().map(IndexDefinition::parse);
        Ok(Self {
            place: MirrorPlace::new(&name, said.config.kind, sharded),
            indexes: indexes
                .collect::<Result<_, _>>()
                .map_err(SourceError::malformed)?,
            name,
            config: said.config,
            schema: said.schema,
        })
    }

    /// Where its files are.
    pub(super) fn place(&self) -> &MirrorPlace {
        &self.place
    }

    /// The key of a file that somebody made, and gave a plain name.
    pub(super) fn key_of_plain(&self, file: &MirroredFile) -> Result<ObjectKey, SourceError> {
        let name = match self.config.kind {
            BucketKind::Documents => file.name.strip_suffix(".json").unwrap_or_default(),
            BucketKind::Objects => &file.name,
        };
        let key = ObjectKey::parse(name).map_err(SourceError::malformed)?;
        stands(self, file, &key)?;
        Ok(key)
    }

    /// Whether it holds documents.
    #[must_use]
    pub fn holds_documents(&self) -> bool {
        self.config.kind == BucketKind::Documents
    }
}

/// The document that stands in a file, or stood there once, and its key.
pub(super) fn document_in(
    bucket: &MirroredBucket,
    file: &MirroredFile,
    text: &[u8],
) -> Result<(ObjectKey, Object), SourceError> {
    let document = doc::parse_object(text).map_err(SourceError::malformed)?;
    let Some(id) = document.get("_id") else {
        return Ok((bucket.key_of_plain(file)?, document));
    };
    let key = ObjectKey::parse(id.as_str().unwrap_or_default()).map_err(SourceError::malformed)?;
    stands(bucket, file, &key)?;
    Ok((key, document))
}

/// What stands beside an object, or stood there once, and the object's key.
pub(super) fn said_in(
    bucket: &MirroredBucket,
    file: &MirroredFile,
    text: &[u8],
) -> Result<(ObjectKey, Object), SourceError> {
    let said = doc::parse_object(text).map_err(SourceError::malformed)?;
    let key = said.get("key").and_then(Value::as_str).unwrap_or_default();
    let key = ObjectKey::parse(key).map_err(SourceError::malformed)?;
    stands(bucket, file, &key)?;
    Ok((key, said))
}

/// Whether the file is the one that the key has.
fn stands(bucket: &MirroredBucket, file: &MirroredFile, key: &ObjectKey) -> Result<(), SourceError> {
    let below = file
        .path
        .strip_prefix(&file.dir)
        .and_then(|path| path.strip_prefix('/'));
    let names = bucket.place.paths_of(key);
    if bucket.place.dir_of(key) == file.dir && names.iter().any(|name| Some(name.as_str()) == below) {
        Ok(())
    } else {
        Err(SourceError::Misplaced)
    }
}

/// Names with whether they are directories, in order; names that are no UTF-8 are nobody's.
fn list(tree: &Tree, path: &str) -> Result<Vec<(String, bool)>, SourceError> {
    let entries = tree.list(path)?.into_iter();
    let entries = entries.filter_map(|entry| Some((entry.as_str()?.to_owned(), entry.is_dir)));
    let mut names: Vec<_> = entries.collect();
    names.sort_unstable();
    Ok(names)
}
