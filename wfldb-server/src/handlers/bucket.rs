//! Buckets: list, create or reconfigure, read, delete.

use http::StatusCode;
use tracing::{Instrument as _, debug_span};
use wfldb_core::auth::RouteKind;
use wfldb_core::limits::BUCKET_CONFIG_BYTES_MAX;
use wfldb_core::object::BucketConfig;
use wfldb_engine::BucketInfo;
use wfldb_net::bucket::{Bucket, BucketEntry, Buckets, Usage};
use wfldb_net::codec;

use super::{Call, admit, audit, blocking, request, signed, structured};
use crate::body;
use crate::fault::Fault;
use crate::respond::{self, Reply};

/// `GET /v1`.
pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let span = || debug_span!("handlers::bucket::list");
    structured(call, span, |app, admitted, form| {
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
    })
    .await
}

/// `PUT /v1/{bucket}`.
pub(super) async fn put(call: Call) -> Result<Reply, Fault> {
    let Call {
        app,
        knock,
        body,
        form,
    } = call;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let in_flight = app.budget.enter(&authorized)?;
        let request = request(&authorized)?;
        signed::check(request, signed::BUCKET)?;
        let wants_receipt = audit::wants_receipt(&authorized)?;
        if request
            .header("content-type")
            .is_some_and(|content_type| !is_json(content_type))
        {
            return Err(Fault::ContentType);
        }
        let content = *request.content();
        if content.len() > BUCKET_CONFIG_BYTES_MAX as u64 {
            return Err(Fault::BodyTooLarge);
        }
        let form = form?;
        let json = body::small(body, content.len(), app.metrics.received()).await?;
        let put = blocking(&app, move |app| {
            // Nothing is acted on, JSON included, before length and hash matched.
            if !content.matches(&json) {
                return Err(Fault::BodyHash);
            }
            let config = BucketConfig::parse_json(&json)?;
            app.text.check(&config)?;
            let put = app.engine.put_bucket(&authorized, config).wait()?;
            app.text.look();
            Ok((put, authorized))
        });
        let (put, authorized) = put.await?;
        let _in_flight = in_flight;
        let leaf = put.leaf;
        let status = if put.created {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        let reply = respond::structured(status, form, &shown(put.info), codec::encode_bucket)?;
        if wants_receipt {
            return audit::add_receipt_of_leaf(&app, reply, authorized, leaf).await;
        }
        Ok(reply)
    };
    rest.instrument(debug_span!("handlers::bucket::put")).await
}

/// `GET /v1/{bucket}`.
pub(super) async fn get(call: Call) -> Result<Reply, Fault> {
    let span = || debug_span!("handlers::bucket::get");
    structured(call, span, |app, admitted, form| {
        let info = app.engine.bucket(&admitted.authorized)?;
        respond::structured(StatusCode::OK, form, &shown(info), codec::encode_bucket)
    })
    .await
}

/// `DELETE /v1/{bucket}`, with `?force=true` whatever is in it.
pub(super) async fn delete(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let body = body::nothing(body).await;
    let force = knock.route.kind == RouteKind::BucketForce;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::DELETE_BUCKET)?;
        let wants_receipt = audit::wants_receipt(&authorized)?;
        body?;
        let leaf = app.engine.delete_bucket(&authorized, force).await?;
        let reply = respond::empty(StatusCode::NO_CONTENT);
        if wants_receipt {
            return audit::add_receipt_of_leaf(&app, reply, authorized, leaf).await;
        }
        Ok(reply)
    };
    rest.instrument(debug_span!("handlers::bucket::delete")).await
}

pub(super) fn is_json(content_type: &str) -> bool {
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
