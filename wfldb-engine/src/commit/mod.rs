//! The one committer: a thread that takes waiting plans in order, evaluates each against snapshot and overlay,
//! and makes a group durable with one batch and one fsync.
//!
//! Nothing is visible before it is durable, and nothing is answered before that. What a plan may do stands in
//! `apply`; who waits where, in `queue`.

mod apply;
mod gate;
mod health;
mod overlay;
pub(crate) mod plan;
mod queue;
mod revoked;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use wfldb_core::id::{BucketId, ChunkHash, CommitNumber};

use self::gate::Job;
pub(crate) use self::health::CommitHealth;
pub use self::health::Unready;
use self::overlay::{BucketMemo, Overlay};
use self::plan::{Outcome, WritePlan};
use self::queue::FairQueue;
use self::revoked::Tracked;
use crate::cache::Stamps;
use crate::changes::Changed;
use crate::chunk::Pins;
use crate::error::EngineError;
use crate::revocation::RevocationView;
use crate::row::{CommitMark, key};
use crate::storage::{Batch, Space, Storage};

/// Plans in one group.
const GROUP_PLANS_MAX: usize = 1024;
/// Bytes in one group.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// fjall's own settings do not bound its memory: above this the committer waits.
const WRITE_BUFFER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Called after a batch is durable and before its plans are answered, with where the log stands then.
pub(crate) type OnDurable = Box<dyn FnMut(&CommitMark) -> Result<(), String> + Send>;

/// Called before a plan is evaluated, for what does not depend on the state: the free-space floor.
pub(crate) type Admit = Box<dyn FnMut(&WritePlan) -> Result<(), EngineError> + Send>;

/// Called with chunks that lost a reference by a batch that is durable.
pub(crate) type OnFreed = Box<dyn FnMut(Vec<(BucketId, ChunkHash)>) + Send>;

/// Called with the buckets that a batch changed, once it is durable and can be seen.
pub(crate) type OnChanged = Box<dyn FnMut(&[Changed]) + Send>;

/// What the committer calls around its batches.
pub(crate) struct Hooks {
    pub(crate) admit: Admit,
    pub(crate) on_durable: OnDurable,
    pub(crate) on_freed: OnFreed,
    pub(crate) on_changed: OnChanged,
    /// What requests are held against: told what a batch changed before its plans are answered.
    pub(crate) revocations: Arc<RevocationView>,
}

/// Figures since the start.
#[derive(Debug, Default)]
pub(crate) struct CommitFigures {
    pub(crate) commits: AtomicU64,
    pub(crate) plans: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) throttled_ms: AtomicU64,
}

/// A plan that waits, with the pins of the chunks that it names: they are held until it is answered, whether or
/// not its caller still waits.
struct Submitted {
    plan: WritePlan,
    pins: Option<Pins>,
    reply: oneshot::Sender<Outcome>,
    span: tracing::Span,
}

struct Answer {
    outcome: Outcome,
    pins: Option<Pins>,
    reply: oneshot::Sender<Outcome>,
}

struct Inbox {
    queue: FairQueue<Submitted>,
    /// Run before the next group is taken.
    jobs: VecDeque<Job>,
    closing: bool,
}

struct Shared {
    inbox: Mutex<Inbox>,
    arrived: Condvar,
    health: CommitHealth,
    figures: CommitFigures,
    mark: Mutex<CommitMark>,
}

/// The handle to the committer thread. Dropping it closes the queue; [`Committer::close`] also waits.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer").finish_non_exhaustive()
    }
}

