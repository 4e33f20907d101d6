//! Rows in memory, decoded and checked, so that hot reads touch no storage: buckets by name, and the newest version of
//! hot keys with its inline bytes.
//!
//! INVARIANT: a hit says what a snapshot taken at that moment would say. A row's *stamp* is the number of the last
//! batch that wrote it, kept per slot of a fixed table (two rows that share a slot outdate each other, which costs a
//! miss). What is cached carries the number of a batch that was published before its snapshot was taken; it is a hit
//! only while no stamp of its rows is younger.
//!
//! ORDER: the committer stamps a batch's rows before it commits the batch, and publishes its number after. Stamped
//! later, a reader could see the new row in a snapshot and the next one the old row here; published earlier, the old
//! row could be cached under the new number.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{UnitWeighter, Weighter};
use wfldb_core::id::{BucketId, ChunkHash, CommitNumber};
use wfldb_core::name::{BucketName, ObjectKey};

use crate::object::ObjectMeta;
use crate::row::{BucketRow, key};
use crate::storage::{Batch, Space};

/// Slots of the table of stamps: 512 KiB.
const SLOTS: usize = 1 << 16;
/// Buckets that are kept.
const BUCKETS_MAX: usize = 4096;
/// What an entry costs beside its variable parts, about.
const ENTRY_BYTES: usize = 512;
/// The size of an entry that the object cache is laid out for.
const ENTRY_BYTES_EXPECTED: u64 = 2048;

/// The last batch that was visible before something was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReadAt(u64);

/// The stamps of all rows.
pub(crate) struct Stamps {
    hasher: RandomState,
    slots: Box<[AtomicU64]>,
    published: AtomicU64,
}

impl std::fmt::Debug for Stamps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stamps")
            .field("published", &self.published)
            .finish_non_exhaustive()
    }
}

impl Stamps {
    pub(crate) fn new(last: CommitNumber) -> Self {
        Self {
            hasher: RandomState::new(),
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            published: AtomicU64::new(last.get()),
        }
    }

    fn slot(&self, space: Space, key: &[u8]) -> Option<&AtomicU64> {
        let hash = self.hasher.hash_one((space, key));
        let index = usize::try_from(hash % SLOTS as u64).unwrap_or(0);
        self.slots.get(index)
    }

    /// Outdates what is cached of the rows that `batch` writes. Before the batch is committed.
    pub(crate) fn outdate(&self, batch: &Batch, number: CommitNumber) {
        for (space, key, _) in &batch.writes {
            if matches!(space, Space::Heads | Space::Meta)
                && let Some(slot) = self.slot(*space, key)
            {
                slot.store(number.get(), Ordering::SeqCst);
            }
        }
    }

    /// Every snapshot taken from now on sees the batch.
    pub(crate) fn published(&self, number: CommitNumber) {
        self.published.store(number.get(), Ordering::SeqCst);
    }

    /// To be called before a snapshot is taken whose rows may be cached.
    pub(crate) fn read_at(&self) -> ReadAt {
        ReadAt(self.published.load(Ordering::SeqCst))
    }

    fn is_current(&self, at: ReadAt, space: Space, key: &[u8]) -> bool {
        self.slot(space, key)
            .is_some_and(|slot| slot.load(Ordering::SeqCst) <= at.0)
    }
}

/// The newest version of a key.
#[derive(Debug, Clone)]
pub(crate) struct CachedObject {
    pub(crate) meta: Arc<ObjectMeta>,
    pub(crate) body: CachedBody,
}

/// Its bytes, or where they are.
#[derive(Debug, Clone)]
pub(crate) enum CachedBody {
    /// Checked against their hash.
    Inline(Bytes),
    Chunked {
        chunk_bytes: u32,
        chunks: Arc<[ChunkHash]>,
    },
}

impl CachedObject {
    fn bytes(&self) -> usize {
        let headers = &self.meta.headers;
        let text =
            |text: &Option<wfldb_core::object::HeaderText>| text.as_ref().map_or(0, |t| t.as_str().len());
        let meta: usize = headers
            .meta
            .iter()
            .map(|(n, v)| n.len() + v.as_str().len() + 64)
            .sum();
        let tags: usize = headers.tags.iter().map(|(n, v)| n.len() + v.len() + 64).sum();
        let body = match &self.body {
            CachedBody::Inline(bytes) => bytes.len(),
            CachedBody::Chunked { chunks, .. } => chunks.len() * 32,
        };
        let key = self.meta.key.as_str().len() * 2;
        let texts = text(&headers.content_type) + text(&headers.cache_control) + text(&headers.expires);
        ENTRY_BYTES + body + key + meta + tags + texts
    }
}

