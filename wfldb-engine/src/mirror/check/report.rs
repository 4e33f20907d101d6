//! What a check of a mirror comes to.

use serde::Serialize;

/// Where a mirror differs from its store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MirrorFinding {
    /// A stable word.
    pub kind: MirrorFault,
    /// The file, below the mirror's directory.
    pub path: String,
    /// For people.
    pub detail: String,
}

/// How a mirror can differ from its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum MirrorFault {
    /// A file or a directory that should be there is not.
    Missing,
    /// A file that should not be there.
    Added,
    /// Something else than a file or a directory: a symbolic link, a pipe.
    WrongType,
    /// Other bytes than those of the store, and no document that tells more.
    Content,
    /// The document that it should be, in another spelling.
    Spelling,
    /// A document without a whole envelope.
    Envelope,
    /// A document whose `_hash` is not that of its members.
    Hash,
    /// A document without a signature, or one that does not verify, or of a key that is not the store's.
    Signature,
    /// A document of another key or bucket, as the store signed it.
    Elsewhere,
    /// Another version of the document than the newest, as the store signed it.
    OtherVersion,
    /// A manifest that is not the hashes of its files.
    Manifest,
    /// What is said of the mirror, of a bucket or of an object.
    Metadata,
    /// The copy of the audit log: a tile, a bundle or the checkpoint is another than the store's.
    Log,
    /// The history in git: its settings, its objects, its commits, or what they hold.
    History,
    /// What the store has cannot be read.
    Unreadable,
}

/// How far the history in git goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MirrorHead {
    /// The newest commit.
    pub commit: String,
    /// The last change that it has.
    pub position: u64,
    /// How many commits there are, each of which was verified.
    pub commits: u64,
}

/// What a check of a mirror found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MirrorReport {
    /// Nothing differs.
    pub sound: bool,
    /// The last change of the state that was compared with.
    pub position: u64,
    /// The last change that the mirror says it has.
    pub mirror_position: u64,
    /// Buckets that are mirrored.
    pub buckets: u64,
    /// Files that were compared.
    pub files: u64,
    /// Leaves of the audit log that its copy was compared with, where the store has a checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<u64>,
    /// The history, if there is one that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<MirrorHead>,
    /// What differs, at most 1000.
    pub findings: Vec<MirrorFinding>,
    /// How many more there are.
    pub findings_omitted: u64,
    /// Files that changed, or were large, whenever they were looked at: whether they differ is not known yet.
    #[serde(skip_serializing_if = "is_zero")]
    pub undecided: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde hands it over")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
