//! `GET /v1/{bucket}/{key}?history=true`: the versions of a document.

use http::StatusCode;
use tracing::debug_span;
use wfldb_core::auth::Forbidden;
use wfldb_engine::HistoryItem;
use wfldb_net::document::{History, HistoryEntry};
use wfldb_net::route::Parameters;

use super::{Call, structured, subject};
use crate::fault::Fault;
use crate::respond::{self, Reply};

pub(super) async fn history(call: Call) -> Result<Reply, Fault> {
    let span = || debug_span!("handlers::history::history");
    structured(call, span, |app, admitted, _| {
        let authorized = &admitted.authorized;
        let (Parameters::History(asked), Some(bucket), Some(key)) =
            (admitted.parameters, authorized.bucket(), authorized.key())
        else {
            return Err(Fault::Forbidden(Forbidden));
        };
        let subject = subject(authorized)?;
        let before = match &asked.cursor {
            Some(cursor) => Some(app.cursors.open_versions(subject, bucket, key, cursor)?),
            None => None,
        };
        let page = app
            .engine
            .history(authorized, before, asked.limit, asked.verify)?;
        let last = page.items.last().filter(|_| page.more);
        let history = History {
            cursor: last.map(|last| app.cursors.before(subject, bucket, key, last.meta.version)),
            versions: page.items.into_iter().map(entry).collect::<Result<_, Fault>>()?,
        };
        respond::json(StatusCode::OK, &history)
    })
    .await
}

fn entry(item: HistoryItem) -> Result<HistoryEntry, Fault> {
    let document = item.json.map(|json| HistoryEntry::document(&json));
    Ok(HistoryEntry {
        version: item.meta.version,
        seq: item.meta.seq.get(),
        modified: item.meta.modified,
        etag: document.is_some().then_some(item.meta.etag),
        deleted: item.meta.deleted,
        document: document
            .transpose()
            .map_err(|_| Fault::Engine(wfldb_engine::EngineError::Corrupt("document")))?,
        verified: item.verified.as_ref().map(Result::is_ok),
        fault: item
            .verified
            .and_then(Result::err)
            .map(|fault| fault.to_string().into()),
    })
}
