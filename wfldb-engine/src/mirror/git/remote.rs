//! Another repository, which stores are brought together through: fetched from, looked through and pushed to by the
//! `git` program. What comes from it is anybody's until its signatures say whose.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wfldb_core::id::PublicKey;
use wfldb_core::mirror::{GitId, MirrorCommit};

use super::import::is_path;
use super::pending::FILE_BYTES_MAX;
use super::program::{self, Git, QUICK, STEADY};
use super::repository;
use super::{BRANCH, EMPTY_TREE, GitError};

/// Where what was fetched is kept, so that it stays.
const FETCHED: &str = "refs/wfldb/fetched";
const URL_BYTES_MAX: usize = 4096;
const SCHEMES: [&str; 5] = ["ssh://", "git://", "http://", "https://", "file://"];
/// Commits that are read at once.
const COMMITS_AT_ONCE: usize = 1000;

/// A repository elsewhere, and the one here.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    git: Git,
    reaching: Git,
    url: String,
}

/// What was fetched, every commit of which that is new here is by somebody who is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// The newest commit.
    pub(crate) head: GitId,
    /// The newest ones that both have, none of which stands on another: several, where both brought the other's in.
    pub(crate) bases: Vec<GitId>,
    /// Commits that are new here; 0: everything is here.
    pub(crate) commits: usize,
}

/// A file that differs between two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeChange {
    pub(crate) path: String,
    /// Its bytes in the first tree.
    pub(crate) old: Option<GitId>,
    /// Its bytes in the second tree.
    pub(crate) new: Option<GitId>,
}

impl Remote {
    /// `url` as the user's git takes it, but that a path is absolute. What runs is ended when `stopped` says so.
    ///
    /// # Errors
    /// `Remote`, `Unavailable`, `Io`.
    pub(crate) fn new(mirror: &Path, url: &str, stopped: &Arc<AtomicBool>) -> Result<Self, GitError> {
        if !is_remote(url) {
            return Err(GitError::Remote(url.to_owned()));
        }
        let mirror = mirror.canonicalize().map_err(GitError::io(mirror))?;
        let git = Git::new(&program::find()?, &mirror.join(repository::DIR)).stopped_by(stopped);
        Ok(Self {
            reaching: git.reaching(),
            git,
            url: url.to_owned(),
        })
    }

