//! Batches: many small changes of one bucket that happen all together or not at all.

use bytes::Bytes;
use wfldb_core::auth::Method;
use wfldb_core::id::ContentHash;
use wfldb_core::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{Preconditions, Tags};
use wfldb_net::accept::{FLATBUFFERS, JSON, Representation};
use wfldb_net::batch::{BatchAction, BatchEntry, BatchResults, to_json};
use wfldb_net::codec::{decode_batch_results, encode_batch};

use crate::call::{Call, bucket_path, header};
use crate::object::put::{delete_safety, put_safety};
use crate::outgoing::Source;
use crate::retry::Safety;
use crate::{Client, Error};

/// Entries in their order. At most 1000, 8 MiB as sent, and each key once; more than that is refused, never split.
///
/// ```no_run
/// # async fn example(client: wfldb_client::Client) -> Result<(), wfldb_client::Error> {
/// use wfldb_client::Batch;
/// use wfldb_core::name::{BucketName, ObjectKey};
/// use wfldb_core::object::Preconditions;
///
/// let key = |text| ObjectKey::parse(text).unwrap();
/// let only_new = Preconditions { if_none_match_any: true, ..Preconditions::default() };
/// let batch = Batch::new()
///     .put(key("inbox/7"), "hello")
///     .only_if(only_new)
///     .delete(key("outbox/7"));
/// match client.batch(&BucketName::parse("mail").unwrap(), &batch).await {
///     Ok(results) => println!("committed as {:?}", results.seq),
///     Err(error) => println!("entry {:?} was refused: {error}", error.refused_entry()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    entries: Vec<BatchEntry>,
}

impl Batch {
    /// A batch without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more entry.
    #[must_use]
    pub fn with(mut self, entry: BatchEntry) -> Self {
        self.entries.push(entry);
        self
    }

    /// Then stores bytes at a key.
    #[must_use]
    pub fn put(self, key: ObjectKey, body: impl Into<Bytes>) -> Self {
        let put = BatchAction::Put {
            body: body.into(),
            content_type: None,
            tags: Tags::default(),
        };
        self.action(key, put)
    }

    /// Then stores a document (JSON of an object) at a key of a bucket of documents.
    #[must_use]
    pub fn put_document(self, key: ObjectKey, json: impl Into<Bytes>) -> Self {
        let put = BatchAction::Document {
            json: json.into(),
            tags: Tags::default(),
        };
        self.action(key, put)
    }

    /// Then deletes a key by a tombstone, if something is there.
    #[must_use]
    pub fn delete(self, key: ObjectKey) -> Self {
        self.action(key, BatchAction::Delete)
    }

    /// Looks at a key's conditions, which follow by [`Batch::only_if`], and changes nothing there.
    #[must_use]
    pub fn check(self, key: ObjectKey) -> Self {
        self.action(key, BatchAction::Check)
    }

    /// What must hold of the last entry's key for the whole batch to happen.
    #[must_use]
    pub fn only_if(mut self, preconditions: Preconditions) -> Self {
        if let Some(last) = self.entries.last_mut() {
            last.preconditions = preconditions;
        }
        self
    }

    /// The entries.
    pub fn entries(&self) -> &[BatchEntry] {
        &self.entries
    }

    fn action(self, key: ObjectKey, action: BatchAction) -> Self {
        self.with(BatchEntry {
            key,
            preconditions: Preconditions::default(),
            action,
        })
    }

    /// A batch happens once or not at all, so one condition that it makes false itself guards all of it.
    fn safety(&self) -> Safety {
        let safeties = self.entries.iter().map(|entry| match &entry.action {
            BatchAction::Put { body, .. } => put_safety(&entry.preconditions, Some(ContentHash::of(body))),
            BatchAction::Document { json, .. } => {
                put_safety(&entry.preconditions, Some(ContentHash::of(json)))
            }
            BatchAction::Delete => delete_safety(&entry.preconditions),
            BatchAction::Check => Safety::Read,
        });
        let mut whole = Safety::Read;
        for safety in safeties {
            whole = match (whole, safety) {
                (Safety::Guarded, _) | (_, Safety::Guarded) => Safety::Guarded,
                (whole, Safety::Read) => whole,
                (_, written) => written,
            };
        }
        whole
    }
}

