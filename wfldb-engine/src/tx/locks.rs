//! Locks that transactions ask each other for: on a key, shared or alone, held until the transaction ends. They keep those
//! who ask for them out of each other's way; what makes a commit right is that its reads are held against the log. In memory.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;
use wfldb_core::auth::{Authorized, Op};
use wfldb_core::limits::TX_LOCKS_MAX;

use super::Transaction;
use super::lock_table::{Event, LockMode, LockTable, Owner, Resource};
use crate::bucket::bucket_of;
use crate::error::EngineError;

/// Who is told what became of a wait.
enum Waiting {
    Thread(mpsc::SyncSender<Event>),
    Task(oneshot::Sender<Event>),
}

#[derive(Default)]
struct State {
    table: LockTable,
    waiting: HashMap<Owner, Waiting>,
}

/// The locks of an open store.
#[derive(Default)]
pub(crate) struct Locks {
    state: Mutex<State>,
    /// Transactions that were begun.
    begun: AtomicU64,
    /// Those of them that are under way.
    open: AtomicU64,
    deadlocks: AtomicU64,
}

impl std::fmt::Debug for Locks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locks").finish_non_exhaustive()
    }
}

/// Stands for a transaction among the locks: they end with it.
#[derive(Debug)]
pub(super) struct Holder {
    locks: Arc<Locks>,
    owner: Owner,
}

impl Drop for Holder {
    fn drop(&mut self) {
        let mut state = self.locks.state();
        let events = state.table.release_all(self.owner);
        state.waiting.remove(&self.owner);
        self.locks.tell(&mut state, events);
        self.locks.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Locks {
    pub(super) fn holder(self: &Arc<Self>) -> Holder {
        let owner = Owner(self.begun.fetch_add(1, Ordering::Relaxed));
        self.open.fetch_add(1, Ordering::Relaxed);
        Holder {
            locks: Arc::clone(self),
            owner,
        }
    }

    /// How many transactions are under way.
    pub(crate) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// How many transactions were ended to resolve a deadlock.
    pub(crate) fn deadlocks(&self) -> u64 {
        self.deadlocks.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, state: &mut State, events: Vec<(Owner, Event)>) {
        for (owner, event) in events {
            if event == Event::Deadlock {
                self.deadlocks.fetch_add(1, Ordering::Relaxed);
            }
            // Who went away meanwhile lets go of its locks itself.
            match state.waiting.remove(&owner) {
                Some(Waiting::Thread(tell)) => drop(tell.try_send(event)),
                Some(Waiting::Task(tell)) => drop(tell.send(event)),
                None => {}
            }
        }
    }
}

impl Holder {
    /// Asks for a lock; `waiting` is kept, and told, when it is not granted at once.
    fn ask(&self, resource: Resource, mode: LockMode, waiting: Waiting) -> Result<bool, EngineError> {
        let mut state = self.locks.state();
        if state.table.held_by(self.owner) >= TX_LOCKS_MAX {
            return Err(EngineError::TransactionLimit("locks"));
        }
        let answer = state.table.ask(self.owner, resource, mode);
        if !answer.granted {
            state.waiting.insert(self.owner, waiting);
        }
        self.locks.tell(&mut state, answer.events);
        Ok(answer.granted)
    }

    fn give_up(&self) {
        let mut state = self.locks.state();
        // It may have been granted just now: then it is held, and goes with the transaction.
        state.waiting.remove(&self.owner);
        let events = state.table.give_up(self.owner);
        self.locks.tell(&mut state, events);
    }
}

/// A lock that was asked for. Dropping it before it is there gives it up.
#[derive(Debug)]
#[must_use = "a lock is held only once it was granted"]
pub struct LockWait {
    holder: Arc<Holder>,
    outcome: Option<oneshot::Receiver<Event>>,
}

impl Future for LockWait {
    type Output = Result<(), EngineError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(outcome) = &mut self.outcome else {
            return Poll::Ready(Ok(()));
        };
        let Poll::Ready(event) = Pin::new(outcome).poll(cx) else {
            return Poll::Pending;
        };
        self.outcome = None;
        Poll::Ready(match event {
            Ok(Event::Granted) => Ok(()),
            Ok(Event::Deadlock) => Err(EngineError::Deadlock),
            Err(_) => Err(EngineError::LockTimeout),
        })
    }
}

impl Drop for LockWait {
    fn drop(&mut self) {
        if self.outcome.is_some() {
            self.holder.give_up();
        }
    }
}

impl Transaction {
    /// Waits for a lock on the key that `proof` names: shared with a proof for `get`, alone with one for `put` or `delete`.
    /// It is held until the transaction ends. When it is there, the transaction goes on from what is committed by then, if
    /// what it has read is still so ([`Transaction::move_on`]). Blocks.
    ///
    /// # Errors
    /// `LockTimeout`; `Deadlock` when this transaction was the youngest of a circle: its locks are gone, and it answers
    /// nothing else any more; `TransactionLimit`.
    pub fn lock(&mut self, proof: &Authorized, mode: LockMode, wait: Duration) -> Result<(), EngineError> {
        let resource = self.lockable(proof, mode)?;
        let (tell, told) = mpsc::sync_channel(1);
        let granted = self.holder.ask(resource, mode, Waiting::Thread(tell))?;
        if !granted {
            let event = told.recv_timeout(wait);
            if event.is_err() {
                self.holder.give_up();
            }
            // Between the two it may have been told all the same.
            return self.after_lock(match event.or_else(|_| told.try_recv()) {
                Ok(Event::Granted) => Ok(()),
                Ok(Event::Deadlock) => Err(EngineError::Deadlock),
                Err(_) => Err(EngineError::LockTimeout),
            });
        }
        self.after_lock(Ok(()))
    }

    /// As [`Transaction::lock`], for who does not block. What became of the wait is told to [`Transaction::after_lock`].
    ///
    /// # Errors
    /// `Forbidden`, `NoSuchBucket`, `TransactionLimit`.
    pub fn ask_lock(&mut self, proof: &Authorized, mode: LockMode) -> Result<LockWait, EngineError> {
        let resource = self.lockable(proof, mode)?;
        let (tell, told) = oneshot::channel();
        let granted = self.holder.ask(resource, mode, Waiting::Task(tell))?;
        Ok(LockWait {
            holder: Arc::clone(&self.holder),
            outcome: (!granted).then_some(told),
        })
    }

    /// Takes note of what became of a wait: a deadlock ends the transaction, a lock lets it move on. Reads the storage.
    ///
    /// # Errors
    /// What it is given; when the storage cannot be read.
    pub fn after_lock(&mut self, waited: Result<(), EngineError>) -> Result<(), EngineError> {
        if matches!(waited, Err(EngineError::Deadlock)) {
            self.ended = true;
            self.overtaken = true;
        }
        waited?;
        self.move_on().map(drop)
    }

    fn lockable(&mut self, proof: &Authorized, mode: LockMode) -> Result<Resource, EngineError> {
        self.check_owner(proof)?;
        let fits = match mode {
            LockMode::Shared => proof.op() == Op::Get,
            LockMode::Exclusive => matches!(proof.op(), Op::Put | Op::Delete),
        };
        if !fits {
            return Err(EngineError::Forbidden);
        }
        let name = bucket_of(proof, proof.op())?;
        let object = proof.key().ok_or(EngineError::Forbidden)?.clone();
        Ok((self.bucket(name)?.id, object))
    }
}
