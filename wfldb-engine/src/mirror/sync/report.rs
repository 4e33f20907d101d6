//! What came of bringing stores together.

use serde::Serialize;
use wfldb_core::mirror::Conflict;

/// A document or an object that people have to decide about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyncConflict {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Where both sides changed it: our side is `ours`.
    pub conflicts: Vec<Conflict>,
}

/// What came of bringing stores together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SyncReport {
    /// Nothing is left to be decided: both sides have the same now, but for what was written meanwhile.
    pub settled: bool,
    /// Our newest commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Theirs, as it was fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// The commit that brought it in, if one had to be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged: Option<String>,
    /// Whether the remote was moved to our newest commit.
    pub pushed: bool,
    /// Commits that were fetched.
    pub fetched: u64,
    /// Buckets that were made, configured anew or deleted.
    pub buckets: u64,
    /// Documents and objects that were taken over, deletions too.
    pub taken: u64,
    /// Documents that were written anew, above both sides.
    pub written: u64,
    /// Those that differ and are ahead here.
    pub kept: u64,
    /// What people have to decide about.
    pub conflicts: Vec<SyncConflict>,
    /// Buckets that people have to decide about, and why.
    pub undecided: Vec<(String, String)>,
    /// What could not be taken over, and why.
    pub refused: Vec<(String, String)>,
    /// What was left as it is, and why: keys that were erased there.
    pub noted: Vec<(String, String)>,
}

impl SyncReport {
    /// Another look at the same: what was left is seen once more.
    pub(super) fn begin(&mut self) {
        self.kept = 0;
        self.conflicts.clear();
        self.undecided.clear();
        self.refused.clear();
        self.noted.clear();
    }

    /// How much was changed here.
    pub(super) fn changes(&self) -> u64 {
        self.buckets + self.taken + self.written
    }

    pub(super) fn is_settled(&self) -> bool {
        self.conflicts.is_empty() && self.undecided.is_empty() && self.refused.is_empty()
    }
}
