//! The full check: every row against every other, every body and chunk against its hash, over one snapshot, with a
//! verdict that a program can read. It changes nothing. What a start checks, which is less, is in `store::verify`.
//!
//! `rows` walks a bucket, `log` the changes; here is what they add up to.

mod accesses;
mod indexes;
mod leaves;
mod log;
mod revocations;
mod rows;
mod uploads;
mod views;

pub use self::views::ViewReport;

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use wfldb_core::auth::{Authorized, GrantId, Op};
use wfldb_core::id::{BucketId, ChunkHash, LogPosition};

use crate::chunk::ChunkError;
use crate::engine::{Engine, Inner};
use crate::error::EngineError;
use crate::revocation::LoggedRevocation;
use crate::row::{BucketRow, CommitMark, counters, key};
use crate::storage::{Rows, Snapshot, Space, Storage, StorageError, prefix_end};

/// Findings that a verdict lists; more are counted.
const FINDINGS_MAX: usize = 1000;

/// What is wrong with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable word.
    pub kind: FindingKind,
    /// The bucket's id, if it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// The object's key, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The version, chunk, position or other name within that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For people.
    pub detail: String,
}

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum FindingKind {
    /// The log has a gap, a broken chain, or does not end where its mark says.
    Log,
    /// A leaf, tile or checkpoint of the audit log is missing, changed or out of order.
    Audit,
    /// Evidence is missing, is not what its change names, or belongs to no change.
    Evidence,
    /// A bucket's rows do not fit each other.
    Bucket,
    /// A counter is not what it counts.
    Counter,
    /// A version's row is damaged or cannot be.
    Version,
    /// A head is missing, is not the newest version, or has no version.
    Head,
    /// An inline body is missing, damaged, or belongs to no version.
    Body,
    /// A document is not what the store signed, or does not follow the version below it.
    Document,
    /// A reference to a chunk is missing, or belongs to nothing.
    Reference,
    /// A chunk file is missing or damaged.
    Chunk,
    /// A row of the index is missing, or leads to nothing.
    Index,
    /// A row that is none of ours.
    Stray,
    /// Something could not be read.
    Unreadable,
}

/// What a full check found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CheckReport {
    /// Nothing is wrong.
    pub sound: bool,
    /// The last log position of the snapshot.
    pub position: u64,
    /// Changes that were walked.
    pub changes: u64,
    /// Leaves of the audit log.
    pub leaves: u64,
    /// Buckets, without deleted ones.
    pub buckets: u64,
    /// Versions, tombstones included.
    pub versions: u64,
    /// Bytes of all versions.
    pub bytes: u64,
    /// Distinct chunks that were read.
    pub chunks: u64,
    /// What is wrong, at most 1000.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub findings_omitted: u64,
    /// The views that are kept beside what is stored. They are made again from it, so nothing of them is a finding.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<ViewReport>,
}

/// A check on its way.
struct Check<'a> {
    storage: &'a dyn Storage,
    read_chunk: &'a ReadChunk<'a>,
    snapshot: &'a dyn Snapshot,
    report: CheckReport,
    /// What every grant is charged by the versions and parts that are there.
    charged: HashMap<GrantId, u64>,
    /// How many versions stand at each position that has several.
    shared: HashMap<LogPosition, u32>,
    /// Rows in `index` that lead to versions and uploads by their time.
    due: u64,
    /// What the log says was revoked, by its text.
    revoked: HashMap<String, LoggedRevocation>,
    /// Called after each step that reads much, with the bytes that it read: the scrub rests here.
    pace: &'a mut dyn FnMut(u64),
}

impl Engine {
    /// Checks everything against everything, on a snapshot, beside whatever else goes on. Blocks for as long as it
    /// takes to read all that is stored.
    ///
    /// # Errors
    /// `Forbidden`; what cannot be read is a finding.
    pub fn verify(&self, proof: &Authorized) -> Result<CheckReport, EngineError> {
        if proof.op() != Op::Admin {
            return Err(EngineError::Forbidden);
        }
        Ok(self.inner.check(&mut |_| {}))
    }
}

/// Reads a whole chunk of that length and compares it with its hash, wherever its file is.
pub(crate) type ReadChunk<'a> = dyn Fn(&BucketId, &ChunkHash, usize) -> Result<(), ChunkError> + 'a;

