//! Handlers: each converts a request in, makes its call of the engine, converts the answer out.

mod bucket;
mod health;
mod object;
mod put;
mod scan;
mod signed;

use std::sync::Arc;

use hyper::body::Incoming;
use tracing::{Instrument as _, Span, debug_span};
use wfldb_core::auth::{Actor, Authorized, Forbidden, Method, RouteKind};
use wfldb_core::id::KeyId;
use wfldb_core::request::SignedRequest;
use wfldb_net::accept::{NotAcceptable, Representation};

use crate::app::App;
use crate::auth::{Admitted, Knock};
use crate::body;
use crate::fault::Fault;
use crate::respond::Reply;

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

/// Sends a request to its handler.
pub(crate) async fn serve(call: Call) -> Result<Reply, Fault> {
    let route = &call.knock.route;
    match (route.kind, route.method) {
        (RouteKind::Buckets, Method::Get) => bucket::list(call).await,
        (RouteKind::Bucket, Method::Put) => bucket::put(call).await,
        (RouteKind::Bucket, Method::Get) => bucket::get(call).await,
        (RouteKind::Bucket | RouteKind::BucketForce, Method::Delete) => bucket::delete(call).await,
        (RouteKind::Object, Method::Put) => put::put(call).await,
        (RouteKind::Object | RouteKind::ObjectVersion, Method::Get | Method::Head) => object::get(call).await,
        (RouteKind::Object, Method::Delete) => object::delete(call).await,
        (RouteKind::ObjectVersion, Method::Delete) => object::erase(call).await,
        (RouteKind::ObjectUndelete, Method::Post) => object::undelete(call).await,
        (RouteKind::ObjectVersions, Method::Get) => scan::versions(call).await,
        (RouteKind::Scan, Method::Get) => scan::scan(call).await,
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
            | RouteKind::Scan,
            _,
        ) => Err(Fault::Forbidden(Forbidden)),
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
    let known = {
        // SECURITY: a job that the drain waits for. After it no nonce is spent, so the mark that is settled then covers
        // every request that was accepted.
        let _job = app.budget.work().await?;
        span.in_scope(|| app.gate.identify(knock, &app.clock))?
    };
    let timestamp = known.timestamp();
    if !app.gate.replay().covers(timestamp) {
        let cover = move |app: &Arc<App>| app.gate.replay().cover(timestamp).map_err(Fault::ReplayMark);
        blocking(app, cover).instrument(span.clone()).await?;
    }
    span.in_scope(|| app.gate.decide(known))
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

/// The signed request that a proof was made from.
fn request(authorized: &Authorized) -> Result<&SignedRequest, Fault> {
    authorized.request().ok_or(Fault::Forbidden(Forbidden))
}

/// The key that signed.
fn subject(authorized: &Authorized) -> Result<&KeyId, Fault> {
    match authorized.actor() {
        Actor::Key(key) => Ok(key),
        Actor::Local(_) | Actor::System(_) => Err(Fault::Forbidden(Forbidden)),
    }
}
