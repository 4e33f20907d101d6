//! The chunks of one body on their way to stable storage: while one is synced, the next ones are received and written.
//!
//! A sync waits for the disk and takes no processor, and several at once share the file system's own commit. So an
//! upload hands each written file to a few threads of the store and goes on, a bounded number of chunks ahead.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use wfldb_core::id::{BucketId, ChunkHash};

use super::store::Written;
use super::{ChunkError, ChunkStore, Pins};

/// Threads of a store that sync chunk files.
const THREADS: usize = 4;
/// Chunks of one body that are written and not known to be synced. They are in the system's cache, not in our memory.
const AHEAD_MAX: usize = 4;

/// A written chunk that is to be settled.
struct Job {
    written: Written,
    /// The file may appear after its upload was dropped; whoever lets go last has it looked at.
    pins: Pins,
    done: Sender<io::Result<()>>,
}

impl Job {
    fn run(self) {
        let Self { written, pins, done } = self;
        // Nobody waits any more where an upload was dropped.
        let _ = done.send(pins.store().settle(written));
    }
}

/// The threads that sync chunk files. None once the store is being closed.
#[derive(Debug)]
pub(super) struct Settlers(Mutex<Option<Running>>);

#[derive(Debug)]
struct Running {
    jobs: Sender<Job>,
    threads: Vec<JoinHandle<()>>,
}

impl Settlers {
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        let start = |_| {
            let waiting = Arc::clone(&waiting);
            let work = move || {
                let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok(job) = next() {
                    job.run();
                }
            };
            std::thread::Builder::new()
                .name("wfldb-settle".to_owned())
                .spawn(work)
        };
        let threads = (0..THREADS).map(start).collect::<io::Result<_>>()?;
        Ok(Self(Mutex::new(Some(Running { jobs, threads }))))
    }

    fn settle(&self, job: Job) {
        let running = self.running();
        let jobs = running.as_ref().map(|running| running.jobs.clone());
        drop(running);
        let left = match jobs {
            Some(jobs) => jobs.send(job).err().map(|mpsc::SendError(job)| job),
            None => Some(job),
        };
        // The store is being closed: the caller does it itself.
        if let Some(job) = left {
            job.run();
        }
    }

    /// Waits for what was handed over.
    pub(super) fn close(&self) {
        let running = self.running().take();
        if let Some(Running { jobs, threads }) = running {
            drop(jobs);
            for thread in threads {
                // One that panicked has told its uploads by going.
                let _ = thread.join();
            }
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the chunks of one body and pins them. Dropping it lets go of them.
#[derive(Debug)]
pub(crate) struct ChunkWriter {
    store: Arc<ChunkStore>,
    bucket: BucketId,
    pins: Pins,
    /// One for each chunk that is being settled, the oldest first.
    settling: VecDeque<Receiver<io::Result<()>>>,
}

impl ChunkWriter {
    pub(crate) fn new(store: Arc<ChunkStore>, bucket: BucketId) -> Self {
        Self {
            pins: Pins::new(Arc::clone(&store)),
            store,
            bucket,
            settling: VecDeque::new(),
        }
    }

    /// Writes the next chunk. An error may be that of one before it.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<ChunkHash, ChunkError> {
        let (hash, written) = self.store.write(self.bucket, bytes, &mut self.pins)?;
        if let Some(written) = written {
            while self.settling.len() >= AHEAD_MAX {
                self.settled()?;
            }
            let mut pins = Pins::new(Arc::clone(&self.store));
            pins.pin(self.bucket, hash);
            let (done, settled) = mpsc::channel();
            self.settling.push_back(settled);
            self.store.settlers().settle(Job { written, pins, done });
        }
        Ok(hash)
    }

    /// Waits for the oldest.
    fn settled(&mut self) -> io::Result<()> {
        match self.settling.pop_front().map(|settled| settled.recv()) {
            None => Ok(()),
            Some(Ok(settled)) => settled,
            Some(Err(_)) => Err(io::Error::other("the thread that syncs chunks ended")),
        }
    }

    /// Waits until every chunk is on stable storage under its name.
    ///
    /// DURABILITY: only after this may a row name them.
    pub(crate) fn finish(mut self) -> Result<Pins, ChunkError> {
        while !self.settling.is_empty() {
            self.settled()?;
        }
        Ok(self.pins)
    }
}
