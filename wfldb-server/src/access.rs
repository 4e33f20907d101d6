//! Reads and refusals of buckets that want them in the audit log. One place for every handler: [`conclude`] stands between
//! the handler and the answer.
//!
//! SECURITY: what is read is told only once its entry is on stable storage; where that fails, nothing is told. Refusals
//! are logged behind the answer and at a bounded rate: so they cost nobody else anything, and how long an answer takes
//! does not tell whether there is such a bucket.

use std::sync::Arc;
use std::time::Instant;

use wfldb_core::Kind;
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::LeafIndex;
use wfldb_core::request::Attempt;
use wfldb_engine::{Came, EngineError, Shown};

use crate::app::App;
use crate::auth::Heard;
use crate::fault::Fault;
use crate::handlers::blocking;
use crate::respond::{self, Reply};

/// Notes in an answer which version it shows, for its entry.
pub(crate) fn shows(app: &App, reply: &mut Reply, authorized: &Authorized, shown: Shown) {
    let known = authorized
        .bucket()
        .and_then(|bucket| app.engine.audits_reads(bucket));
    if known != Some(false) {
        reply.extensions_mut().insert(shown);
    }
}

/// Logs what became of a request, before its answer begins.
///
/// Every answer of a route whose operation reads (`get list query watch audit`) of something in a bucket comes through
/// here, so a new handler has nothing to do. What it reads beside its route's own access it logs with [`also`].
pub(crate) async fn conclude(
    app: &Arc<App>,
    heard: &Heard,
    outcome: Result<Reply, Fault>,
) -> Result<Reply, Fault> {
    let Some(attempt) = heard.attempt() else {
        return outcome;
    };
    match outcome {
        Ok(mut reply) if attempt.reads() => {
            let shown = reply.extensions_mut().remove::<Shown>();
            if let Some(leaf) = log(app, attempt, Came::Allowed(shown)).await? {
                respond::set(&mut reply, wfldb_net::header::LEAF, &leaf.to_string());
            }
            Ok(reply)
        }
        Ok(reply) => Ok(reply),
        Err(fault) => {
            let is_answer = heard.is_admitted() && attempt.reads();
            match fault.kind() {
                // That it is not there, or not what was asked for, is an answer too.
                Kind::NotFound | Kind::Gone | Kind::Precondition | Kind::Range if is_answer => {
                    match log(app, attempt, Came::Missed).await {
                        Ok(_) | Err(Fault::Engine(EngineError::NoSuchBucket)) => Err(fault),
                        Err(unlogged) => Err(unlogged),
                    }
                }
                Kind::Unauthenticated
                | Kind::Forbidden
                | Kind::NotFound
                | Kind::Conflict
                | Kind::Gone
                | Kind::Precondition
                | Kind::Range => {
                    refused(app, attempt);
                    Err(fault)
                }
                _ => Err(fault),
            }
        }
    }
}

/// Logs a read that a request does beside its own access: of the source of a copy, by the conditions of a batch. Before
/// anything of it is told.
pub(crate) async fn also(
    app: &Arc<App>,
    authorized: &Authorized,
    op: Op,
    target: &Target,
) -> Result<(), Fault> {
    match Attempt::further(authorized, op, target) {
        Some(attempt) => log(app, &attempt, Came::Allowed(None)).await.map(drop),
        // Nothing that it may read, so nothing will be told.
        None => Ok(()),
    }
}

/// The same for what a request reads of its own target.
pub(crate) async fn also_here(app: &Arc<App>, authorized: &Authorized, op: Op) -> Result<(), Fault> {
    match Attempt::also(authorized, op) {
        Some(attempt) => log(app, &attempt, Came::Allowed(None)).await.map(drop),
        None => Ok(()),
    }
}

/// Returns when the entry is on stable storage; `None` when the bucket does not want one.
async fn log(app: &Arc<App>, attempt: &Attempt, came: Came) -> Result<Option<LeafIndex>, Fault> {
    let known = attempt
        .bucket()
        .and_then(|bucket| app.engine.audits_reads(bucket));
    let begun = match known {
        Some(false) => return Ok(None),
        Some(true) => app.engine.log_access(attempt, came),
        None => {
            let attempt = attempt.clone();
            blocking(app, move |app| Ok(app.engine.log_access(&attempt, came))).await?
        }
    };
    let Some(pending) = begun? else {
        return Ok(None);
    };
    match pending.await {
        Ok(leaf) => Ok(Some(leaf)),
        // These say what has become of the request meanwhile.
        Err(error @ (EngineError::Revoked | EngineError::NoSuchBucket)) => Err(error.into()),
        Err(error) => Err(Fault::NotLogged(error)),
    }
}

/// Logs a refusal, as long as there are not too many.
fn refused(app: &Arc<App>, attempt: &Attempt) {
    let known = attempt
        .bucket()
        .and_then(|bucket| app.engine.audits_reads(bucket));
    match known {
        Some(false) => {}
        Some(true) => log_refusal(app, attempt),
        // Not in memory: looked for behind the answer.
        None => {
            let Some(room) = app.gate.refusals().room() else {
                app.metrics.refusal("beyond");
                return;
            };
            let (app, attempt) = (Arc::clone(app), attempt.clone());
            tokio::spawn(async move {
                let _room = room;
                let look = blocking(&app, move |app| {
                    log_refusal(app, &attempt);
                    Ok(())
                });
                if look.await.is_err() {
                    app.metrics.refusal("beyond");
                }
            });
        }
    }
}

fn log_refusal(app: &App, attempt: &Attempt) {
    let Some(name) = attempt.bucket() else { return };
    // It reads the bucket when that is not in memory, so it is after this.
    let Ok((bucket, _)) = app.engine.bucket_rate(name) else {
        return;
    };
    if app.engine.audits_reads(name) == Some(false) {
        return;
    }
    let key = attempt.evidence().key.public_key();
    if !app.gate.refusals().take(key, bucket, Instant::now()) {
        app.metrics.refusal("beyond");
        return;
    }
    // It is not waited for: the answer does not depend on it.
    match app.engine.log_access(attempt, Came::Refused) {
        Ok(Some(_pending)) => app.metrics.refusal("logged"),
        Ok(None) => {}
        Err(_) => app.metrics.refusal("beyond"),
    }
}