impl From<Vec<BatchEntry>> for Batch {
    fn from(entries: Vec<BatchEntry>) -> Self {
        Self { entries }
    }
}

impl Client {
    /// Carries out a batch: one commit, or nothing. When this returns `Ok`, it is on stable storage. It is sent again
    /// only when it surely did not happen, or a condition in it would refuse it the second time.
    ///
    /// # Errors
    /// Any of [`Error`]; [`Error::refused_entry`] names the entry that a refusal is about. After `OutcomeUnknown`, read
    /// back.
    pub async fn batch(&self, bucket: &BucketName, batch: &Batch) -> Result<BatchResults, Error> {
        self.batch_as(bucket, batch, Representation::FlatBuffers).await
    }

    /// The same with a choice of form: `FlatBuffers` carry bytes as they are, JSON can be read on the wire.
    ///
    /// # Errors
    /// As [`Client::batch`].
    pub async fn batch_as(
        &self,
        bucket: &BucketName,
        batch: &Batch,
        form: Representation,
    ) -> Result<BatchResults, Error> {
        if !(1..=BATCH_ENTRIES_MAX).contains(&batch.entries.len()) {
            return Err(Error::Local(format!(
                "a batch has 1 to {BATCH_ENTRIES_MAX} entries, this one {}",
                batch.entries.len()
            )));
        }
        let (media_type, body) = match form {
            Representation::Json => (JSON, to_json(&batch.entries)),
            Representation::FlatBuffers => (FLATBUFFERS, encode_batch(&batch.entries)),
        };
        if body.len() > BATCH_BYTES_MAX {
            return Err(Error::Local(format!(
                "a batch has at most {BATCH_BYTES_MAX} bytes as sent, this one {}",
                body.len()
            )));
        }
        let mut call = Call::new(Method::Post, format!("{}/batch", bucket_path(bucket)));
        for name in ["content-type", "accept"] {
            call.headers.push((name.to_owned(), media_type.to_owned()));
        }
        call.source = Source::of_bytes(body.into());
        call.safety = batch.safety();
        let answer = self.caller.send(&call).await?;
        let answered_in = header(&answer.parts.headers, "content-type").map(str::to_owned);
        let read = answer
            .bytes()
            .await
            .and_then(|body| results(answered_in.as_deref(), &body));
        // It was answered 2xx, so it happened; an answer that does not say what happened leaves that open.
        let results = read.map_err(|error| Error::OutcomeUnknown(error.to_string()))?;
        agrees(batch, &results)?;
        Ok(results)
    }
}

fn results(content_type: Option<&str>, body: &[u8]) -> Result<BatchResults, Error> {
    if content_type == Some(FLATBUFFERS) {
        decode_batch_results(body)
            .map_err(|error| Error::Transport(format!("the server's answer is not understood: {error}")))
    } else {
        crate::bucket::parse(body)
    }
}

/// The answer speaks of what was sent.
fn agrees(batch: &Batch, results: &BatchResults) -> Result<(), Error> {
    let pairs = batch.entries.iter().zip(&results.results);
    let mut same = batch.entries.len() == results.results.len();
    for (entry, result) in pairs {
        let etag = match &entry.action {
            BatchAction::Put { body, .. } => Some(ContentHash::of(body)),
            // The server makes its bytes.
            BatchAction::Document { .. } => result.etag,
            BatchAction::Delete | BatchAction::Check => None,
        };
        same &= entry.key == result.key && etag == result.etag;
    }
    if same {
        Ok(())
    } else {
        Err(Error::Corrupt(
            "the server's answer is about another batch".to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_guarded_by_one_condition_that_it_makes_false() {
        let key = |text| ObjectKey::parse(text).unwrap();
        let none = || Preconditions {
            if_none_match_any: true,
            ..Preconditions::default()
        };
        let checks = Batch::new().check(key("a")).only_if(none());
        assert_eq!(checks.safety(), Safety::Read, "nothing is written");
        let checked = checks.clone().put(key("b"), "x");
        assert_eq!(
            checked.safety(),
            Safety::Write,
            "the check still holds after the put"
        );
        let guarded = checked.clone().put(key("c"), "y").only_if(none());
        assert_eq!(guarded.safety(), Safety::Guarded);
        assert_eq!(guarded.delete(key("d")).safety(), Safety::Guarded);
        assert_eq!(checks.delete(key("d")).safety(), Safety::Write);
    }
}
