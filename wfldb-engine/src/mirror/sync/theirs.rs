//! What changed on their side: the files that differ between the trees that both had and theirs, by bucket and key.

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
            fetched: fetched.clone(),
            buckets: by_bucket(&since(remote, &fetched.bases, fetched.head)?),
        })
    }

    /// Everything in a directory, as if both had had nothing of it.
    pub(super) fn all_of(&self, remote: &Remote, dir: &str) -> Result<Changed, GitError> {
        let all = remote.differing(None, self.fetched.head)?;
        Ok(by_bucket(&all).remove(dir).unwrap_or_default())
    }

    /// The directories in which something changed.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (&str, &Changed)> {
        self.buckets.iter().map(|(dir, changed)| (dir.as_str(), changed))
    }

    /// How git names a file in both trees; in the first there may be none, or nobody knows which.
    pub(super) fn named(&self, path: &str) -> [Option<String>; 2] {
        let base = match self.fetched.bases.as_slice() {
            [base] => Some(format!("{base}:{path}")),
            _ => None,
        };
        [base, Some(format!("{}:{path}", self.fetched.head))]
    }
}

/// The files that differ from any of the trees that both had. Where those do not agree, nothing is said of what both had:
/// then what stands there is one side's, and the other's is looked for.
fn since(remote: &Remote, bases: &[GitId], head: GitId) -> Result<Vec<TreeChange>, GitError> {
    let [first, others @ ..] = bases else {
        return remote.differing(None, head);
    };
    let mut all: BTreeMap<String, (TreeChange, usize)> = BTreeMap::new();
    for change in remote.differing(Some(*first), head)? {
        all.insert(change.path.clone(), (change, 1));
    }
    for base in others {
        for change in remote.differing(Some(*base), head)? {
            let path = change.path.clone();
            let (known, count) = all.entry(path).or_insert_with(|| (change.clone(), 0));
            if known.old != change.old {
                known.old = None;
            }
            *count += 1;
        }
    }
    let changes = all.into_values().map(|(mut change, count)| {
        // In the others it is as it is there.
        if count < bases.len() {
            change.old = None;
        }
        change
    });
    Ok(changes.collect())
}

fn by_bucket(changes: &[TreeChange]) -> BTreeMap<String, Changed> {
    let mut buckets: BTreeMap<String, Changed> = BTreeMap::new();
    for file in changes {
        let Some((dir, below)) = file.path.split_once('/') else {
            continue;
        };
        let bucket = buckets.entry(dir.to_owned()).or_default();
        if below != METADATA {
            bucket.add(file);
        }
    }
    buckets
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
