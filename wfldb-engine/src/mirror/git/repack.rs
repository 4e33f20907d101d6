//! Few packs instead of many: beside the commits, on a thread that none of them waits for.

use std::thread::{self, JoinHandle};

use super::GitError;
use super::program::{Git, STEADY};
use super::repository::Repository;

/// So many new packs are put together. Their sizes then form a geometric progression, so an object is written again as
/// often as the logarithm of their number.
const PACKS: usize = 32;
pub(super) const ARGUMENTS: [&str; 5] = ["repack", "-d", "-l", "-q", "--geometric=2"];

/// The packing under way, if one is.
#[derive(Debug, Default)]
pub(super) struct Repack {
    running: Option<(Git, JoinHandle<Result<(), GitError>>)>,
    /// With how many packs the last one ended.
    left: usize,
}

impl Repack {
    /// Begins one when there are many packs, and looks after the last.
    pub(super) fn after_commit(&mut self, git: &Git, repository: &Repository) {
        if self.is_running() {
            return;
        }
        let packs = repository.packs();
        if let Some((_, thread)) = self.running.take() {
            self.left = packs;
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the packs of the mirror's history stay as they are");
                }
                Err(_) => tracing::warn!("packing the mirror's history ended with a panic"),
            }
        }
        if packs < self.left + PACKS {
            return;
        }
        let git = git.apart();
        let runs = git.clone();
        let pack = move || runs.run(&ARGUMENTS, STEADY, |_| Ok(())).map(|_| ());
        match thread::Builder::new()
            .name("mirror-repack".to_owned())
            .spawn(pack)
        {
            Ok(thread) => self.running = Some((git, thread)),
            Err(error) => tracing::warn!(%error, "the packs of the mirror's history stay as they are"),
        }
    }

    /// Whether one is under way.
    pub(super) fn is_running(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|(_, thread)| !thread.is_finished())
    }
}

impl Drop for Repack {
    /// What is not finished is ended: it has changed nothing yet, or only removes what is there twice.
    fn drop(&mut self) {
        if let Some((git, thread)) = self.running.take() {
            git.stop();
            let _ = thread.join();
        }
    }
}
