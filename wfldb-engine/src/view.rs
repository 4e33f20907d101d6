//! What a view that is kept outside of this crate is made of: where it stands, and the newest versions of a bucket's
//! keys. What changed is in the log (`changes`). A view is never the source of truth, so what it finds is held
//! against [`Engine::heads`] before anybody is told.

use std::path::PathBuf;

use bytes::Bytes;
use wfldb_core::auth::{Authorized, Op};
use wfldb_core::doc::{self, DocumentSignature};
use wfldb_core::id::{BucketId, Seq, VersionId};
use wfldb_core::limits::DOCUMENT_BYTES_MAX;
use wfldb_core::name::ObjectKey;
use wfldb_core::object::BucketConfig;

use crate::bucket::{admits, bucket_of, resolve};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::object::inline_body;
use crate::row::{BucketCounters, BucketRow, ObjectRow, key};
use crate::storage::{Snapshot, Space, prefix_end};

/// The newest version of a key, that is live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The version.
    pub version: VersionId,
    /// Its bytes, checked, where they were asked for and stand in one row of at most
    /// [`DOCUMENT_BYTES_MAX`] bytes, as those of documents do.
    pub body: Option<Bytes>,
    /// Of a document: the store's signature.
    pub signature: Option<DocumentSignature>,
}

impl Head {
    /// The bytes as a reader gets them: those of a document with its `_sig`.
    #[must_use]
    pub fn document(&self) -> Option<Bytes> {
        let body = self.body.as_ref()?;
        Some(match &self.signature {
            Some(signature) => doc::with_signature(body, signature).into(),
            None => body.clone(),
        })
    }
}

/// A piece of a bucket's keys, in order.
#[derive(Debug, Clone, Default)]
pub struct HeadPage {
    /// Keys with their newest versions, bodies included. Those that cannot be read are left out.
    pub heads: Vec<(ObjectKey, Head)>,
    /// Everything up to this key was looked at; `None`: the whole bucket was.
    pub next: Option<ObjectKey>,
}

impl Engine {
    /// The directory of a view. It is no part of the store: no backup holds it, and it can be removed while nothing uses
    /// it.
    #[must_use]
    pub fn view_dir(&self, view: &'static str) -> PathBuf {
        self.inner.dir().join("views").join(view)
    }

    /// Has `told` called after each commit of changes, when they can be read, until it answers `false`. It is called by
    /// the thread that commits, so it wakes whoever looks, and does nothing else.
    pub fn on_commit(&self, told: impl Fn() -> bool + Send + Sync + 'static) {
        self.inner.news.tell(Box::new(told));
    }

    /// The bucket that `proof` names, for a query. Blocks.
    ///
    /// # Errors
    /// `NoSuchBucket`, `SignatureRequired`.
    pub fn queried_bucket(&self, proof: &Authorized) -> Result<(BucketId, BucketConfig), EngineError> {
        let row = queried(&*self.inner.storage.snapshot(), proof)?;
        Ok((row.id, row.config))
    }

    /// The `seq` of the newest change of a bucket, for figures: `None` for what cannot be read. Blocks.
    #[must_use]
    pub fn newest_seq(&self, bucket: BucketId) -> Option<Seq> {
        let snapshot = self.inner.storage.snapshot();
        let row = snapshot
            .get(Space::Counters, &key::bucket_counters(&bucket))
            .ok()??;
        Some(Seq::new(BucketCounters::decode(&row).ok()?.seq))
    }

    /// The newest versions of keys, all of one state of the bucket that `proof` names: `None` for what is not there, has
    /// ended, or is not for the holder of the proof. Blocks.
    ///
    /// # Errors
    /// `NoSuchBucket`, `SignatureRequired`, `Corrupt`.
    pub fn heads(
        &self,
        proof: &Authorized,
        keys: &[ObjectKey],
        bodies: bool,
    ) -> Result<Vec<Option<Head>>, EngineError> {
        let snapshot = self.inner.storage.snapshot();
        let bucket = queried(&*snapshot, proof)?.id;
        let now = self.inner.now();
        let head = |object: &ObjectKey| {
            if !proof.sees_key(object) {
                return Ok(None);
            }
            let Some(row) = snapshot.get(Space::Heads, &key::head(&bucket, object))? else {
                return Ok(None);
            };
            let row = ObjectRow::decode(&row)?;
            if !row.is_live(now) {
                return Ok(None);
            }
            head(&*snapshot, &bucket, &row, bodies).map(Some)
        };
        keys.iter().map(head).collect()
    }

    /// The newest versions behind a key, in order, until about so many bytes of bodies or 1,000 keys were read. Blocks.
    ///
    /// # Errors
    /// `NoSuchBucket`, `SignatureRequired`; a damaged row is left out and told to the log.
    pub fn heads_behind(
        &self,
        proof: &Authorized,
        after: Option<&ObjectKey>,
        bytes_max: usize,
    ) -> Result<HeadPage, EngineError> {
        const KEYS_MAX: usize = 1000;
        let snapshot = self.inner.storage.snapshot();
        let bucket = queried(&*snapshot, proof)?.id;
        let now = self.inner.now();
        let all = key::of_bucket(&bucket);
        let from = match after {
            Some(after) => [&key::head(&bucket, after), [0].as_slice()].concat(),
            None => all.to_vec(),
        };
        let mut page = HeadPage::default();
        let (mut bytes, mut looked_at) = (0, 0);
        for row in snapshot.range(Space::Heads, &from, &prefix_end(&all), false) {
            let (row_key, row) = row?;
            let object = key::key_of_head(&row_key)?;
            looked_at += 1;
            let full = looked_at == KEYS_MAX || bytes >= bytes_max;
            let next = full.then(|| object.clone());
            if proof.sees_key(&object) {
                let found = ObjectRow::decode(&row)
                    .map_err(EngineError::from)
                    .and_then(|row| {
                        if row.is_live(now) {
                            head(&*snapshot, &bucket, &row, true).map(Some)
                        } else {
                            Ok(None)
                        }
                    });
                match found {
                    Ok(Some(head)) => {
                        bytes += head.body.as_ref().map_or(0, Bytes::len);
                        page.heads.push((object, head));
                    }
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%bucket, %error, "a view leaves out what cannot be read"),
                }
            }
            if next.is_some() {
                page.next = next;
                break;
            }
        }
        Ok(page)
    }
}

fn queried(snapshot: &dyn Snapshot, proof: &Authorized) -> Result<BucketRow, EngineError> {
    // Whoever manages the bucket may ask how its views are.
    let op = if proof.op() == Op::Manage {
        Op::Manage
    } else {
        Op::Query
    };
    let row = resolve(snapshot, bucket_of(proof, op)?)?;
    admits(&row, proof)?;
    Ok(row)
}

fn head(
    snapshot: &dyn Snapshot,
    bucket: &BucketId,
    row: &ObjectRow,
    bodies: bool,
) -> Result<Head, EngineError> {
    let small = row.inline && row.len <= DOCUMENT_BYTES_MAX as u64;
    let body = if bodies && small {
        Some(inline_body(snapshot, bucket, row)?)
    } else {
        None
    };
    Ok(Head {
        version: row.version,
        body,
        signature: row.signature.clone(),
    })
}
