//! Sending the parts of a file: hashed in order on a blocking thread, some ahead of those that are on their way.
//!
//! A part's hash is signed before its first byte leaves, so every part is read twice. What is in memory is a few pieces
//! of 1 MiB for each part on its way, whatever the size of parts and file.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use wfldb_core::id::{ContentHash, UploadId};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_net::multipart::PartRef;

use super::plan::{Range, ranges};
use crate::file::{FilePart, OpenFile};
use crate::outgoing::{Progress, Source};
use crate::{Client, Error};

/// How often one part is tried anew after the policy of single requests has given it up.
const ROUNDS_MAX: u32 = 3;

/// What is uploaded, and to where.
#[derive(Clone)]
pub(super) struct Transfer {
    pub(super) client: Client,
    pub(super) bucket: BucketName,
    pub(super) key: ObjectKey,
    pub(super) upload: UploadId,
    pub(super) file: Arc<OpenFile>,
    pub(super) part_bytes: u64,
    pub(super) parallel: usize,
    pub(super) progress: Option<Progress>,
}

/// All parts are there.
#[derive(Debug)]
pub(super) struct Sent {
    /// BLAKE3 of the whole file.
    pub(super) etag: ContentHash,
    /// Every part, by number.
    pub(super) parts: Vec<PartRef>,
    /// How many of them were there before.
    pub(super) kept: u16,
}

struct Hashed {
    range: Range,
    etag: ContentHash,
}

impl Transfer {
    /// Sends what is not among the parts that are `there`. Of those only the etag is believed, and only where it is that
    /// of the bytes here.
    pub(super) async fn send_all(&self, there: &BTreeMap<u16, ContentHash>) -> Result<Sent, Error> {
        let (sender, mut hashed) = mpsc::channel(self.parallel.max(1));
        let (file, part_bytes) = (Arc::clone(&self.file), self.part_bytes);
        let hashing = tokio::task::spawn_blocking(move || hash_parts(&file, part_bytes, &sender));
        let mut sending: JoinSet<Result<(), Error>> = JoinSet::new();
        let (mut parts, mut kept) = (Vec::new(), 0);
        while let Some(Hashed { range, etag }) = hashed.recv().await {
            parts.push(PartRef {
                part: range.number,
                etag,
            });
            if there.get(&range.number) == Some(&etag) {
                kept += 1;
                self.report(range.len);
                continue;
            }
            // A failure is met when the next part would leave, not only at the end.
            while let Some(ended) = sending.try_join_next() {
                finished(ended)?;
            }
            while sending.len() >= self.parallel.max(1)
                && let Some(ended) = sending.join_next().await
            {
                finished(ended)?;
            }
            let transfer = self.clone();
            sending.spawn(async move { transfer.send(range, etag).await });
        }
        let etag = hashing.await.map_err(|error| Error::Local(error.to_string()))??;
        while let Some(ended) = sending.join_next().await {
            finished(ended)?;
        }
        self.file.check_unchanged()?;
        Ok(Sent { etag, parts, kept })
    }

    /// What [`Transfer::send_all`] would answer, with nothing sent.
    pub(super) async fn hash_all(&self) -> Result<Sent, Error> {
        let (sender, mut hashed) = mpsc::channel(1);
        let (file, part_bytes) = (Arc::clone(&self.file), self.part_bytes);
        let hashing = tokio::task::spawn_blocking(move || hash_parts(&file, part_bytes, &sender));
        let mut parts = Vec::new();
        while let Some(Hashed { range, etag }) = hashed.recv().await {
            parts.push(PartRef {
                part: range.number,
                etag,
            });
        }
        let etag = hashing.await.map_err(|error| Error::Local(error.to_string()))??;
        let kept = u16::try_from(parts.len()).unwrap_or(u16::MAX);
        Ok(Sent { etag, parts, kept })
    }

    async fn send(&self, range: Range, etag: ContentHash) -> Result<(), Error> {
        let part = FilePart::new(Arc::clone(&self.file), range.start, range.len, etag);
        let place = (&self.bucket, &self.key, self.upload);
        let mut round = 1;
        loop {
            let source = Source::File(part.clone());
            let sent = self
                .client
                .send_part(place, range.number, source, self.progress.clone());
            match sent.await {
                Ok(_) => return Ok(()),
                Err(error) if round < ROUNDS_MAX && is_worth_another_round(&error) => round += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn report(&self, bytes: u64) {
        if let Some(progress) = &self.progress {
            progress(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }
}

/// Failures that say nothing against the part itself. A server that is away for longer than a request is tried is not
/// waited for: the upload can be gone on with.
fn is_worth_another_round(error: &Error) -> bool {
    matches!(error, Error::OutcomeUnknown(_)) || error.status() == Some(408)
}

fn finished(ended: Result<Result<(), Error>, JoinError>) -> Result<(), Error> {
    ended.map_err(|error| Error::Local(format!("a part's transfer ended early: {error}")))?
}

/// Hashes the parts and the whole in one pass. Blocks.
fn hash_parts(file: &OpenFile, part_bytes: u64, sender: &mpsc::Sender<Hashed>) -> Result<ContentHash, Error> {
    let mut whole = blake3::Hasher::new();
    for range in ranges(file.len(), part_bytes) {
        let etag = file.hash_range(range.start, range.len, |piece| {
            whole.update(piece);
        })?;
        if sender.blocking_send(Hashed { range, etag }).is_err() {
            return Err(Error::Local("the upload was given up".to_owned()));
        }
    }
    file.check_unchanged()?;
    Ok(ContentHash::from_bytes(*whole.finalize().as_bytes()))
}
