//! Indexes of documents: list, create, drop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use tracing::{Instrument as _, debug_span};
use wfldb_core::doc;
use wfldb_core::index::IndexDefinition;
use wfldb_core::limits::QUERY_BYTES_MAX;
use wfldb_engine::{EngineError, IndexInfo, IndexProgress};
use wfldb_net::index::{IndexForm, IndexList, IndexMade, IndexState};
use wfldb_net::route::Parameters;

use super::{Call, admit, blocking, request, signed, structured, whole_body};
use crate::app::App;
use crate::body;
use crate::fault::Fault;
use crate::respond::{self, Reply};

/// How long an answer may wait for an index to be built.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// How long a thread waits for it at a time.
const WAIT_SLICE: Duration = Duration::from_secs(1);

/// `GET /v1/{bucket}/_index`.
pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let span = || debug_span!("handlers::index::list");
    structured(call, span, |app, admitted, _| {
        let found = app.engine.indexes(&admitted.authorized)?;
        let mut indexes = vec![IndexForm::all_documents()];
        indexes.extend(found.iter().map(form));
        let answer = IndexList {
            total_rows: indexes.len() as u64,
            indexes,
        };
        respond::json(StatusCode::OK, &answer)
    })
    .await
}

/// `POST /v1/{bucket}/_index`.
pub(super) async fn create(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let admitted = admit(&app, knock).await?;
    let authorized = admitted.authorized;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::STRUCTURE)?;
        let Parameters::IndexCreate(wait) = admitted.parameters else {
            return Err(Fault::Body);
        };
        let (json, _share) = whole_body(&app, &authorized, body, QUERY_BYTES_MAX).await?;
        let define = move |app: &Arc<App>| {
            let json = doc::parse(&json).map_err(EngineError::from)?;
            let definition = IndexDefinition::parse(&json).map_err(EngineError::from)?;
            let defined = app.engine.define_index(&authorized, definition).wait()?;
            Ok((authorized, defined))
        };
        let (authorized, defined) = blocking(&app, define).await?;
        let authorized = Arc::new(authorized);
        let started = Instant::now();
        let info = loop {
            // In slices, so that no thread is taken for long, and a server that drains is not held up.
            let (authorized, name) = (Arc::clone(&authorized), defined.name.clone());
            let at_most = if wait { WAIT_SLICE } else { Duration::ZERO };
            let look = move |app: &Arc<App>| Ok(app.engine.wait_for_index(&authorized, &name, at_most)?);
            let info = blocking(&app, look).await?;
            let building = matches!(info.progress, IndexProgress::Building { .. });
            if !(wait && building) || started.elapsed() >= WAIT_MAX {
                break info;
            }
        };
        let IndexForm { state, reason, .. } = form(&info);
        let made = IndexMade {
            result: if defined.created { "created" } else { "exists" }.to_owned(),
            id: defined.name.to_string(),
            name: defined.name.to_string(),
            state,
            reason,
        };
        respond::json(StatusCode::OK, &made)
    };
    rest.instrument(debug_span!("handlers::index::create")).await
}

/// `DELETE /v1/{bucket}/_index`.
pub(super) async fn drop(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let body = body::nothing(body).await;
    let admitted = admit(&app, knock).await?;
    let rest = async {
        let _in_flight = app.budget.enter(&admitted.authorized)?;
        signed::check(request(&admitted.authorized)?, signed::NONE)?;
        body?;
        let Parameters::IndexDrop(name) = admitted.parameters else {
            return Err(Fault::Body);
        };
        app.engine.drop_index(&admitted.authorized, &name).await?;
        respond::json(StatusCode::OK, &serde_json::json!({ "ok": true }))
    };
    rest.instrument(debug_span!("handlers::index::drop")).await
}

fn form(info: &IndexInfo) -> IndexForm {
    let form = IndexForm {
        automatic: info.automatic,
        ..IndexForm::of(&info.definition)
    };
    match &info.progress {
        IndexProgress::Ready => form,
        IndexProgress::Building { documents, of } => IndexForm {
            state: IndexState::Building,
            documents: Some(*documents),
            of: Some(*of),
            ..form
        },
        IndexProgress::Failed(reason) => IndexForm {
            state: IndexState::Failed,
            reason: Some(reason.clone()),
            ..form
        },
    }
}
