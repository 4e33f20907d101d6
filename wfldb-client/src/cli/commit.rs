//! What a key was at a commit of a mirror's history in git.
//!
//! SECURITY: whoever can write in the mirror can write in `.git`. The commit counts by its signature, and everything below
//! it by its name: git itself says what the names of the bytes are that it gave us.

use std::env;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use wfldb_core::doc::{self, Object, Value};
use wfldb_core::id::PublicKey;
use wfldb_core::limits::MIRROR_COMMIT_BYTES_MAX;
use wfldb_core::mirror::{FileKind, FileName, GitId, MirrorCommit, Shard, bucket_dir};
use wfldb_core::name::{BucketName, ObjectKey, Realm};
use wfldb_core::object::{BucketConfig, BucketKind};

use super::exit::Failure;

/// The largest directory of a mirror, and the largest file that its history has.
const BYTES_MAX: u64 = 64 << 20;
/// What a repository's own configuration cannot undo. Reading runs no hooks and no filters; what is missing is not fetched.
const SURROUNDINGS: [(&str, &str); 11] = [
    ("LC_ALL", "C"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_CONFIG_COUNT", "2"),
    ("GIT_CONFIG_KEY_0", "core.fsmonitor"),
    ("GIT_CONFIG_VALUE_0", "false"),
];

/// The state of a mirror at a commit.
#[derive(Debug)]
pub(crate) struct Commit {
    git: Git,
    pub(crate) id: GitId,
    tree: GitId,
}

/// What a key was.
#[derive(Debug)]
pub(crate) enum Was {
    /// This document, with its envelope.
    Document(Object),
    /// An object: what is said of it, and its bytes, which are `None` where they are above 16 MiB.
    Object(Object, Option<Vec<u8>>),
    /// Deleted.
    Deleted,
    /// Nothing.
    Absent,
}

#[derive(Debug)]
struct Git {
    program: PathBuf,
    dir: PathBuf,
}

#[derive(Deserialize)]
struct BucketSaid {
    config: BucketConfig,
}

fn wrong(why: impl std::fmt::Display) -> Failure {
    Failure::Usage(why.to_string())
}

impl Commit {
    /// Finds a commit by its name, or the beginning of it, in the history of the mirror in `mirror`.
    ///
    /// # Errors
    /// `Usage` when there is none, or several, or none that is of the realm and signed by one of `trusted`.
    pub(crate) fn find(
        mirror: &Path,
        name: &str,
        realm: &Realm,
        trusted: &[PublicKey],
    ) -> Result<Self, Failure> {
        let git = Git::of(mirror)?;
        let answer = git.run(&["cat-file", "--batch-check"], format!("{name}\n").as_bytes())?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let id = answer.split(' ').next().and_then(GitId::parse);
        // A reference can be called like the beginning of a name.
        let id = id.filter(|id| id.to_string().starts_with(name) && answer.contains(" commit "));
        let id = id.ok_or_else(|| {
            let several = answer.contains("ambiguous");
            let what = if several { "several commits" } else { "no commit" };
            wrong(format!("the mirror has {what} of the name {name}"))
        })?;
        let object = git.object(id, "commit")?;
        let commit = Some(object).filter(|object| object.len() <= MIRROR_COMMIT_BYTES_MAX);
        let commit = commit.as_deref().and_then(MirrorCommit::open);
        let ours = commit.filter(|(commit, by)| trusted.contains(by) && commit.realm == *realm);
        let (commit, _) = ours.ok_or_else(|| {
            wrong(format!(
                "commit {id} is not signed by the server that the profile names in `node`, or by a key of --trust"
            ))
        })?;
        Ok(Self {
            git,
            id,
            tree: commit.tree,
        })
    }

    /// What a key was.
    ///
    /// # Errors
    /// `Usage` when the history cannot be read, or is not what its names say.
    pub(crate) fn was(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Was, Failure> {
        let dir = bucket_dir(bucket);
        let Some(said) = self.file(&[&dir, ".metadata.json"])? else {
            return Ok(Was::Absent);
        };
        let said: BucketSaid = serde_json::from_slice(&said).map_err(wrong)?;
        let kind = match said.config.kind {
            BucketKind::Documents => FileKind::Document,
            BucketKind::Objects => FileKind::Object,
        };
        let (name, shard) = (FileName::of(key, kind), Shard::of(key).dir());
        let name = name.as_str();
        for place in [vec![dir.as_str()], vec![dir.as_str(), shard.as_str()]] {
            let at = |more: &[&str]| self.file(&[&place, more].concat());
            let beside = format!("{name}.json");
            let (live, deleted) = match kind {
                FileKind::Document => (at(&[name])?, at(&[".deleted", name])?),
                FileKind::Object => (at(&[".meta", &beside])?, at(&[".deleted", ".meta", &beside])?),
            };
            match (live, deleted) {
                (Some(text), _) => {
                    let said = doc::parse_object(&text).map_err(wrong)?;
                    return Ok(match kind {
                        FileKind::Document => Was::Document(said),
                        FileKind::Object => Was::Object(said, at(&[name])?),
                    });
                }
                (None, Some(_)) => return Ok(Was::Deleted),
                (None, None) => {}
            }
        }
        Ok(Was::Absent)
    }

    /// The bytes of a file.
    fn file(&self, path: &[&str]) -> Result<Option<Vec<u8>>, Failure> {
        let Some((name, dirs)) = path.split_last() else {
            return Ok(None);
        };
        let mut tree = self.tree;
        for dir in dirs {
            match entry(&self.git.object(tree, "tree")?, dir)? {
                Some((true, id)) => tree = id,
                _ => return Ok(None),
            }
        }
        match entry(&self.git.object(tree, "tree")?, name)? {
            Some((false, id)) => self.git.object(id, "blob").map(Some),
            _ => Ok(None),
        }
    }
}

/// An entry of a tree: whether it is a tree, and its name.
fn entry(tree: &[u8], name: &str) -> Result<Option<(bool, GitId)>, Failure> {
    let damaged = || wrong("a tree of the history is none");
    let mut rest = tree;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == 0).ok_or_else(damaged)?;
        let (head, behind) = rest.split_at(end);
        let (id, behind) = behind
            .get(1..)
            .and_then(|behind| behind.split_at_checked(20))
            .ok_or_else(damaged)?;
        rest = behind;
        let space = head.iter().position(|byte| *byte == b' ').ok_or_else(damaged)?;
        let (mode, found) = head.split_at(space);
        if found.get(1..) == Some(name.as_bytes()) {
            let id = GitId::parse(&wfldb_core::encoding::hex::encode(id)).ok_or_else(damaged)?;
            return Ok(match mode {
                b"40000" => Some((true, id)),
                b"100644" => Some((false, id)),
                _ => None,
            });
        }
    }
    Ok(None)
}

