//! The documents of a bucket into a file, in the order of their keys.

use std::collections::VecDeque;
use std::io::Write;

use bytes::Bytes;
use tokio::task::JoinHandle;
use wfldb_core::auth::Method;
use wfldb_core::doc;
use wfldb_core::name::{BucketName, KeyPrefix, ObjectKey};

use super::{DocumentWriter, ENVELOPE};
use crate::call::{Call, object_path};
use crate::{Client, Error, ScanQuery};

/// Which documents, and how.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// Only keys that begin so.
    pub prefix: KeyPrefix,
    /// Without what the server adds: version, time, writer, hash, signature. `_id` stays.
    pub plain: bool,
    /// Documents that are fetched at once.
    pub in_flight: usize,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            prefix: KeyPrefix::all(),
            plain: false,
            in_flight: 64,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exported {
    /// Documents.
    pub documents: u64,
    /// Bytes of them as the server sent them.
    pub bytes: u64,
}

type Fetch = JoinHandle<Result<Option<Bytes>, Error>>;

impl Client {
    /// Writes the documents of a bucket, each as it is when it is read: what is written meanwhile may be there or not.
    /// `told` is called now and then with how far it is.
    ///
    /// # Errors
    /// `Api`, `Transport`; `Corrupt` for what is no document; `Local` when the output cannot be written.
    pub async fn export<W: Write + Send>(
        &self,
        bucket: &BucketName,
        output: &mut DocumentWriter<W>,
        options: &ExportOptions,
        told: &mut (dyn FnMut(&Exported) + Send),
    ) -> Result<Exported, Error> {
        let query = ScanQuery {
            prefix: options.prefix.clone(),
            ..ScanQuery::default()
        };
        let mut scan = self.scan(bucket, &query);
        let mut asked: VecDeque<Fetch> = VecDeque::new();
        let mut sum = Exported::default();
        while let Some(item) = scan.next().await? {
            if asked.len() >= options.in_flight.max(1) {
                take(&mut asked, output, options, &mut sum).await?;
                if sum.documents.is_multiple_of(256) {
                    told(&sum);
                }
            }
            let (client, bucket) = (self.clone(), bucket.clone());
            let fetch = async move { client.document_bytes(&bucket, &item.key).await };
            asked.push_back(tokio::spawn(fetch));
        }
        while !asked.is_empty() {
            take(&mut asked, output, options, &mut sum).await?;
        }
        told(&sum);
        Ok(sum)
    }

    /// A document as it is sent; `None` when it went meanwhile.
    async fn document_bytes(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Option<Bytes>, Error> {
        let call = Call::new(Method::Get, object_path(bucket, key)).by_session();
        match self.caller.send(&call).await {
            Ok(answer) => answer.bytes().await.map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Writes the oldest of those that were asked for.
async fn take<W: Write + Send>(
    asked: &mut VecDeque<Fetch>,
    output: &mut DocumentWriter<W>,
    options: &ExportOptions,
    sum: &mut Exported,
) -> Result<(), Error> {
    let Some(oldest) = asked.pop_front() else {
        return Ok(());
    };
    let ended = |error| Error::Local(format!("a task ended early: {error}"));
    let Some(bytes) = oldest.await.map_err(ended)?? else {
        return Ok(());
    };
    let not_one = |error| Error::Corrupt(format!("an object of the bucket is no document: {error}"));
    let mut document = doc::parse_object(&bytes).map_err(not_one)?;
    if options.plain {
        for name in ENVELOPE {
            document.remove(name);
        }
    }
    let written = output.write(&document);
    written.map_err(|error| Error::Local(format!("the output cannot be written: {error}")))?;
    sum.documents += 1;
    sum.bytes += bytes.len() as u64;
    Ok(())
}