impl Committer {
    /// Starts the thread on `storage`, whose log stands at `mark`.
    pub(crate) fn start(
        storage: Arc<dyn Storage>,
        mark: CommitMark,
        stamps: Arc<Stamps>,
        hooks: Hooks,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            inbox: Mutex::new(Inbox {
                queue: FairQueue::new(),
                jobs: VecDeque::new(),
                closing: false,
            }),
            arrived: Condvar::new(),
            health: CommitHealth::new(),
            figures: CommitFigures::default(),
            mark: Mutex::new(mark),
        });
        let worker = Worker {
            shared: Arc::clone(&shared),
            storage,
            mark,
            stamps,
            revocations: Tracked::new(hooks.revocations.copy()),
            hooks,
            buckets: BucketMemo::new(),
        };
        let thread = std::thread::Builder::new()
            .name("wfldb-commit".to_owned())
            .spawn(move || worker.run())?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Puts `plan` into its lane. The receiver gets the outcome once it is durable; a receiver that is told that
    /// the sender is gone must take it as [`EngineError::OutcomeUnknown`].
    pub(crate) fn submit(&self, plan: WritePlan, pins: Option<Pins>) -> oneshot::Receiver<Outcome> {
        let (reply, outcome) = oneshot::channel();
        let refuse = |reply: oneshot::Sender<Outcome>, error| drop(reply.send(Err(error)));
        if self.shared.health.is_poisoned() {
            refuse(reply, EngineError::ReadOnly);
            return outcome;
        }
        let (lane, cost) = (plan.lane(), plan.cost_bytes());
        let span = tracing::Span::current();
        let mut inbox = lock(&self.shared.inbox);
        if inbox.closing {
            refuse(reply, EngineError::Closing);
        } else if let Err(full) = inbox.queue.push(
            lane,
            cost,
            Submitted {
                plan,
                pins,
                reply,
                span,
            },
        ) {
            refuse(full.reply, EngineError::Busy);
        } else {
            self.shared.health.wanted();
            self.shared.arrived.notify_one();
        }
        outcome
    }

    pub(crate) fn health(&self) -> &CommitHealth {
        &self.shared.health
    }

    pub(crate) fn figures(&self) -> &CommitFigures {
        &self.shared.figures
    }

    pub(crate) fn waiting(&self) -> usize {
        lock(&self.shared.inbox).queue.plans()
    }

    /// Where the log stands: everything up to here is durable.
    pub(crate) fn mark(&self) -> CommitMark {
        *lock(&self.shared.mark)
    }

    /// Finishes what waits and ends the thread.
    pub(crate) fn close(&self) {
        lock(&self.shared.inbox).closing = true;
        self.shared.arrived.notify_one();
        if let Some(thread) = lock(&self.thread).take() {
            // A panic there has already poisoned the store; there is nothing to add.
            let _ = thread.join();
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.close();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Worker {
    shared: Arc<Shared>,
    storage: Arc<dyn Storage>,
    mark: CommitMark,
    stamps: Arc<Stamps>,
    hooks: Hooks,
    buckets: BucketMemo,
    revocations: Tracked,
}

/// Poisons the store when the committer ends by a panic, and answers what waits.
struct PanicLatch(Arc<Shared>);

impl Drop for PanicLatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.health.poison();
            let mut inbox = lock(&self.0.inbox);
            inbox.closing = true;
            inbox.jobs.clear();
            // Dropping the senders tells the callers that the outcome is unknown.
            for submitted in inbox.queue.drain() {
                if let Some(pins) = submitted.pins {
                    pins.keep_for_ever();
                }
            }
        }
    }
}

/// What the worker does next.
enum Next {
    Group(Vec<Submitted>),
    Job(Job),
}

impl Worker {
    fn run(mut self) {
        let latch = PanicLatch(Arc::clone(&self.shared));
        while let Some(next) = self.next_work() {
            let group = match next {
                Next::Group(group) => group,
                Next::Job(job) => {
                    // A poisoned store may hold a batch that nobody was promised: a job is dropped, its caller told.
                    if !self.shared.health.is_poisoned() {
                        job(&self.mark);
                    }
                    continue;
                }
            };
            if self.shared.health.is_poisoned() {
                for submitted in group {
                    drop(submitted.reply.send(Err(EngineError::ReadOnly)));
                }
                continue;
            }
            self.throttle();
            self.commit(group);
        }
        drop(latch);
    }