#[derive(Debug, Clone)]
struct Entry<T> {
    at: ReadAt,
    value: T,
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<Box<[u8]>, Entry<CachedObject>> for ByBytes {
    fn weight(&self, _: &Box<[u8]>, entry: &Entry<CachedObject>) -> u64 {
        entry.value.bytes() as u64
    }
}

type Objects = Cache<Box<[u8]>, Entry<CachedObject>, ByBytes, RandomState>;
type Buckets = Cache<BucketName, Entry<Arc<BucketRow>>, UnitWeighter, RandomState>;

/// Figures of the object cache.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CacheFigures {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) bytes: u64,
}

/// What is kept in memory of a store.
pub(crate) struct RowCache {
    stamps: Arc<Stamps>,
    /// `None` when it is switched off.
    objects: Option<Objects>,
    buckets: Buckets,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl std::fmt::Debug for RowCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowCache").finish_non_exhaustive()
    }
}

impl RowCache {
    /// A cache of about `object_bytes` of objects; 0 keeps none.
    pub(crate) fn new(stamps: Arc<Stamps>, object_bytes: u64) -> Self {
        let items = usize::try_from(object_bytes / ENTRY_BYTES_EXPECTED).unwrap_or(usize::MAX);
        Self {
            stamps,
            objects: (object_bytes > 0).then(|| {
                let state = RandomState::new();
                Cache::with(
                    items.max(16),
                    object_bytes,
                    ByBytes,
                    state,
                    DefaultLifecycle::default(),
                )
            }),
            buckets: Cache::with(
                BUCKETS_MAX,
                BUCKETS_MAX as u64,
                UnitWeighter,
                RandomState::new(),
                DefaultLifecycle::default(),
            ),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// See [`Stamps::read_at`].
    pub(crate) fn read_at(&self) -> ReadAt {
        self.stamps.read_at()
    }

    /// The bucket that `name` stands for now, if that is in memory.
    pub(crate) fn bucket(&self, name: &BucketName) -> Option<Arc<BucketRow>> {
        let entry = self.buckets.get(name)?;
        let current = |key: Bytes| self.stamps.is_current(entry.at, Space::Meta, &key);
        (current(key::bucket_name(name)) && current(key::bucket_row(&entry.value.id))).then_some(entry.value)
    }

    /// Keeps a bucket that was read from a snapshot taken after `at`.
    pub(crate) fn keep_bucket(&self, at: ReadAt, row: Arc<BucketRow>) {
        self.buckets.insert(row.name.clone(), Entry { at, value: row });
    }

    /// The newest version of a key, if that is in memory.
    pub(crate) fn object(&self, bucket: &BucketId, object: &ObjectKey) -> Option<CachedObject> {
        let objects = self.objects.as_ref()?;
        let key = key::head(bucket, object);
        let entry = objects.get::<[u8]>(&key);
        let hit = entry.filter(|entry| self.stamps.is_current(entry.at, Space::Heads, &key));
        let counter = if hit.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        hit.map(|entry| entry.value)
    }

    /// Keeps the newest version of a key as read from a snapshot taken after `at`.
    pub(crate) fn keep_object(&self, at: ReadAt, bucket: &BucketId, object: &CachedObject) {
        let Some(objects) = &self.objects else { return };
        let mut value = object.clone();
        if let CachedBody::Inline(bytes) = &mut value.body {
            // The bytes may be a part of a larger buffer, which would stay for as long as they do.
            *bytes = Bytes::copy_from_slice(bytes);
        }
        let key = key::head(bucket, &value.meta.key);
        objects.insert(Box::from(&*key), Entry { at, value });
    }

    pub(crate) fn figures(&self) -> CacheFigures {
        CacheFigures {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            bytes: self.objects.as_ref().map_or(0, Cache::weight),
        }
    }
}
