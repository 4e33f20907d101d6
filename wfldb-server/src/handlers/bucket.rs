//! Buckets: list, create or reconfigure, read, delete.

use http::StatusCode;
use tracing::{Instrument as _, debug_span};
use wfldb_core::auth::RouteKind;
use wfldb_core::limits::BUCKET_CONFIG_BYTES_MAX;
use wfldb_core::object::BucketConfig;
use wfldb_engine::BucketInfo;
use wfldb_net::bucket::{Bucket, BucketEntry, Buckets, Usage};
use wfldb_net::codec;

use super::{Call, admit, blocking, request, signed};
use crate::body;
use crate::fault::Fault;
use crate::respond::{self, Reply};

/// `GET /v1`.
pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let Call {
        app,
        knock,
        body,
        form,
    } = call;
    let body = body::nothing(body).await;
    let (reply, _) = admit(
        &app,
        knock,
        || debug_span!("handlers::bucket::list"),
        move |app, admitted| {
            let _in_flight = app.budget.enter(&admitted.authorized)?;
            signed::check(request(&admitted.authorized)?, signed::NONE)?;
            let form = form?;
            body?;
            let entry = |info: BucketInfo| BucketEntry {
                name: info.name,
                created: info.created,
                kind: info.config.kind,
            };
            let buckets = app
                .engine
                .buckets(&admitted.authorized)?
                .into_iter()
                .map(entry)
                .collect();
            respond::structured(StatusCode::OK, form, &Buckets { buckets }, codec::encode_buckets)
        },
    )
    .await?;
    Ok(reply)
}

/// `PUT /v1/{bucket}`.
pub(super) async fn put(call: Call) -> Result<Reply, Fault> {
    let Call {
        app,
        knock,
        body,
        form,
    } = call;
    let ((authorized, in_flight, form), span) = admit(
        &app,
        knock,
        || debug_span!("handlers::bucket::put"),
        move |app, admitted| {
            let in_flight = app.budget.enter(&admitted.authorized)?;
            let request = request(&admitted.authorized)?;
            signed::check(request, signed::BUCKET)?;
            if request
                .header("content-type")
                .is_some_and(|content_type| !is_json(content_type))
            {
                return Err(Fault::ContentType);
            }
            if request.content().len() > BUCKET_CONFIG_BYTES_MAX as u64 {
                return Err(Fault::BodyTooLarge);
            }
            Ok((admitted.authorized, in_flight, form?))
        },
    )
    .await?;
    let rest = async {
        let content = *request(&authorized)?.content();
        let json = body::small(body, content.len(), app.metrics.received()).await?;
        let reply = blocking(&app, move |app| {
            let _in_flight = in_flight;
            // Nothing is acted on, JSON included, before length and hash matched.
            if !content.matches(&json) {
                return Err(Fault::BodyHash);
            }
            let config = BucketConfig::parse_json(&json)?;
            config.check_supported()?;
            let put = app.engine.put_bucket(&authorized, config).wait()?;
            let status = if put.created {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            };
            respond::structured(status, form, &shown(put.info), codec::encode_bucket)
        });
        reply.await
    };
    rest.instrument(span).await
}

/// `GET /v1/{bucket}`.
pub(super) async fn get(call: Call) -> Result<Reply, Fault> {
    let Call {
        app,
        knock,
        body,
        form,
    } = call;
    let body = body::nothing(body).await;
    let (reply, _) = admit(
        &app,
        knock,
        || debug_span!("handlers::bucket::get"),
        move |app, admitted| {
            let _in_flight = app.budget.enter(&admitted.authorized)?;
            signed::check(request(&admitted.authorized)?, signed::NONE)?;
            let form = form?;
            body?;
            let info = app.engine.bucket(&admitted.authorized)?;
            respond::structured(StatusCode::OK, form, &shown(info), codec::encode_bucket)
        },
    )
    .await?;
    Ok(reply)
}

/// `DELETE /v1/{bucket}`, with `?force=true` whatever is in it.
pub(super) async fn delete(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let body = body::nothing(body).await;
    let force = knock.route.kind == RouteKind::BucketForce;
    let ((pending, _in_flight), span) = admit(
        &app,
        knock,
        || debug_span!("handlers::bucket::delete"),
        move |app, admitted| {
            let in_flight = app.budget.enter(&admitted.authorized)?;
            signed::check(request(&admitted.authorized)?, signed::NONE)?;
            body?;
            Ok((app.engine.delete_bucket(&admitted.authorized, force), in_flight))
        },
    )
    .await?;
    pending.instrument(span).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}

fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

fn shown(info: BucketInfo) -> Bucket {
    let wfldb_engine::Usage {
        objects,
        versions,
        bytes,
        stored_bytes,
    } = info.usage;
    Bucket {
        name: info.name,
        created: info.created,
        config: info.config,
        usage: Usage {
            objects,
            versions,
            bytes,
            stored_bytes,
        },
    }
}
