//! Questions about documents.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use tracing::{Instrument as _, Span, debug_span};
use wfldb_core::auth::{Authorized, Forbidden};
use wfldb_core::doc;
use wfldb_core::limits::QUERY_BYTES_MAX;
use wfldb_core::query::{FindRequest, QueryError, QueryFault};
use wfldb_core::text::SearchRequest;
use wfldb_engine::{EngineError, FindStats};
use wfldb_net::accept;
use wfldb_net::find::{ExecutionStats, ExplainAnswer, FindAnswer};
use wfldb_net::route::{Parameters, RouteError};

use super::{Call, admit, blocking, request, signed, subject, whole_body};
use crate::app::App;
use crate::fault::Fault;
use crate::respond::{self, Reply};
use crate::text::Matches;

/// What `_explain` calls the keys of the documents.
const ALL_DOCUMENTS: &str = "_all_docs";
/// What it calls the full-text index.
const FULL_TEXT: &str = "_text";

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
            let matches = matches(app, authorized, asked)?;
            let found = match &matches {
                Some(matches) => {
                    app.engine
                        .find_matching(authorized, asked, &matches.found, from.as_ref())?
                }
                None => app.engine.find(authorized, asked, from.as_ref())?,
            };
            let next = found.next.as_ref();
            let answer = FindAnswer {
                bookmark: next.map(|next| app.cursors.bookmark(subject, bucket, &question, next)),
                count: found.count,
                seq: matches.map(|matches| matches.seq),
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
            // The engine says so too, but only once the search was made.
            if authorized.visible_prefixes().is_some() {
                return Err(Fault::Forbidden(Forbidden));
            }
            let matches = matches(app, authorized, asked)?;
            let (explained, walked) = match &matches {
                Some(matches) => (
                    app.engine.explain_matching(authorized, asked, &matches.found)?,
                    FULL_TEXT,
                ),
                None => (app.engine.explain(authorized, asked)?, ALL_DOCUMENTS),
            };
            let plan = explained.plan;
            let answer = ExplainAnswer {
                index: plan
                    .index
                    .map_or_else(|| walked.to_owned(), |index| index.to_string()),
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
    let admitted = admit(&app, knock).await?;
    let rest = async {
        let authorized = admitted.authorized;
        let _in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::STRUCTURE)?;
        let Parameters::Search(wait) = admitted.parameters else {
            return Err(Fault::Forbidden(Forbidden));
        };
        let (json, _share) = whole_body(&app, &authorized, body, QUERY_BYTES_MAX).await?;
        let Some(seq) = wait else {
            let reply = blocking(&app, move |app| answer(app, &authorized, &read(&json)?));
            return reply.await;
        };
        let asked = blocking(&app, move |_| read(&json)).await?;
        // The documents themselves are always as they are now: there is nothing to wait for.
        if asked.selector.text().is_none() {
            return Err(RouteError::bad_parameter("wait").into());
        }
        let proof = Arc::new(authorized);
        app.text.wait(&app, &proof, seq).await?;
        blocking(&app, move |app| answer(app, &proof, &asked)).await
    };
    rest.instrument(span).await
}

/// What the full text has for the `$text` of a question; `None`: there is no `$text` in it.
fn matches(app: &App, authorized: &Authorized, asked: &FindRequest) -> Result<Option<Matches>, Fault> {
    let Some(text) = asked.selector.text() else {
        return Ok(None);
    };
    let field = text.field.as_ref().map(ToString::to_string);
    let search = SearchRequest::of_selector(&text.argument, field).map_err(|_| {
        EngineError::Query(QueryError {
            fault: QueryFault::Needs("a search, or an object with `query` and `operator`"),
            pointer: text.pointer.clone(),
        })
    })?;
    app.text.matches(authorized, &search).map(Some)
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
