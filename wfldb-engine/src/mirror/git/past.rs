//! The history of a mirror, read back: its commits from the first to the newest, what each changed, and the bytes of files
//! as they were. It may be anybody's, and is read as `program` runs git: nothing in it is obeyed, everything has a limit.

use std::fmt::Write as _;
use std::path::Path;

use wfldb_core::id::PublicKey;
use wfldb_core::mirror::{GitId, MirrorCommit};
use wfldb_core::name::Realm;

use super::pending::FILE_BYTES_MAX;
use super::program::STEADY;
use super::{BRANCH, EMPTY_TREE, GitError, Inspection, repository};

/// Commits, or changes of commits, that are asked for at once.
const AT_ONCE: usize = 64;
/// Bytes of files that are read at once, or one file.
const BYTES_AT_ONCE: u64 = 8 << 20;
/// Files that git could not read, after which no more are asked for: each costs a process.
const UNREADABLE_MAX: usize = 1000;
/// How a file of a mirror stands in a tree.
const PLAIN_FILE: &str = "100644";

/// A history that is read.
#[derive(Debug)]
pub(crate) struct Past {
    inspection: Inspection,
    /// From the first that counts to the newest: names of commits and of their trees.
    commits: Vec<(GitId, GitId)>,
    /// The newest commit that nobody who is trusted signed. What is below it does not count.
    stranger: Option<GitId>,
    unreadable: usize,
}

/// A file that another commit than the one before has in another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PastChange<'a> {
    /// Which of the commits, counted from the first that counts.
    pub(crate) commit: usize,
    /// Its path below the mirror.
    pub(crate) path: &'a str,
    /// Its bytes; `None` when it is not there, or is no plain file.
    pub(crate) blob: Option<GitId>,
}

impl Past {
    /// Reads the commits of the mirror in `mirror`, from the newest down for as long as they are of the realm and signed
    /// by one of `trusted`.
    ///
    /// # Errors
    /// `Unavailable`, `InTheWay`, `Failed`, `Ended`, `Io`.
    pub(crate) fn of(mirror: &Path, realm: &Realm, trusted: &[PublicKey]) -> Result<Self, GitError> {
        let mut past = Self {
            inspection: Inspection::of(mirror)?,
            commits: Vec::new(),
            stranger: None,
            unreadable: 0,
        };
        past.walk(realm, trusted)?;
        past.commits.reverse();
        Ok(past)
    }

    fn walk(&mut self, realm: &Realm, trusted: &[PublicKey]) -> Result<(), GitError> {
        let git = self.inspection.git();
        let found = git.run(&["cat-file", "--batch-check"], STEADY, |input| {
            input.write_all(format!("{BRANCH}\n").as_bytes())
        })?;
        if found == format!("{BRANCH} missing\n").as_bytes() {
            return Ok(());
        }
        let listed = git.run(&["rev-list", "--first-parent", BRANCH], STEADY, |_| Ok(()))?;
        let listed = String::from_utf8_lossy(&listed);
        let ids: Vec<GitId> = listed.lines().filter_map(GitId::parse).collect();
        let mut expected = ids.first().copied();
        for some in ids.chunks(AT_ONCE) {
            let answer = git.run(&["cat-file", "--batch"], STEADY, |input| {
                input.write_all(lines(some).as_bytes())
            })?;
            let mut answer = answer.as_slice();
            for id in some {
                // SECURITY: a commit counts by who signed it, whatever stands on it.
                let commit = repository::next_commit(&mut answer, *id).ok();
                let commit = commit.and_then(MirrorCommit::open);
                let ours = commit.filter(|(commit, by)| trusted.contains(by) && commit.realm == *realm);
                let Some((commit, _)) = ours.filter(|_| expected == Some(*id)) else {
                    self.stranger = Some(*id);
                    return Ok(());
                };
                expected = commit.parent;
                self.commits.push((*id, commit.tree));
            }
        }
        Ok(())
    }

    /// How many commits count.
    pub(crate) fn commits(&self) -> usize {
        self.commits.len()
    }

    /// The name of a commit.
    pub(crate) fn id(&self, commit: usize) -> Option<GitId> {
        self.commits.get(commit).map(|(id, _)| *id)
    }

