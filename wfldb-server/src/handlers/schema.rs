//! `/v1/{bucket}/_schema`: what the documents of a bucket have to be like.

use std::sync::Arc;

use http::StatusCode;
use tracing::{Instrument as _, debug_span};
use wfldb_core::limits::SCHEMA_BYTES_MAX;

use super::bucket::is_json;
use super::{Call, admit, blocking, request, signed, structured, whole_body};
use crate::app::App;
use crate::body;
use crate::fault::Fault;
use crate::respond::{self, Reply};

pub(super) async fn get(call: Call) -> Result<Reply, Fault> {
    let span = || debug_span!("handlers::schema::get");
    structured(call, span, |app, admitted, _| {
        let schema = app.engine.schema(&admitted.authorized)?;
        let schema = schema.ok_or(Fault::NoSchema)?;
        Ok(respond::with_json(
            respond::empty(StatusCode::OK),
            schema.to_string(),
        ))
    })
    .await
}

pub(super) async fn put(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        let request = request(&authorized)?;
        signed::check(request, signed::STRUCTURE)?;
        if request
            .header("content-type")
            .is_some_and(|content_type| !is_json(content_type))
        {
            return Err(Fault::ContentType);
        }
        let (bytes, _share) = whole_body(&app, &authorized, body, SCHEMA_BYTES_MAX).await?;
        let set = move |app: &Arc<App>| Ok(app.engine.put_schema(&authorized, Some(&bytes)));
        blocking(&app, set).await?.await?;
        Ok(respond::empty(StatusCode::NO_CONTENT))
    };
    rest.instrument(debug_span!("handlers::schema::put")).await
}

pub(super) async fn delete(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let body = body::nothing(body).await;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::NONE)?;
        body?;
        let remove = move |app: &Arc<App>| Ok(app.engine.put_schema(&authorized, None));
        blocking(&app, remove).await?.await?;
        Ok(respond::empty(StatusCode::NO_CONTENT))
    };
    rest.instrument(debug_span!("handlers::schema::delete")).await
}
