//! One request from its head to its answer: the checks of form, the route, the handler, and the one place where a
//! failure is logged.

use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Version};
use hyper::body::Incoming;
use tracing::{Instrument as _, debug_span};
use wfldb_core::Kind;
use wfldb_core::limits::{
    HEADER_FIELD_OVERHEAD_BYTES, HEADER_FIELDS_MAX, HEADER_LIST_BYTES_MAX, PATH_BYTES_MAX,
};
use wfldb_core::request::ArrivedRequest;
use wfldb_net::accept::{self, NotAcceptable, Representation};
use wfldb_net::framing::Verdict;
use wfldb_net::route::{self, RouteError};

use crate::access;
use crate::app::App;
use crate::auth::{Heard, Knock};
use crate::fault::Fault;
use crate::handlers::{self, Call, Handling};
use crate::link;
use crate::metrics;
use crate::request_id::RequestId;
use crate::respond::{self, Reply};

/// What the connection knows about a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) peer: IpAddr,
    /// What the guard saw of the head, on HTTP/1.1; `None` there when it lost track.
    pub(crate) verdict: Option<Verdict>,
}

/// Answers one request. Never fails: what goes wrong is an answer.
///
/// It runs on the connection's own task (HTTP/1.1) or its stream's (HTTP/2) and ends with it when the peer goes away;
/// a write that reached the committer by then is carried out all the same. A panic costs one request.
pub(crate) async fn call(app: Arc<App>, arrival: Arrival, request: Request<Incoming>) -> Reply {
    let id = RequestId::random();
    let span = debug_span!("service::call", request_id = %id);
    let begun = Instant::now();
    let present = app.metrics.request_begins();
    let (head, body) = request.into_parts();
    let seen = Seen::new(&head);
    let mut must_close = arrival.verdict.is_none_or(|verdict| verdict.transfer_encoding);

    let mut label = "none";
    let mut bucket = None;
    let outcome = match inspect(&head, arrival, seen.http1) {
        Err(fault) => Err(fault),
        Ok(path) => match handlers::health(&app, &head.method, path).await {
            Some(reply) => {
                label = "health";
                Ok(reply)
            }
            None => match span.in_scope(|| prepare(&app, &head, path, arrival, body, seen.form)) {
                Err(fault) => Err(fault),
                Ok(call) => {
                    label = metrics::route_label(call.knock.route.kind);
                    bucket = call.knock.route.target.bucket().cloned();
                    let came = call.knock.heard.clone();
                    let concluded = async {
                        let outcome = guarded(handlers::serve(call)).await;
                        access::conclude(&app, &came, outcome).await
                    };
                    concluded.instrument(span.clone()).await
                }
            },
        },
    };

    let mut reply = match outcome {
        Ok(reply) => reply,
        Err(fault) => {
            let reply = respond::fault(
                &fault,
                seen.form.unwrap_or_default(),
                id,
                app.clock.now(),
                seen.to_head,
            );
            log(&fault, &seen, label, id, arrival.peer, reply.status().as_u16());
            app.metrics.fault(fault.code());
            must_close |= fault.breaks_framing();
            reply
        }
    };
    if seen.by_link {
        link::make_safe(&mut reply);
    }
    respond::set(&mut reply, wfldb_net::header::REQUEST_ID, &id.to_string());
    if seen.http1 && must_close {
        reply
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let status = reply.status().as_u16();
    let took = begun.elapsed();
    app.metrics.request_ends(label, seen.method, status, took);
    if let Some(bucket) = bucket.and_then(|name| app.engine.known_bucket(&name)) {
        app.metrics.of_bucket(&bucket, took);
    }
    tracing::debug!(request_id = %id, route = label, method = seen.method, status, "answered");
    drop(present);
    reply.map(|body| body.counted(app.metrics.sent()))
}

/// A handler whose panic is its own failure and nobody else's.
async fn guarded(mut handler: Handling) -> Result<Reply, Fault> {
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(context)));
        // It is not polled again: what it held is dropped.
        polled.unwrap_or(Poll::Ready(Err(Fault::Panicked)))
    })
    .await
}

/// What is remembered of a head for its answer.
struct Seen {
    method: &'static str,
    http1: bool,
    to_head: bool,
    form: Result<Representation, NotAcceptable>,
    /// The answer may go to a browser, whatever becomes of the request.
    by_link: bool,
}