    fn next_work(&self) -> Option<Next> {
        let mut inbox = lock(&self.shared.inbox);
        loop {
            if let Some(job) = inbox.jobs.pop_front() {
                return Some(Next::Job(job));
            }
            if inbox.queue.plans() > 0 {
                let group = inbox.queue.take_group(GROUP_PLANS_MAX, GROUP_BYTES_MAX);
                return Some(Next::Group(group));
            }
            if inbox.closing {
                return None;
            }
            inbox = self
                .shared
                .arrived
                .wait(inbox)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits while the storage has more in memory than it should. The watchdog sees a wait that does not end.
    fn throttle(&self) {
        const STEP: Duration = Duration::from_millis(5);
        while self.storage.write_buffer_bytes() > WRITE_BUFFER_BYTES_MAX {
            self.shared.figures.throttled_ms.fetch_add(5, Ordering::Relaxed);
            std::thread::sleep(STEP);
        }
    }

    /// Evaluates a group, makes it durable, and answers it.
    fn commit(&mut self, group: Vec<Submitted>) {
        // The span hangs below the first plan of the group: a test asserts the way of one PUT.
        let first = group
            .first()
            .map_or_else(tracing::Span::none, |submitted| submitted.span.clone());
        let span = tracing::debug_span!(parent: &first, "engine::commit::commit", plans = group.len());
        let _entered = span.entered();
        let mut overlay = Overlay::with_memo(self.storage.snapshot(), std::mem::take(&mut self.buckets));
        overlay.revocations = std::mem::take(&mut self.revocations);
        let mut mark = self.mark;
        let mut answers = Vec::with_capacity(group.len());
        let mut heartbeat = false;
        for submitted in group {
            let Submitted {
                plan, pins, reply, ..
            } = submitted;
            let outcome =
                (self.hooks.admit)(&plan).and_then(|()| apply::apply(&plan, &mut overlay, &mut mark));
            heartbeat |= matches!(plan.mutation, plan::Mutation::Heartbeat);
            answers.push(Answer { outcome, pins, reply });
        }
        let mut freed = Vec::new();
        let mut changed = Vec::new();
        let durable = if overlay.is_empty() && !heartbeat {
            // Nothing to write; but answers such as "nothing was there" rest on what is durable already.
            let finished = overlay.finish();
            self.buckets = finished.memo;
            self.revocations = finished.revocations;
            Ok(())
        } else {
            mark.number = CommitNumber::new(mark.number.get() + 1);
            overlay.put(
                Space::Meta,
                bytes::Bytes::from_static(key::COMMIT_MARK),
                mark.encode().to_vec(),
            );
            let finished = overlay.finish();
            freed = finished.freed;
            changed = finished.changed;
            self.buckets = finished.memo;
            self.revocations = finished.revocations;
            let revoked = self.revocations.take_changes();
            let durable = self.make_durable(finished.batch, mark);
            // SECURITY: before anybody is answered, and not before it is durable.
            durable.inspect(|()| self.hooks.revocations.publish(revoked))
        };
        match durable {
            Ok(()) => {
                let more = lock(&self.shared.inbox).queue.plans() > 0;
                self.shared.health.succeeded(more);
                self.answer(answers);
                if !changed.is_empty() {
                    (self.hooks.on_changed)(&changed);
                }
                if !freed.is_empty() {
                    // ORDER: after the commit that takes the references away, never before.
                    (self.hooks.on_freed)(freed);
                }
            }
            Err(why) => {
                // DURABILITY: the batch may reappear after a reopen. The overlay is dropped, nothing is retried.
                tracing::error!(%why, "a commit failed; the store takes no more writes until it is reopened");
                self.shared.health.poison();
                for Answer { outcome, pins, reply } in answers {
                    if let (Ok(_), Some(pins)) = (&outcome, pins) {
                        // The rows may come back after a reopen, so their chunks must stay.
                        pins.keep_for_ever();
                    }
                    // A plan that was refused stays refused: it would have changed nothing either way.
                    drop(reply.send(outcome.and(Err(EngineError::OutcomeUnknown))));
                }
            }
        }
    }

    fn make_durable(&mut self, batch: Batch, mark: CommitMark) -> Result<(), String> {
        // ORDER: nothing cached is used from before the batch can be seen; see `cache`.
        self.stamps.outdate(&batch, mark.number);
        self.storage.commit(batch).map_err(|error| error.to_string())?;
        self.stamps.published(mark.number);
        // DURABILITY: the mark outside the journal moves before any caller learns that the write is there.
        (self.hooks.on_durable)(&mark)?;
        self.mark = mark;
        *lock(&self.shared.mark) = mark;
        self.shared.figures.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn answer(&self, answers: Vec<Answer>) {
        let figures = &self.shared.figures;
        for Answer { outcome, pins, reply } in answers {
            // ORDER: unpinned after the commit, so that the rows hold the chunks before the pins let go.
            drop(pins);
            let counter = if outcome.is_ok() {
                &figures.plans
            } else {
                &figures.refused
            };
            counter.fetch_add(1, Ordering::Relaxed);
            // A caller that went away does not undo what is durable.
            drop(reply.send(outcome));
        }
    }
}
