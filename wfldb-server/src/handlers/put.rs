//! `PUT /v1/{bucket}/{key}`: storing an object.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tracing::{Instrument as _, Span, debug_span};
use wfldb_core::auth::Authorized;
use wfldb_core::object::{BucketKind, ObjectHeaders, Preconditions};
use wfldb_engine::{EngineError, Pending, PutOutcome, Upload};

use super::{Call, admit, audit, blocking, document, object, request, signed};
use crate::app::App;
use crate::body::{self, Frames};
use crate::budget::InFlight;
use crate::fault::Fault;
use crate::link;
use crate::respond::{self, Reply};

/// How much of a large body is handed to the engine at once. More gains nothing: what the peer may send ahead of us is
/// the connection's window.
const STEP_BYTES: usize = 1 << 20;

/// A put that may go on to its body.
struct Begun {
    authorized: Authorized,
    upload: Upload,
    headers: ObjectHeaders,
    conditions: Preconditions,
    len: u64,
    in_flight: InFlight,
}

/// Everything that can be refused before a byte of the body is read.
async fn begin(app: &Arc<App>, authorized: Authorized) -> Result<Begun, Fault> {
    let in_flight = app.budget.enter(&authorized)?;
    let request = request(&authorized)?;
    signed::check(request, signed::PUT)?;
    let headers = ObjectHeaders::parse(request.signed_headers())?;
    let conditions = object::preconditions(&authorized)?;
    let content = *request.content();
    let cached = app.engine.begin_upload_cached(&authorized, content)?;
    let (upload, authorized) = if let Some(upload) = cached {
        (upload, authorized)
    } else {
        let begin = move |app: &Arc<App>| Ok((app.engine.begin_upload(&authorized, content)?, authorized));
        blocking(app, begin).await?
    };
    Ok(Begun {
        upload,
        headers,
        conditions,
        len: content.len(),
        in_flight,
        authorized,
    })
}

pub(super) async fn put(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let (authorized, _) = link::check(&app, authorized).await?;
        if document::kind(&app, &authorized).await? == Some(BucketKind::Documents) {
            return Box::pin(document::put(&app, authorized, body)).await;
        }
        let begun = begin(&app, authorized).await?;
        receive(&app, begun, body).await
    };
    rest.instrument(debug_span!("handlers::object::put")).await
}

async fn receive(app: &Arc<App>, begun: Begun, body: Incoming) -> Result<Reply, Fault> {
    let reveals = begun.authorized.reveals_existence();
    let wants_receipt = audit::wants_receipt(&begun.authorized)?;
    let (stored, authorized) = if begun.upload.is_inline() {
        inline(app, begun, body).await?
    } else {
        Box::pin(large(app, begun, body)).await?
    };
    let reply = stored_reply(&stored, reveals);
    if wants_receipt {
        return Box::pin(audit::add_receipt(app, reply, authorized, stored.version)).await;
    }
    Ok(reply)
}

/// The answer to whatever stored a version.
pub(super) fn stored_reply(stored: &PutOutcome, reveals: bool) -> Reply {
    // SECURITY: whether something was there is told to those only who could find out anyway.
    let status = if stored.created && reveals {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let mut reply = respond::empty(status);
    respond::set_version(
        &mut reply,
        &stored.etag,
        stored.version,
        stored.seq,
        stored.modified,
    );
    reply
}

/// A body of at most 64 KiB: it stays in memory, so nothing here blocks and no second thread is asked.
async fn inline(app: &Arc<App>, begun: Begun, body: Incoming) -> Result<(PutOutcome, Authorized), Fault> {
    let Begun {
        authorized,
        mut upload,
        headers,
        conditions,
        len,
        in_flight,
    } = begun;
    let _in_flight = in_flight;
    let _share = app
        .budget
        .bytes(usize::try_from(len).unwrap_or(usize::MAX))
        .await?;
    if len == 0 {
        body::nothing(body).await?;
    } else {
        upload.write(&body::small(body, len, app.metrics.received()).await?)?;
    }
    let pending = app.engine.put(&authorized, upload.finish()?, headers, conditions);
    Ok((pending.await?, authorized))
}

/// A larger body.
async fn large(app: &Arc<App>, begun: Begun, body: Incoming) -> Result<(PutOutcome, Authorized), Fault> {
    let Begun {
        authorized,
        upload,
        headers,
        conditions,
        len,
        in_flight,
    } = begun;
    let _in_flight = in_flight;
    let _turn = app.budget.upload().await?;
    let upload = receive_large(app, upload, body, len).await?;
    let store = move |app: &Arc<App>| {
        let pending = app.engine.put(&authorized, upload.finish()?, headers, conditions);
        Ok((pending, authorized))
    };
    let (pending, authorized): (Pending<PutOutcome>, _) = blocking(app, store).await?;
    Ok((pending.await?, authorized))
}

/// Receives a body of more than one step: while one is written, the next is received.
pub(super) async fn receive_large(
    app: &Arc<App>,
    upload: Upload,
    body: Incoming,
    len: u64,
) -> Result<Box<Upload>, Fault> {
    let mut frames = Frames::new(body, len, app.metrics.received());
    let mut upload = Writer::Idle(Box::new(upload));
    loop {
        let begun = Instant::now();
        let share = app.budget.bytes(STEP_BYTES).await?;
        frames.forgive(begun.elapsed());
        let parts = frames.gather(STEP_BYTES).await?;
        if parts.is_empty() {
            break;
        }
        let begun = Instant::now();
        upload = upload.write(app, parts, share).await?;
        frames.forgive(begun.elapsed());
    }
    upload.idle().await
}

/// An upload that is written to on another thread, one batch at a time.
enum Writer {
    Idle(Box<Upload>),
    Writing(JoinHandle<Result<Box<Upload>, EngineError>>),
}

impl Writer {
    /// Waits for the batch that is being written.
    async fn idle(self) -> Result<Box<Upload>, Fault> {
        match self {
            Self::Idle(upload) => Ok(upload),
            Self::Writing(job) => Ok(job.await.map_err(|_| Fault::Panicked)??),
        }
    }

    /// Starts to write the next batch. The job holds the batch's share of memory and its own permit.
    async fn write(
        self,
        app: &Arc<App>,
        parts: Vec<Bytes>,
        share: OwnedSemaphorePermit,
    ) -> Result<Self, Fault> {
        let mut upload = self.idle().await?;
        let permit = app.budget.work().await?;
        let span = Span::current();
        let job = move || {
            let (_permit, _share) = (permit, share);
            span.in_scope(|| {
                for part in parts {
                    upload.write(&part)?;
                }
                Ok(upload)
            })
        };
        Ok(Self::Writing(tokio::task::spawn_blocking(job)))
    }
}