impl Seen {
    fn new(head: &Parts) -> Self {
        let accepted = head.headers.get_all(header::ACCEPT).iter();
        Self {
            method: metrics::method_label(&head.method),
            http1: head.version < Version::HTTP_2,
            to_head: head.method == Method::HEAD,
            by_link: head
                .uri
                .query()
                .is_some_and(|query| route::carries_link(&["?", query].concat())),
            // A field that is not text accepts nothing.
            form: accept::negotiate(accepted.map(|value| value.to_str().unwrap_or(""))),
        }
    }
}

/// The checks of form that need no route: sizes first. Answers the raw path with query.
fn inspect(head: &Parts, arrival: Arrival, http1: bool) -> Result<&str, Fault> {
    let path = head
        .uri
        .path_and_query()
        .map_or("", http::uri::PathAndQuery::as_str);
    if path.len() > PATH_BYTES_MAX {
        return Err(Fault::Route(RouteError::TooLong));
    }
    let list_bytes = |(name, value): (&http::HeaderName, &HeaderValue)| {
        name.as_str().len() + value.len() + HEADER_FIELD_OVERHEAD_BYTES
    };
    if head.headers.len() > HEADER_FIELDS_MAX
        || head.headers.iter().map(list_bytes).sum::<usize>() > HEADER_LIST_BYTES_MAX
    {
        return Err(Fault::HeadersTooLarge);
    }
    if http1 {
        inspect_http1(head, arrival)?;
    }
    if !path.starts_with('/') {
        return Err(Fault::BadTarget);
    }
    Ok(path)
}

fn inspect_http1(head: &Parts, arrival: Arrival) -> Result<(), Fault> {
    if head.version != Version::HTTP_11 {
        return Err(Fault::HttpVersion);
    }
    // SECURITY: without a verdict the guard and the library disagree about where this head begins; nothing on this
    // connection can be believed any more.
    let verdict = arrival.verdict.ok_or(Fault::TwoLengths)?;
    if verdict.two_lengths {
        return Err(Fault::TwoLengths);
    }
    // Origin-form only.
    if verdict.fragment || head.uri.scheme().is_some() || head.uri.authority().is_some() {
        return Err(Fault::BadTarget);
    }
    if head.headers.contains_key(header::UPGRADE) {
        return Err(Fault::Upgrade);
    }
    if count(&head.headers, &header::HOST) != 1 {
        return Err(Fault::BadHost);
    }
    Ok(())
}

fn count(headers: &HeaderMap, name: &http::HeaderName) -> usize {
    headers.get_all(name).iter().count()
}

/// Route, syntax of the headers that vouch for the request, timestamp.
fn prepare(
    app: &Arc<App>,
    head: &Parts,
    path: &str,
    arrival: Arrival,
    body: Incoming,
    form: Result<Representation, NotAcceptable>,
) -> Result<Call, Fault> {
    let route = {
        let _span = debug_span!("net::route::parse").entered();
        route::parse(head.method.as_str(), path)?
    };
    let headers: Vec<(&str, &[u8])> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let request = ArrivedRequest::parse(head.method.as_str(), path, &headers)?;
    app.gate.check_time(&request, &app.clock)?;
    Ok(Call {
        app: Arc::clone(app),
        knock: Knock {
            request,
            route,
            peer: arrival.peer,
            heard: Heard::default(),
        },
        body,
        form,
    })
}

/// SECURITY: a failure is logged here and nowhere else, without names, keys, packets or signatures.
fn log(fault: &Fault, seen: &Seen, route: &'static str, id: RequestId, peer: IpAddr, status: u16) {
    let (method, code, reason) = (seen.method, fault.code(), fault.reason());
    match fault.kind() {
        Kind::Internal => {
            tracing::error!(request_id = %id, %peer, method, route, status, code, %reason, "request failed");
        }
        Kind::Unavailable | Kind::StorageFull => {
            tracing::warn!(request_id = %id, %peer, method, route, status, code, %reason, "request not served");
        }
        // Anyone can send these in any number.
        _ if fault.is_anonymous() => {
            tracing::debug!(request_id = %id, %peer, method, route, status, code, %reason, "request refused");
        }
        _ => tracing::info!(request_id = %id, %peer, method, route, status, code, %reason, "request refused"),
    }
}
