//! Listings: the keys of a bucket, the versions of a key.

use http::StatusCode;
use tracing::debug_span;
use wfldb_core::auth::Forbidden;
use wfldb_engine::{ListedObject, ObjectMeta, ScanQuery};
use wfldb_net::codec;
use wfldb_net::listing::{Item, Listing, Versions};
use wfldb_net::route::Parameters;

use super::{Call, structured, subject};
use crate::fault::Fault;
use crate::respond::{self, Reply};

/// `GET /v1/{bucket}/scan`.
pub(super) async fn scan(call: Call) -> Result<Reply, Fault> {
    let span = || debug_span!("handlers::scan::scan");
    structured(call, span, |app, admitted, form| {
        let authorized = &admitted.authorized;
        let (Parameters::Scan(asked), Some(bucket)) = (admitted.parameters, authorized.bucket()) else {
            return Err(Fault::Forbidden(Forbidden));
        };
        let subject = subject(authorized)?;
        let query = ScanQuery {
            prefix: asked.prefix.clone(),
            after: app.cursors.open_scan(subject, bucket, &asked)?,
            limit: asked.limit,
            delimiter: asked.delimiter.clone(),
            reverse: asked.reverse,
            tags: asked.tags.clone(),
        };
        let page = app.engine.scan(authorized, &query)?;
        let listing = Listing {
            items: page.items.into_iter().map(listed).collect(),
            prefixes: asked.delimiter.is_some().then_some(page.prefixes),
            cursor: page
                .next
                .map(|after| app.cursors.after(subject, bucket, &asked, &after)),
        };
        respond::structured(StatusCode::OK, form, &listing, codec::encode_listing)
    })
    .await
}

/// `GET /v1/{bucket}/{key}?versions=true`.
pub(super) async fn versions(call: Call) -> Result<Reply, Fault> {
    let span = || debug_span!("handlers::scan::versions");
    structured(call, span, |app, admitted, form| {
        let authorized = &admitted.authorized;
        let (Parameters::Versions(asked), Some(bucket), Some(key)) =
            (admitted.parameters, authorized.bucket(), authorized.key())
        else {
            return Err(Fault::Forbidden(Forbidden));
        };
        let subject = subject(authorized)?;
        let before = match &asked.cursor {
            Some(cursor) => Some(app.cursors.open_versions(subject, bucket, key, cursor)?),
            None => None,
        };
        let page = app.engine.versions(authorized, before, asked.limit)?;
        let last = page.items.last().filter(|_| page.more).map(|last| last.version);
        let versions = Versions {
            cursor: last.map(|version| app.cursors.before(subject, bucket, key, version)),
            items: page.items.into_iter().map(version).collect(),
        };
        respond::structured(StatusCode::OK, form, &versions, codec::encode_versions)
    })
    .await
}

fn listed(object: ListedObject) -> Item {
    Item {
        key: object.key,
        version: object.version,
        etag: Some(object.etag),
        size: object.len,
        content_type: object.content_type.map(|text| text.to_string()),
        modified: object.modified,
        tags: object
            .tags
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        deleted: false,
    }
}

fn version(meta: ObjectMeta) -> Item {
    let live = !meta.deleted;
    let tags = meta
        .headers
        .tags
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Item {
        key: meta.key,
        version: meta.version,
        // A tombstone has no bytes: what the store keeps of its predecessor is not shown.
        etag: live.then_some(meta.etag),
        size: if live { meta.len } else { 0 },
        content_type: meta
            .headers
            .content_type
            .as_ref()
            .filter(|_| live)
            .map(ToString::to_string),
        modified: meta.modified,
        tags: tags.filter(|_| live).collect(),
        deleted: meta.deleted,
    }
}
