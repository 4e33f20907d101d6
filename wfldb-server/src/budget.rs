//! Limits on what runs and waits at once. A permit is held by the work it stands for, not by who asked: a caller
//! that goes away does not make room while its job still runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wfldb_core::auth::{Authorized, GrantId};

use crate::fault::Fault;

/// Jobs that run or wait for a thread.
const WORK_MAX: usize = 1024;
/// Bodies over 64 KiB that are received at once; each holds a 4 MiB buffer in the engine.
const UPLOADS_MAX: usize = 48;
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
    bytes: Arc<Semaphore>,
    in_flight: Arc<Mutex<HashMap<GrantId, u32>>>,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            work: Arc::new(Semaphore::new(WORK_MAX)),
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
            bytes: Arc::new(Semaphore::new(BYTES_KIB_MAX)),
            in_flight: Arc::default(),
        }
    }

    /// Room for one job.
    pub(crate) async fn work(&self) -> Result<OwnedSemaphorePermit, Fault> {
        acquire(&self.work, 1).await
    }

    /// Room for one large body.
    pub(crate) async fn upload(&self) -> Result<OwnedSemaphorePermit, Fault> {
        acquire(&self.uploads, 1).await
    }

    /// Room for so many bytes in memory.
    pub(crate) async fn bytes(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Fault> {
        let kib = bytes.div_ceil(1024).min(BYTES_KIB_MAX);
        acquire(&self.bytes, u32::try_from(kib).unwrap_or(u32::MAX)).await
    }

    /// Counts a request at every grant that it is charged to.
    pub(crate) fn enter(&self, authorized: &Authorized) -> Result<InFlight, Fault> {
        let mut counts = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |grant: &GrantId| counts.get(grant).is_some_and(|count| *count >= IN_FLIGHT_MAX);
        if authorized.charges().iter().any(|charge| full(&charge.grant)) {
            return Err(Fault::InFlight);
        }
        let grants: Vec<GrantId> = authorized.charges().iter().map(|charge| charge.grant).collect();
        for grant in &grants {
            *counts.entry(*grant).or_insert(0) += 1;
        }
        Ok(InFlight {
            counts: Arc::clone(&self.in_flight),
            grants,
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

/// A request that is counted at its grants until this is dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    counts: Arc<Mutex<HashMap<GrantId, u32>>>,
    grants: Vec<GrantId>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for grant in &self.grants {
            if let Some(count) = counts.get_mut(grant) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    counts.remove(grant);
                }
            }
        }
    }
}
