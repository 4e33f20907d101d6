//! What the files of each key of a bucket were, commit by commit.

use std::collections::{HashMap, HashSet};

use wfldb_core::mirror::{GitId, Manifest};

use crate::mirror::git::{GitError, Past};
use crate::mirror::state::{DELETED, META, METADATA};

/// What is kept in mind of a bucket at once.
const MOMENTS_MAX: usize = 8_000_000;

/// The files of a key, as a commit has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// The commit.
    pub(super) commit: usize,
    /// The key was deleted.
    pub(super) deleted: bool,
    /// The document, or the bytes of the object where the history has them.
    pub(super) body: Option<GitId>,
    /// What stands beside an object.
    pub(super) said: Option<GitId>,
}

/// The moments of the keys of a bucket, by the names of their files.
#[derive(Debug, Default)]
pub(super) struct Trails {
    trails: HashMap<String, Trail>,
    moments: usize,
}

#[derive(Debug, Default)]
struct Trail {
    /// By whether the key was deleted: the file, and what stands beside it.
    slots: [[Option<GitId>; 2]; 2],
    moments: Vec<Moment>,
}

/// What a path says of a file.
struct Place<'a> {
    name: &'a str,
    deleted: bool,
    beside: bool,
}

impl Trails {
    /// Those of the bucket whose directory is `dir`; `documents`: what it holds. Keys that are gone at the newest commit
    /// have none, and one that was gone in between begins anew.
    ///
    /// # Errors
    /// When the history cannot be read, or has more than is kept in mind.
    pub(super) fn of(past: &Past, dir: &str, documents: bool) -> Result<Self, GitError> {
        let mut trails = Self::default();
        let mut touched: HashSet<String> = HashSet::new();
        let mut at = 0;
        past.changes(dir, |change| {
            if change.commit != at {
                trails.note(&mut touched, at, documents);
                at = change.commit;
            }
            let below = change.path.strip_prefix(dir);
            let Some(path) = below.and_then(|path| path.strip_prefix('/')) else {
                return Ok(());
            };
            if path == METADATA && change.blob.is_none() {
                // The bucket went; one that has its name now is another.
                trails = Self::default();
                touched.clear();
            }
            if let Some(place) = place_of(path, documents) {
                let trail = trails.trails.entry(place.name.to_owned()).or_default();
                let slots = trail.slots.get_mut(usize::from(place.deleted));
                if let Some(slot) = slots.and_then(|slots| slots.get_mut(usize::from(place.beside))) {
                    *slot = change.blob;
                }
                touched.insert(place.name.to_owned());
            }
            if trails.moments > MOMENTS_MAX {
                return Err(GitError::Failed {
                    command: "diff-tree".to_owned(),
                    reason: format!("more than {MOMENTS_MAX} versions in one bucket"),
                });
            }
            Ok(())
        })?;
        trails.note(&mut touched, at, documents);
        Ok(trails)
    }

    /// The moments of a key, in the order of commits.
    pub(super) fn take(&mut self, name: &str) -> Vec<Moment> {
        self.trails.remove(name).unwrap_or_default().moments
    }

    /// Says of the files that a commit changed what they are now.
    fn note(&mut self, touched: &mut HashSet<String>, commit: usize, documents: bool) {
        for name in touched.drain() {
            let Some(trail) = self.trails.get_mut(&name) else {
                continue;
            };
            let [live, deleted] = trail.slots;
            // What says that there is a version: the document, or what stands beside the object.
            let is_there = |[body, said]: [Option<GitId>; 2]| if documents { body } else { said }.is_some();
            let (is_deleted, [body, said]) = match (is_there(live), is_there(deleted)) {
                (true, _) => (false, live),
                (false, true) => (true, deleted),
                (false, false) => {
                    self.moments -= trail.moments.len();
                    self.trails.remove(&name);
                    continue;
                }
            };
            trail.moments.push(Moment {
                commit,
                deleted: is_deleted,
                body,
                said,
            });
            self.moments += 1;
        }
    }
}

/// What stands at a path below a bucket's directory; `None` for what is of no key.
fn place_of(path: &str, documents: bool) -> Option<Place<'_>> {
    let is_shard = |name: &str| name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut rest = match path.split_once('/') {
        Some((shard, rest)) if is_shard(shard) => rest,
        _ => path,
    };
    let mut below = |dir: &str| {
        let inner = rest.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/'));
        rest = inner.unwrap_or(rest);
        inner.is_some()
    };
    let deleted = below(DELETED);
    let beside = !documents && below(META);
    let name = if beside { rest.strip_suffix(".json")? } else { rest };
    let own = name.starts_with('.') || name == Manifest::FILE || name.contains('/');
    (!own).then_some(Place {
        name,
        deleted,
        beside,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str, documents: bool) -> Option<(&str, bool, bool)> {
        place_of(path, documents).map(|place| (place.name, place.deleted, place.beside))
    }

    #[test]
    fn a_path_says_whose_file_it_is() {
        for (path, expected) in [
            ("a.json", Some(("a.json", false, false))),
            ("3f/a.json", Some(("a.json", false, false))),
            (".deleted/a.json", Some(("a.json", true, false))),
            ("3f/.deleted/a.json", Some(("a.json", true, false))),
            (".metadata.json", None),
            ("3f/MANIFEST.sha256", None),
            ("other/a.json", None),
            (".meta/a.json", None),
        ] {
            assert_eq!(place(path, true), expected, "{path}");
        }
        for (path, expected) in [
            ("a", Some(("a", false, false))),
            (".meta/a.json", Some(("a", false, true))),
            ("00/.deleted/.meta/a.json.json", Some(("a.json", true, true))),
            (".meta/a", None),
        ] {
            assert_eq!(place(path, false), expected, "{path}");
        }
    }
}
