//! Handlers: each converts a request in, makes its call of the engine, converts the answer out.

mod aggregate;
mod audit;
mod backup;
mod batch;
mod bucket;
mod bulk;
mod changes;
mod document;
mod dry_run;
mod find;
mod health;
mod history;
mod index;
mod keys;
mod multipart;
mod object;
mod put;
mod scan;
mod schema;
mod search;
mod session;
mod signed;
mod store;
mod tx;
mod tx_reads;

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{Instrument as _, Span, debug_span};
use wfldb_core::auth::{Actor, Authorized, Forbidden, Method, RouteKind, Target};
use wfldb_core::id::KeyId;
use wfldb_core::name::BucketName;
use wfldb_core::request::RequestHead;
use wfldb_net::accept::{NotAcceptable, Representation};

use crate::app::App;
use crate::auth::{Admitted, Knock};
use crate::body;
use crate::fault::Fault;
use crate::respond::Reply;

pub(crate) use changes::change_json;
pub(crate) use health::health;

/// A request whose form and timestamp are right, on its way to its handler.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) knock: Knock,
    pub(crate) body: Incoming,
    /// The form that the caller prefers for structured answers.
    pub(crate) form: Result<Representation, NotAcceptable>,
}

/// A handler at work.
pub(crate) type Handling = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send>>;

