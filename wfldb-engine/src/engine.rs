//! The engine's handle: opening, health, figures, closing. What it does with buckets and objects is in `bucket` and
//! `object`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hkdf::Hkdf;
use sha2::Sha256;
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::{ByteLen, KeyId};
use wfldb_core::name::Realm;
use zeroize::Zeroizing;

use crate::aggregate::Helpers;
use crate::audit::{self, AuditLog};
use crate::bucket::sweep;
use crate::cache::{RowCache, Stamps};
use crate::changes::News;
use crate::chunk::{ChunkStore, GarbageWorker, Pins, References};
use crate::commit::plan::{Applied, EncodedEvidence, Mutation, WritePlan};
use crate::commit::{Committer, Hooks, Unready};
use crate::doc::{Schemas, Signer};
use crate::error::EngineError;
use crate::index::{self, Indexing};
use crate::lifecycle;
use crate::link_uses::LinkUse;
use crate::options::EngineOptions;
use crate::pending::Pending;
use crate::revocation::{self, RevocationView};
use crate::row::{CommitMark, EvidenceRow, key};
use crate::scrub::{self, ScrubFigures};
use crate::space::SpaceGuard;
use crate::storage::{Space, Storage, prefix_end};
use crate::store::{self, HighWaterMark, OpenError, ReplayMark};
use crate::tx::Locks;
use crate::worker::Worker;

/// An open store. Clones share it.
///
/// Reads block the calling thread; writes return a [`Pending`] that can be awaited or waited for. Every call takes
/// an [`Authorized`] proof and acts on what the proof names.
///
/// ```
/// use wfldb_core::auth::{Authorized, Op, Target};
/// use wfldb_core::name::{BucketName, ObjectKey};
/// use wfldb_core::object::{BucketConfig, ContentDigest, ObjectHeaders, Preconditions};
/// use wfldb_engine::{Engine, EngineOptions, Which};
///
/// # let dir = tempfile::tempdir()?;
/// let engine = Engine::open(dir.path(), EngineOptions { min_free: wfldb_core::id::ByteLen::new(0), ..EngineOptions::default() })?;
/// let bucket = BucketName::parse("photos")?;
/// let key = ObjectKey::parse("2026/cat.jpg")?;
/// let proof = |op, target| Authorized::local("example", op, target);
/// engine.put_bucket(&proof(Op::Manage, Target::Bucket(bucket.clone())), BucketConfig::default()).wait()?;
///
/// let put = proof(Op::Put, Target::Key(bucket.clone(), key.clone()));
/// let mut upload = engine.begin_upload(&put, ContentDigest::of(b"meow"))?;
/// upload.write(b"meow")?;
/// engine.put(&put, upload.finish()?, ObjectHeaders::default(), Preconditions::default()).wait()?;
///
/// let mut object = engine.object(&proof(Op::Get, Target::Key(bucket, key)), Which::Newest)?;
/// assert_eq!(object.next()?.as_deref(), Some(b"meow".as_slice()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
    /// Shared by the clones; what else holds `inner` does not keep the store at work.
    _at_work: Arc<AtWork>,
}

/// Ends the work of a store with the last handle, and waits for it: a worker may hold the store at that moment, and
/// would otherwise let its directory go only later.
struct AtWork(Arc<Inner>);

impl Drop for AtWork {
    fn drop(&mut self) {
        // Said again, and reported, when the rest of it is dropped.
        let _ = self.0.shut_down();
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("realm", &self.inner.realm)
            .finish_non_exhaustive()
    }
}

/// Whether writes succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// `Err`: why not.
    pub writable: Result<(), Unready>,
}

pub(crate) struct Inner {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) chunks: Arc<ChunkStore>,
    pub(crate) cache: RowCache,
    pub(crate) options: EngineOptions,
    /// Running backups end, and no new one begins.
    pub(crate) backups_stopped: AtomicBool,
    dir: PathBuf,
    pub(crate) realm: Realm,
    trust: Vec<KeyId>,
    created: bool,
    secret: Zeroizing<[u8; 32]>,
    read_only: Option<String>,
    committer: Committer,
    space: Arc<SpaceGuard>,
    replay: Arc<ReplayMark>,
    high_water: Option<Arc<HighWaterMark>>,
    sweeper: Worker,
    lifecycle: Worker,
    pub(crate) indexing: Indexing,
    scrubber: Worker,
    pub(crate) scrub: ScrubFigures,
    pub(crate) revocations: Arc<RevocationView>,
    pub(crate) garbage: GarbageWorker,
    pub(crate) locks: Arc<Locks>,
    /// The store's id, which with the realm names its audit log.
    pub(crate) store: [u8; 16],
    pub(crate) audit: Arc<AuditLog>,
    pub(crate) news: Arc<News>,
    /// What documents are signed with.
    pub(crate) signer: Signer,
    pub(crate) schemas: Schemas,
    pub(crate) helpers: Helpers,
    // Held for as long as the store is open.
    _lock: Option<File>,
}