impl Inner {
    pub(crate) fn check(&self, pace: &mut dyn FnMut(u64)) -> CheckReport {
        let read_chunk =
            |bucket: &BucketId, chunk: &ChunkHash, len: usize| self.chunks.check(bucket, chunk, len);
        let mut report = CheckReport::of(&*self.storage, &read_chunk, pace);
        report.views = views::views(&*self.storage.snapshot(), self.dir());
        report
    }
}

impl CheckReport {
    /// Checks a storage whose chunks `read_chunk` finds: a store's, or a backup's.
    pub(crate) fn of(storage: &dyn Storage, read_chunk: &ReadChunk<'_>, pace: &mut dyn FnMut(u64)) -> Self {
        let snapshot: Arc<dyn Snapshot> = storage.snapshot();
        let mut check = Check {
            storage,
            read_chunk,
            snapshot: &*snapshot,
            report: CheckReport::default(),
            charged: HashMap::new(),
            shared: HashMap::new(),
            due: 0,
            revoked: HashMap::new(),
            pace,
        };
        if let Err(error) = check.all() {
            check.find(FindingKind::Unreadable, None, error.to_string());
        }
        let mut report = check.report;
        report.sound = report.findings.is_empty();
        report
    }
}

impl<'a> Check<'a> {
    /// The rows whose keys begin with `prefix`. They borrow the snapshot and not the check.
    fn range(&self, space: Space, prefix: &[u8]) -> Rows<'a> {
        let snapshot: &'a dyn Snapshot = self.snapshot;
        snapshot.range(space, prefix, &prefix_end(prefix), false)
    }
}

