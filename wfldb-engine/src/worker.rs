//! Threads of the engine that work beside the committer.

use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::engine::Inner;
use crate::store::OpenError;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread that works beside the committer until the engine closes.
#[derive(Default)]
pub(crate) struct Worker {
    wake: Mutex<Option<Sender<()>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Worker {
    /// Starts the thread. It ends when its channel does, and must hold no engine while it waits.
    pub(crate) fn start(
        &self,
        name: &'static str,
        inner: &Arc<Inner>,
        run: fn(&Weak<Inner>, &Receiver<()>),
    ) -> Result<(), OpenError> {
        let (wake, woken) = std::sync::mpsc::channel();
        let inner = Arc::downgrade(inner);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&inner, &woken))
            .map_err(OpenError::io(name))?;
        *lock(&self.wake) = Some(wake);
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    pub(crate) fn wake(&self) {
        if let Some(wake) = &*lock(&self.wake) {
            // A worker that is gone finds what there is to do at the next start.
            let _ = wake.send(());
        }
    }

    /// Ends the channel.
    pub(crate) fn let_go(&self) {
        lock(&self.wake).take();
    }

    /// Waits for the end of the thread, unless it is this one.
    pub(crate) fn join(&self) {
        if let Some(thread) = lock(&self.thread).take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}