    /// Fetches the branch; `None`: the remote has none yet. Nothing may be recorded beside it.
    pub(crate) fn fetch(&self) -> Result<Option<GitId>, GitError> {
        let url = self.url.as_str();
        let listed = self
            .reaching
            .run(&["ls-remote", "--", url, BRANCH], STEADY, |_| Ok(()))?;
        if listed.is_empty() {
            return Ok(None);
        }
        let branch = format!("+{BRANCH}:{FETCHED}");
        let arguments = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-auto-maintenance",
            "--",
            url,
            &branch,
        ];
        self.reaching.run(&arguments, STEADY, |_| Ok(()))?;
        let arguments = ["rev-parse", "--verify", "--end-of-options", FETCHED];
        let id = self.git.run(&arguments, QUICK, |_| Ok(()))?;
        program::id(&arguments, id.trim_ascii_end()).map(Some)
    }

    /// Moves the remote's branch forward to a commit.
    ///
    /// # Errors
    /// `Failed` when the branch has something that the commit does not stand on, too.
    pub(crate) fn push(&self, head: GitId) -> Result<(), GitError> {
        let branch = format!("{head}:{BRANCH}");
        let arguments = ["push", "--quiet", "--no-verify", "--", &self.url, &branch];
        self.reaching.run(&arguments, STEADY, |_| Ok(())).map(|_| ())
    }

    /// Looks at what was fetched: every commit that `ours` does not stand on has to be signed by one of `trusted`.
    ///
    /// # Errors
    /// `Untrusted`, `NotOurs` for one that is no mirror's.
    pub(crate) fn look_through(
        &self,
        head: GitId,
        ours: Option<GitId>,
        trusted: &[PublicKey],
    ) -> Result<Fetched, GitError> {
        let (theirs, below) = (head.to_string(), ours.map(|ours| format!("^{ours}")));
        let mut arguments = vec!["rev-list", "--boundary", &theirs];
        arguments.extend(below.as_deref());
        let listed = self.git.run(&arguments, STEADY, |_| Ok(()))?;
        let listed = String::from_utf8_lossy(&listed);
        let (boundary, new): (Vec<&str>, Vec<&str>) = listed.lines().partition(|line| line.starts_with('-'));
        let new: Vec<GitId> = new.into_iter().filter_map(GitId::parse).collect();
        let mut strangers = Vec::new();
        for some in new.chunks(COMMITS_AT_ONCE) {
            self.objects(some.iter().map(GitId::to_string), |id, object| {
                let opened = object.and_then(|object| MirrorCommit::open(&object));
                let (_, key) = opened.ok_or_else(|| GitError::NotOurs(GitId::parse(id).unwrap_or(head)))?;
                if !trusted.contains(&key) && !strangers.contains(&key) {
                    strangers.push(key);
                }
                Ok(())
            })?;
        }
        if !strangers.is_empty() {
            return Err(GitError::Untrusted(strangers));
        }
        let boundary: Vec<&str> = boundary.iter().filter_map(|line| line.get(1..)).collect();
        Ok(Fetched {
            head,
            bases: if new.is_empty() {
                vec![head]
            } else {
                self.newest_of(&boundary)?
            },
            commits: new.len(),
        })
    }

    /// Those of some commits that none of the others stands on.
    fn newest_of(&self, commits: &[&str]) -> Result<Vec<GitId>, GitError> {
        if commits.is_empty() {
            return Ok(Vec::new());
        }
        let mut arguments = vec!["merge-base", "--independent"];
        arguments.extend(commits);
        let newest = self.git.run(&arguments, STEADY, |_| Ok(()))?;
        let newest = String::from_utf8_lossy(&newest);
        Ok(newest.lines().filter_map(GitId::parse).collect())
    }

    /// The files that differ between the trees of two commits, or all of the second.
    ///
    /// # Errors
    /// `Path` for a name that no mirror has, or something that is no plain file.
    pub(crate) fn differing(&self, from: Option<GitId>, to: GitId) -> Result<Vec<TreeChange>, GitError> {
        let from = from.map_or_else(|| EMPTY_TREE.to_owned(), |from| from.to_string());
        let to = format!("{to}^{{tree}}");
        let arguments = [
            "diff-tree",
            "-r",
            "-z",
            "--raw",
            "--no-renames",
            "--no-abbrev",
            &from,
            &to,
        ];
        let listed = self.git.run(&arguments, STEADY, |_| Ok(()))?;
        raw_changes(&listed)
    }

    /// What files had in the commits that are new here, the newest first: paths with the bytes that they had.
    pub(crate) fn past(&self, fetched: &Fetched, paths: &[&str]) -> Result<Vec<(String, GitId)>, GitError> {
        let head = fetched.head.to_string();
        let bases: Vec<String> = fetched.bases.iter().map(|base| format!("^{base}")).collect();
        let mut arguments = vec![
            "log",
            "--format=",
            "--raw",
            "-z",
            "-m",
            "--no-renames",
            "--no-abbrev",
            &head,
        ];
        arguments.extend(bases.iter().map(String::as_str));
        arguments.push("--");
        let literal: Vec<String> = paths.iter().map(|path| format!(":(literal){path}")).collect();
        arguments.extend(literal.iter().map(String::as_str));
        let listed = self.git.run(&arguments, STEADY, |_| Ok(()))?;
        let changes = raw_changes(&listed)?.into_iter();
        Ok(changes
            .filter_map(|change| Some((change.path, change.new?)))
            .collect())
    }

    /// Reads objects, each of which is named as git takes it; `None`: it is not there, or larger than any file of a
    /// history.
    pub(crate) fn objects(
        &self,
        names: impl Iterator<Item = String>,
        mut take: impl FnMut(&str, Option<Vec<u8>>) -> Result<(), GitError>,
    ) -> Result<(), GitError> {
        let names: Vec<String> = names.collect();
        let sizes = self.batch("--batch-check=%(objectsize)", &names)?;
        let sizes = String::from_utf8_lossy(&sizes);
        let sizes = sizes
            .lines()
            .map(|line| line.parse().ok().filter(|size| *size <= FILE_BYTES_MAX));
        let asked: Vec<(&String, Option<u64>)> = names.iter().zip(sizes).collect();
        // Some at once, not more than fit into memory.
        let mut rest = asked.as_slice();
        while !rest.is_empty() {
            let (mut bytes, mut count) = (0, 0);
            for (_, size) in rest {
                bytes += size.unwrap_or(0);
                if count > 0 && bytes > FILE_BYTES_MAX {
                    break;
                }
                count += 1;
            }
            let (some, others) = rest.split_at(count);
            rest = others;
            let known = some.iter().filter(|(_, size)| size.is_some());
            let known: Vec<String> = known.map(|(name, _)| (*name).clone()).collect();
            let answer = self.batch("--batch", &known)?;
            let mut answer = answer.as_slice();
            for (name, size) in some {
                let object = size.and_then(|size| next_object(&mut answer, size));
                take(name, object)?;
            }
        }
        Ok(())
    }

    fn batch(&self, how: &str, names: &[String]) -> Result<Vec<u8>, GitError> {
        let mut asked = String::new();
        for name in names {
            let _ = writeln!(asked, "{name}");
        }
        self.git.run(&["cat-file", how], STEADY, |input| {
            input.write_all(asked.as_bytes())
        })
    }
}

