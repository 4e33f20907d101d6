//! What a mirror should hold, of one state of the store. Pure reading: whoever writes the files and whoever checks them
//! ask here, so that the two cannot differ.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use wfldb_core::doc::{self, Object, Value};
use wfldb_core::id::{BucketId, VersionId};
use wfldb_core::mirror::{FileKind, FileName, Shard, bucket_dir, pretty};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::BucketKind;

use crate::engine::Inner;
use crate::error::EngineError;
use crate::object::{ObjectReader, inline_body};
use crate::row::{BucketCounters, BucketRow, CommitMark, EvidenceRow, ObjectRow, key};
use crate::storage::{Snapshot, Space, prefix_end};

/// A bucket with more keys than this is written in shards.
pub const SHARD_ABOVE_KEYS: u64 = 4096;
/// What says what a bucket is.
pub(crate) const METADATA: &str = ".metadata.json";
/// The directory of what was deleted, beside what was not.
pub(crate) const DELETED: &str = ".deleted";
/// The directory of what is said of objects, beside them.
pub(crate) const META: &str = ".meta";

/// A file that a mirror should hold.
#[derive(Debug)]
pub struct MirrorFile {
    /// Where it is, below the mirror's directory.
    pub path: String,
    /// Its bytes.
    pub content: MirrorContent,
}

/// The bytes of a file of a mirror.
#[derive(Debug)]
pub enum MirrorContent {
    /// All of them.
    Whole(Bytes),
    /// Those of an object, to be read piece by piece.
    Object(Box<ObjectReader>),
}

impl MirrorFile {
    fn whole(path: String, bytes: Vec<u8>) -> Self {
        Self {
            path,
            content: MirrorContent::Whole(bytes.into()),
        }
    }
}

/// Where the files of a bucket are, and of what kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorPlace {
    dir: String,
    kind: FileKind,
    sharded: bool,
}

impl MirrorPlace {
    /// The place of a bucket; `sharded`: its files are spread over 256 directories.
    #[must_use]
    pub fn new(bucket: &BucketName, kind: BucketKind, sharded: bool) -> Self {
        Self {
            dir: bucket_dir(bucket),
            kind: match kind {
                BucketKind::Documents => FileKind::Document,
                BucketKind::Objects => FileKind::Object,
            },
            sharded,
        }
    }

    /// The directory of the bucket.
    #[must_use]
    pub fn dir(&self) -> &str {
        &self.dir
    }

    pub(crate) fn kind(&self) -> FileKind {
        self.kind
    }

    /// Whether the files are spread over 256 directories.
    #[must_use]
    pub fn sharded(&self) -> bool {
        self.sharded
    }

    /// The directories that have a manifest.
    pub fn manifest_dirs(&self) -> impl Iterator<Item = String> + '_ {
        let shards = self.sharded.then(Shard::all).into_iter().flatten();
        let shards = shards.map(|shard| format!("{}/{}", self.dir, shard.dir()));
        std::iter::once(self.dir.clone()).chain(shards)
    }

    /// The directory of a key's files, which has their manifest.
    #[must_use]
    pub fn dir_of(&self, object: &ObjectKey) -> String {
        if self.sharded {
            format!("{}/{}", self.dir, Shard::of(object).dir())
        } else {
            self.dir.clone()
        }
    }

    /// The paths below [`MirrorPlace::dir_of`] that belong to a key, in whichever state it is.
    #[must_use]
    pub fn paths_of(&self, object: &ObjectKey) -> Vec<String> {
        let name = FileName::of(object, self.kind);
        let name = name.as_str();
        match self.kind {
            FileKind::Document => vec![name.to_owned(), format!("{DELETED}/{name}")],
            FileKind::Object => vec![
                name.to_owned(),
                format!("{META}/{name}.json"),
                format!("{DELETED}/{name}"),
                format!("{DELETED}/{META}/{name}.json"),
            ],
        }
    }
}

/// One state of the store, as its mirror shows it.
pub(crate) struct State {
    pub(crate) inner: Arc<Inner>,
    pub(crate) snapshot: Arc<dyn Snapshot>,
}

impl State {
    /// The state of now.
    pub(crate) fn of(inner: &Arc<Inner>) -> Self {
        Self {
            inner: Arc::clone(inner),
            snapshot: inner.storage.snapshot(),
        }
    }

    /// Where the log stands.
    pub(crate) fn mark(&self) -> Result<CommitMark, EngineError> {
        let row = self.snapshot.get(Space::Meta, key::COMMIT_MARK)?;
        Ok(row.map_or(Ok(CommitMark::ZERO), |row| CommitMark::decode(&row))?)
    }

