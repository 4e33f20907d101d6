//! The history of a mirror, by what git itself says of it.

mod hostile;
mod killed;
mod record;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use wfldb_core::doc::allowed_signer_in;
use wfldb_core::id::{KeyId, Role, SecretKey};

use super::*;
use crate::tests::needs;

/// A mirror and what its history should have.
struct Fixture {
    dir: tempfile::TempDir,
    files: BTreeMap<String, Vec<u8>>,
    seq: u64,
}

fn key() -> SecretKey {
    SecretKey::from_seed([5; 32])
}

fn realm() -> Realm {
    Realm::parse("local-test").unwrap()
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("mirror/keys")).unwrap();
        let id = KeyId::new(Role::Node, key().public_key()).to_string();
        let line = allowed_signer_in(&id, &["doc@wfldb", "git"], &key().public_key());
        std::fs::write(dir.path().join("mirror/keys/allowed_signers"), line).unwrap();
        Self {
            dir,
            files: BTreeMap::new(),
            seq: 0,
        }
    }

    fn mirror(&self) -> PathBuf {
        self.dir.path().join("mirror")
    }

    fn history(&self) -> GitHistory {
        GitHistory::open(&self.mirror(), realm(), key()).unwrap()
    }

    fn history_with(&self, program: &Path) -> GitHistory {
        GitHistory::open_with(program, &self.mirror(), realm(), key()).unwrap()
    }

    /// Records changes, and keeps in mind what the history has then.
    fn record(&mut self, history: &mut GitHistory, changes: &[(&str, Option<&str>)]) -> GitId {
        let id = record(history, self.seq + 1, changes).unwrap();
        self.seq += changes.len() as u64;
        for (path, content) in changes {
            match content {
                Some(content) => self.files.insert((*path).to_owned(), content.as_bytes().to_vec()),
                None => self.files.remove(*path),
            };
        }
        id
    }

    /// Git as a person runs it in the mirror.
    fn git(&self, arguments: &[&str]) -> Output {
        Command::new("git")
            .arg("-C")
            .arg(self.mirror())
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap()
    }

    fn said(&self, arguments: &[&str]) -> String {
        let output = self.git(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "git {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Everything that the branch has is there, is whole, and is what it should be.
    fn is_sound(&self) {
        let fsck = self.git(&["fsck", "--strict", "--full"]);
        let said = [fsck.stdout.as_slice(), &fsck.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(fsck.status.success(), "{said}");
        // The commit that trees are made by.
        assert!(said.lines().all(|line| line.starts_with("dangling ")), "{said}");
        assert_eq!(self.tree("main"), self.files);
    }

    fn tree(&self, commit: &str) -> BTreeMap<String, Vec<u8>> {
        let listed = self.said(&["ls-tree", "-r", "-z", "--name-only", commit]);
        let paths = listed.split_terminator('\0');
        paths
            .map(|path| {
                let content = self.git(&["cat-file", "blob", &format!("{commit}:{path}")]);
                (path.to_owned(), content.stdout)
            })
            .collect()
    }

    /// Files in `.git` that no commit needs.
    fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut dirs = vec![self.mirror().join(".git")];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                if entry.file_type().unwrap().is_dir() {
                    dirs.push(entry.path());
                } else if ["tmp", ".lock", "crash", ".keep"]
                    .iter()
                    .any(|part| name.contains(part))
                {
                    found.push(name);
                }
            }
        }
        found
    }
}

fn batch_changes(changes: &[(&str, Option<&str>)]) -> Vec<std::io::Result<GitChange>> {
    let change = |(path, content): &(&str, Option<&str>)| {
        Ok(GitChange {
            path: (*path).to_owned(),
            content: content.map(|content| content.as_bytes().to_vec().into()),
        })
    };
    changes.iter().map(change).collect()
}

fn record(history: &mut GitHistory, first: u64, changes: &[(&str, Option<&str>)]) -> Result<GitId, GitError> {
    let last = first + changes.len() as u64 - 1;
    record_all(history, false, (first, last), batch_changes(changes))
}

fn record_all(
    history: &mut GitHistory,
    whole: bool,
    sequences: (u64, u64),
    changes: Vec<std::io::Result<GitChange>>,
) -> Result<GitId, GitError> {
    history.record(GitBatch {
        whole,
        changes: Box::new(|sink| {
            let mut changes = changes.into_iter();
            changes.try_for_each(|change| sink(change.map_err(GitError::Source)?))
        }),
        sequences,
        authors: ["wc1first", "wc1second"].into_iter().collect(),
        merged: None,
        checkpoint: Some((sequences.1, TreeHash::EMPTY)),
        time: UnixMillis::new(1_700_000_000_000 + sequences.1 * 1000),
    })
}

/// A program called `git` that does what `script` says; `"$GIT"` is the real one.
fn fake(dir: &Path, script: &str) -> PathBuf {
    std::fs::create_dir_all(dir).unwrap();
    let path = dir.join("git");
    let real = program::find().unwrap();
    // Another process writes it: a test beside this one that starts a program would hold it open for a moment.
    let mut shell = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let script = format!(
        "#!/bin/sh\nGIT={}\nDIR={}\n{script}\n",
        real.display(),
        dir.display()
    );
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
    path
}
