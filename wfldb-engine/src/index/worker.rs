//! Builds indexes over what was there before them, and removes the rows of those that were dropped. In bounded commits,
//! each from a snapshot of its own; how far it is stands in `index`, so a crash costs at most the step that was going on.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::Duration;

use wfldb_core::doc;
use wfldb_core::id::BucketId;
use wfldb_core::name::ObjectKey;

use crate::commit::plan::{BuildIndex, BuiltDocument, Mutation};
use crate::engine::Inner;
use crate::error::EngineError;
use crate::object::inline_body;
use crate::row::{BucketRow, IndexWork, ObjectRow, key};
use crate::storage::{Snapshot, Space, prefix_end};

/// Documents of one step. Few in the tests of this crate, so that builds have many steps there.
const DOCUMENTS_PER_STEP: usize = if cfg!(test) { 8 } else { 500 };
/// Rows of one step, about: a document may have many.
const ENTRIES_PER_STEP: usize = 4000;
/// Bytes of documents that one step reads, about.
const BYTES_PER_STEP: usize = 4 << 20;
/// Rows that one step removes.
const ROWS_PER_STEP: usize = 1000;
/// The pause between steps, so that the committer is left to those who wait for it.
const PAUSE: Duration = Duration::from_millis(2);
/// What failed is tried again after this.
const RETRY: Duration = Duration::from_secs(30);

/// The worker: what an earlier process left, then whenever it is woken.
pub(crate) fn run(inner: &Weak<Inner>, wake: &Receiver<()>) {
    loop {
        let Some(engine) = inner.upgrade() else { return };
        let done = engine.define_wishes().and_then(|()| work(&engine));
        engine.indexing.changed();
        drop(engine);
        let wait = match done {
            Ok(()) => Duration::from_hours(1),
            // A store that takes no writes builds nothing; it is not worth a line each time.
            Err(EngineError::ReadOnly | EngineError::Closing | EngineError::OutcomeUnknown) => RETRY,
            Err(error) => {
                tracing::warn!(%error, "work on an index failed; it is tried again");
                RETRY
            }
        };
        match wake.recv_timeout(wait) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Steps of all that is to be done, in turn, until nothing is.
fn work(inner: &Arc<Inner>) -> Result<(), EngineError> {
    loop {
        let waiting = waiting(&*inner.storage.snapshot())?;
        if waiting.is_empty() {
            return Ok(());
        }
        for (bucket, number, work) in waiting {
            let mutation = match work {
                IndexWork::Build { after, documents } => build(inner, bucket, number, after, documents)?,
                IndexWork::Remove => clear(inner, bucket, number)?,
            };
            inner.submit_system("index", mutation)?;
            inner.indexing.changed();
            std::thread::sleep(PAUSE);
        }
    }
}

/// Everything that is to be built or removed.
pub(super) fn waiting(snapshot: &dyn Snapshot) -> Result<Vec<(BucketId, u32, IndexWork)>, EngineError> {
    let end = prefix_end(key::INDEX_WORK);
    let rows = snapshot.range(Space::Index, key::INDEX_WORK, &end, false);
    let work = rows.map(|row| {
        let (row_key, row) = row?;
        let (bucket, number) = key::parse_index_work(&row_key)?;
        Ok((bucket, number, IndexWork::decode(&row)?))
    });
    work.collect()
}

/// The next documents of a build, with their rows. The commit looks at their heads again.
fn build(
    inner: &Inner,
    bucket: BucketId,
    number: u32,
    after: Option<ObjectKey>,
    documents: u64,
) -> Result<Mutation, EngineError> {
    let snapshot = inner.storage.snapshot();
    let mut step = BuildIndex {
        bucket,
        number,
        from: IndexWork::Build {
            after: after.clone(),
            documents,
        },
        documents: Vec::new(),
        to: None,
        failed: None,
    };
    let row = snapshot.get(Space::Meta, &key::bucket_row(&bucket))?;
    let row = row.map(|row| BucketRow::decode(&row)).transpose()?;
    let Some(index) = row.as_ref().and_then(|row| row.indexes.numbered(number)) else {
        return Ok(Mutation::BuildIndex(Box::new(step)));
    };
    let prefix = key::of_bucket(&bucket);
    let from = after.map_or_else(
        || prefix.to_vec(),
        |after| [&*key::head(&bucket, &after), &[0]].concat(),
    );
    let (mut entries, mut bytes) = (0, 0);
    for head in snapshot.range(Space::Heads, &from, &prefix_end(&prefix), false) {
        if step.documents.len() == DOCUMENTS_PER_STEP
            || entries >= ENTRIES_PER_STEP
            || bytes >= BYTES_PER_STEP
        {
            let last = step.documents.last().map(|document| document.key.clone());
            step.to = Some(IndexWork::Build {
                after: last,
                documents: documents + step.documents.len() as u64,
            });
            break;
        }
        let (row_key, head) = head?;
        let (object, head) = (key::key_of_head(&row_key)?, ObjectRow::decode(&head)?);
        let body = inline_body(&*snapshot, &bucket, &head);
        let document = body.ok().and_then(|body| {
            bytes += body.len();
            doc::parse(&body).ok()
        });
        let found = document
            .ok_or_else(|| format!("the document {:?} is damaged", object.as_str()))
            .and_then(|document| {
                let found = index.definition.entries(&document);
                found.map_err(|error| format!("{:?}: {error}", object.as_str()))
            });
        match found {
            Ok(found) => {
                entries += found.len();
                step.documents.push(BuiltDocument {
                    key: object,
                    version: head.version,
                    entries: found,
                });
            }
            Err(why) => {
                step.failed = Some(why);
                break;
            }
        }
    }
    Ok(Mutation::BuildIndex(Box::new(step)))
}

/// The next rows to be removed.
fn clear(inner: &Inner, bucket: BucketId, number: u32) -> Result<Mutation, EngineError> {
    let snapshot = inner.storage.snapshot();
    let prefix = key::index_rows(&bucket, number);
    let rows = snapshot.range(Space::Index, &prefix, &prefix_end(&prefix), false);
    let rows: Vec<_> = rows
        .take(ROWS_PER_STEP)
        .map(|row| row.map(|(row_key, _)| row_key))
        .collect::<Result<_, _>>()?;
    Ok(Mutation::ClearIndex {
        bucket,
        number,
        last: rows.len() < ROWS_PER_STEP,
        rows,
    })
}
