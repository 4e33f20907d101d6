//! The store as a whole: its figures, and what an operator can ask it to do.

use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use tracing::{Instrument as _, debug_span};
use wfldb_core::encoding::JsonObject;
use wfldb_engine::MirrorChecks;

use super::{Call, admit, blocking, request, signed, structured, whole_body};
use crate::app::App;
use crate::fault::Fault;
use crate::respond::{self, Reply};

/// Largest body of `_admin`.
const ASKED_BYTES_MAX: usize = 4096;

/// The body of `_admin`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    r#do: Work,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Work {
    Compact,
    Verify,
    /// The mirror that the server keeps, and no other: a request names no directory.
    MirrorVerify,
    MirrorLook,
}

/// `GET /v1/_stats`.
pub(super) async fn stats(call: Call) -> Result<Reply, Fault> {
    let span = || debug_span!("handlers::store::stats");
    structured(call, span, |app, _, _| {
        respond::json(StatusCode::OK, &app.engine.stats())
    })
    .await
}

fn checks(app: &App) -> Result<MirrorChecks, Fault> {
    app.mirror.checks().ok_or(Fault::NoMirror)
}

/// `POST /v1/_admin`.
pub(super) async fn admin(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::STRUCTURE)?;
        let (json, _share) = whole_body(&app, &authorized, body, ASKED_BYTES_MAX).await?;
        let JsonObject(asked): JsonObject<Asked> = serde_json::from_slice(&json).map_err(|_| Fault::Body)?;
        let work = move |app: &Arc<App>| match asked.r#do {
            Work::Compact => respond::json(StatusCode::OK, &app.engine.compact(&authorized)?),
            Work::Verify => respond::json(StatusCode::OK, &app.engine.verify(&authorized)?),
            Work::MirrorVerify => respond::json(StatusCode::OK, &checks(app)?.verify(&authorized)?),
            Work::MirrorLook => respond::json(StatusCode::OK, &checks(app)?.look(&authorized)?),
        };
        blocking(&app, work).await
    };
    rest.instrument(debug_span!("handlers::store::admin")).await
}
