//! Building answers: the one place where errors, listings and object headers become HTTP.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;
use wfldb_core::id::{ContentHash, Seq, VersionId};
use wfldb_core::object::format_etag;
use wfldb_core::time::UnixMillis;
use wfldb_net::accept::{self, Representation};
use wfldb_net::header as ours;
use wfldb_net::{codec, date, range, status};

use crate::body::ReplyBody;
use crate::fault::Fault;
use crate::request_id::RequestId;

/// An answer.
pub(crate) type Reply = Response<ReplyBody>;

/// Seconds after which a refused caller may try again.
const RETRY_AFTER_SECONDS: &str = "1";

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Reply {
    whole(status, Bytes::new())
}

fn whole(status: StatusCode, body: Bytes) -> Reply {
    let mut reply = Response::new(ReplyBody::whole(body));
    *reply.status_mut() = status;
    reply
}

/// An answer of plain text, for the health routes.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Reply {
    let mut reply = whole(status, Bytes::from_static(text.as_bytes()));
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    reply
}

/// An answer of bytes.
pub(crate) fn bytes(content_type: &'static str, body: Bytes) -> Reply {
    let mut reply = whole(StatusCode::OK, body);
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// The answer with JSON as its body, which makes a 204 a 200.
pub(crate) fn with_json(mut reply: Reply, json: String) -> Reply {
    if reply.status() == StatusCode::NO_CONTENT {
        *reply.status_mut() = StatusCode::OK;
    }
    *reply.body_mut() = ReplyBody::whole(Bytes::from(json));
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(accept::JSON));
    reply
}

/// A structured answer in the form that the caller prefers.
pub(crate) fn structured<T: Serialize>(
    status: StatusCode,
    form: Representation,
    value: &T,
    flatbuffers: impl FnOnce(&T) -> Vec<u8>,
) -> Result<Reply, Fault> {
    let (content_type, body) = match form {
        Representation::Json | Representation::JsonLines => (
            accept::JSON,
            serde_json::to_vec(value).map_err(|_| Fault::Panicked)?,
        ),
        Representation::FlatBuffers => (accept::FLATBUFFERS, flatbuffers(value)),
    };
    let mut reply = whole(status, body.into());
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(reply)
}

/// An answer that is JSON whatever the caller accepts of the forms of listings.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Result<Reply, Fault> {
    structured(status, Representation::Json, value, |_| Vec::new())
}

/// Sets a header. A value that cannot be one is left out: every caller passes text that was parsed as visible ASCII.
pub(crate) fn set(reply: &mut Reply, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}

/// Sets the headers that name a stored version.
pub(crate) fn set_version(
    reply: &mut Reply,
    etag: &ContentHash,
    version: VersionId,
    seq: Seq,
    modified: UnixMillis,
) {
    set(reply, header::ETAG, &format_etag(etag));
    set(reply, ours::VERSION, &version.to_string());
    set(reply, ours::SEQ, &seq.to_string());
    set(reply, header::LAST_MODIFIED, &date::format(modified));
}

/// The answer to a failed request.
pub(crate) fn fault(
    fault: &Fault,
    form: Representation,
    id: RequestId,
    now: UnixMillis,
    to_head: bool,
) -> Reply {
    let problem = fault.problem(id.to_string());
    let code = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (content_type, body) = match form {
        Representation::Json | Representation::JsonLines => (
            accept::PROBLEM_JSON,
            serde_json::to_vec(&problem).unwrap_or_default(),
        ),
        Representation::FlatBuffers => (accept::FLATBUFFERS, codec::encode_problem(&problem)),
    };
    let mut reply = if to_head {
        empty(code)
    } else {
        whole(code, body.into())
    };
    if !to_head {
        reply
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    let kind = fault.kind();
    if kind == wfldb_core::Kind::Unauthenticated {
        set(&mut reply, ours::TIME, &now.to_string());
        // RFC 9110 wants a challenge beside 401. It tells a session that is over from the rest, where there is no body.
        let challenge = if fault.code() == "SessionUnknown" {
            "WFLDB-B3MAC-1 realm=\"wfldb\""
        } else {
            "Bearer realm=\"wfldb\""
        };
        reply
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if status::is_retried_later(kind) {
        reply
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    if let Some(methods) = fault.allow() {
        let allow: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
        set(&mut reply, header::ALLOW, &allow.join(", "));
    }
    if let Fault::Range(whole) = fault {
        set(&mut reply, header::CONTENT_RANGE, &range::unsatisfied(*whole));
    }
    reply
}
