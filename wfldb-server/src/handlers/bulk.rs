//! `POST /v1/{bucket}/_bulk`: many documents, each with an outcome of its own.

use std::sync::Arc;

use http::StatusCode;
use tracing::{Instrument as _, debug_span};
use wfldb_core::auth::{Authorized, ObjectAttributes, Op, Target, Written};
use wfldb_core::limits::BATCH_BYTES_MAX;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_engine::{BulkAction, BulkOp, BulkResult};
use wfldb_net::document::{BulkEntry, BulkEntryResult, BulkKind, BulkResults, parse_bulk};

use super::bucket::is_json;
use super::{Call, admit, blocking, request, signed, whole_body};
use crate::access;
use crate::app::App;
use crate::fault::Fault;
use crate::respond::{self, Reply};

pub(super) async fn bulk(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        let request = request(&authorized)?;
        signed::check(request, signed::STRUCTURE)?;
        if request
            .header("content-type")
            .is_some_and(|content_type| !is_json(content_type))
        {
            return Err(Fault::ContentType);
        }
        let (bytes, _share) = whole_body(&app, &authorized, body, BATCH_BYTES_MAX).await?;
        let entries = parse_bulk(&bytes).map_err(Fault::Batch)?;
        if let Some(bucket) = authorized.bucket() {
            app.gate
                .further(&authorized, entries.iter().map(|entry| access(bucket, entry)))?;
        }
        let carry_out = move |app: &Arc<App>| {
            let shown: Vec<_> = entries.iter().map(|entry| shown(&authorized, entry)).collect();
            let ops = entries.into_iter().map(op).collect();
            let done = app.engine.bulk(&authorized, ops)?;
            let results: Vec<_> = shown.into_iter().zip(done).map(result).collect();
            Ok((results, authorized))
        };
        let (results, authorized) = blocking(&app, carry_out).await?;
        // Why an entry came to nothing tells what is there.
        if results.iter().any(|result| result.error.is_some()) {
            access::also_here(&app, &authorized, Op::Get).await?;
        }
        respond::json(StatusCode::OK, &BulkResults { results })
    };
    rest.instrument(debug_span!("handlers::bulk::bulk")).await
}

/// What an entry does, as its grant is asked.
fn access<'a>(bucket: &BucketName, entry: &'a BulkEntry) -> (Op, Target, Written<'a>) {
    let (op, written) = if entry.kind == BulkKind::Delete {
        (Op::Delete, Written::Later)
    } else {
        let written = ObjectAttributes {
            content_type: Some("application/json"),
            len: entry.document.len() as u64,
        };
        (Op::Put, Written::Known(written))
    };
    (op, Target::Key(bucket.clone(), entry.key.clone()), written)
}

/// The key, and whether the caller is told what became of the entry.
///
/// SECURITY: that there was something to delete is told to those only who could find out anyway.
fn shown(authorized: &Authorized, entry: &BulkEntry) -> (ObjectKey, bool) {
    let reveals = entry.kind != BulkKind::Delete
        || authorized.bucket().is_some_and(|bucket| {
            let target = Target::Key(bucket.clone(), entry.key.clone());
            let may = |op| authorized.further(op, target.clone(), Written::Later).is_ok();
            may(Op::Get) || may(Op::List)
        });
    (entry.key.clone(), reveals)
}

fn op(entry: BulkEntry) -> BulkOp {
    BulkOp {
        key: entry.key,
        preconditions: entry.preconditions,
        action: match entry.kind {
            BulkKind::Insert => BulkAction::Insert(entry.document),
            BulkKind::Update => BulkAction::Update(entry.document),
            BulkKind::Put => BulkAction::Put(entry.document),
            BulkKind::Delete => BulkAction::Delete,
        },
    }
}

fn result(((key, shows), done): ((ObjectKey, bool), BulkResult)) -> BulkEntryResult {
    match done {
        Ok(written) => {
            let written = written.filter(|_| shows);
            BulkEntryResult {
                key,
                version: written.map(|(version, ..)| version),
                etag: written.and_then(|(_, etag, _)| etag),
                seq: written.map(|(_, _, seq)| seq.get()),
                error: None,
            }
        }
        Err(error) => BulkEntryResult {
            key,
            version: None,
            etag: None,
            seq: None,
            error: Some(Fault::Engine(error).problem(String::new())),
        },
    }
}