    /// The newest commit that does not count, and keeps what is below it from counting.
    pub(crate) fn stranger(&self) -> Option<GitId> {
        self.stranger
    }

    /// Whether every object is what its name says. Without this, only what is signed by itself can be believed.
    ///
    /// # Errors
    /// `Failed` with what is wrong.
    pub(crate) fn is_whole(&self) -> Result<(), GitError> {
        self.inspection.fsck()
    }

    /// Hands over what each commit changed below a directory of the mirror, in their order; in each, what went comes first.
    /// The first commit has everything that it has.
    ///
    /// # Errors
    /// `Failed` when a tree cannot be read, `Ended`; those of `see`.
    pub(crate) fn changes(
        &self,
        dir: &str,
        mut see: impl FnMut(PastChange<'_>) -> Result<(), GitError>,
    ) -> Result<(), GitError> {
        let below = format!(":(literal){dir}");
        let arguments = [
            "diff-tree",
            "--stdin",
            "-r",
            "-z",
            "--raw",
            "--no-renames",
            "--no-abbrev",
            "--",
            &below,
        ];
        for first in (0..self.commits.len()).step_by(AT_ONCE) {
            let pairs: Vec<String> = (first..self.commits.len().min(first + AT_ONCE))
                .map(|at| self.pair(at))
                .collect();
            let answer = self.inspection.git().run(&arguments, STEADY, |input| {
                pairs.iter().try_for_each(|pair| input.write_all(pair.as_bytes()))
            })?;
            let mut answer = answer.as_slice();
            for (at, pair) in pairs.iter().enumerate() {
                answer = answer.strip_prefix(pair.as_bytes()).ok_or_else(malformed)?;
                let mut changed = entries(&mut answer)?;
                // A file that moves between directories goes from one and comes to the other.
                changed.sort_by_key(|(_, blob)| blob.is_some());
                for (path, blob) in changed {
                    let Ok(path) = std::str::from_utf8(path) else {
                        continue;
                    };
                    see(PastChange {
                        commit: first + at,
                        path,
                        blob,
                    })?;
                }
            }
            if !answer.is_empty() {
                return Err(malformed());
            }
        }
        Ok(())
    }

    /// The trees that a commit stands between, as `diff-tree` takes and repeats them.
    fn pair(&self, at: usize) -> String {
        let tree = |at: usize| self.commits.get(at).map(|(_, tree)| tree.to_string());
        let before = at.checked_sub(1).and_then(tree);
        let before = before.unwrap_or_else(|| EMPTY_TREE.to_owned());
        format!("{before} {}\n", tree(at).unwrap_or_default())
    }

    /// Hands over the bytes of files, each with its place in `ids`, in their order; `None` for what cannot be read, is
    /// not there, or is larger than any file of a history.
    ///
    /// # Errors
    /// `Failed` when too much cannot be read, `Ended`, `Unavailable`; those of `see`.
    pub(crate) fn blobs(
        &mut self,
        ids: &[GitId],
        mut see: impl FnMut(usize, Option<Vec<u8>>) -> Result<(), GitError>,
    ) -> Result<(), GitError> {
        let mut from = 0;
        while from < ids.len() {
            let rest = ids.get(from..).unwrap_or_default();
            let rest = rest.get(..rest.len().min(AT_ONCE * AT_ONCE)).unwrap_or_default();
            let lens = self.lens(rest)?;
            let mut at = 0;
            while at < lens.len() {
                let (mut count, mut bytes) = (0, 0);
                for len in lens.get(at..).unwrap_or_default() {
                    bytes += len.unwrap_or_default();
                    if count > 0 && bytes > BYTES_AT_ONCE {
                        break;
                    }
                    count += 1;
                }
                let some: Vec<(usize, GitId, u64)> = (at..at + count)
                    .filter_map(|at| Some((at, *rest.get(at)?, (*lens.get(at)?)?)))
                    .collect();
                let mut found = self.read(&some)?.into_iter().peekable();
                for at in at..at + count {
                    let bytes = found.next_if(|(found, _)| *found == at);
                    see(from + at, bytes.map(|(_, bytes)| bytes))?;
                }
                at += count;
            }
            from += rest.len();
        }
        Ok(())
    }

    /// How long files are, where they are files that a history has.
    fn lens(&self, ids: &[GitId]) -> Result<Vec<Option<u64>>, GitError> {
        let asked = lines(ids);
        let arguments = ["cat-file", "--batch-check"];
        let answer = self
            .inspection
            .git()
            .run(&arguments, STEADY, |input| input.write_all(asked.as_bytes()))?;
        let answer = String::from_utf8_lossy(&answer);
        let mut answer = answer.lines();
        let len = |id: &GitId| {
            let line = answer.next().ok_or_else(malformed)?;
            let len = line.strip_prefix(&format!("{id} blob "));
            let len = len.and_then(|len| len.parse::<u64>().ok());
            Ok(len.filter(|len| *len <= FILE_BYTES_MAX))
        };
        ids.iter().map(len).collect()
    }

    /// Reads files whose length is known. Where git fails, halves are read apart, down to the file that it fails at, which
    /// is left out.
    fn read(&mut self, files: &[(usize, GitId, u64)]) -> Result<Vec<(usize, Vec<u8>)>, GitError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        match self.read_at_once(files) {
            Err(error @ GitError::Failed { .. }) if files.len() == 1 => {
                self.unreadable += 1;
                if self.unreadable > UNREADABLE_MAX {
                    return Err(error);
                }
                Ok(Vec::new())
            }
            Err(GitError::Failed { .. }) => {
                let (first, second) = files.split_at(files.len() / 2);
                let mut found = self.read(first)?;
                found.extend(self.read(second)?);
                Ok(found)
            }
            found => found,
        }
    }

