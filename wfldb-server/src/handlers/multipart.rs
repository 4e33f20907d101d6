//! Uploads in parts: start, receive parts, list, complete, abort.

use std::sync::Arc;

use http::StatusCode;
use http::header;
use tracing::{Instrument as _, debug_span};
use wfldb_core::auth::Forbidden;
use wfldb_core::limits::PART_LIST_BYTES_MAX;
use wfldb_core::object::{ObjectHeaders, format_etag};
use wfldb_net::multipart::{Part, Parts, UploadStarted, parse_list};
use wfldb_net::route::Parameters;

use super::object::preconditions;
use super::put::{receive_large, stored_reply};
use super::{Call, admit, blocking, request, signed, whole_body};
use crate::app::App;
use crate::auth::Admitted;
use crate::body;
use crate::fault::Fault;
use crate::respond::{self, Reply};

/// `POST ?multipart=start`.
pub(super) async fn start(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let body = body::nothing(body).await;
    let Admitted {
        authorized,
        parameters,
    } = admit(&app, knock).await?;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        let Parameters::UploadStart(part_bytes) = parameters else {
            return Err(Fault::Forbidden(Forbidden));
        };
        let request = request(&authorized)?;
        signed::check(request, signed::UPLOAD)?;
        let headers = ObjectHeaders::parse(request.signed_headers())?;
        body?;
        let start = move |app: &Arc<App>| Ok(app.engine.start_upload(&authorized, part_bytes, headers));
        let upload = blocking(&app, start).await?.await?;
        respond::json(StatusCode::OK, &UploadStarted { upload })
    };
    rest.instrument(debug_span!("handlers::multipart::start")).await
}

/// `PUT ?multipart=&part=`.
pub(super) async fn put_part(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let Admitted {
        authorized,
        parameters,
    } = admit(&app, knock).await?;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        let Parameters::UploadPart(upload, number) = parameters else {
            return Err(Fault::Forbidden(Forbidden));
        };
        let request = request(&authorized)?;
        signed::check(request, signed::NONE)?;
        let content = *request.content();
        let begin = move |app: &Arc<App>| {
            let part = app.engine.begin_part(&authorized, upload, number, content)?;
            Ok((part, authorized))
        };
        let (mut part, authorized) = blocking(&app, begin).await?;
        let _turn = app.budget.upload().await?;
        part.upload = *receive_large(&app, part.upload, body, content.len()).await?;
        let finish = move |app: &Arc<App>| Ok(app.engine.put_part(&authorized, part.finish()?));
        let etag = blocking(&app, finish).await?.await?;
        let mut reply = respond::empty(StatusCode::OK);
        respond::set(&mut reply, header::ETAG, &format_etag(&etag));
        Ok(reply)
    };
    rest.instrument(debug_span!("handlers::multipart::put_part"))
        .await
}

/// `GET ?multipart=`.
pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let span = || debug_span!("handlers::multipart::list");
    super::structured(call, span, |app, admitted, _| {
        let Parameters::Upload(upload) = admitted.parameters else {
            return Err(Fault::Forbidden(Forbidden));
        };
        let info = app.engine.upload(&admitted.authorized, upload)?;
        let part = |part: wfldb_engine::ListedPart| Part {
            part: part.number,
            etag: part.etag,
            size: part.len,
        };
        let parts = Parts {
            part_bytes: info.part_bytes,
            expires: info.expires,
            parts: info.parts.into_iter().map(part).collect(),
        };
        respond::json(StatusCode::OK, &parts)
    })
    .await
}

/// `POST ?multipart=`.
pub(super) async fn complete(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let Admitted {
        authorized,
        parameters,
    } = admit(&app, knock).await?;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        let Parameters::Upload(upload) = parameters else {
            return Err(Fault::Forbidden(Forbidden));
        };
        signed::check(request(&authorized)?, signed::COMPLETE)?;
        let conditions = preconditions(&authorized)?;
        let (json, _share) = whole_body(&app, &authorized, body, PART_LIST_BYTES_MAX).await?;
        let list = parse_list(&json).map_err(Fault::PartList)?;
        let list: Vec<_> = list.into_iter().map(|part| (part.part, part.etag)).collect();
        let reveals = authorized.reveals_existence();
        let complete =
            move |app: &Arc<App>| Ok(app.engine.complete_upload(&authorized, upload, &list, conditions));
        let stored = blocking(&app, complete).await?.await?;
        Ok(stored_reply(&stored, reveals))
    };
    rest.instrument(debug_span!("handlers::multipart::complete"))
        .await
}

/// `DELETE ?multipart=`.
pub(super) async fn abort(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let body = body::nothing(body).await;
    let Admitted {
        authorized,
        parameters,
    } = admit(&app, knock).await?;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        let Parameters::Upload(upload) = parameters else {
            return Err(Fault::Forbidden(Forbidden));
        };
        signed::check(request(&authorized)?, signed::NONE)?;
        body?;
        let abort = move |app: &Arc<App>| Ok(app.engine.abort_upload(&authorized, upload));
        blocking(&app, abort).await?.await?;
        Ok(respond::empty(StatusCode::NO_CONTENT))
    };
    rest.instrument(debug_span!("handlers::multipart::abort")).await
}