/// Sends a request to its handler.
///
/// Each handler is put on the heap by itself: all in one future would be as large as the largest, 10 KiB, and moved
/// several times on its way.
pub(crate) fn serve(call: Call) -> Handling {
    let route = &call.knock.route;
    match (route.kind, route.method) {
        (RouteKind::Buckets, Method::Get) => Box::pin(bucket::list(call)),
        (RouteKind::Bucket, Method::Put) => Box::pin(bucket::put(call)),
        (RouteKind::Bucket, Method::Get) => Box::pin(bucket::get(call)),
        (RouteKind::Bucket | RouteKind::BucketForce, Method::Delete) => Box::pin(bucket::delete(call)),
        (RouteKind::Object | RouteKind::ObjectLink, Method::Put) => Box::pin(put::put(call)),
        (
            RouteKind::Object | RouteKind::ObjectVersion | RouteKind::ObjectAt | RouteKind::ObjectLink,
            Method::Get | Method::Head,
        ) => Box::pin(object::get(call)),
        (RouteKind::Object, Method::Patch) => Box::pin(document::patch(call)),
        (RouteKind::ObjectHistory, Method::Get) => Box::pin(history::history(call)),
        (RouteKind::Bulk, Method::Post) => Box::pin(bulk::bulk(call)),
        (RouteKind::Schema, Method::Get) => Box::pin(schema::get(call)),
        (RouteKind::Schema, Method::Put) => Box::pin(schema::put(call)),
        (RouteKind::Schema, Method::Delete) => Box::pin(schema::delete(call)),
        (RouteKind::Object, Method::Delete) => Box::pin(object::delete(call)),
        (RouteKind::ObjectVersion, Method::Delete) => Box::pin(object::erase(call)),
        (RouteKind::ObjectUndelete, Method::Post) => Box::pin(object::undelete(call)),
        (RouteKind::ObjectCopy, Method::Post) => Box::pin(object::copy(call)),
        (RouteKind::UploadStart, Method::Post) => Box::pin(multipart::start(call)),
        (RouteKind::UploadPart, Method::Put) => Box::pin(multipart::put_part(call)),
        (RouteKind::Upload, Method::Get) => Box::pin(multipart::list(call)),
        (RouteKind::Upload, Method::Post) => Box::pin(multipart::complete(call)),
        (RouteKind::Upload, Method::Delete) => Box::pin(multipart::abort(call)),
        (RouteKind::Find, Method::Post) => Box::pin(find::find(call)),
        (RouteKind::Explain, Method::Post) => Box::pin(find::explain(call)),
        (RouteKind::Changes, Method::Get) => Box::pin(changes::changes(call)),
        (RouteKind::Batch, Method::Post) => Box::pin(batch::batch(call)),
        (RouteKind::Indexes, Method::Get) => Box::pin(index::list(call)),
        (RouteKind::Indexes, Method::Post) => Box::pin(index::create(call)),
        (RouteKind::Indexes, Method::Delete) => Box::pin(index::drop(call)),
        (RouteKind::Aggregate, Method::Post) => Box::pin(aggregate::aggregate(call)),
        (RouteKind::Search, Method::Post) => Box::pin(search::search(call)),
        (RouteKind::Search, Method::Get) => Box::pin(search::status(call)),
        (RouteKind::SearchRebuild, Method::Post) => Box::pin(search::rebuild(call)),
        (RouteKind::Stats, Method::Get) => Box::pin(store::stats(call)),
        (RouteKind::Admin, Method::Post) => Box::pin(store::admin(call)),
        (RouteKind::Backup, Method::Post) => Box::pin(backup::backup(call)),
        (RouteKind::DryRun, Method::Post) => Box::pin(dry_run::dry_run(call)),
        (RouteKind::Session, Method::Post) => Box::pin(session::open(call)),
        (RouteKind::Keys, Method::Post) => Box::pin(keys::revoke(call)),
        (RouteKind::Keys, Method::Get) => Box::pin(keys::list(call)),
        (RouteKind::Tx, Method::Post) => Box::pin(tx::tx(call)),
        (RouteKind::AuditLog, Method::Get) => Box::pin(audit::published(call)),
        (RouteKind::AuditProof, Method::Get) => Box::pin(audit::inclusion(call)),
        (RouteKind::AuditConsistency, Method::Get) => Box::pin(audit::consistency(call)),
        (RouteKind::AuditReceipt, Method::Get) => Box::pin(audit::receipt(call)),
        (RouteKind::ObjectVersions, Method::Get) => Box::pin(scan::versions(call)),
        (RouteKind::Scan, Method::Get) => Box::pin(scan::scan(call)),
        // The route table has no such rows, so these were not parsed. Every kind is named, so that a new one does not
        // compile without a handler.
        (
            RouteKind::Buckets
            | RouteKind::Bucket
            | RouteKind::BucketForce
            | RouteKind::Object
            | RouteKind::ObjectVersion
            | RouteKind::ObjectVersions
            | RouteKind::ObjectUndelete
            | RouteKind::ObjectAt
            | RouteKind::ObjectCopy
            | RouteKind::ObjectLink
            | RouteKind::UploadStart
            | RouteKind::Upload
            | RouteKind::UploadPart
            | RouteKind::Scan
            | RouteKind::Find
            | RouteKind::Explain
            | RouteKind::Batch
            | RouteKind::Indexes
            | RouteKind::Aggregate
            | RouteKind::Changes
            | RouteKind::Search
            | RouteKind::SearchRebuild
            | RouteKind::ObjectHistory
            | RouteKind::Bulk
            | RouteKind::Schema
            | RouteKind::Stats
            | RouteKind::Admin
            | RouteKind::Backup
            | RouteKind::DryRun
            | RouteKind::Session
            | RouteKind::Keys
            | RouteKind::Tx
            | RouteKind::AuditLog
            | RouteKind::AuditProof
            | RouteKind::AuditConsistency
            | RouteKind::AuditReceipt,
            _,
        ) => Box::pin(ready(Err(Fault::Forbidden(Forbidden)))),
    }
}

/// Runs a job on a thread that may block, in the current span, under a permit that the job holds.
pub(crate) async fn blocking<T: Send + 'static>(
    app: &Arc<App>,
    job: impl FnOnce(&Arc<App>) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let permit = app.budget.work().await?;
    let app = Arc::clone(app);
    let span = Span::current();
    let job = move || {
        let _permit = permit;
        span.in_scope(|| job(&app))
    };
    tokio::task::spawn_blocking(job)
        .await
        .map_err(|_| Fault::Panicked)?
}

