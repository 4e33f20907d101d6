//! Questions about documents.

use bytes::Bytes;
use http::StatusCode;
use tracing::{Instrument as _, Span, debug_span};
use wfldb_core::auth::{Authorized, Forbidden};
use wfldb_core::doc;
use wfldb_core::limits::QUERY_BYTES_MAX;
use wfldb_core::query::FindRequest;
use wfldb_engine::{EngineError, FindStats};
use wfldb_net::accept;
use wfldb_net::find::{ExecutionStats, ExplainAnswer, FindAnswer};

use super::{Call, admit, blocking, request, signed, subject, whole_body};
use crate::app::App;
use crate::fault::Fault;
use crate::respond::{self, Reply};

/// What `_explain` calls the keys of the documents.
const ALL_DOCUMENTS: &str = "_all_docs";

/// `POST /v1/{bucket}/_find`.
pub(super) async fn find(call: Call) -> Result<Reply, Fault> {
    asked(
        call,
        debug_span!("handlers::find::find"),
        |app, authorized, asked| {
            let bucket = authorized.bucket().ok_or(Fault::Forbidden(Forbidden))?;
            let subject = subject(authorized)?;
            let question = asked.identity();
            let from = match &asked.bookmark {
                Some(bookmark) => Some(app.cursors.open_bookmark(subject, bucket, &question, bookmark)?),
                None => None,
            };
            let found = app.engine.find(authorized, asked, from.as_ref())?;
            let next = found.next.as_ref();
            let answer = FindAnswer {
                bookmark: next.map(|next| app.cursors.bookmark(subject, bucket, &question, next)),
                count: found.count,
                execution_stats: asked.execution_stats.then(|| stats(authorized, &found.stats)),
                docs: Vec::new(),
            };
            let body = with_documents(&answer, &found.documents)?;
            Ok(respond::bytes(accept::JSON, body.into()))
        },
    )
    .await
}

/// The answer with the documents in it, which are JSON already.
fn with_documents(answer: &FindAnswer, documents: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
    const BEGIN: &[u8] = b"{\"docs\":[";
    let rest = serde_json::to_vec(answer).map_err(|_| Fault::Panicked)?;
    let rest = rest.strip_prefix(BEGIN).ok_or(Fault::Panicked)?;
    let bytes: usize = documents.iter().map(|document| document.len() + 1).sum();
    let mut body = Vec::with_capacity(BEGIN.len() + bytes + rest.len());
    body.extend_from_slice(BEGIN);
    for (place, document) in documents.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        body.extend_from_slice(document);
    }
    body.extend_from_slice(rest);
    Ok(body)
}

/// `POST /v1/{bucket}/_explain`.
pub(super) async fn explain(call: Call) -> Result<Reply, Fault> {
    asked(
        call,
        debug_span!("handlers::find::explain"),
        |app, authorized, asked| {
            let explained = app.engine.explain(authorized, asked)?;
            let plan = explained.plan;
            let answer = ExplainAnswer {
                index: plan
                    .index
                    .map_or_else(|| ALL_DOCUMENTS.to_owned(), |index| index.to_string()),
                ranges: plan.ranges as u64,
                reverse: plan.reverse,
                in_order: plan.in_order,
                execution_stats: stats(authorized, &explained.stats),
                over_budget: explained.over_budget,
                wish: plan.wish.map(|wish| wish.to_value()),
            };
            respond::json(StatusCode::OK, &answer)
        },
    )
    .await
}

/// The course of both: a question in, on a thread that may block.
async fn asked(
    call: Call,
    span: Span,
    answer: impl FnOnce(&App, &Authorized, &FindRequest) -> Result<Reply, Fault> + Send + 'static,
) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::STRUCTURE)?;
        let (json, _share) = whole_body(&app, &authorized, body, QUERY_BYTES_MAX).await?;
        let reply = blocking(&app, move |app| answer(app, &authorized, &read(&json)?));
        reply.await
    };
    rest.instrument(span).await
}

fn read(json: &Bytes) -> Result<FindRequest, Fault> {
    let body = doc::parse(json).map_err(EngineError::from)?;
    Ok(FindRequest::parse(&body).map_err(EngineError::from)?)
}

fn stats(authorized: &Authorized, stats: &FindStats) -> ExecutionStats {
    // SECURITY: what else is in the bucket is for those who may see it.
    let whole = authorized.visible_prefixes().is_none();
    ExecutionStats {
        total_keys_examined: whole.then_some(stats.keys),
        total_docs_examined: whole.then_some(stats.documents),
        results_returned: stats.returned,
        execution_time_us: u64::try_from(stats.time.as_micros()).unwrap_or(u64::MAX),
    }
}