    fn read_at_once(&self, files: &[(usize, GitId, u64)]) -> Result<Vec<(usize, Vec<u8>)>, GitError> {
        let ids: Vec<GitId> = files.iter().map(|(_, id, _)| *id).collect();
        let arguments = ["cat-file", "--batch"];
        let answer = self.inspection.git().run(&arguments, STEADY, |input| {
            input.write_all(lines(&ids).as_bytes())
        })?;
        let mut answer = answer.as_slice();
        let mut found = Vec::with_capacity(files.len());
        for (at, id, len) in files {
            let head = format!("{id} blob {len}\n");
            let len = usize::try_from(*len).map_err(|_| malformed())?;
            let bytes = answer.strip_prefix(head.as_bytes());
            let (bytes, rest) = bytes
                .and_then(|bytes| bytes.split_at_checked(len))
                .ok_or_else(malformed)?;
            answer = rest.strip_prefix(b"\n").ok_or_else(malformed)?;
            found.push((*at, bytes.to_vec()));
        }
        Ok(found)
    }
}

/// A path, and the file there; `None` when it is not there, or is no plain file.
type Entry<'a> = (&'a [u8], Option<GitId>);

/// The entries of one pair of trees: `:<modes> <ids> <how>`, NUL, the path, NUL.
fn entries<'a>(answer: &mut &'a [u8]) -> Result<Vec<Entry<'a>>, GitError> {
    let mut found = Vec::new();
    while let Some(rest) = answer.strip_prefix(b":") {
        let mut parts = rest.splitn(3, |byte| *byte == 0);
        let (Some(head), Some(path), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed());
        };
        let head = std::str::from_utf8(head).map_err(|_| malformed())?;
        let head: Vec<&str> = head.split(' ').collect();
        let [_, mode, _, id, _] = head.as_slice() else {
            return Err(malformed());
        };
        let is_plain = *mode == PLAIN_FILE;
        found.push((path, is_plain.then(|| GitId::parse(id)).flatten()));
        *answer = rest;
    }
    Ok(found)
}

fn lines(ids: &[GitId]) -> String {
    let mut text = String::with_capacity(ids.len() * 41);
    for id in ids {
        let _ = writeln!(text, "{id}");
    }
    text
}

fn malformed() -> GitError {
    GitError::Failed {
        command: "cat-file".to_owned(),
        reason: "its answer is not one".to_owned(),
    }
}
