//! Backups into a directory that the operator allows.

use std::path::PathBuf;
use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use tracing::{Instrument as _, debug_span};

use super::{Call, admit, blocking, request, signed, whole_body};
use crate::app::App;
use crate::fault::Fault;
use crate::respond::{self, Reply};

/// Largest body of `_backup`: a path.
const ASKED_BYTES_MAX: usize = 16 * 1024;

/// The body of `_backup`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    path: PathBuf,
}

/// `POST /v1/_backup`. A caller that goes away does not end the backup.
pub(super) async fn backup(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::STRUCTURE)?;
        let (json, _share) = whole_body(&app, &authorized, body, ASKED_BYTES_MAX).await?;
        let asked: Asked = serde_json::from_slice(&json).map_err(|_| Fault::Body)?;
        let work = move |app: &Arc<App>| {
            let _in_flight = in_flight;
            let place = app.backups.place(&asked.path)?;
            respond::json(StatusCode::OK, &app.engine.backup(&authorized, &place)?)
        };
        blocking(&app, work).await
    };
    rest.instrument(debug_span!("handlers::backup::backup")).await
}
