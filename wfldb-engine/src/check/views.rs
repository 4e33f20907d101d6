//! What there is of views: whether they are there and how far behind. Nothing of it is wrong: a view is made again from
//! what is stored.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::row::{BucketCounters, BucketRow, key};
use crate::storage::{Snapshot, Space, prefix_end};

/// Largest file that says how far a view is.
const META_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A view that a bucket's configuration asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ViewReport {
    /// `text`.
    pub view: &'static str,
    /// The bucket's id.
    pub bucket: String,
    /// `ready`, `making` or `missing`.
    pub state: &'static str,
    /// How many changes of the bucket it does not have yet.
    pub behind: u64,
}

/// The part of a full-text index's `meta.json` that is ours.
#[derive(Deserialize)]
struct Meta {
    payload: String,
}

/// Its cursor (docs/FORMAT.md), as far as it is of interest here.
#[derive(Deserialize)]
struct Cursor {
    seq: u64,
    making: Option<String>,
}

/// The full-text indexes that buckets ask for.
pub(super) fn views(snapshot: &dyn Snapshot, dir: &Path) -> Vec<ViewReport> {
    let end = prefix_end(key::BUCKET_ROW);
    let rows = snapshot.range(Space::Meta, key::BUCKET_ROW, &end, false);
    let buckets = rows.filter_map(|row| BucketRow::decode(&row.ok()?.1).ok());
    let asked = buckets.filter(|bucket| bucket.config.text.is_some());
    asked
        .map(|bucket| {
            let counters = snapshot.get(Space::Counters, &key::bucket_counters(&bucket.id));
            let counters = counters.ok().flatten();
            let counters = counters.and_then(|row| BucketCounters::decode(&row).ok());
            let newest = counters.map_or(0, |counters| counters.seq);
            let place = dir.join("views/text").join(bucket.id.to_string());
            let cursor = cursor(&place.join("meta.json"));
            let (state, seq) = match &cursor {
                None => ("missing", 0),
                Some(Cursor { making: Some(_), .. }) => ("making", 0),
                Some(cursor) => ("ready", cursor.seq),
            };
            ViewReport {
                view: "text",
                bucket: bucket.id.to_string(),
                state,
                behind: newest.saturating_sub(seq),
            }
        })
        .collect()
}

fn cursor(meta: &Path) -> Option<Cursor> {
    if fs::metadata(meta).ok()?.len() > META_BYTES_MAX {
        return None;
    }
    let meta: Meta = serde_json::from_slice(&fs::read(meta).ok()?).ok()?;
    serde_json::from_str(&meta.payload).ok()
}
