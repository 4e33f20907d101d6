//! Limits on what runs and waits at once. A permit is held by the work it stands for, not by who asked: a caller
//! that goes away does not make room while its job still runs.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wfldb_core::auth::{Actor, Authorized, Forbidden, GrantId};
use wfldb_core::limits::{FEEDS_MAX, FEEDS_OF_ONE_KEY};
use wfldb_core::revocation::KeyBytes;

use crate::fault::Fault;

/// Jobs that run or wait for a thread.
const WORK_MAX: usize = 1024;
/// Bodies over 64 KiB that are received at once; each holds a 4 MiB buffer in the engine.
const UPLOADS_MAX: usize = 48;
/// Aggregations at once; the groups of each may take 64 MiB.
const AGGREGATIONS_MAX: usize = 4;
/// Received or read bytes that wait for their next step, all requests together, in KiB.
const BYTES_KIB_MAX: usize = 256 * 1024;
/// Requests of one grant at once.
const IN_FLIGHT_MAX: u32 = 512;
/// How long a request waits for a permit before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);

/// The server's limits on work.
#[derive(Debug)]
pub(crate) struct Budget {
    work: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    aggregations: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    in_flight: Arc<Mutex<HashMap<Counted, u32>>>,
    in_flight_per_key: NonZeroU32,
    feeds: Arc<Mutex<HashMap<KeyBytes, usize>>>,
}

/// What requests in flight are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Grant(GrantId),
    Key(KeyBytes),
}

impl Budget {
    pub(crate) fn new(in_flight_per_key: NonZeroU32) -> Self {
        Self {
            work: Arc::new(Semaphore::new(WORK_MAX)),
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
            aggregations: Arc::new(Semaphore::new(AGGREGATIONS_MAX)),
            bytes: Arc::new(Semaphore::new(BYTES_KIB_MAX)),
            in_flight: Arc::default(),
            in_flight_per_key,
            feeds: Arc::default(),
        }
    }

    /// Counts a feed that waits for changes, at the key that asked for it and in all.
    pub(crate) fn feed(&self, authorized: &Authorized) -> Result<Feeding, Fault> {
        let key = match authorized.actor() {
            Actor::Key(id) => *id.public_key().as_bytes(),
            Actor::Local(_) | Actor::System(_) => return Err(Fault::Forbidden(Forbidden)),
        };
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        if feeds.values().sum::<usize>() >= FEEDS_MAX {
            return Err(Fault::Overloaded);
        }
        let own = feeds.entry(key).or_insert(0);
        if *own >= FEEDS_OF_ONE_KEY {
            return Err(Fault::Feeds);
        }
        *own += 1;
        drop(feeds);
        Ok(Feeding {
            feeds: Arc::clone(&self.feeds),
            key,
        })
    }

    /// How many feeds there are.
    pub(crate) fn feeds(&self) -> usize {
        let feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        feeds.values().sum()
    }

    /// Room for one job.
    pub(crate) async fn work(&self) -> Result<OwnedSemaphorePermit, Fault> {
        acquire(&self.work, 1).await
    }

    /// Room for one large body.
    pub(crate) async fn upload(&self) -> Result<OwnedSemaphorePermit, Fault> {
        acquire(&self.uploads, 1).await
    }

    /// Room for one aggregation.
    pub(crate) async fn aggregation(&self) -> Result<OwnedSemaphorePermit, Fault> {
        acquire(&self.aggregations, 1).await
    }

    /// Room for so many bytes in memory.
    pub(crate) async fn bytes(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Fault> {
        let kib = bytes.div_ceil(1024).min(BYTES_KIB_MAX);
        acquire(&self.bytes, u32::try_from(kib).unwrap_or(u32::MAX)).await
    }

    /// Counts a request at every grant that it is charged to, and at the key that sent it.
    pub(crate) fn enter(&self, authorized: &Authorized) -> Result<InFlight, Fault> {
        let grants = authorized.charges().iter();
        let mut counted: Vec<_> = grants.map(|charge| Counted::Grant(charge.grant)).collect();
        if let Actor::Key(id) = authorized.actor() {
            counted.push(Counted::Key(*id.public_key().as_bytes()));
        }
        let mut counts = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |counted: &Counted| {
            let most = match counted {
                Counted::Grant(_) => IN_FLIGHT_MAX,
                Counted::Key(_) => self.in_flight_per_key.get(),
            };
            counts.get(counted).is_some_and(|count| *count >= most)
        };
        if counted.iter().any(full) {
            return Err(Fault::InFlight);
        }
        for one in &counted {
            *counts.entry(*one).or_insert(0) += 1;
        }
        Ok(InFlight {
            counts: Arc::clone(&self.in_flight),
            counted,
        })
    }

    /// Returns when no job runs any more; new ones are refused from the call on.
    pub(crate) async fn drain(&self) {
        let all = u32::try_from(WORK_MAX).unwrap_or(u32::MAX);
        if let Ok(permits) = self.work.acquire_many(all).await {
            permits.forget();
        }
    }
}

async fn acquire(semaphore: &Arc<Semaphore>, permits: u32) -> Result<OwnedSemaphorePermit, Fault> {
    if let Ok(permit) = Arc::clone(semaphore).try_acquire_many_owned(permits) {
        return Ok(permit);
    }
    let wait = Arc::clone(semaphore).acquire_many_owned(permits);
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(Fault::Overloaded),
    }
}

/// A feed that is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Feeding {
    feeds: Arc<Mutex<HashMap<KeyBytes, usize>>>,
    key: KeyBytes,
}

impl Drop for Feeding {
    fn drop(&mut self) {
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = feeds.get_mut(&self.key) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                feeds.remove(&self.key);
            }
        }
    }
}

/// A request that is counted at its grants and its key until this is dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    counts: Arc<Mutex<HashMap<Counted, u32>>>,
    counted: Vec<Counted>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for one in &self.counted {
            if let Some(count) = counts.get_mut(one) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    counts.remove(one);
                }
            }
        }
    }
}