/// Fresh random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], EngineError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| EngineError::Read(error.to_string()))?;
    Ok(bytes)
}

impl Engine {
    /// Opens the store in `dir`, making it when there is none.
    ///
    /// A damaged store opens read-only: [`Engine::health`] says why, and reads are served from a copy.
    ///
    /// # Errors
    /// When nothing can be opened at all: another process has it, another realm, a newer format, no `STORE` file
    /// beside data, a network file system.
    pub fn open(dir: &Path, options: EngineOptions) -> Result<Self, OpenError> {
        let opened = store::open(dir, &options, (options.clock)())?;
        let high_water = Arc::new(opened.high_water);
        if opened.read_only.is_none() {
            high_water.start_syncing().map_err(OpenError::io("HWM"))?;
        }
        Self::assemble(
            dir,
            Parts {
                options,
                storage: opened.storage,
                mark: opened.mark,
                realm: opened.file.realm,
                trust: opened.file.trust,
                created: opened.created,
                secret: opened.secret,
                read_only: opened.read_only,
                replay: opened.replay,
                high_water: Some(high_water),
                lock: Some(opened.lock),
                store: opened.store,
            },
        )
    }

    /// An engine on `storage`, with its chunk files in `dir` and without the marks and checks of [`Engine::open`]:
    /// for tests and simulation.
    ///
    /// # Errors
    /// When `dir` cannot be used or the storage cannot be read.
    pub fn with_storage(
        storage: Arc<dyn Storage>,
        dir: &Path,
        options: EngineOptions,
    ) -> Result<Self, OpenError> {
        let row = storage.snapshot().get(Space::Meta, key::COMMIT_MARK)?;
        let mark = match row.as_deref().map(CommitMark::decode) {
            Some(Ok(mark)) => mark,
            None => CommitMark::ZERO,
            Some(Err(_)) => return Err(OpenError::StoreFile(dir.display().to_string())),
        };
        let realm = options.realm.clone().map_or_else(|| Realm::parse("memory"), Ok);
        let realm = realm.map_err(|_| OpenError::StoreFile(dir.display().to_string()))?;
        Self::assemble(
            dir,
            Parts {
                options: options.clone(),
                storage,
                mark,
                realm,
                trust: options.create_trust,
                created: mark == CommitMark::ZERO,
                secret: Zeroizing::default(),
                read_only: None,
                replay: ReplayMark::in_memory(),
                high_water: None,
                lock: None,
                store: [0; 16],
            },
        )
    }

