//! Two stores brought together through a git remote (docs/decisions/0016-sync.md): what is there is fetched, settled key
//! by key with what the store has, and pushed as one history.

mod buckets;
mod documents;
mod error;
mod objects;
mod report;
mod theirs;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::PublicKey;
use wfldb_core::mirror::{Choice, GitId, Strategy};
use wfldb_core::name::{BucketName, ObjectKey};

pub use self::error::SyncError;
pub use self::report::{SyncConflict, SyncReport};
use self::theirs::Theirs;
use super::git::{Fetched, GitError, GitOrders, Remote};
use super::root::{self, signing_keys};
use super::{Mirror, Shared, lock};
use crate::engine::{Engine, Inner};
use crate::error::EngineError;
use crate::store::add_node_keys;

/// How often a push may come second.
const ROUNDS_MAX: usize = 5;
/// How often a commit is tried while files change.
const COMMITS_MAX: usize = 10;
/// How long the mirror may take to have everything in its files.
const CAUGHT_UP: Duration = Duration::from_mins(10);

/// Something that people have decided about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SyncNamed {
    /// The bucket.
    pub bucket: BucketName,
    /// One key of it; `None`: the bucket with everything in it.
    pub key: Option<ObjectKey>,
}

/// How stores are brought together.
#[derive(Debug, Clone)]
pub struct SyncOptions {
    /// The remote: an absolute path, a URL or `host:path`, as the user's git takes it.
    pub remote: String,
    /// What is done where both sides changed a document.
    pub strategy: Strategy,
    /// Node keys of stores that are believed from now on, beside those that are already.
    pub trusted: Vec<PublicKey>,
    /// What our side is right about, whatever the strategy.
    pub ours: Vec<SyncNamed>,
    /// What their side is right about.
    pub theirs: Vec<SyncNamed>,
    /// Only say what would be done: nothing is written and nothing is pushed.
    pub dry_run: bool,
}

impl SyncNamed {
    /// Reads `bucket` or `bucket/key`.
    ///
    /// # Errors
    /// What is wrong with either.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (bucket, key) = match text.split_once('/') {
            Some((bucket, key)) => (bucket, Some(key)),
            None => (text, None),
        };
        let key = key.map(ObjectKey::parse).transpose();
        Ok(Self {
            bucket: BucketName::parse(bucket).map_err(|error| error.to_string())?,
            key: key.map_err(|error| error.to_string())?,
        })
    }
}

impl SyncOptions {
    /// With a remote and a strategy, and nothing else.
    #[must_use]
    pub fn new(remote: impl Into<String>, strategy: Strategy) -> Self {
        Self {
            remote: remote.into(),
            strategy,
            trusted: Vec::new(),
            ours: Vec::new(),
            theirs: Vec::new(),
            dry_run: false,
        }
    }

    /// What holds for a bucket as a whole.
    fn choice_of(&self, bucket: &BucketName) -> Option<Choice> {
        let names = |named: &[SyncNamed]| {
            named
                .iter()
                .any(|named| named.bucket == *bucket && named.key.is_none())
        };
        if names(&self.ours) {
            Some(Choice::Ours)
        } else if names(&self.theirs) {
            Some(Choice::Theirs)
        } else {
            None
        }
    }

    /// What holds for a key.
    fn choice(&self, bucket: &BucketName, key: &ObjectKey) -> Choice {
        let names = |named: &[SyncNamed]| {
            named
                .iter()
                .any(|named| named.bucket == *bucket && named.key.as_ref() == Some(key))
        };
        if names(&self.ours) {
            Choice::Ours
        } else if names(&self.theirs) {
            Choice::Theirs
        } else {
            self.choice_of(bucket).unwrap_or(Choice::By(self.strategy))
        }
    }
}

/// Brings the store of a mirror together with others. It may be cloned, and does nothing more once the mirror has ended.
#[derive(Clone)]
pub struct MirrorSyncs {
    shared: Arc<Shared>,
    orders: Option<GitOrders>,
    syncing: Arc<Mutex<()>>,
}

impl std::fmt::Debug for MirrorSyncs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MirrorSyncs").finish_non_exhaustive()
    }
}

impl Mirror {
    /// What brings its store together with others.
    #[must_use]
    pub fn syncs(&self) -> MirrorSyncs {
        MirrorSyncs {
            shared: Arc::clone(&self.shared),
            orders: self.orders.clone(),
            syncing: Arc::clone(&self.syncing),
        }
    }
}

