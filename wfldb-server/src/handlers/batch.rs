//! `POST /v1/{bucket}/batch`: several keys of a bucket in one commit.

use std::sync::Arc;

use http::StatusCode;
use tracing::{Instrument as _, debug_span};
use wfldb_core::auth::{Authorized, ObjectAttributes, Op, Target, Written};
use wfldb_core::limits::BATCH_BYTES_MAX;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{BucketKind, HeaderText, ObjectHeaders};
use wfldb_engine::{BatchAction, BatchOp, Engine, EngineError};
use wfldb_net::accept;
use wfldb_net::batch::{self, BatchEntry, BatchResult, BatchResults};
use wfldb_net::codec;

use super::bucket::is_json;
use super::{Call, admit, audit, document, request, signed, whole_body};
use crate::access;
use crate::fault::Fault;
use crate::respond::{self, Reply};

/// How the entries are spelled.
#[derive(Clone, Copy)]
enum Form {
    Json,
    FlatBuffers,
}

pub(super) async fn batch(call: Call) -> Result<Reply, Fault> {
    let Call {
        app,
        knock,
        body,
        form,
    } = call;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        let request = request(&authorized)?;
        signed::check(request, signed::BATCH)?;
        let spelled = match request.header("content-type") {
            None => Form::Json,
            Some(content_type) if is_json(content_type) => Form::Json,
            Some(accept::FLATBUFFERS) => Form::FlatBuffers,
            Some(_) => return Err(Fault::ContentType),
        };
        let form = form?;
        let (bytes, _share) = whole_body(&app, &authorized, body, BATCH_BYTES_MAX).await?;
        let entries = match spelled {
            Form::Json => batch::parse_json(&bytes),
            Form::FlatBuffers => codec::decode_batch(&bytes),
        };
        let entries = entries.map_err(Fault::Batch)?;
        if let Some(bucket) = authorized.bucket() {
            app.gate
                .further(&authorized, entries.iter().map(|entry| access(bucket, entry)))?;
        }
        let documents = |entry: &BatchEntry| matches!(entry.action, batch::BatchAction::Document { .. });
        if entries.iter().any(documents) {
            match document::kind(&app, &authorized).await? {
                Some(BucketKind::Documents) => {}
                Some(BucketKind::Objects) => return Err(Fault::Engine(EngineError::NotDocuments)),
                None => return Err(Fault::Engine(EngineError::NoSuchBucket)),
            }
        }
        let shown = shown(&authorized, &entries);
        let ops: Vec<BatchOp> = entries.into_iter().map(op).collect();
        let wants_receipt = audit::wants_receipt(&authorized)?;
        let carry_out = |engine: &Engine, (authorized, ops): &(Authorized, Vec<BatchOp>)| {
            engine.batch(authorized, ops.clone())
        };
        let (done, (authorized, _)) = document::settled(&app, (authorized, ops), carry_out).await?;
        // One change, so any version that it wrote leads to its leaf.
        let written = shown.iter().zip(&done.results).find_map(|((key, _), written)| {
            let (version, _) = written.filter(|_| wants_receipt)?;
            Some((key.clone(), version))
        });
        let results = BatchResults {
            seq: done.seq.map(wfldb_core::id::Seq::get),
            results: shown
                .into_iter()
                .zip(done.results)
                .map(|((key, shows), written)| {
                    let written = written.filter(|_| shows);
                    BatchResult {
                        key,
                        version: written.map(|(version, _)| version),
                        etag: written.and_then(|(_, etag)| etag),
                    }
                })
                .collect(),
        };
        // What changed nothing has told what is there all the same.
        if results.seq.is_none() {
            access::also_here(&app, &authorized, Op::Get).await?;
        }
        let mut reply = respond::structured(StatusCode::OK, form, &results, codec::encode_batch_results)?;
        if let Some((key, version)) = written {
            audit::add_leaf(&app, &mut reply, &Arc::new(authorized), &key, version).await?;
        }
        Ok(reply)
    };
    rest.instrument(debug_span!("handlers::batch::batch")).await
}

/// The keys in order, and whether the caller is told what became of each.
///
/// SECURITY: that there was something to delete is told to those only who could find out anyway.
fn shown(authorized: &Authorized, entries: &[BatchEntry]) -> Vec<(ObjectKey, bool)> {
    let reveals = |entry: &BatchEntry| match entry.action {
        batch::BatchAction::Put { .. } | batch::BatchAction::Document { .. } | batch::BatchAction::Check => {
            true
        }
        batch::BatchAction::Delete => authorized.bucket().is_some_and(|bucket| {
            let target = Target::Key(bucket.clone(), entry.key.clone());
            let may = |op| authorized.further(op, target.clone(), Written::Later).is_ok();
            may(Op::Get) || may(Op::List)
        }),
    };
    entries
        .iter()
        .map(|entry| (entry.key.clone(), reveals(entry)))
        .collect()
}

/// What an entry does, as its grant is asked.
fn access<'a>(bucket: &BucketName, entry: &'a BatchEntry) -> (Op, Target, Written<'a>) {
    let (op, written) = match &entry.action {
        batch::BatchAction::Put {
            body, content_type, ..
        } => {
            let written = ObjectAttributes {
                content_type: content_type.as_ref().map(HeaderText::as_str),
                len: body.len() as u64,
            };
            (Op::Put, Written::Known(written))
        }
        batch::BatchAction::Document { json, .. } => {
            let written = ObjectAttributes {
                content_type: Some("application/json"),
                len: json.len() as u64,
            };
            (Op::Put, Written::Known(written))
        }
        batch::BatchAction::Delete => (Op::Delete, Written::Later),
        batch::BatchAction::Check => (Op::Get, Written::Later),
    };
    (op, Target::Key(bucket.clone(), entry.key.clone()), written)
}

fn op(entry: BatchEntry) -> BatchOp {
    BatchOp {
        key: entry.key,
        preconditions: entry.preconditions,
        action: match entry.action {
            batch::BatchAction::Put {
                body,
                content_type,
                tags,
            } => BatchAction::Put {
                body,
                headers: Box::new(ObjectHeaders {
                    content_type,
                    tags,
                    ..ObjectHeaders::default()
                }),
            },
            batch::BatchAction::Document { json, tags } => BatchAction::Put {
                body: json,
                headers: Box::new(ObjectHeaders {
                    tags,
                    ..ObjectHeaders::default()
                }),
            },
            batch::BatchAction::Delete => BatchAction::Delete,
            batch::BatchAction::Check => BatchAction::Check,
        },
    }
}
