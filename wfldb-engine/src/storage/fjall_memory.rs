//! Lets go of fjall's memtables. fjall frees one, once its rows are in a table, while it holds the lock under which
//! every read and write takes its version of the tree: of 32 MiB that is 50 to 100 ms in which nothing is committed. So
//! each memtable is held here too, and freed on a thread of its own, with no lock held (docs/decisions/0017).

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use fjall::{AbstractTree as _, Keyspace};

/// Between two looks at what somebody else still holds.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// fjall does not name the type.
type Memtable = Arc<dyn Send + Sync>;

/// The memtables of some keyspaces: those that are written to, and those that fjall has not let go of.
pub(super) struct Memtables {
    active: Mutex<Vec<Memtable>>,
    sealed: Option<Sender<Memtable>>,
    thread: Option<JoinHandle<()>>,
}

impl Memtables {
    pub(super) fn hold(spaces: &[Keyspace]) -> std::io::Result<Self> {
        let (sealed, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("wfldb-memory".to_owned())
            .spawn(move || free(&receiver))?;
        Ok(Self {
            active: Mutex::new(spaces.iter().map(active).collect()),
            sealed: Some(sealed),
            thread: Some(thread),
        })
    }

    /// Looks whether memtables were sealed. Called after each commit, it misses none but those that one commit filled;
    /// what is sealed after the last commit is held until the next.
    pub(super) fn look(&self, spaces: &[Keyspace]) {
        let mut held = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        for (held, space) in held.iter_mut().zip(spaces) {
            let active = active(space);
            if !Arc::ptr_eq(held, &active)
                && let Some(sealed) = &self.sealed
            {
                let _ = sealed.send(std::mem::replace(held, active));
            }
        }
    }
}

impl Drop for Memtables {
    fn drop(&mut self) {
        self.sealed = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn active(space: &Keyspace) -> Memtable {
    space.tree.active_memtable()
}

/// Drops each memtable when nobody else holds it; when no more come, all of them.
fn free(sealed: &Receiver<Memtable>) {
    let mut held: Vec<Memtable> = Vec::new();
    loop {
        let next = if held.is_empty() {
            sealed.recv().map_err(RecvTimeoutError::from)
        } else {
            sealed.recv_timeout(BETWEEN_LOOKS)
        };
        match next {
            Ok(memtable) => held.push(memtable),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        held.retain(|memtable| Arc::strong_count(memtable) > 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::RecvError;

    use super::*;

    struct Told(Sender<Option<String>>);

    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(std::thread::current().name().map(str::to_owned));
        }
    }

    /// Whoever lets go of it before, the thread here frees it.
    #[test]
    fn memtables_are_freed_by_a_thread_of_their_own() -> Result<(), RecvError> {
        let mut memtables = Memtables::hold(&[]).unwrap();
        let (told, freed) = channel();
        let memtable: Memtable = Arc::new(Told(told));
        let fjalls = Arc::clone(&memtable);
        let sealed = memtables.sealed.clone().unwrap();
        sealed.send(memtable).unwrap();
        assert!(freed.recv_timeout(BETWEEN_LOOKS * 3).is_err());
        drop(fjalls);
        assert_eq!(freed.recv()?.as_deref(), Some("wfldb-memory"));
        drop(sealed);
        memtables.sealed = None;
        Ok(())
    }
}
