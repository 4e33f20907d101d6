//! A history, looked at: whether it is whole, whether every commit is the store's, and what the newest one holds.
//! Nothing is changed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wfldb_core::id::PublicKey;
use wfldb_core::mirror::{GitId, MirrorCommit};
use wfldb_core::name::Realm;

use super::program::{self, Git, STEADY};
use super::repository::{self, CONFIG, DETOURS, HEAD};
use super::{BRANCH, GitError};

/// Commits that are read at once.
const COMMITS_AT_ONCE: usize = 1000;
/// Files that are read at once, and the bytes that they come to, where it is more than one.
const FILES_AT_ONCE: usize = 10_000;
const BYTES_AT_ONCE: u64 = 32 << 20;

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

    /// The last change that the newest commit has, as it says itself; `None`: there is no commit that says so.
    pub(crate) fn position(&self) -> Result<Option<u64>, GitError> {
        let newest = repository::branch(&self.git, STEADY)?;
        let opened = newest.and_then(|(_, object)| MirrorCommit::open(&object));
        Ok(opened.map(|(commit, _)| commit.sequences.1))
    }

    /// Hands every file of a tree to `each`: its path, how long it is, and SHA-256 of its bytes.
    pub(crate) fn each_file(
        &self,
        tree: GitId,
        mut each: impl FnMut(String, u64, [u8; 32]),
    ) -> Result<(), GitError> {
        let tree = tree.to_string();
        let arguments = ["ls-tree", "-r", "-z", "-l", "--full-tree", &tree];
        let listed = self.git.run(&arguments, STEADY, |_| Ok(()))?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let mut files = Vec::new();
        for line in listed.split_terminator('\0') {
            // <mode> blob <id> <length> TAB <path>
            let Some((head, path)) = line.split_once('\t') else {
                continue;
            };
            let file = head
                .strip_prefix("100644 blob ")
                .and_then(|file| file.split_once(' '));
            let file = file.and_then(|(id, len)| Some((GitId::parse(id)?, len.trim().parse::<u64>().ok()?)));
            match file {
                Some((id, len)) => files.push((path, id, len)),
                // No file of a mirror has other bytes than its own.
                None => each(path.to_owned(), 0, [0; 32]),
            }
        }
        let mut rest = files.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let count = rest.iter().take_while(|(_, _, len)| {
                let first = bytes == 0;
                bytes += len + 1;
                first || bytes <= BYTES_AT_ONCE
            });
            let (some, others) = rest.split_at(count.take(FILES_AT_ONCE).count());
            rest = others;
            let mut asked = String::new();
            for (_, id, _) in some {
                let _ = writeln!(asked, "{id}");
            }
            let answer = self.git.run(&["cat-file", "--batch"], STEADY, |input| {
                input.write_all(asked.as_bytes())
            })?;
            let mut answer = answer.as_slice();
            for (path, id, len) in some {
                // <id> blob <length> LF <bytes> LF
                let head = format!("{id} blob {len}\n");
                let object = answer.strip_prefix(head.as_bytes());
                let len_bytes = usize::try_from(*len).unwrap_or(usize::MAX);
                let bytes = object.and_then(|object| object.get(..len_bytes));
                let bytes = bytes.ok_or_else(|| GitError::Failed {
                    command: "cat-file".to_owned(),
                    reason: format!("{id} is missing"),
                })?;
                each((*path).to_owned(), *len, Sha256::digest(bytes).into());
                answer = answer.get(head.len() + len_bytes + 1..).unwrap_or_default();
            }
        }
        Ok(())
    }
}
