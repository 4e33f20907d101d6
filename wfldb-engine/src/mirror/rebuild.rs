//! A store made of a mirror: buckets as they are configured, documents as they were signed, objects with what is said of
//! them. What the files do not say is not there afterwards: older versions, and the audit log of the store that was.

use std::io::Read as _;
use std::sync::Arc;

use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::doc::{AdoptError, Object, Value};
use wfldb_core::id::{ContentHash, PublicKey};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{ContentDigest, EtagCondition, ObjectHeaders, Preconditions, Tags};

use super::source::{MirrorSource, MirroredBucket, MirroredFile, MirroredObject, SourceError};
use super::state::State;
use crate::bucket::resolve;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::object::PutOutcome;
use crate::pending::Pending;
use crate::store::add_node_keys;

/// Documents that are on their way into a commit at once.
const AT_ONCE: usize = 128;
/// Bytes of an object that are read at once.
const PIECE_BYTES: usize = 256 * 1024;

/// What became of a mirror.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Buckets that were made, or configured anew.
    pub buckets: u64,
    /// Documents and objects that are there now and are not deleted.
    pub keys: u64,
    /// Documents and objects that are there now and are deleted.
    pub deleted: u64,
    /// Those of both that were there before.
    pub present: u64,
    /// Files that were not taken, and why.
    pub refused: Vec<(String, String)>,
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("its bytes are not those that are said to be in it")]
    Bytes,
    #[error("what is said of the object cannot be kept: {0}")]
    Said(String),
}

impl Engine {
    /// Takes over what a mirror says. `trusted`: the keys whose signatures of documents are believed. What is there
    /// already stays, so what was interrupted can be done again; a document that is newer here stays too, and is named.
    /// Blocks for as long as it takes.
    ///
    /// # Errors
    /// `Forbidden` for a proof that is not for the whole store; what makes going on senseless. What is wrong with a single
    /// file is in [`Rebuilt::refused`].
    pub fn rebuild_from(
        &self,
        proof: &Authorized,
        mirror: &MirrorSource,
        trusted: &Arc<[PublicKey]>,
    ) -> Result<Rebuilt, EngineError> {
        if proof.op() != Op::Admin || *proof.target() != Target::Store {
            return Err(EngineError::Forbidden);
        }
        // What their signatures are verified with from now on, so before there is one.
        add_node_keys(self.inner.dir(), trusted).map_err(|error| EngineError::Read(error.to_string()))?;
        let mut rebuild = Rebuild {
            engine: self,
            mirror,
            trusted,
            done: Rebuilt::default(),
        };
        match mirror.buckets() {
            Ok(buckets) => {
                for bucket in buckets {
                    rebuild.bucket(&bucket)?;
                }
            }
            Err((path, error)) => rebuild.done.refused.push((path, error.to_string())),
        }
        Ok(rebuild.done)
    }
}

struct Rebuild<'a> {
    engine: &'a Engine,
    mirror: &'a MirrorSource,
    trusted: &'a Arc<[PublicKey]>,
    done: Rebuilt,
}

fn of_bucket(bucket: &BucketName, op: Op) -> Authorized {
    Authorized::system("mirror", op, Target::Bucket(bucket.clone()))
}

fn of_key(bucket: &BucketName, key: ObjectKey, op: Op) -> Authorized {
    Authorized::system("mirror", op, Target::Key(bucket.clone(), key))
}

