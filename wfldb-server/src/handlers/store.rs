//! The store as a whole: its figures, and what an operator can ask it to do.

use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use tracing::{Instrument as _, debug_span};
use wfldb_core::auth::Authorized;
use wfldb_core::encoding::JsonObject;
use wfldb_core::mirror::Strategy;
use wfldb_engine::{EngineError, MirrorChecks, SyncError, SyncNamed, SyncOptions, SyncReport};

use super::{Call, admit, blocking, request, signed, structured, whole_body};
use crate::app::App;
use crate::fault::Fault;
use crate::respond::{self, Reply};

/// Largest body of `_admin`.
const ASKED_BYTES_MAX: usize = 256 * 1024;

/// The body of `_admin`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    r#do: Work,
    #[serde(default)]
    sync: Option<AskedSync>,
}

/// How stores are brought together. With whom is the operator's, not the request's.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AskedSync {
    strategy: Option<String>,
    ours: Vec<String>,
    theirs: Vec<String>,
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Work {
    Compact,
    Verify,
    /// The mirror that the server keeps, and no other: a request names no directory.
    MirrorVerify,
    MirrorLook,
    MirrorSync,
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

fn sync(app: &App, authorized: &Authorized, asked: AskedSync) -> Result<SyncReport, Fault> {
    let place = app.mirror.meets.clone().ok_or(Fault::SyncNotConfigured)?;
    let syncs = app.mirror.syncs().ok_or(Fault::NoMirror)?;
    let strategy = asked
        .strategy
        .map_or(Some(Strategy::Manual), |name| Strategy::parse(&name));
    let named = |names: Vec<String>| {
        let named = names.iter().map(|name| SyncNamed::parse(name));
        named.collect::<Result<Vec<_>, _>>().map_err(|_| Fault::Body)
    };
    let options = SyncOptions {
        trusted: place.trusted,
        ours: named(asked.ours)?,
        theirs: named(asked.theirs)?,
        dry_run: asked.dry_run,
        ..SyncOptions::new(place.remote, strategy.ok_or(Fault::Body)?)
    };
    syncs.sync(authorized, &options).map_err(|error| match error {
        SyncError::Engine(error) => error.into(),
        SyncError::Behind => EngineError::MirrorBehind.into(),
        SyncError::Untrusted(_) | SyncError::NotAMirror(_) => {
            tracing::warn!(%error, "what the mirror's remote has is not taken");
            Fault::SyncUntrusted
        }
        error => Fault::SyncFailed(error.to_string()),
    })
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
        if asked.sync.is_some() && asked.r#do != Work::MirrorSync {
            return Err(Fault::Body);
        }
        let work = move |app: &Arc<App>| match asked.r#do {
            Work::Compact => respond::json(StatusCode::OK, &app.engine.compact(&authorized)?),
            Work::Verify => respond::json(StatusCode::OK, &app.engine.verify(&authorized)?),
            Work::MirrorVerify => respond::json(StatusCode::OK, &checks(app)?.verify(&authorized)?),
            Work::MirrorLook => respond::json(StatusCode::OK, &checks(app)?.look(&authorized)?),
            Work::MirrorSync => {
                let report = sync(app, &authorized, asked.sync.unwrap_or_default())?;
                respond::json(StatusCode::OK, &report)
            }
        };
        blocking(&app, work).await
    };
    rest.instrument(debug_span!("handlers::store::admin")).await
}