impl Check<'_> {
    fn all(&mut self) -> Result<(), StorageError> {
        let mark = self.mark()?;
        self.report.position = mark.position.get();
        let buckets = self.buckets()?;
        for (bucket, is_live) in &buckets {
            self.bucket(bucket, *is_live)?;
        }
        self.strays(&buckets.iter().map(|(bucket, _)| *bucket).collect::<Vec<_>>())?;
        self.grants()?;
        self.due_rows()?;
        self.leaves(&mark)?;
        self.log(&mark)?;
        self.accesses()?;
        self.revocations(&mark)
    }

    fn find(&mut self, kind: FindingKind, place: Option<Place<'_>>, detail: impl Into<String>) {
        if self.report.findings.len() == FINDINGS_MAX {
            self.report.findings_omitted += 1;
            return;
        }
        let place = place.unwrap_or_default();
        self.report.findings.push(Finding {
            kind,
            bucket: place.bucket.map(ToString::to_string),
            key: place.key.map(str::to_owned),
            name: place.name,
            detail: detail.into(),
        });
    }

    fn mark(&mut self) -> Result<CommitMark, StorageError> {
        let row = self.snapshot.get(Space::Meta, key::COMMIT_MARK)?;
        Ok(match row.as_deref().map(CommitMark::decode) {
            None => CommitMark::ZERO,
            Some(Ok(mark)) => mark,
            Some(Err(error)) => {
                self.find(FindingKind::Log, None, error.to_string());
                CommitMark::ZERO
            }
        })
    }

    /// All buckets, deleted ones that still have rows included, and whether each is live.
    fn buckets(&mut self) -> Result<Vec<(BucketId, bool)>, StorageError> {
        let mut buckets = Vec::new();
        for row in self.range(Space::Meta, key::BUCKET_ROW) {
            let (row_key, row) = row?;
            let id = row_key.strip_prefix(key::BUCKET_ROW).unwrap_or_default();
            let Ok(bucket) = BucketRow::decode(&row) else {
                self.find(FindingKind::Bucket, None, "a bucket's row is damaged");
                continue;
            };
            let named = self.snapshot.get(Space::Meta, &key::bucket_name(&bucket.name))?;
            if id != bucket.id.as_bytes() || named.as_deref() != Some(bucket.id.as_bytes().as_slice()) {
                let place = Place::of(&bucket.id);
                self.find(FindingKind::Bucket, Some(place), "its name does not lead to it");
            }
            self.report.buckets += 1;
            buckets.push((bucket.id, true));
        }
        for row in self.range(Space::Meta, key::BUCKET_NAME) {
            let (_, id) = row?;
            if !buckets
                .iter()
                .any(|(bucket, _)| bucket.as_bytes().as_slice() == &*id)
            {
                self.find(FindingKind::Bucket, None, "a name leads to no bucket");
            }
        }
        for row in self.range(Space::Meta, key::BUCKET_DETACHED) {
            let (row_key, _) = row?;
            let id = row_key.strip_prefix(key::BUCKET_DETACHED);
            match id.and_then(|id| <[u8; 16]>::try_from(id).ok()) {
                Some(id) => buckets.push((BucketId::from_bytes(id), false)),
                None => self.find(FindingKind::Bucket, None, "a deleted bucket's mark is damaged"),
            }
        }
        Ok(buckets)
    }

    /// Rows of buckets that are neither there nor being removed.
    fn strays(&mut self, known: &[BucketId]) -> Result<(), StorageError> {
        for space in [
            Space::Heads,
            Space::Versions,
            Space::Bodies,
            Space::Chunks,
            Space::Index,
        ] {
            let mut from = Vec::new();
            // One look per bucket: behind each found one, the next.
            while let Some(row) = self.snapshot.range(space, &from, &[], false).next() {
                let (row_key, _) = row?;
                let Some((id, _)) = row_key.split_first_chunk::<16>() else {
                    self.find(FindingKind::Stray, None, format!("a key in {}", space.name()));
                    from = [&*row_key, &[0]].concat();
                    continue;
                };
                let id = BucketId::from_bytes(*id);
                let of_none = [
                    key::DUE,
                    key::INDEX_WORK,
                    key::LINK_USES,
                    key::LINKS,
                    key::LINK_SHARES,
                ];
                let of_none = of_none.iter().any(|begins| row_key.starts_with(begins));
                if !(known.contains(&id) || space == Space::Index && of_none) {
                    let detail = format!("rows in {} of a bucket that is not there", space.name());
                    self.find(FindingKind::Stray, Some(Place::of(&id)), detail);
                }
                from = prefix_end(id.as_bytes());
                if from.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn grants(&mut self) -> Result<(), StorageError> {
        let mut charged = std::mem::take(&mut self.charged);
        for row in self.range(Space::Counters, b"g") {
            let (row_key, row) = row?;
            let grant = row_key.get(1..).and_then(|id| <[u8; 32]>::try_from(id).ok());
            let stored = counters::decode_charged(&row).ok();
            let expected = grant.and_then(|grant| charged.remove(&GrantId::from_bytes(grant)));
            if stored.is_none() || stored != expected {
                let detail = format!("a grant is counted {stored:?} bytes, its versions have {expected:?}");
                self.find(FindingKind::Counter, None, detail);
            }
        }
        let left = charged.values().filter(|bytes| **bytes > 0).count();
        if left > 0 {
            self.find(
                FindingKind::Counter,
                None,
                format!("{left} grants have no counter"),
            );
        }
        Ok(())
    }

    fn due_rows(&mut self) -> Result<(), StorageError> {
        let mut found = 0;
        for row in self.range(Space::Index, key::DUE) {
            let (row_key, row) = row?;
            match key::parse_due(&row_key, &row) {
                // A deleted bucket's stay until their time.
                Ok((bucket, _))
                    if self
                        .snapshot
                        .get(Space::Meta, &key::bucket_row(&bucket))?
                        .is_none() => {}
                Ok(_) => found += 1,
                Err(_) => self.find(FindingKind::Index, None, "a row of the index by time is damaged"),
            }
        }
        if found != self.due {
            let detail = format!(
                "{found} rows of the index lead to an end, {} things end",
                self.due
            );
            self.find(FindingKind::Index, None, detail);
        }
        Ok(())
    }
}

/// Where something is wrong.
#[derive(Debug, Clone, Default)]
struct Place<'a> {
    bucket: Option<&'a BucketId>,
    key: Option<&'a str>,
    name: Option<String>,
}

impl<'a> Place<'a> {
    fn of(bucket: &'a BucketId) -> Self {
        Self {
            bucket: Some(bucket),
            ..Self::default()
        }
    }

    fn key(self, key: &'a str) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "names are small and made for this")]
    fn named(self, name: impl ToString) -> Self {
        Self {
            name: Some(name.to_string()),
            ..self
        }
    }
}
