//! What changed on their side: the files that differ between the tree that both had and theirs, by bucket and key.

use std::collections::{BTreeMap, BTreeSet};

use wfldb_core::mirror::{FileKind, FileName, GitId, Shard};
use wfldb_core::name::ObjectKey;

use crate::mirror::git::{Fetched, GitError, Remote, TreeChange};
use crate::mirror::state::{DELETED, META, METADATA};

/// Changes of their side.
pub(super) struct Theirs {
    pub(super) fetched: Fetched,
    buckets: BTreeMap<String, Changed>,
}

/// What changed in a bucket, by the names of files.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) keys: BTreeMap<String, KeyFiles>,
}

/// The files of a key on both sides.
#[derive(Debug, Default, Clone)]
pub(super) struct KeyFiles {
    /// What both had.
    pub(super) old: FileSet,
    /// What they have.
    pub(super) new: FileSet,
}

/// The files of a key in one tree.
#[derive(Debug, Default, Clone)]
pub(super) struct FileSet {
    /// The bytes: of a document all.
    pub(super) body: Option<GitId>,
    /// What is said of an object.
    pub(super) said: Option<GitId>,
    /// The directory of the bytes, below the mirror's.
    pub(super) dir: String,
    pub(super) deleted: bool,
}

impl Theirs {
    pub(super) fn read(remote: &Remote, fetched: &Fetched) -> Result<Self, GitError> {
        Ok(Self {
            fetched: *fetched,
            buckets: changed(remote, fetched.base, fetched.head)?,
        })
    }

    /// Everything in a directory, as if both had had nothing of it.
    pub(super) fn all_of(&self, remote: &Remote, dir: &str) -> Result<Changed, GitError> {
        let mut all = changed(remote, None, self.fetched.head)?;
        Ok(all.remove(dir).unwrap_or_default())
    }

    /// The directories in which something changed.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (&str, &Changed)> {
        self.buckets.iter().map(|(dir, changed)| (dir.as_str(), changed))
    }

    /// How git names a file in both trees; in the first there may be none.
    pub(super) fn named(&self, path: &str) -> [Option<String>; 2] {
        let base = self.fetched.base.map(|base| format!("{base}:{path}"));
        [base, Some(format!("{}:{path}", self.fetched.head))]
    }
}

fn changed(remote: &Remote, base: Option<GitId>, head: GitId) -> Result<BTreeMap<String, Changed>, GitError> {
    let mut buckets: BTreeMap<String, Changed> = BTreeMap::new();
    for change in remote.differing(base, head)? {
        let Some((dir, below)) = change.path.split_once('/') else {
            continue;
        };
        let changed = buckets.entry(dir.to_owned()).or_default();
        if below != METADATA {
            changed.add(&change);
        }
    }
    Ok(buckets)
}

impl Changed {
    fn add(&mut self, change: &TreeChange) {
        let mut dirs: Vec<&str> = change.path.split('/').collect();
        let Some(name) = dirs.pop() else { return };
        let is_said = dirs.last() == Some(&META);
        if is_said {
            dirs.pop();
        }
        let deleted = dirs.last() == Some(&DELETED);
        let name = if is_said {
            name.strip_suffix(".json").unwrap_or(name)
        } else {
            name
        };
        let files = self.keys.entry(name.to_owned()).or_default();
        for (set, id) in [(&mut files.old, change.old), (&mut files.new, change.new)] {
            let Some(id) = id else { continue };
            let part = if is_said { &mut set.said } else { &mut set.body };
            *part = Some(id);
            set.deleted = deleted;
            set.dir = dirs.join("/");
        }
    }
}

impl FileSet {
    /// Whether a key's files can stand here: a bucket's directory, or its shard of the key, and what was deleted below.
    pub(super) fn is_of(&self, bucket: &str, name: &str, key: &ObjectKey, kind: FileKind) -> bool {
        let below = self.dir.strip_suffix(DELETED).filter(|_| self.deleted);
        let dir = below.map_or(self.dir.as_str(), |dir| dir.trim_end_matches('/'));
        let shard = format!("{bucket}/{}", Shard::of(key).dir());
        FileName::of(key, kind).as_str() == name && (dir == bucket || dir == shard)
    }
}

/// Reads files by their ids; one that is not there is too large for a history.
pub(super) fn blobs(
    remote: &Remote,
    ids: impl Iterator<Item = Option<GitId>>,
) -> Result<BTreeMap<GitId, Vec<u8>>, GitError> {
    let ids: BTreeSet<GitId> = ids.flatten().collect();
    let mut read = BTreeMap::new();
    remote.objects(ids.iter().map(GitId::to_string), |name, bytes| {
        read.extend(GitId::parse(name).zip(bytes));
        Ok(())
    })?;
    Ok(read)
}
