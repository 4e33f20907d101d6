//! Listings: keys in order with what the head rows say, and the versions of one key. Bodies are never touched.

use wfldb_core::auth::{Authorized, Op};
use wfldb_core::id::{BucketId, ContentHash, VersionId};
use wfldb_core::limits::SCAN_LIMIT_MAX;
use wfldb_core::name::{KeyPrefix, ObjectKey};
use wfldb_core::object::{HeaderText, Tags};
use wfldb_core::time::UnixMillis;

use super::ObjectMeta;
use super::tagged::{Found, Heads};
use crate::bucket::{admits, bucket_of, resolve};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::row::{ObjectRow, key};
use crate::storage::{Snapshot, Space, prefix_end};

/// Where a page begins: behind this, in the direction of the scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// Behind this key (or any text: keys compare bytewise).
    Key(String),
    /// Behind every key that begins with this: it was given as a common prefix.
    Prefix(String),
}

/// What to list.
#[derive(Debug, Clone)]
pub struct ScanQuery {
    /// Only keys that begin with this.
    pub prefix: KeyPrefix,
    /// Only keys behind this.
    pub after: Option<After>,
    /// At most so many items and common prefixes together: 1 to 1000.
    pub limit: usize,
    /// Keys that share what is before the first delimiter behind `prefix` are given as one common prefix.
    pub delimiter: Option<String>,
    /// Descending.
    pub reverse: bool,
    /// Only keys whose newest version has all of these.
    pub tags: Tags,
}

impl Default for ScanQuery {
    fn default() -> Self {
        Self {
            prefix: KeyPrefix::all(),
            after: None,
            limit: SCAN_LIMIT_MAX,
            delimiter: None,
            reverse: false,
            tags: Tags::default(),
        }
    }
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// The key.
    pub key: ObjectKey,
    /// Its newest version.
    pub version: VersionId,
    /// BLAKE3 of the bytes.
    pub etag: ContentHash,
    /// Length in bytes.
    pub len: u64,
    /// As stored with it.
    pub content_type: Option<HeaderText>,
    /// When it was committed.
    pub modified: UnixMillis,
    /// As stored with it.
    pub tags: Tags,
}

/// One page of a listing.
#[derive(Debug, Clone, Default)]
pub struct ScanPage {
    /// Objects, in the order of the scan.
    pub items: Vec<ListedObject>,
    /// Common prefixes, in the order of the scan.
    pub prefixes: Vec<String>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<After>,
}

/// One page of the versions of a key, newest first.
#[derive(Debug, Clone, Default)]
pub struct VersionPage {
    /// The versions, tombstones included.
    pub items: Vec<ObjectMeta>,
    /// More are behind the last.
    pub more: bool,
}

impl Engine {
    /// A page of the keys of the bucket that `proof` names: only those that it lets its holder see.
    ///
    /// # Errors
    /// `NoSuchBucket`, `SignatureRequired`, `Corrupt`.
    pub fn scan(&self, proof: &Authorized, query: &ScanQuery) -> Result<ScanPage, EngineError> {
        let name = bucket_of(proof, Op::List)?;
        let snapshot = self.inner.storage.snapshot();
        let row = resolve(&*snapshot, name)?;
        admits(&row, proof)?;
        let bucket = row.id;
        let mut page = ScanPage::default();
        let mut ranges = visible_ranges(proof, &query.prefix);
        if query.reverse {
            ranges.reverse();
        }
        let mut scan = Scan {
            snapshot: &*snapshot,
            bucket,
            query,
            limit: query.limit.clamp(1, SCAN_LIMIT_MAX),
            now: self.inner.now(),
            cut: query.after.clone(),
        };
        for range in ranges {
            if !scan.walk(&range, &mut page)? {
                page.next = scan.cut;
                break;
            }
        }
        Ok(page)
    }

    /// A page of the versions of the key that `proof` names, newest first, older than `before`.
    ///
    /// # Errors
    /// `NoSuchBucket`, `SignatureRequired`, `NoSuchKey` when the key has no version at all, `Corrupt`.
    pub fn versions(
        &self,
        proof: &Authorized,
        before: Option<VersionId>,
        limit: usize,
    ) -> Result<VersionPage, EngineError> {
        let name = bucket_of(proof, Op::Get)?;
        let object = proof.key().ok_or(EngineError::Forbidden)?;
        let snapshot = self.inner.storage.snapshot();
        let row = resolve(&*snapshot, name)?;
        admits(&row, proof)?;
        let bucket = row.id;
        let all = key::versions_of(&bucket, object);
        let from = match before {
            // Just behind the row of `before`.
            Some(before) => [&key::version(&bucket, object, &before), [0].as_slice()].concat(),
            None => all.to_vec(),
        };
        let limit = limit.clamp(1, SCAN_LIMIT_MAX);
        let mut page = VersionPage::default();
        for row in snapshot.range(Space::Versions, &from, &prefix_end(&all), false) {
            let (row_key, row) = row?;
            if page.items.len() == limit {
                page.more = true;
                break;
            }
            let (found, version) = key::key_of_version(&row_key)?;
            let row = ObjectRow::decode(&row)?;
            if found != *object || version != row.version {
                return Err(EngineError::Corrupt("version"));
            }
            page.items.push(ObjectMeta::new(found, row));
        }
        if page.items.is_empty() && before.is_none() {
            return Err(EngineError::NoSuchKey);
        }
        Ok(page)
    }
}