/// Admits the request. The checks only compute, so they run here; the replay mark, when it has to move, waits for a
/// sync on a thread that may block.
async fn admit(app: &Arc<App>, knock: Knock) -> Result<Admitted, Fault> {
    let span = debug_span!("auth::admit");
    let heard = knock.heard.clone();
    let known = {
        // SECURITY: a job that the drain waits for. After it no nonce is spent, so the mark that is settled then covers
        // every request that was accepted.
        let _job = app.budget.work().await?;
        span.in_scope(|| app.gate.identify(knock, &app.clock))?
    };
    if let Some(timestamp) = known.to_be_covered()
        && !app.gate.replay().covers(timestamp)
    {
        let cover = move |app: &Arc<App>| app.gate.replay().cover(timestamp).map_err(Fault::ReplayMark);
        blocking(app, cover).instrument(span.clone()).await?;
    }
    let admitted = span.in_scope(|| app.gate.decide(known))?;
    let bucket = match admitted.authorized.target() {
        Target::Key(name, _)
        | Target::Listing(name)
        | Target::Batch(name)
        | Target::Find(name)
        | Target::Explain(name)
        | Target::Aggregate(name)
        | Target::Changes(name)
        | Target::Search(name)
        | Target::Bulk(name) => Some(name),
        // A transaction's requests are counted once it is known which buckets they are about.
        Target::Store
        | Target::Bucket(_)
        | Target::Indexes(_)
        | Target::Schema(_)
        | Target::Service(_)
        | Target::Audit(_) => None,
    };
    if let Some(bucket) = bucket {
        limit_bucket(app, bucket).instrument(span).await?;
    }
    heard.admit();
    Ok(admitted)
}

/// Counts the request by its bucket, where that has a rate. The bucket is in memory as a rule.
async fn limit_bucket(app: &Arc<App>, name: &BucketName) -> Result<(), Fault> {
    let (bucket, rate) = if let Some(known) = app.engine.known_bucket_rate(name) {
        known
    } else {
        let name = name.clone();
        match blocking(app, move |app| Ok(app.engine.bucket_rate(&name))).await? {
            Ok(found) => found,
            // The handler says what is wrong with the bucket, in its place among the checks.
            Err(_) => return Ok(()),
        }
    };
    app.gate.rate_of_bucket(bucket, rate)
}

/// The course of every handler whose work is one read and whose answer is a structure: no body, no signed headers of
/// its own.
async fn structured(
    call: Call,
    span: impl FnOnce() -> Span,
    read: impl FnOnce(&Arc<App>, Admitted, Representation) -> Result<Reply, Fault> + Send + 'static,
) -> Result<Reply, Fault> {
    let Call {
        app,
        knock,
        body,
        form,
    } = call;
    let body = body::nothing(body).await;
    let admitted = admit(&app, knock).await?;
    let read = move |app: &Arc<App>| {
        let _in_flight = app.budget.enter(&admitted.authorized)?;
        signed::check(request(&admitted.authorized)?, signed::NONE)?;
        let form = form?;
        body?;
        read(app, admitted, form)
    };
    blocking(&app, read).instrument(span()).await
}

/// A body that is a structure, whole and checked against what was signed, with its share of memory.
async fn whole_body(
    app: &Arc<App>,
    authorized: &Authorized,
    body: Incoming,
    bytes_max: usize,
) -> Result<(Bytes, OwnedSemaphorePermit), Fault> {
    let content = *request(authorized)?.content();
    if content.len() > bytes_max as u64 {
        return Err(Fault::BodyTooLarge);
    }
    let len = usize::try_from(content.len()).unwrap_or(bytes_max);
    let share = app.budget.bytes(len).await?;
    let bytes = body::small(body, content.len(), app.metrics.received()).await?;
    // Nothing is acted on before length and hash matched.
    if content.matches(&bytes) {
        Ok((bytes, share))
    } else {
        Err(Fault::BodyHash)
    }
}

/// The request that a proof was made from.
fn request(authorized: &Authorized) -> Result<&RequestHead, Fault> {
    authorized.request().ok_or(Fault::Forbidden(Forbidden))
}

/// The key that signed.
fn subject(authorized: &Authorized) -> Result<&KeyId, Fault> {
    match authorized.actor() {
        Actor::Key(key) => Ok(key),
        Actor::Local(_) | Actor::System(_) => Err(Fault::Forbidden(Forbidden)),
    }
}
