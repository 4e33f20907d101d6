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
use wfldb_engine::{Came, EngineError, Pending, Shown};

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
        Err(fault) => Err(failed(app, attempt, fault, heard.is_admitted()).await),
    }
}

/// Logs what came to nothing, and answers with why.
async fn failed(app: &Arc<App>, attempt: &Attempt, fault: Fault, is_admitted: bool) -> Fault {
    if is_admitted && is_answer(attempt, &fault) {
        match log(app, attempt, Came::Missed).await {
            Ok(_) | Err(Fault::Engine(EngineError::NoSuchBucket)) => {}
            Err(unlogged) => return unlogged,
        }
    } else if matches!(
        fault.kind(),
        Kind::Unauthenticated
            | Kind::Forbidden
            | Kind::NotFound
            | Kind::Conflict
            | Kind::Gone
            | Kind::Precondition
            | Kind::Range
    ) {
        refused(app, attempt);
    }
    fault
}

/// That it is not there, or not what was asked for, is an answer too.
fn is_answer(attempt: &Attempt, fault: &Fault) -> bool {
    match fault.kind() {
        Kind::Precondition => true,
        Kind::NotFound | Kind::Gone | Kind::Conflict | Kind::Range => attempt.asks(),
        // Only what was looked for tells this: how much there is, or what it is like.
        Kind::Invalid | Kind::TooLarge => {
            attempt.asks() && matches!(fault, Fault::Engine(_) | Fault::Search(_))
        }
        _ => false,
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

/// What a part of a request came to.
pub(crate) enum Part {
    /// It read.
    Read(Op, Target, Came),
    /// It was refused.
    Refused(Op, Target),
}

/// Logs the reads and refusals of a request's parts, each in its own bucket. Before anything of them is told.
pub(crate) async fn parts(app: &Arc<App>, authorized: &Authorized, parts: Vec<Part>) -> Result<(), Fault> {
    let mut begun = Vec::new();
    for part in parts {
        match part {
            Part::Read(op, target, came) => {
                let attempt = match came {
                    Came::Allowed(_) => Attempt::further(authorized, op, &target),
                    Came::Missed | Came::Refused => Attempt::denied(authorized, op, &target),
                };
                // They wait for the same commit.
                if let Some(attempt) = attempt {
                    match begin(app, &attempt, came).await {
                        Ok(pending) => begun.extend(pending),
                        Err(Fault::Engine(EngineError::NoSuchBucket)) => {}
                        Err(fault) => return Err(fault),
                    }
                }
            }
            Part::Refused(op, target) => {
                if let Some(attempt) = Attempt::denied(authorized, op, &target) {
                    refused(app, &attempt);
                }
            }
        }
    }
    for pending in begun {
        written(pending).await?;
    }
    Ok(())
}

/// Returns when the entry is on stable storage; `None` when the bucket does not want one.
async fn log(app: &Arc<App>, attempt: &Attempt, came: Came) -> Result<Option<LeafIndex>, Fault> {
    match begin(app, attempt, came).await? {
        Some(pending) => written(pending).await.map(Some),
        None => Ok(None),
    }
}

/// `None` when the bucket does not want an entry.
async fn begin(app: &Arc<App>, attempt: &Attempt, came: Came) -> Result<Option<Pending<LeafIndex>>, Fault> {
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
    Ok(begun?)
}

/// Returns when the entry is on stable storage.
async fn written(pending: Pending<LeafIndex>) -> Result<LeafIndex, Fault> {
    match pending.await {
        Ok(leaf) => Ok(leaf),
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