    fn assemble(dir: &Path, mut parts: Parts) -> Result<Self, OpenError> {
        let storage = parts.storage;
        let revoked = revocation::load(&*storage.snapshot());
        if let Err(why) = &revoked {
            tracing::error!(%why, "what is revoked cannot be read, so every request is refused");
            let why = || format!("what is revoked cannot be read: {why}");
            parts.read_only.get_or_insert_with(why);
        }
        let revocations = Arc::new(RevocationView::new(revoked.ok()));
        let space = Arc::new(SpaceGuard::new(dir.to_path_buf(), parts.options.min_free));
        let floor = Arc::clone(&space);
        let admit = move |plan: &WritePlan| {
            if plan.mutation.stores() && floor.is_low() {
                Err(EngineError::StorageFull)
            } else {
                Ok(())
            }
        };
        let high_water = parts.high_water.clone();
        let audit = Arc::new(AuditLog::new());
        let followed = Arc::clone(&audit);
        let on_durable = move |mark: &CommitMark| {
            if let Some(high_water) = &high_water {
                high_water.advance(mark).map_err(|error| error.to_string())?;
            }
            followed.wake();
            Ok(())
        };
        let news = Arc::<News>::default();
        let told = Arc::clone(&news);
        let chunks = open_chunks(dir, &storage, parts.options.compress)?;
        let store = Arc::clone(&chunks);
        let stamps = Arc::new(Stamps::new(parts.mark.number));
        let committer = Committer::start(
            Arc::clone(&storage),
            parts.mark,
            Arc::clone(&stamps),
            Hooks {
                admit: Box::new(admit),
                on_durable: Box::new(on_durable),
                on_freed: Box::new(move |freed| store.look_at(freed)),
                on_changed: Box::new(move |changed| told.publish(changed)),
                revocations: Arc::clone(&revocations),
            },
        )
        .map_err(OpenError::io("the committer's thread"))?;
        // INVARIANT: nothing is removed from a damaged store: rows that name a file may be what it lost.
        let garbage = match parts.read_only {
            Some(_) => GarbageWorker::default(),
            None => GarbageWorker::start(Arc::clone(&storage), Arc::clone(&chunks))
                .map_err(OpenError::io("the garbage worker's thread"))?,
        };
        let inner = Arc::new(Inner {
            storage,
            chunks,
            cache: RowCache::new(stamps, parts.options.object_cache_bytes),
            options: parts.options,
            backups_stopped: AtomicBool::new(false),
            dir: dir.to_path_buf(),
            realm: parts.realm,
            trust: parts.trust,
            created: parts.created,
            secret: parts.secret,
            read_only: parts.read_only,
            committer,
            space,
            replay: Arc::new(parts.replay),
            high_water: parts.high_water,
            sweeper: Worker::default(),
            lifecycle: Worker::default(),
            indexing: Indexing::default(),
            scrubber: Worker::default(),
            scrub: ScrubFigures::default(),
            revocations,
            garbage,
            locks: Arc::default(),
            store: parts.store,
            audit,
            news,
            signer: Signer::default(),
            schemas: Schemas::default(),
            helpers: Helpers::default(),
            _lock: parts.lock,
        });
        if inner.read_only.is_none() {
            inner.sweeper.start("wfldb-sweep", &inner, sweep::run)?;
            inner.lifecycle.start("wfldb-life", &inner, lifecycle::run)?;
            inner.indexing.worker.start("wfldb-index", &inner, index::run)?;
            inner.audit.worker().start("wfldb-audit", &inner, audit::run)?;
            if inner.options.scrub_every.is_some() {
                inner.scrubber.start("wfldb-scrub", &inner, scrub::run)?;
            }
        }
        Ok(Self {
            _at_work: Arc::new(AtWork(Arc::clone(&inner))),
            inner,
        })
    }

    /// The store's realm.
    #[must_use]
    pub fn realm(&self) -> &Realm {
        &self.inner.realm
    }

    /// The root keys that the store was made with.
    #[must_use]
    pub fn trust(&self) -> &[KeyId] {
        &self.inner.trust
    }

    /// Whether this open made the store.
    #[must_use]
    pub fn created_now(&self) -> bool {
        self.inner.created
    }

    /// A key for `label`, derived from the store's secret by HKDF-SHA256: the same after a restart, different for
    /// each label and store.
    #[must_use]
    pub fn store_secret(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        let info = ["wfldb 1 ", label].concat();
        // The only failure is an output longer than 255 hashes.
        let _ = Hkdf::<Sha256>::new(None, &*self.inner.secret).expand(info.as_bytes(), &mut *key);
        key
    }

    /// Whether writes succeed.
    #[must_use]
    pub fn health(&self) -> Health {
        let health = self.inner.committer.health();
        let writable = if let Some(reason) = &self.inner.read_only {
            Err(Unready::ReadOnly(reason.clone()))
        } else if health.is_poisoned() {
            Err(Unready::Poisoned)
        } else if health.is_stalled() {
            Err(Unready::Stalled)
        } else if self.inner.space.is_low() {
            Err(Unready::LowSpace)
        } else {
            Ok(())
        };
        Health { writable }
    }

    /// Why the store was opened read-only, when that is because it is damaged.
    #[must_use]
    pub fn damage(&self) -> Option<String> {
        let asked_for = self.inner.options.read_only;
        self.inner
            .read_only
            .clone()
            .filter(|reason| !asked_for || reason != store::READ_ONLY_ASKED)
    }

    /// Asks for an empty commit when there was none for a while, so that [`Engine::health`] notices a storage that
    /// does not answer although nobody writes. Does not wait.
    pub fn probe(&self) {
        if self.inner.read_only.is_none() && self.inner.committer.health().wants_heartbeat() {
            let proof = Authorized::system("heartbeat", Op::Admin, Target::Store);
            if let Ok(plan) = self.inner.plan(&proof, Mutation::Heartbeat) {
                drop(self.inner.committer.submit(plan, None));
            }
        }
    }

    /// The durable replay mark.
    #[must_use]
    pub fn replay_mark(&self) -> Arc<ReplayMark> {
        Arc::clone(&self.inner.replay)
    }

    /// Finishes what waits, puts the durable mark on disk and ends the threads. Clones answer `Closing` from then
    /// on; the directory is released when the last of them goes.
    ///
    /// # Errors
    /// When the durable mark cannot be synced.
    pub fn close(self) -> Result<(), EngineError> {
        self.inner.shut_down()
    }
}