    /// A bucket that is there and is mirrored.
    pub(crate) fn bucket(&self, bucket: &BucketId) -> Result<Option<BucketRow>, EngineError> {
        Ok(self.named(bucket)?.filter(|row| row.config.is_mirrored()))
    }

    /// A bucket that is there and is not mirrored.
    pub(crate) fn unmirrored(&self, bucket: &BucketId) -> Result<Option<BucketRow>, EngineError> {
        Ok(self.named(bucket)?.filter(|row| !row.config.is_mirrored()))
    }

    fn named(&self, bucket: &BucketId) -> Result<Option<BucketRow>, EngineError> {
        let Some(row) = self.snapshot.get(Space::Meta, &key::bucket_row(bucket))? else {
            return Ok(None);
        };
        let row = BucketRow::decode(&row)?;
        // A deleted bucket has lost its name before its rows go.
        let named = self.snapshot.get(Space::Meta, &key::bucket_name(&row.name))?;
        let is_there = named.is_some_and(|id| *id == *bucket.as_bytes());
        Ok(is_there.then_some(row))
    }

    /// All buckets that are mirrored.
    pub(crate) fn buckets(&self) -> Result<Vec<BucketRow>, EngineError> {
        let end = prefix_end(key::BUCKET_NAME);
        let names = self.snapshot.range(Space::Meta, key::BUCKET_NAME, &end, false);
        let mut buckets = Vec::new();
        for row in names {
            let id = (&*row?.1)
                .try_into()
                .map_err(|_| EngineError::Corrupt("bucket name"))?;
            buckets.extend(self.bucket(&BucketId::from_bytes(id))?);
        }
        Ok(buckets)
    }

    /// How many live keys a bucket has.
    pub(crate) fn keys(&self, bucket: &BucketId) -> Result<u64, EngineError> {
        let row = self
            .snapshot
            .get(Space::Counters, &key::bucket_counters(bucket))?;
        let counters = BucketCounters::decode(&row.ok_or(EngineError::Corrupt("counters"))?)?;
        Ok(counters.objects)
    }

    /// The first keys of a bucket behind `after` that have any version, in order, at most `max`.
    pub(crate) fn keys_behind(
        &self,
        bucket: &BucketId,
        after: Option<&ObjectKey>,
        max: usize,
    ) -> Result<Vec<ObjectKey>, EngineError> {
        let all = key::of_bucket(bucket);
        let end = prefix_end(&all);
        let mut from = match after {
            Some(after) => prefix_end(&key::versions_of(bucket, after)),
            None => all.to_vec(),
        };
        let mut keys = Vec::new();
        while keys.len() < max {
            let mut rows = self.snapshot.range(Space::Versions, &from, &end, false);
            let Some((row, _)) = rows.next().transpose()? else {
                break;
            };
            let (object, _) = key::key_of_version(&row)?;
            from = prefix_end(&key::versions_of(bucket, &object));
            keys.push(object);
        }
        Ok(keys)
    }

    /// The files of a key: none, one, or two of an object.
    pub(crate) fn files(
        &self,
        bucket: &BucketRow,
        place: &MirrorPlace,
        object: &ObjectKey,
    ) -> Result<Vec<MirrorFile>, EngineError> {
        let Some((row, deleted)) = self.newest(&bucket.id, object)? else {
            return Ok(Vec::new());
        };
        let name = FileName::of(object, place.kind);
        let name = name.as_str();
        let mut dir = place.dir_of(object);
        if deleted {
            dir = format!("{dir}/{DELETED}");
        }
        Ok(match place.kind {
            FileKind::Document => {
                let text = inline_body(&*self.snapshot, &bucket.id, &row)?;
                let signature = row.signature.as_ref();
                let signature = signature.ok_or(EngineError::Corrupt("signature of a document"))?;
                let bytes = pretty(&doc::with_signature(&text, signature));
                vec![MirrorFile::whole(format!("{dir}/{name}"), bytes)]
            }
            FileKind::Object => {
                let said = self.said_of(object, &row)?;
                let reader = self.inner.opened(&*self.snapshot, bucket.id, object, row)?;
                vec![
                    MirrorFile {
                        path: format!("{dir}/{name}"),
                        content: MirrorContent::Object(Box::new(reader)),
                    },
                    MirrorFile::whole(format!("{dir}/{META}/{name}.json"), said),
                ]
            }
        })
    }