impl MirrorSyncs {
    /// Brings the store together with what others pushed to a remote, and pushes what comes of it. Writes go on beside it.
    /// What is left for people to decide is in the report; then nothing is pushed. One at a time. Blocks, for as long as
    /// the network takes too.
    ///
    /// # Errors
    /// `Forbidden` for a proof that is not for the whole store, `NoHistory` for a mirror without git, `Untrusted` with
    /// the keys that would have to be believed, `Behind`, `Busy`; what the store or git could not do. What was settled
    /// until then stays settled.
    #[tracing::instrument(name = "engine::mirror::sync", level = "info", skip_all)]
    pub fn sync(&self, proof: &Authorized, options: &SyncOptions) -> Result<SyncReport, SyncError> {
        // `_admin` is asked of the store too, by whoever may.
        if proof.op() != Op::Admin || !matches!(proof.target(), Target::Store | Target::Service(_)) {
            return Err(EngineError::Forbidden.into());
        }
        let orders = self.orders.as_ref().ok_or(SyncError::NoHistory)?;
        let _one = lock(&self.syncing);
        let mut sync = Sync {
            shared: &self.shared,
            inner: &self.shared.engine.inner,
            remote: Remote::new(&self.shared.dir, &options.remote, &self.shared.bell.ended)?,
            orders,
            options,
            report: SyncReport::default(),
        };
        for _ in 0..ROUNDS_MAX {
            if sync.round()? {
                sync.report.settled = sync.report.is_settled();
                return Ok(sync.report);
            }
        }
        Err(SyncError::Busy)
    }
}

struct Sync<'a> {
    shared: &'a Shared,
    inner: &'a Arc<Inner>,
    remote: Remote,
    orders: &'a GitOrders,
    options: &'a SyncOptions,
    report: SyncReport,
}

impl Sync<'_> {
    fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// Fetches, settles and pushes. `false`: another store pushed meanwhile.
    fn round(&mut self) -> Result<bool, SyncError> {
        let ours = self.recorded(None)?;
        let remote = self.remote.clone();
        let theirs = self.orders.undisturbed(move || remote.fetch())??;
        self.report.remote = theirs.map(|id| id.to_string());
        let Some(theirs) = theirs else {
            return self.push(ours, None);
        };
        let mut trusted = signing_keys(self.inner)?;
        let others = self.options.trusted.iter().cloned();
        trusted.extend(others);
        let fetched = self.remote.look_through(theirs, Some(ours), &trusted)?;
        if fetched.commits == 0 {
            return self.push(ours, Some(theirs));
        }
        self.report.fetched += fetched.commits as u64;
        // What they sign is verified with them from now on, so before there is any of it.
        if !self.options.dry_run {
            add_node_keys(self.inner.dir(), &self.options.trusted)
                .map_err(|error| EngineError::Read(error.to_string()))?;
        }
        let taken = self.report.changes();
        self.settle(&fetched, &trusted.into())?;
        if self.options.dry_run || !self.report.is_settled() {
            return Ok(true);
        }
        let ours = self.recorded(None)?;
        if self.report.changes() == taken && !self.has_news(&fetched.bases, ours)? {
            // They have all that we have.
            self.report.head = Some(ours.to_string());
            return Ok(true);
        }
        let merged = self.recorded(Some(theirs))?;
        self.report.merged = Some(merged.to_string());
        self.push(merged, Some(theirs))
    }

    /// Everything that was committed is in the mirror, and everything in it in a commit; which, if asked, brings another
    /// one in.
    fn recorded(&self, merged: Option<GitId>) -> Result<GitId, SyncError> {
        let mut left = COMMITS_MAX;
        loop {
            if !self.shared.caught_up(CAUGHT_UP) {
                return Err(SyncError::Behind);
            }
            left -= 1;
            match self.orders.commit(merged) {
                // A file was written once more before it was recorded.
                Err(GitError::Source(_)) if left > 0 => {}
                made => return made?.ok_or(SyncError::NoHistory),
            }
        }
    }

    fn settle(&mut self, fetched: &Fetched, trusted: &Arc<[PublicKey]>) -> Result<(), SyncError> {
        self.report.begin();
        let theirs = Theirs::read(&self.remote, fetched)?;
        for bucket in theirs.buckets() {
            self.bucket(&theirs, bucket, trusted)?;
        }
        Ok(())
    }

    /// Whether the store changed any of its keys since the commits that both have, as its history shows.
    fn has_news(&self, since: &[GitId], ours: GitId) -> Result<bool, GitError> {
        let of_store = |path: &str| path == root::ROOT || path == root::SIGNERS;
        if since.is_empty() {
            return Ok(true);
        }
        for base in since {
            let changes = self.remote.differing(Some(*base), ours)?;
            if changes.iter().any(|change| !of_store(&change.path)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Moves the remote from one commit to another. `false`: it was moved by somebody else.
    fn push(&mut self, ours: GitId, theirs: Option<GitId>) -> Result<bool, SyncError> {
        self.report.head = Some(ours.to_string());
        if self.options.dry_run || theirs == Some(ours) {
            return Ok(true);
        }
        let Err(error) = self.remote.push(ours) else {
            self.report.pushed = true;
            return Ok(true);
        };
        let remote = self.remote.clone();
        let now = self.orders.undisturbed(move || remote.fetch())??;
        if now == theirs {
            return Err(error.into());
        }
        Ok(false)
    }
}

/// Proofs for what a sync does to buckets and keys.
fn of_bucket(bucket: &BucketName, op: Op) -> Authorized {
    Authorized::system("sync", op, Target::Bucket(bucket.clone()))
}

fn of_key(bucket: &BucketName, key: &ObjectKey, op: Op) -> Authorized {
    Authorized::system("sync", op, Target::Key(bucket.clone(), key.clone()))
}