fn open_chunks(dir: &Path, storage: &Arc<dyn Storage>, compress: bool) -> Result<Arc<ChunkStore>, OpenError> {
    let rows = Arc::clone(storage);
    let references: References = Arc::new(move |bucket, chunk| {
        let prefix = key::chunk_references(bucket, chunk);
        let snapshot = rows.snapshot();
        let first = snapshot
            .range(Space::Chunks, &prefix, &prefix_end(&prefix), false)
            .next()
            .transpose()?;
        Ok(first.is_some())
    });
    ChunkStore::open(dir.join("chunks"), references, compress).map_err(OpenError::io("chunks"))
}

/// What an engine is put together from.
struct Parts {
    options: EngineOptions,
    storage: Arc<dyn Storage>,
    mark: CommitMark,
    realm: Realm,
    trust: Vec<KeyId>,
    created: bool,
    secret: Zeroizing<[u8; 32]>,
    read_only: Option<String>,
    replay: ReplayMark,
    high_water: Option<Arc<HighWaterMark>>,
    lock: Option<File>,
    store: [u8; 16],
}

impl Inner {
    /// Refuses what would store bytes when the free-space floor is reached.
    pub(crate) fn admit_bytes(&self) -> Result<(), EngineError> {
        if self.read_only.is_some() {
            return Err(EngineError::ReadOnly);
        }
        if self.space.is_low() {
            Err(EngineError::StorageFull)
        } else {
            Ok(())
        }
    }

    pub(crate) fn now(&self) -> wfldb_core::time::UnixMillis {
        (self.options.clock)()
    }

    /// Everything that a mutation needs from outside: time, random bits, evidence.
    fn plan(&self, proof: &Authorized, mutation: Mutation) -> Result<WritePlan, EngineError> {
        let mut evidence = EncodedEvidence::new(&EvidenceRow::of(proof, random()?));
        evidence.sealed.foresee(&mutation);
        Ok(WritePlan {
            at: self.now(),
            entropy: random()?,
            evidence,
            chain: proof.chain().cloned(),
            link_use: LinkUse::of(proof),
            mutation,
        })
    }

    /// Plans a mutation and queues it.
    pub(crate) fn submit<T: 'static>(
        &self,
        proof: &Authorized,
        mutation: Result<Mutation, EngineError>,
        pins: Option<Pins>,
        finish: impl FnOnce(Applied) -> Result<T, EngineError> + Send + 'static,
    ) -> Pending<T> {
        let plan = mutation.and_then(|mutation| {
            if self.read_only.is_some() {
                return Err(EngineError::ReadOnly);
            }
            self.plan(proof, mutation)
        });
        match plan {
            Ok(plan) => Pending::new(self.committer.submit(plan, pins), finish),
            Err(error) => Pending::from(error),
        }
    }

    /// Carries out a worker's mutation and waits for it.
    pub(crate) fn submit_system(&self, worker: &'static str, mutation: Mutation) -> Result<(), EngineError> {
        let proof = Authorized::system(worker, Op::Admin, Target::Store);
        self.submit(&proof, Ok(mutation), None, |_| Ok(())).wait()
    }

    pub(crate) fn wake_sweeper(&self) {
        self.sweeper.wake();
    }

    pub(crate) fn wake_lifecycle(&self) {
        self.lifecycle.wake();
    }

    /// The store's directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only.is_some()
    }

    pub(crate) fn committer(&self) -> &Committer {
        &self.committer
    }

    fn shut_down(&self) -> Result<(), EngineError> {
        // A backup holds back the removals that the sweeper may wait for.
        self.backups_stopped.store(true, Ordering::SeqCst);
        self.sweeper.let_go();
        self.lifecycle.let_go();
        self.indexing.worker.let_go();
        self.audit.worker().let_go();
        self.scrubber.let_go();
        self.garbage.stop();
        self.news.close();
        self.committer.close();
        self.sweeper.join();
        self.lifecycle.join();
        self.indexing.worker.join();
        self.audit.worker().join();
        self.scrubber.join();
        self.chunks.close();
        match &self.high_water {
            Some(high_water) => high_water
                .sync()
                .map_err(|error| EngineError::Read(error.to_string())),
            None => Ok(()),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            tracing::warn!(%error, "the durable mark could not be synced at the end");
        }
    }
}

/// The configured floor, for figures.
impl EngineOptions {
    /// The same options without a free-space floor.
    #[must_use]
    pub fn without_floor(self) -> Self {
        Self {
            min_free: ByteLen::new(0),
            ..self
        }
    }
}
