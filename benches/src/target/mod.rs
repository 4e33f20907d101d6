//! What is put under load: our server, the handlers that stand for limits, and peers, each through a client of its own kind.

pub(crate) mod etcd;
pub(crate) mod handler;
pub(crate) mod redis;
pub(crate) mod s3;
pub(crate) mod webdav;
pub(crate) mod wfldb;

use std::future::Future;

use clap::ValueEnum;
use serde::Serialize;

use crate::Failure;
use crate::body::Payload;

/// What is done to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    /// Store a body under a new key.
    Put,
    /// Read a body.
    Get,
    /// Four reads, then one write.
    Mixed,
    /// One page of 100 keys.
    Scan,
    /// 100 writes in one request.
    Batch,
    /// Delete a key.
    Delete,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Mixed => "mixed",
            Self::Scan => "scan",
            Self::Batch => "batch",
            Self::Delete => "delete",
        }
    }
}

/// Keys on a page of a scan.
pub(crate) const SCAN_KEYS: usize = 100;

/// A store under load. `client` says which of the clients asks, so that each can have its connection.
pub(crate) trait Target: Send + Sync + 'static {
    /// A body with what the protocol wants to know of it first. Hashing of what is in memory is part of the
    /// operation; files are hashed here, before the clock starts.
    type Prepared: Send + 'static;

    /// Why an operation is not measured here.
    fn refuses(&self, operation: Operation, size: u64) -> Option<&'static str>;

    fn prepare(&self, payload: Payload) -> impl Future<Output = Result<Self::Prepared, Failure>> + Send;

    fn put(
        &self,
        client: usize,
        key: String,
        body: Self::Prepared,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    fn get(&self, client: usize, key: String, size: u64) -> impl Future<Output = Result<(), Failure>> + Send;

    fn delete(&self, client: usize, key: String) -> impl Future<Output = Result<(), Failure>> + Send;

    /// A page of the keys after one.
    fn scan(&self, _client: usize, _after: String) -> impl Future<Output = Result<(), Failure>> + Send {
        async { Err("scans are not measured here".into()) }
    }

    /// Some writes in one request.
    fn batch(
        &self,
        _client: usize,
        _bodies: Vec<(String, Self::Prepared)>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        async { Err("batches are not measured here".into()) }
    }
}
