//! Searches in the full-text index of a bucket, and how that is.

use std::sync::Arc;

use http::StatusCode;
use tracing::{Instrument as _, debug_span};
use wfldb_core::auth::Forbidden;
use wfldb_core::limits::{TEXT_ANSWER_BYTES_MAX, TEXT_BODY_BYTES_MAX};
use wfldb_core::text::SearchRequest;
use wfldb_net::route::Parameters;

use super::{Call, admit, blocking, request, signed, structured, whole_body};
use crate::body;
use crate::fault::Fault;
use crate::respond::{self, Reply};
use crate::text::SearchFault;

/// `POST /v1/{bucket}/_search`.
pub(super) async fn search(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let admitted = admit(&app, knock).await?;
    let rest = async {
        let authorized = admitted.authorized;
        let in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::STRUCTURE)?;
        let Parameters::Search(wait) = admitted.parameters else {
            return Err(Fault::Forbidden(Forbidden));
        };
        let (json, _share) = whole_body(&app, &authorized, body, TEXT_BODY_BYTES_MAX).await?;
        let asked = SearchRequest::parse(&json).map_err(SearchFault::from)?;
        let proof = Arc::new(authorized);
        if let Some(seq) = wait {
            app.text.wait(&app, &proof, seq).await?;
        }
        // What documents an answer carries is in memory as a whole.
        let carried = if asked.documents || asked.highlight {
            Some(app.budget.bytes(TEXT_ANSWER_BYTES_MAX).await?)
        } else {
            None
        };
        blocking(&app, move |app| {
            let _held = (in_flight, carried);
            respond::json(StatusCode::OK, &app.text.search(&proof, &asked)?)
        })
        .await
    };
    rest.instrument(debug_span!("handlers::search::search")).await
}

/// `GET /v1/{bucket}/_search`.
pub(super) async fn status(call: Call) -> Result<Reply, Fault> {
    let span = || debug_span!("handlers::search::status");
    structured(call, span, |app, admitted, _| {
        respond::json(StatusCode::OK, &app.text.status(&admitted.authorized)?)
    })
    .await
}

/// `POST /v1/{bucket}/_search?rebuild=true`.
pub(super) async fn rebuild(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let body = body::nothing(body).await;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::NONE)?;
        body?;
        blocking(&app, move |app| {
            let _in_flight = in_flight;
            app.text.rebuild(&authorized)?;
            Ok(respond::empty(StatusCode::ACCEPTED))
        })
        .await
    };
    rest.instrument(debug_span!("handlers::search::rebuild")).await
}