impl Git {
    fn of(mirror: &Path) -> Result<Self, Failure> {
        let unreadable = |error| wrong(format!("{}: {error}", mirror.display()));
        let dir = mirror.canonicalize().map_err(unreadable)?.join(".git");
        if !std::fs::symlink_metadata(&dir).is_ok_and(|found| found.is_dir()) {
            return Err(wrong(format!("{} has no history in git", mirror.display())));
        }
        // No directory's own `git` is run.
        let path = env::var_os("PATH").unwrap_or_default();
        let mut programs = env::split_paths(&path).filter(|dir| dir.is_absolute());
        let program = programs.find_map(|dir| Some(dir.join("git")).filter(|program| program.is_file()));
        Ok(Self {
            program: program.ok_or_else(|| wrong("there is no `git` program on the path"))?,
            dir,
        })
    }

    /// An object, which is what its name says.
    fn object(&self, id: GitId, kind: &str) -> Result<Vec<u8>, Failure> {
        let name = id.to_string();
        let check = self.run(&["cat-file", "--batch-check"], format!("{name}\n").as_bytes())?;
        let len = String::from_utf8_lossy(&check)
            .strip_prefix(&format!("{name} {kind} "))
            .and_then(|len| len.trim_end().parse::<u64>().ok());
        if len.is_none_or(|len| len >= BYTES_MAX) {
            return Err(wrong(format!("the history does not have {kind} {name} whole")));
        }
        let bytes = self.run(&["cat-file", kind, &name], b"")?;
        let hashed = self.run(&["hash-object", "-t", kind, "--literally", "--stdin"], &bytes)?;
        if String::from_utf8_lossy(&hashed).trim_end() == name {
            Ok(bytes)
        } else {
            Err(wrong(format!(
                "{kind} {name} of the history is not what its name says"
            )))
        }
    }

    /// Runs git. It reads all of its input before it writes more than a pipe holds.
    fn run(&self, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, Failure> {
        let failed = |why: &dyn std::fmt::Display| {
            let command = arguments.first().copied().unwrap_or_default();
            wrong(format!("git {command}: {why}"))
        };
        let mut child = Command::new(&self.program)
            .args(arguments)
            .env_clear()
            .envs(SURROUNDINGS)
            .env("GIT_DIR", &self.dir)
            .env("GIT_CONFIG_KEY_1", "safe.directory")
            .env("GIT_CONFIG_VALUE_1", &self.dir)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(&error))?;
        let mut output = Vec::new();
        let fed = child
            .stdin
            .take()
            .map_or(Ok(()), |mut stdin| stdin.write_all(input));
        let read = child
            .stdout
            .take()
            .map_or(Ok(0), |stdout| stdout.take(BYTES_MAX).read_to_end(&mut output));
        let status = child.wait().map_err(|error| failed(&error))?;
        if !status.success() {
            return Err(failed(&status));
        }
        fed.and(read).map_err(|error| failed(&error))?;
        Ok(output)
    }
}

/// The text of a member.
pub(crate) fn text_of<'a>(said: &'a Object, name: &str) -> &'a str {
    said.get(name).and_then(Value::as_str).unwrap_or_default()
}