    /// Where the files of a key are, as [`State::files`] answers them, without their bytes.
    pub(crate) fn paths(
        &self,
        bucket: &BucketRow,
        place: &MirrorPlace,
        object: &ObjectKey,
    ) -> Result<Vec<String>, EngineError> {
        let Some((_, deleted)) = self.newest(&bucket.id, object)? else {
            return Ok(Vec::new());
        };
        let dir = place.dir_of(object);
        let of_state = |path: &String| path.starts_with(DELETED) == deleted;
        let paths = place.paths_of(object).into_iter().filter(of_state);
        Ok(paths.map(|path| format!("{dir}/{path}")).collect())
    }

    /// The version that a key's files show.
    pub(crate) fn version(
        &self,
        bucket: &BucketId,
        object: &ObjectKey,
    ) -> Result<Option<VersionId>, EngineError> {
        Ok(self.newest(bucket, object)?.map(|(row, _)| row.version))
    }

    /// The version that a key's files show, and whether it was deleted since.
    pub(crate) fn newest(
        &self,
        bucket: &BucketId,
        object: &ObjectKey,
    ) -> Result<Option<(ObjectRow, bool)>, EngineError> {
        let head = self.snapshot.get(Space::Heads, &key::head(bucket, object))?;
        let head = head.map(|row| ObjectRow::decode(&row)).transpose()?;
        // The head row of a chunked object names no chunks.
        if let Some(head) = head.filter(|head| head.inline && !head.deleted) {
            return Ok(Some((head, false)));
        }
        let prefix = key::versions_of(bucket, object);
        let versions = self
            .snapshot
            .range(Space::Versions, &prefix, &prefix_end(&prefix), false);
        let mut deleted = false;
        for row in versions {
            let row = ObjectRow::decode(&row?.1)?;
            if row.deleted {
                deleted = true;
            } else {
                return Ok(Some((row, deleted)));
            }
        }
        Ok(None)
    }

    /// What stands beside the bytes of an object.
    pub(crate) fn said_of(&self, object: &ObjectKey, row: &ObjectRow) -> Result<Vec<u8>, EngineError> {
        let headers = &row.headers;
        let mut said = Object::new();
        let mut say = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                said.insert(name.to_owned(), value);
            }
        };
        let evidence = self.snapshot.get(Space::Log, &key::evidence(row.position))?;
        let evidence = evidence.map(|row| EvidenceRow::decode(&row)).transpose()?;
        let pairs = |pairs: Vec<(&str, &str)>| {
            let pairs = pairs
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Value::from(value)));
            Value::Object(pairs.collect())
        };
        say("key", Some(object.as_str().into()));
        say("version", Some(row.version.to_string().into()));
        say("length", Some(row.len.into()));
        say("blake3", Some(row.etag.to_string().into()));
        say("modified", Some(row.modified.to_string().into()));
        say("by", evidence.map(|evidence| evidence.actor.into()));
        let text =
            |text: &Option<wfldb_core::object::HeaderText>| text.as_ref().map(|text| text.as_str().into());
        say("content_type", text(&headers.content_type));
        say("cache_control", text(&headers.cache_control));
        say("expires", text(&headers.expires));
        say("ttl_seconds", headers.ttl_seconds.map(Value::from));
        say(
            "tags",
            (!headers.tags.is_empty()).then(|| pairs(headers.tags.iter().collect())),
        );
        let meta = headers.meta.iter();
        let meta = meta.map(|(name, value)| (name.as_str(), value.as_str()));
        say("meta", (!headers.meta.is_empty()).then(|| pairs(meta.collect())));
        Ok(pretty(&doc::canonical(&said)))
    }

    /// The file that says what a bucket is.
    pub(crate) fn metadata(bucket: &BucketRow, place: &MirrorPlace) -> Result<MirrorFile, EngineError> {
        let damaged = |_| EngineError::Corrupt("bucket");
        let indexes = bucket.indexes.defined.iter();
        // Those that queries wished for are wished for again.
        let indexes = indexes.filter(|index| !index.automatic);
        let mut said = json!({
            "bucket": bucket.name.as_str(),
            "config": bucket.config,
            "indexes": indexes.map(|index| &index.definition).collect::<Vec<_>>(),
            "shards": if place.sharded { Shard::COUNT } else { 0 },
        });
        if let (Some(schema), Some(said)) = (&bucket.schema, said.as_object_mut()) {
            let schema: Value = serde_json::from_str(schema).map_err(damaged)?;
            said.insert("schema".to_owned(), schema);
        }
        let bytes = pretty(&doc::canonical(&said));
        Ok(MirrorFile::whole(format!("{}/{METADATA}", place.dir), bytes))
    }
}
