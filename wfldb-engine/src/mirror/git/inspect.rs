//! A history, looked at: whether it is whole, whether every commit is the store's, and what the newest one holds.
//! Nothing is changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use wfldb_core::id::PublicKey;
use wfldb_core::mirror::{GitId, MirrorCommit};
use wfldb_core::name::Realm;

use super::pending::is_recorded;
use super::program::{self, Git, STEADY};
use super::repository::{self, CONFIG, DETOURS, HEAD};
use super::{BRANCH, GitError};

/// Commits that are read at once.
const COMMITS_AT_ONCE: usize = 1000;

/// A history that is looked at.
#[derive(Debug)]
pub(crate) struct Inspection {
    git: Git,
    dir: PathBuf,
}

/// The commits of a history, each of which is the store's.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) head: Option<(GitId, MirrorCommit)>,
    pub(crate) commits: u64,
}

impl Inspection {
    /// The history of the mirror in `mirror`.
    ///
    /// # Errors
    /// `Unavailable`, `InTheWay`, `Io`.
    pub(crate) fn of(mirror: &Path) -> Result<Self, GitError> {
        let mirror = mirror.canonicalize().map_err(GitError::io(mirror))?;
        let dir = mirror.join(repository::DIR);
        repository::are_directories(&dir)?;
        // SECURITY: a detour would have git read another repository.
        if let Some(detour) = DETOURS
            .iter()
            .find(|name| fs::symlink_metadata(dir.join(name)).is_ok())
        {
            return Err(GitError::InTheWay(dir.join(detour).display().to_string()));
        }
        Ok(Self {
            git: Git::new(&program::find()?, &dir),
            dir,
        })
    }

    /// The program, for reading.
    pub(super) fn git(&self) -> &Git {
        &self.git
    }

    /// What is not as the store sets it up, by path below the mirror.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (name, content) in [("config", CONFIG), ("HEAD", HEAD)] {
            if fs::read(self.dir.join(name)).ok().as_deref() != Some(content) {
                found.push((
                    format!(".git/{name}"),
                    "it is not what the store writes".to_owned(),
                ));
            }
        }
        let hooks = fs::read_dir(self.dir.join("hooks"))
            .into_iter()
            .flatten()
            .flatten();
        for hook in hooks {
            let name = hook.file_name().to_string_lossy().into_owned();
            found.push((format!(".git/hooks/{name}"), "the store has no hooks".to_owned()));
        }
        if fs::symlink_metadata(self.dir.join("info/attributes")).is_ok() {
            found.push((
                ".git/info/attributes".to_owned(),
                "the store has no attributes".to_owned(),
            ));
        }
        found
    }

    /// Whether every object is what its name says, and none is missing.
    pub(crate) fn fsck(&self) -> Result<(), GitError> {
        let arguments = ["fsck", "--strict", "--full", "--no-dangling", "--no-progress"];
        self.git.run(&arguments, STEADY, |_| Ok(())).map(|_| ())
    }

    /// Walks all commits of the branch, and verifies that each is signed: those that the branch went through by `key`, the
    /// store's own, each upon the one before; those that were brought in by one of `others`.
    ///
    /// # Errors
    /// `NotOurs` for the first that is not.
    pub(crate) fn chain(
        &self,
        realm: &Realm,
        key: &PublicKey,
        others: &[PublicKey],
    ) -> Result<Chain, GitError> {
        let mut chain = Chain {
            head: None,
            commits: 0,
        };
        if repository::branch(&self.git, STEADY)?.is_none() {
            return Ok(chain);
        }
        let listed = self
            .git
            .run(&["rev-list", "--topo-order", BRANCH], STEADY, |_| Ok(()))?;
        let ids: Vec<GitId> = String::from_utf8_lossy(&listed)
            .lines()
            .filter_map(GitId::parse)
            .collect();
        // Commits come before those that they stand on.
        let mut expected = ids.first().copied();
        for some in ids.chunks(COMMITS_AT_ONCE) {
            let mut asked = String::new();
            for id in some {
                let _ = writeln!(asked, "{id}");
            }
            let answer = self.git.run(&["cat-file", "--batch"], STEADY, |input| {
                input.write_all(asked.as_bytes())
            })?;
            let mut answer = answer.as_slice();
            for id in some {
                let object = repository::next_commit(&mut answer, *id)?;
                let (commit, by) = MirrorCommit::open(object).ok_or(GitError::NotOurs(*id))?;
                chain.commits += 1;
                if expected == Some(*id) {
                    if by != *key || commit.realm != *realm {
                        return Err(GitError::NotOurs(*id));
                    }
                    expected = commit.parent;
                    chain.head.get_or_insert((*id, commit));
                } else if by != *key && !others.contains(&by) {
                    return Err(GitError::NotOurs(*id));
                }
            }
        }
        match expected {
            None => Ok(chain),
            Some(missing) => Err(GitError::NotOurs(missing)),
        }
    }

    /// Compares a tree with files of the mirror in `mirror`: which differ, and how.
    pub(crate) fn compare(
        &self,
        tree: GitId,
        mirror: &Path,
        files: Vec<(String, u64)>,
    ) -> Result<Vec<(String, String)>, GitError> {
        let tree = tree.to_string();
        let listed = self
            .git
            .run(&["ls-tree", "-r", "-z", "--full-tree", &tree], STEADY, |_| Ok(()))?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let mut recorded: BTreeMap<&str, &str> = BTreeMap::new();
        for line in listed.split_terminator('\0') {
            // <mode> blob <id> TAB <path>
            if let Some((head, path)) = line.split_once('\t') {
                recorded.insert(path, head.strip_prefix("100644 blob ").unwrap_or(head));
            }
        }
        let mirror = mirror.canonicalize().map_err(GitError::io(mirror))?;
        // Names with other characters are not the mirror's, and found as such.
        let plain = |path: &str| path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        let files: Vec<String> = files
            .into_iter()
            .filter(|(path, len)| is_recorded(path, *len) && plain(path))
            .map(|(path, _)| path)
            .collect();
        let arguments = ["hash-object", "--no-filters", "--stdin-paths"];
        let hashed = self.git.run(&arguments, STEADY, |input| {
            files.iter().try_for_each(|path| {
                let path = format!("{}\n", mirror.join(path).display());
                input.write_all(path.as_bytes())
            })
        })?;
        let hashed = String::from_utf8_lossy(&hashed).into_owned();
        let mut differing = Vec::new();
        for (path, id) in files.iter().zip(hashed.lines()) {
            match recorded.remove(path.as_str()) {
                Some(recorded) if recorded == id => {}
                Some(_) => differing.push((path.clone(), "the newest commit has other bytes".to_owned())),
                None => differing.push((path.clone(), "the newest commit does not have it".to_owned())),
            }
        }
        for path in recorded.into_keys() {
            differing.push((path.to_owned(), "only the newest commit has it".to_owned()));
        }
        Ok(differing)
    }
}
