//! What a check says of the history in git.

use std::fs;

use super::{Check, MirrorFault, MirrorHead};
use crate::mirror::git::{GitError, Inspection};
use crate::mirror::root::{ROOT, own_key, signing_keys};

const DIR: &str = ".git";

impl Check {
    /// Verifies the history, and compares the files of its newest commit with those that were found.
    pub(super) fn history(&mut self, files: Vec<(String, u64)>) {
        match fs::symlink_metadata(self.dir.join(DIR)) {
            Err(_) => return,
            Ok(found) if !found.is_dir() => {
                return self.find(MirrorFault::WrongType, DIR, "it is no directory");
            }
            Ok(_) => {}
        }
        if !self.inner.dir().join("keys/node.key").exists() {
            return self.find(
                MirrorFault::History,
                DIR,
                "the store has no key to verify it with",
            );
        }
        let Some(key) = own_key(&self.inner) else { return };
        if let Err(error) = self.inspect(&key, files) {
            self.find(MirrorFault::History, DIR, &error.to_string());
        }
    }

    fn inspect(
        &mut self,
        key: &wfldb_core::id::PublicKey,
        files: Vec<(String, u64)>,
    ) -> Result<(), GitError> {
        let inspection = Inspection::of(&self.dir)?;
        for (path, detail) in inspection.settings() {
            self.find(MirrorFault::History, &path, &detail);
        }
        if let Err(error) = inspection.fsck() {
            self.find(MirrorFault::History, DIR, &error.to_string());
        }
        let chain = inspection.chain(&self.inner.realm, key, &signing_keys(&self.inner)?)?;
        let Some((id, commit)) = chain.head else {
            self.find(MirrorFault::History, DIR, "there is no commit");
            return Ok(());
        };
        let position = commit.sequences.1;
        self.report.history = Some(MirrorHead {
            commit: id.to_string(),
            position,
            commits: chain.commits,
        });
        if position < self.report.mirror_position {
            let there = self.report.mirror_position;
            let detail =
                format!("the newest commit, {id}, ends at change {position}, and the mirror at {there}");
            self.find(MirrorFault::History, "refs/heads/main", &detail);
            return Ok(());
        }
        let differing = inspection.compare(commit.tree, &self.dir, files)?;
        for (path, detail) in differing {
            // Written last, and with the next commit.
            if path != ROOT {
                self.find(MirrorFault::History, &path, &detail);
            }
        }
        Ok(())
    }
}