/// `<id> <kind> <size>` on a line, the bytes, and the end of a line.
fn next_object(answer: &mut &[u8], size: u64) -> Option<Vec<u8>> {
    let size = usize::try_from(size).ok()?;
    let line = answer.iter().position(|byte| *byte == b'\n')?;
    let object = answer.get(line + 1..line + 1 + size)?.to_owned();
    *answer = answer.get(line + size + 2..).unwrap_or_default();
    Some(object)
}

/// What `--raw -z` lists: a head and a path for each, and sometimes nothing between commits.
fn raw_changes(listed: &[u8]) -> Result<Vec<TreeChange>, GitError> {
    let mut changes = Vec::new();
    let mut parts = listed.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    while let Some(head) = parts.next() {
        let path = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        changes.push(tree_change(&String::from_utf8_lossy(head), path)?);
    }
    Ok(changes)
}

/// `:<mode> <mode> <id> <id> <status>`.
fn tree_change(head: &str, path: String) -> Result<TreeChange, GitError> {
    let mut parts = head.trim_ascii_start().split(' ');
    let mut next = || parts.next().unwrap_or_default();
    let modes = [next().trim_start_matches(':'), next()];
    let ids = [next(), next()];
    if !is_path(&path) {
        return Err(GitError::Path(path));
    }
    let mut sides = modes.iter().zip(ids).map(|(mode, id)| match *mode {
        "000000" => Some(None),
        "100644" => GitId::parse(id).map(Some),
        _ => None,
    });
    match (sides.next().flatten(), sides.next().flatten()) {
        (Some(old), Some(new)) => Ok(TreeChange { path, old, new }),
        _ => Err(GitError::Path(path)),
    }
}

/// SECURITY: nothing that git could take for an option, a helper that it runs, or a place that depends on where it is.
fn is_remote(url: &str) -> bool {
    let plain = url.len() <= URL_BYTES_MAX && !url.chars().any(char::is_control);
    let at_host = || {
        url.split_once(':').is_some_and(|(host, path)| {
            let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._@".contains(&byte);
            !host.is_empty() && host.bytes().all(name) && !path.is_empty() && !path.starts_with(':')
        })
    };
    let known = url.starts_with('/') || SCHEMES.iter().any(|scheme| url.starts_with(scheme)) || at_host();
    plain && known && !url.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::is_remote;

    /// DEFECT: a remote that has git run a command, or read an option.
    #[test]
    fn a_remote_is_a_place_and_nothing_else() {
        for url in [
            "/srv/mirror.git",
            "ssh://git@host:2222/mirror.git",
            "git@host:team/mirror.git",
            "https://host/mirror.git",
            "file:///srv/mirror.git",
        ] {
            assert!(is_remote(url), "{url}");
        }
        for url in [
            "",
            "-u",
            "--upload-pack=touch x",
            "mirror.git",
            "../mirror.git",
            "ext::sh -c x",
            "fd::3",
            "-oProxyCommand=x:y",
            "ho st:x",
            "/a\nb",
        ] {
            assert!(!is_remote(url), "{url}");
        }
    }
}
