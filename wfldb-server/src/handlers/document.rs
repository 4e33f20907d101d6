//! Documents: storing one, and the course of every write that may have to be planned again.

use std::sync::Arc;

use http::HeaderValue;
use hyper::body::Incoming;
use tracing::{Instrument as _, debug_span};
use wfldb_core::auth::Authorized;
use wfldb_core::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_PLANS_MAX};
use wfldb_core::object::{BucketKind, ObjectHeaders, Preconditions};
use wfldb_engine::{DocumentPatch, Engine, EngineError, Pending, PutOutcome};
use wfldb_net::header;

use super::bucket::is_json;
use super::put::stored_reply;
use super::{Call, admit, audit, blocking, object, request, signed, whole_body};
use crate::app::App;
use crate::fault::Fault;
use crate::respond::Reply;

const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";

/// What the bucket of a proof holds; `None` where there is no such bucket. It is in memory as a rule.
pub(super) async fn kind(app: &Arc<App>, authorized: &Authorized) -> Result<Option<BucketKind>, Fault> {
    let Some(name) = authorized.bucket() else {
        return Ok(None);
    };
    if let Some(kind) = app.engine.known_bucket_kind(name) {
        return Ok(Some(kind));
    }
    let name = name.clone();
    blocking(app, move |app| match app.engine.bucket_kind(&name) {
        Err(EngineError::NoSuchBucket) => Ok(None),
        kind => Ok(Some(kind?)),
    })
    .await
}

/// Carries out a write, and plans it again for as long as another one of the same document comes first. `context` is
/// what it is planned from.
pub(super) async fn settled<C: Send + 'static, T: Send + 'static>(
    app: &Arc<App>,
    mut context: C,
    plan: impl Fn(&Engine, &C) -> Pending<T> + Copy + Send + 'static,
) -> Result<(T, C), Fault> {
    let mut plans = 1;
    loop {
        let planned = blocking(app, move |app| Ok((plan(&app.engine, &context), context)));
        let (pending, back) = planned.await?;
        context = back;
        match pending.await {
            Err(error) if error.is_stale() && plans < DOCUMENT_PLANS_MAX => plans += 1,
            done => return Ok((done?, context)),
        }
    }
}

/// `PUT /v1/{bucket}/{key}` where the bucket holds documents.
pub(super) async fn put(app: &Arc<App>, authorized: Authorized, body: Incoming) -> Result<Reply, Fault> {
    let _in_flight = app.budget.enter(&authorized)?;
    let request = request(&authorized)?;
    signed::check(request, signed::PUT)?;
    if authorized.link().is_some() {
        return Err(Fault::Engine(EngineError::NotForDocuments));
    }
    if request
        .header("content-type")
        .is_some_and(|content_type| !is_json(content_type))
    {
        return Err(Fault::ContentType);
    }
    let headers = ObjectHeaders::parse(request.signed_headers())?;
    let conditions = object::preconditions(&authorized)?;
    let reveals = authorized.reveals_existence();
    let wants_receipt = audit::wants_receipt(&authorized)?;
    let (bytes, _share) = whole_body(app, &authorized, body, DOCUMENT_BYTES_MAX).await?;
    let store = |engine: &Engine, (authorized, bytes, headers, conditions): &Storing| {
        engine.put_document(authorized, bytes, headers.clone(), conditions.clone())
    };
    let storing = (authorized, bytes, headers, conditions);
    let (stored, (authorized, ..)) = settled(app, storing, store).await?;
    let reply = answer(&stored, reveals);
    if wants_receipt {
        return audit::add_receipt(app, reply, authorized, stored.version).await;
    }
    Ok(reply)
}

/// `PATCH /v1/{bucket}/{key}`: changes a part of a document.
pub(super) async fn patch(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        let request = request(&authorized)?;
        signed::check(request, signed::PUT)?;
        let read = match request.header("content-type") {
            Some(MERGE_PATCH) => DocumentPatch::merge,
            Some(JSON_PATCH) => DocumentPatch::json,
            _ => return Err(Fault::ContentType),
        };
        let headers = ObjectHeaders {
            // That of the patch is not the document's.
            content_type: None,
            ..ObjectHeaders::parse(request.signed_headers())?
        };
        let conditions = object::preconditions(&authorized)?;
        let wants_receipt = audit::wants_receipt(&authorized)?;
        let (bytes, _share) = whole_body(&app, &authorized, body, DOCUMENT_BYTES_MAX).await?;
        let patch = read(&bytes)?;
        let change = |engine: &Engine, (authorized, patch, headers, conditions): &Changing| {
            engine.patch_document(authorized, patch, headers.clone(), conditions.clone())
        };
        let changing = (authorized, patch, headers, conditions);
        let (stored, (authorized, ..)) = settled(&app, changing, change).await?;
        let reply = answer(&stored, true);
        if wants_receipt {
            return audit::add_receipt(&app, reply, authorized, stored.version).await;
        }
        Ok(reply)
    };
    rest.instrument(debug_span!("handlers::document::patch")).await
}

/// The answer to whatever stored a document.
fn answer(stored: &PutOutcome, reveals: bool) -> Reply {
    let mut reply = stored_reply(stored, reveals);
    let yes = HeaderValue::from_static("true");
    reply.headers_mut().insert(header::DOCUMENT, yes);
    reply
}

/// What a document is changed by.
type Changing = (Authorized, DocumentPatch, ObjectHeaders, Preconditions);

/// What a document is stored from.
type Storing = (Authorized, bytes::Bytes, ObjectHeaders, Preconditions);
