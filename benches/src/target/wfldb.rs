//! Our server, through the SDK.

use bytes::Bytes;
use wfldb_client::{Batch, Client, ClientOptions, GetOptions, Prepared, Profile, PutOptions, ScanQuery};
use wfldb_core::limits::BATCH_BYTES_MAX;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{BucketConfig, Preconditions};

use super::{Operation, SCAN_KEYS, Target};
use crate::Failure;
use crate::body::Payload;
use crate::case::BATCH_WRITES;

/// Bodies go through the SDK, whole or from a file.
pub(crate) enum Body {
    Bytes(Bytes),
    File(Prepared),
}

pub(crate) struct Wfldb {
    client: Client,
    bucket: BucketName,
    sessions: bool,
}

impl Wfldb {
    /// With `sessions`, reads carry the tag of a session; else every request is signed.
    pub(crate) async fn new(profile: Profile, connections: usize, sessions: bool) -> Result<Self, Failure> {
        let options = ClientOptions {
            connections,
            sessions,
            ..ClientOptions::default()
        };
        let client = Client::with_options(profile, options);
        let bucket = BucketName::parse("bench")?;
        client.create_bucket(&bucket, &BucketConfig::default()).await?;
        Ok(Self {
            client,
            bucket,
            sessions,
        })
    }
}

impl Target for Wfldb {
    type Prepared = Body;

    fn refuses(&self, operation: Operation, size: u64) -> Option<&'static str> {
        let writes = matches!(operation, Operation::Put | Operation::Batch | Operation::Delete);
        if self.sessions && writes {
            return Some("writes are signed either way");
        }
        let too_large = operation == Operation::Batch && size * BATCH_WRITES > BATCH_BYTES_MAX as u64;
        too_large.then_some("a hundred of these are more than a batch takes")
    }

    async fn prepare(&self, payload: Payload) -> Result<Body, Failure> {
        Ok(match payload {
            Payload::Bytes(bytes) => Body::Bytes(bytes),
            Payload::File(file) => Body::File(Prepared::file(&file.path).await?),
        })
    }

    async fn put(&self, _client: usize, key: String, body: Body) -> Result<(), Failure> {
        let prepared = match body {
            Body::Bytes(bytes) => Prepared::bytes(bytes),
            Body::File(prepared) => prepared,
        };
        let key = ObjectKey::parse(&key)?;
        self.client
            .put_prepared(&self.bucket, &key, &prepared, PutOptions::default())
            .await?;
        Ok(())
    }

    async fn get(&self, _client: usize, key: String, size: u64) -> Result<(), Failure> {
        let key = ObjectKey::parse(&key)?;
        let mut object = self.client.get(&self.bucket, &key, GetOptions::default()).await?;
        let mut len = 0;
        while let Some(piece) = object.chunk().await? {
            len += piece.len() as u64;
        }
        if len == size {
            return Ok(());
        }
        Err(format!("{size} bytes were stored, {len} came back").into())
    }

    async fn delete(&self, _client: usize, key: String) -> Result<(), Failure> {
        let key = ObjectKey::parse(&key)?;
        let deleted = self
            .client
            .delete(&self.bucket, &key, &Preconditions::default())
            .await?;
        deleted
            .map(|_| ())
            .ok_or_else(|| "nothing was there to delete".into())
    }

    async fn scan(&self, _client: usize, after: String) -> Result<(), Failure> {
        let query = ScanQuery {
            after: Some(after),
            page: SCAN_KEYS,
            ..ScanQuery::default()
        };
        self.client.scan(&self.bucket, &query).next_page().await?;
        Ok(())
    }

    async fn batch(&self, _client: usize, bodies: Vec<(String, Body)>) -> Result<(), Failure> {
        let mut batch = Batch::new();
        for (key, body) in bodies {
            let Body::Bytes(bytes) = body else {
                return Err("a batch takes bytes".into());
            };
            batch = batch.put(ObjectKey::parse(&key)?, bytes);
        }
        self.client.batch(&self.bucket, &batch).await?;
        Ok(())
    }
}