impl Rebuild<'_> {
    fn bucket(&mut self, bucket: &MirroredBucket) -> Result<(), EngineError> {
        let manage = of_bucket(&bucket.name, Op::Manage);
        let made = self.engine.put_bucket(&manage, bucket.config.clone());
        made.wait()?;
        self.done.buckets += 1;
        let files = match self.mirror.files(bucket) {
            Ok(files) => files,
            Err(error) => {
                let refused = (bucket.name.to_string(), error.to_string());
                self.done.refused.push(refused);
                return Ok(());
            }
        };
        if bucket.holds_documents() {
            self.documents(bucket, &files)?;
        } else {
            for file in &files {
                let taken = self.object(bucket, file);
                self.count(file, taken)?;
            }
        }
        // Behind the documents: an index is built at once then, and a schema holds for what comes.
        for index in &bucket.indexes {
            match self.engine.define_index(&manage, index.clone()).wait() {
                Ok(_) | Err(EngineError::IndexExists) => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(schema) = &bucket.schema {
            let schema = schema.to_string();
            let set = self.engine.put_schema(&manage, Some(schema.as_bytes()));
            set.wait()?;
        }
        Ok(())
    }

    fn documents(&mut self, bucket: &MirroredBucket, files: &[MirroredFile]) -> Result<(), EngineError> {
        for files in files.chunks(AT_ONCE) {
            let begun = files.iter().map(|file| (file, self.document(bucket, file)));
            let begun: Vec<_> = begun.collect();
            for (file, begun) in begun {
                let taken = begun.and_then(|(key, pending)| self.finish(bucket, file, key, pending));
                self.count(file, taken)?;
            }
        }
        Ok(())
    }

    fn document(
        &self,
        bucket: &MirroredBucket,
        file: &MirroredFile,
    ) -> Result<(ObjectKey, Pending<PutOutcome>), Fault> {
        let (key, document) = self.mirror.document(bucket, file)?;
        let put = of_key(&bucket.name, key.clone(), Op::Put);
        let conditions = Preconditions::default();
        let pending = self
            .engine
            .adopt_document(&put, document, self.trusted, conditions);
        Ok((key, pending))
    }

    /// Waits for a document; answers whether it was there before.
    fn finish(
        &self,
        bucket: &MirroredBucket,
        file: &MirroredFile,
        key: ObjectKey,
        pending: Pending<PutOutcome>,
    ) -> Result<bool, Fault> {
        let present = match pending.wait() {
            Ok(_) => false,
            Err(EngineError::Adopt(AdoptError::Present)) => true,
            Err(error) => return Err(error.into()),
        };
        // It is the newest one, or was until this moment.
        self.delete(bucket, file, key, None)?;
        Ok(present)
    }

    fn object(&self, bucket: &MirroredBucket, file: &MirroredFile) -> Result<bool, Fault> {
        let MirroredObject { key, said, mut body } = self.mirror.object(bucket, file)?;
        let hash = said.get("blake3").and_then(Value::as_str).unwrap_or_default();
        let hash = ContentHash::parse(hash).map_err(|error| Fault::Said(error.to_string()))?;
        let len = said.get("length").and_then(Value::as_u64).unwrap_or_default();
        let headers = headers(&said).map_err(Fault::Said)?;
        let state = State::of(&self.engine.inner);
        let id = resolve(&*state.snapshot, &bucket.name)?.id;
        if state.version(&id, &key)?.is_some() {
            self.delete(bucket, file, key, Some(hash))?;
            return Ok(true);
        }
        let put = of_key(&bucket.name, key.clone(), Op::Put);
        let bytes_differ = |error| match error {
            EngineError::HashMismatch | EngineError::LengthMismatch => Fault::Bytes,
            error => error.into(),
        };
        let mut upload = self.engine.begin_upload(&put, ContentDigest::blake3(len, hash))?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = body.read(&mut piece).map_err(SourceError::from)?;
            match piece.get(..read) {
                Some(piece) if read > 0 => upload.write(piece).map_err(bytes_differ)?,
                _ => break,
            }
        }
        let finished = upload.finish().map_err(bytes_differ)?;
        let put = self.engine.put(&put, finished, headers, Preconditions::default());
        put.wait()?;
        self.delete(bucket, file, key, Some(hash))?;
        Ok(false)
    }

    /// Deletes what is deleted in the mirror, if these are its bytes: something newer stays.
    fn delete(
        &self,
        bucket: &MirroredBucket,
        file: &MirroredFile,
        key: ObjectKey,
        bytes: Option<ContentHash>,
    ) -> Result<(), Fault> {
        if !file.deleted {
            return Ok(());
        }
        let delete = of_key(&bucket.name, key, Op::Delete);
        let conditions = Preconditions {
            if_match: bytes.map(EtagCondition::Is),
            ..Preconditions::default()
        };
        match self.engine.delete(&delete, conditions).wait() {
            Ok(_) | Err(EngineError::PreconditionFailed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn count(&mut self, file: &MirroredFile, taken: Result<bool, Fault>) -> Result<(), EngineError> {
        match taken {
            Ok(present) => {
                self.done.present += u64::from(present);
                let counter = if file.deleted {
                    &mut self.done.deleted
                } else {
                    &mut self.done.keys
                };
                *counter += 1;
            }
            Err(Fault::Engine(error)) if error.stops_everything() => return Err(error),
            Err(fault) => self.done.refused.push((file.path.clone(), fault.to_string())),
        }
        Ok(())
    }
}

/// What is kept with an object, of what is said of it.
pub(super) fn headers(said: &Object) -> Result<ObjectHeaders, String> {
    let text = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
    let members = |name: &str| {
        let members = said.get(name).and_then(Value::as_object).into_iter().flatten();
        members.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
    };
    let mut pairs = Vec::new();
    for (name, header) in [
        ("content_type", "content-type"),
        ("cache_control", "cache-control"),
        ("expires", "expires"),
    ] {
        pairs.extend(text(name).map(|text| (header.to_owned(), text)));
    }
    let ttl = said.get("ttl_seconds").and_then(Value::as_u64);
    pairs.extend(ttl.map(|ttl| ("x-wfldb-ttl".to_owned(), ttl.to_string())));
    pairs.extend(members("meta").map(|(name, value)| (format!("x-wfldb-meta-{name}"), value)));
    let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut headers = ObjectHeaders::parse(pairs).map_err(|error| error.to_string())?;
    headers.tags = Tags::from_pairs(members("tags")).map_err(|error| error.to_string())?;
    Ok(headers)
}