/// Bounds of object keys: `from <= key < to`; `to` empty: no end.
#[derive(Debug, Clone)]
pub(crate) struct KeyRange {
    pub(crate) from: Vec<u8>,
    pub(crate) to: Vec<u8>,
}

/// What a prefix and the prefixes that the proof shows have in common, ascending and disjoint.
pub(crate) fn visible_ranges(proof: &Authorized, prefix: &KeyPrefix) -> Vec<KeyRange> {
    let wanted = prefix.as_str();
    let of = |prefix: &str| KeyRange {
        from: prefix.as_bytes().to_vec(),
        to: prefix_end(prefix.as_bytes()),
    };
    match proof.visible_prefixes() {
        None => vec![of(wanted)],
        Some(visible) => visible
            .iter()
            .filter_map(|visible| {
                let visible = visible.as_str();
                if visible.starts_with(wanted) {
                    Some(of(visible))
                } else {
                    wanted.starts_with(visible).then(|| of(wanted))
                }
            })
            .collect(),
    }
}

/// Narrows a range to what is behind `after`; `false` when nothing is left.
fn cut_range(range: &mut KeyRange, after: Option<&After>, reverse: bool) -> bool {
    match (after, reverse) {
        (None, _) => {}
        (Some(After::Key(key)), false) => {
            let behind = [key.as_bytes(), &[0]].concat();
            range.from = behind.max(std::mem::take(&mut range.from));
        }
        (Some(After::Prefix(prefix)), false) => {
            let behind = prefix_end(prefix.as_bytes());
            if behind.is_empty() {
                return false;
            }
            range.from = behind.max(std::mem::take(&mut range.from));
        }
        (Some(After::Key(text) | After::Prefix(text)), true) => {
            if range.to.is_empty() || text.as_bytes() < range.to.as_slice() {
                range.to = text.as_bytes().to_vec();
                if range.to.is_empty() {
                    return false;
                }
            }
        }
    }
    range.to.is_empty() || range.from < range.to
}

/// A page that is being filled.
struct Scan<'a> {
    snapshot: &'a dyn Snapshot,
    bucket: BucketId,
    query: &'a ScanQuery,
    limit: usize,
    now: UnixMillis,
    /// Behind what was looked at.
    cut: Option<After>,
}

impl Scan<'_> {
    /// Adds what a range holds to the page; `false` when the page is full and more is left.
    fn walk(&mut self, range: &KeyRange, page: &mut ScanPage) -> Result<bool, EngineError> {
        loop {
            let mut range = range.clone();
            if !cut_range(&mut range, self.cut.as_ref(), self.query.reverse) {
                return Ok(true);
            }
            let mut skipped_prefix = false;
            let bounds = (range.from.as_slice(), range.to.as_slice());
            let reverse = self.query.reverse;
            let mut heads = Heads::new(self.snapshot, &self.bucket, &self.query.tags, bounds, reverse);
            while let Some(found) = heads.next()? {
                if page.items.len() + page.prefixes.len() == self.limit {
                    return Ok(false);
                }
                let (object, row) = match found {
                    Found::Head(object, row) => (object, row),
                    Found::Pause(object) => {
                        self.cut = Some(After::Key(object.as_str().to_owned()));
                        return Ok(false);
                    }
                };
                if !row.is_live(self.now) {
                    continue;
                }
                if let Some(common) = common_prefix(object.as_str(), self.query) {
                    page.prefixes.push(common.to_owned());
                    self.cut = Some(After::Prefix(common.to_owned()));
                    // One seek behind the whole group, however many keys it has.
                    skipped_prefix = true;
                    break;
                }
                self.cut = Some(After::Key(object.as_str().to_owned()));
                page.items.push(listed(object, *row));
            }
            if !skipped_prefix {
                return Ok(true);
            }
        }
    }
}

fn listed(key: ObjectKey, row: ObjectRow) -> ListedObject {
    ListedObject {
        key,
        version: row.version,
        etag: row.etag,
        len: row.len,
        content_type: row.headers.content_type,
        modified: row.modified,
        tags: row.headers.tags,
    }
}

/// What stands before and with the first delimiter behind the query's prefix.
fn common_prefix<'a>(object: &'a str, query: &ScanQuery) -> Option<&'a str> {
    let delimiter = query
        .delimiter
        .as_deref()
        .filter(|delimiter| !delimiter.is_empty())?;
    let behind = object.strip_prefix(query.prefix.as_str())?;
    let at = behind.find(delimiter)?;
    object.get(..query.prefix.as_str().len() + at + delimiter.len())
}
