//! Work that the committer's thread does between two groups, so that no commit runs meanwhile: a backup's cut.
//!
//! There is no gate that somebody could forget to open. The thread itself does the work, and takes the next group when
//! the work returns, fails or panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Committer, lock};
use crate::error::EngineError;
use crate::row::CommitMark;

/// A piece of work; it is given where the log stands.
pub(super) type Job = Box<dyn FnOnce(&CommitMark) + Send>;

impl Committer {
    /// Has the committer run `job` between two groups, and waits for it. Answers what it returned, and for how long
    /// commits waited for it.
    ///
    /// # Errors
    /// `ReadOnly` when the store is poisoned, `Closing`, and `Read` when the job panicked.
    pub(crate) fn between_groups<T: Send + 'static>(
        &self,
        job: impl FnOnce(&CommitMark) -> T + Send + 'static,
    ) -> Result<(T, Duration), EngineError> {
        let (answer, answered) = mpsc::sync_channel(1);
        let job: Job = Box::new(move |mark| {
            let start = Instant::now();
            // A panic here must not end the committer: nothing was half written, the job only reads.
            let done = catch_unwind(AssertUnwindSafe(|| job(mark)));
            // Whoever asked may have gone.
            let _ = answer.send((done, start.elapsed()));
        });
        {
            let mut inbox = lock(&self.shared.inbox);
            if self.shared.health.is_poisoned() {
                return Err(EngineError::ReadOnly);
            }
            if inbox.closing {
                return Err(EngineError::Closing);
            }
            inbox.jobs.push_back(job);
            self.shared.arrived.notify_one();
        }
        match answered.recv() {
            Ok((Ok(result), pause)) => Ok((result, pause)),
            Ok((Err(_), _)) => Err(EngineError::Read("work between two groups panicked".to_owned())),
            // Dropped unrun: poisoned meanwhile, or the thread is gone.
            Err(_) => Err(EngineError::ReadOnly),
        }
    }
}
