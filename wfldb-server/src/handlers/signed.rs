//! Which signed headers have a meaning on which route.

use wfldb_core::request::RequestHead;
use wfldb_net::header as ours;

use crate::fault::Fault;

/// Headers beside `x-wfldb-*` that change what a request does, by the protocol.
const MEANINGFUL: [&str; 10] = [
    "content-type",
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "cache-control",
    "expires",
    "last-event-id",
];
const PREFIX: &str = "x-wfldb-";

/// On routes that take none. `cache-control` is for caches between us and the caller, and allowed everywhere.
pub(super) const NONE: &[&str] = &[];
/// On reads of an object.
pub(super) const READ: &[&str] = &[
    "range",
    "if-range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
];
/// On a delete of an object.
pub(super) const DELETE: &[&str] = &[
    "if-match",
    "if-none-match",
    "x-wfldb-if-version",
    "x-wfldb-receipt",
];
/// On the removal of a version for good.
pub(super) const ERASE: &[&str] = &[
    "if-match",
    "if-none-match",
    "x-wfldb-if-version",
    "x-wfldb-receipt",
];
/// On the configuration of a bucket.
pub(super) const BUCKET: &[&str] = &["content-type", "x-wfldb-receipt"];
/// On the removal of a bucket.
pub(super) const DELETE_BUCKET: &[&str] = &["x-wfldb-receipt"];
/// On a put of an object, beside its metadata.
pub(super) const PUT: &[&str] = &[
    "content-type",
    "expires",
    "x-wfldb-tags",
    "x-wfldb-ttl",
    "if-match",
    "if-none-match",
    "x-wfldb-if-version",
    "x-wfldb-receipt",
];
/// On the start of an upload in parts, beside the object's metadata.
pub(super) const UPLOAD: &[&str] = &["content-type", "expires", "x-wfldb-tags", "x-wfldb-ttl"];
/// On the completion of an upload in parts.
pub(super) const COMPLETE: &[&str] = &["content-type", "if-match", "if-none-match", "x-wfldb-if-version"];
/// On a batch.
pub(super) const BATCH: &[&str] = &["content-type", "x-wfldb-receipt"];
/// On a feed of server-sent events.
pub(super) const EVENTS: &[&str] = &["last-event-id"];
/// Where the body is a structure.
pub(super) const STRUCTURE: &[&str] = &["content-type"];

/// Refuses a header that would be passed over: a caller who sends a condition must not believe that it was checked.
pub(super) fn check(request: &RequestHead, known: &[&str]) -> Result<(), Fault> {
    for (name, _) in request.signed_headers() {
        let meaningful = name.starts_with(PREFIX) || MEANINGFUL.contains(&name);
        let metadata = (known == PUT || known == UPLOAD) && name.starts_with(ours::META_PREFIX);
        if !meaningful || metadata || name == "cache-control" || known.contains(&name) {
            continue;
        }
        return Err(match name {
            "x-wfldb-idempotency" => Fault::HeaderNotSupportedYet("x-wfldb-idempotency"),
            "x-wfldb-retry-of" => Fault::HeaderNotSupportedYet("x-wfldb-retry-of"),
            _ => Fault::HeaderNotServed(
                MEANINGFUL
                    .iter()
                    .find(|own| **own == name)
                    .copied()
                    .unwrap_or("x-wfldb-…"),
            ),
        });
    }
    Ok(())
}
