//! Objects: read, delete, restore, copy. Storing is in `put`.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};
use tracing::{Instrument as _, debug_span};
use wfldb_core::auth::{Authorized, Forbidden, Method, Op, Target, Written};
use wfldb_core::id::ContentHash;
use wfldb_core::object::{ObjectHeaders, Preconditions, parse_etag};
use wfldb_core::request::RequestHead;
use wfldb_engine::{CopySource, Engine, EngineError, ObjectMeta, ObjectReader, Shown, Which};
use wfldb_net::condition::{Outcome, ReadConditions};
use wfldb_net::range::ByteRange;
use wfldb_net::route::Parameters;

use super::put::stored_reply;
use super::{Call, admit, audit, blocking, document, request, signed};
use crate::access;
use crate::app::App;
use crate::auth::Admitted;
use crate::body::{self, ReplyBody, Watch};
use crate::budget::InFlight;
use crate::fault::Fault;
use crate::link::{self, Spending};
use crate::respond::{self, Reply};

/// `GET` and `HEAD /v1/{bucket}/{key}`, with `?version=` and `?at=` too.
pub(super) async fn get(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let body = body::nothing(body).await;
    let to_head = knock.route.method == Method::Head;
    let admitted = admit(&app, knock).await?;
    let rest = async {
        let asked = Asked::of(&app, admitted, to_head)?;
        body?;
        let asked = asked.checked(&app).await?;
        // What is in memory is sent from here; what needs the disk goes to a thread that may block.
        let cached = match asked.which {
            Which::Newest => app.engine.object_cached(&asked.authorized)?,
            Which::Version(_) | Which::At(_) => None,
        };
        let opened = match cached {
            Some(reader) if to_head || reader.inline() => asked.answer(&app, reader)?,
            Some(reader) => blocking(&app, move |app| asked.answer(app, reader)).await?,
            None => {
                let open = move |app: &Arc<App>| {
                    let reader = app.engine.object(&asked.authorized, asked.which);
                    let reader = reader.map_err(|error| match (error, asked.which) {
                        (EngineError::NoSuchKey, Which::Version(_)) => Fault::NoSuchVersion,
                        (error, _) => Fault::Engine(error),
                    })?;
                    asked.answer(app, reader)
                };
                blocking(&app, open).await?
            }
        };
        opened.reply(&app).await
    };
    rest.instrument(debug_span!("handlers::object::get")).await
}

/// What a read asks for.
struct Asked {
    authorized: Authorized,
    which: Which,
    conditions: ReadConditions,
    if_range: Option<ContentHash>,
    to_head: bool,
    in_flight: InFlight,
    /// It came by a link whose uses are counted, and an answer costs one.
    spends: bool,
}

impl Asked {
    fn of(app: &App, admitted: Admitted, to_head: bool) -> Result<Self, Fault> {
        let Admitted {
            authorized,
            parameters,
        } = admitted;
        let in_flight = app.budget.enter(&authorized)?;
        let request = request(&authorized)?;
        signed::check(request, signed::READ)?;
        let conditions = ReadConditions::parse(|name| request.header(name))?;
        let if_range = request
            .header("if-range")
            .map(parse_etag)
            .transpose()
            .map_err(|_| Fault::IfRange)?;
        let which = match parameters {
            Parameters::Version(version) => Which::Version(version),
            Parameters::At(time) => Which::At(time),
            _ => Which::Newest,
        };
        Ok(Self {
            authorized,
            which,
            conditions,
            if_range,
            to_head,
            in_flight,
            spends: false,
        })
    }

    /// Goes on unless it came by a link that is used up.
    async fn checked(self, app: &Arc<App>) -> Result<Self, Fault> {
        let (authorized, spends) = link::check(app, self.authorized).await?;
        Ok(Self {
            authorized,
            spends,
            ..self
        })
    }

    /// The answer from what was found. Reads the first piece, so it may block unless `reader` is inline or the
    /// question a `HEAD`.
    fn answer(self, app: &App, mut reader: ObjectReader) -> Result<Opened, Fault> {
        let meta = Arc::clone(reader.meta());
        let content = match self.conditions.evaluate(&meta.etag, meta.modified) {
            Outcome::Failed => return Err(Fault::Precondition),
            Outcome::NotModified => Content::NotModified,
            Outcome::Proceed if meta.signature.is_some() => {
                let document = reader
                    .document()
                    .ok_or(Fault::Engine(EngineError::Corrupt("document")))?;
                Content::Document {
                    len: document.json.len(),
                    json: (!self.to_head).then_some(document.json),
                }
            }
            Outcome::Proceed => {
                let same = self.if_range.is_none_or(|etag| etag == meta.etag);
                let range = range(request(&self.authorized)?, meta.len, same)?;
                let (start, len) = range.map_or((0, meta.len), |range| (range.first(), range.len()));
                reader.select(start, start + len);
                let body = if self.to_head {
                    None
                } else {
                    Some(first_piece(reader, len)?)
                };
                Content::Bytes { range, len, body }
            }
        };
        // ORDER: what cannot be answered costs nothing, and nothing is answered before its use is spent.
        let spending = if self.spends {
            Spending::begin(app, &self.authorized)
        } else {
            Spending::NONE
        };
        Ok(Opened {
            meta,
            content,
            authorized: self.authorized,
            in_flight: self.in_flight,
            spending,
        })
    }
}

/// An object that is about to be sent.
struct Opened {
    meta: Arc<ObjectMeta>,
    content: Content,
    authorized: Authorized,
    in_flight: InFlight,
    spending: Spending,
}

enum Content {
    NotModified,
    /// Whole; there are no ranges of it.
    Document {
        len: usize,
        json: Option<Bytes>,
    },
    Bytes {
        range: Option<ByteRange>,
        len: u64,
        body: Option<(Bytes, Box<ObjectReader>)>,
    },
}

fn first_piece(mut reader: ObjectReader, len: u64) -> Result<(Bytes, Box<ObjectReader>), Fault> {
    let first = reader.next()?.unwrap_or_default();
    // An assertion on what the engine promises: an empty piece comes at the end only.
    if first.is_empty() && len > 0 {
        Err(Fault::Engine(EngineError::Corrupt("body")))
    } else {
        Ok((first, Box::new(reader)))
    }
}

fn range(request: &RequestHead, whole: u64, same: bool) -> Result<Option<ByteRange>, Fault> {
    match request.header("range") {
        Some(value) if same => ByteRange::parse(value, whole)
            .map(Some)
            .map_err(|error| Fault::from_range(error, whole)),
        _ => Ok(None),
    }
}

impl Opened {
    async fn reply(self, app: &Arc<App>) -> Result<Reply, Fault> {
        let Self {
            meta,
            content,
            authorized,
            in_flight,
            spending,
        } = self;
        spending.done().await?;
        let mut reply = match content {
            Content::NotModified => {
                let mut reply = respond::empty(StatusCode::NOT_MODIFIED);
                set_kept(&mut reply, &meta, &["cache-control", "expires"]);
                respond::set_version(&mut reply, &meta.etag, meta.version, meta.seq, meta.modified);
                reply
            }
            Content::Document { len, json } => {
                let mut reply = respond::empty(StatusCode::OK);
                set_kept(&mut reply, &meta, &[]);
                respond::set_version(&mut reply, &meta.etag, meta.version, meta.seq, meta.modified);
                reply.headers_mut().insert(
                    header::X_CONTENT_TYPE_OPTIONS,
                    HeaderValue::from_static("nosniff"),
                );
                respond::set(&mut reply, header::CONTENT_LENGTH, &len.to_string());
                if let Some(json) = json {
                    *reply.body_mut() = ReplyBody::whole(json).holding(in_flight);
                }
                reply
            }
            Content::Bytes { range, len, body } => {
                let status = if range.is_some() {
                    StatusCode::PARTIAL_CONTENT
                } else {
                    StatusCode::OK
                };
                let mut reply = respond::empty(status);
                reply.headers_mut().insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/octet-stream"),
                );
                set_kept(&mut reply, &meta, &[]);
                respond::set_version(&mut reply, &meta.etag, meta.version, meta.seq, meta.modified);
                reply
                    .headers_mut()
                    .insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
                // Nobody shall run as a script what was stored as a picture.
                reply.headers_mut().insert(
                    header::X_CONTENT_TYPE_OPTIONS,
                    HeaderValue::from_static("nosniff"),
                );
                respond::set(&mut reply, header::CONTENT_LENGTH, &len.to_string());
                if let Some(range) = range {
                    respond::set(&mut reply, header::CONTENT_RANGE, &range.content_range());
                }
                let body = body.map(|(first, reader)| {
                    if first.len() as u64 == len {
                        ReplyBody::whole(first)
                    } else {
                        let watch = Watch::of(&authorized, app.engine.revocation_view());
                        body::stream(Arc::clone(app), first, *reader, len, watch)
                    }
                });
                if let Some(body) = body {
                    *reply.body_mut() = body.holding(in_flight);
                }
                reply
            }
        };
        let shown = Shown {
            version: meta.version,
            etag: meta.etag,
            len: meta.len,
        };
        access::shows(app, &mut reply, &authorized, shown);
        Ok(reply)
    }
}

/// Sets the headers that were kept with the object: all of them, or those named.
fn set_kept(reply: &mut Reply, meta: &ObjectMeta, only: &[&str]) {
    for (name, value) in meta.headers.to_pairs() {
        if (only.is_empty() || only.contains(&name.as_str()))
            && let Ok(name) = HeaderName::from_bytes(name.as_bytes())
        {
            respond::set(reply, name, &value);
        }
    }
}

/// The conditions of a write, as far as the caller may set them.
pub(super) fn preconditions(authorized: &Authorized) -> Result<Preconditions, Fault> {
    let request = request(authorized)?;
    let value = |name| request.header(name);
    let conditions = Preconditions::parse(
        value("if-match"),
        value("if-none-match"),
        value("x-wfldb-if-version"),
    )?;
    // SECURITY: their answer tells about what is there. The engine checks it again.
    if conditions.need_get() && !authorized.may_also(Op::Get) {
        return Err(Fault::Forbidden(Forbidden));
    }
    Ok(conditions)
}

/// `DELETE /v1/{bucket}/{key}`.
pub(super) async fn delete(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let body = body::nothing(body).await;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::DELETE)?;
        let conditions = preconditions(&authorized)?;
        body?;
        let reveals = authorized.reveals_existence();
        let wants_receipt = audit::wants_receipt(&authorized)?;
        let delete = move |app: &Arc<App>| Ok((app.engine.delete(&authorized, conditions), authorized));
        let (pending, authorized) = blocking(&app, delete).await?;
        let deleted = pending.await?;
        let mut reply = respond::empty(StatusCode::NO_CONTENT);
        // SECURITY: that there was something to delete is told to those only who could find out anyway.
        if let Some(deleted) = deleted.filter(|_| reveals) {
            respond::set(
                &mut reply,
                wfldb_net::header::VERSION,
                &deleted.version.to_string(),
            );
            respond::set(&mut reply, wfldb_net::header::SEQ, &deleted.seq.to_string());
            if wants_receipt {
                return audit::add_receipt(&app, reply, authorized, deleted.version).await;
            }
        }
        Ok(reply)
    };
    rest.instrument(debug_span!("handlers::object::delete")).await
}

/// `DELETE /v1/{bucket}/{key}?version=`: one version goes for good.
pub(super) async fn erase(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let body = body::nothing(body).await;
    let Admitted {
        authorized,
        parameters,
    } = admit(&app, knock).await?;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::ERASE)?;
        let conditions = preconditions(&authorized)?;
        body?;
        let Parameters::Version(version) = parameters else {
            return Err(Fault::Forbidden(Forbidden));
        };
        let reveals = authorized.reveals_existence();
        let wants_receipt = audit::wants_receipt(&authorized)?;
        let erase =
            move |app: &Arc<App>| Ok((app.engine.erase(&authorized, version, conditions), authorized));
        let (pending, authorized) = blocking(&app, erase).await?;
        let erased = pending.await?;
        let mut reply = respond::empty(StatusCode::NO_CONTENT);
        // SECURITY: as with deletes.
        if let Some(erased) = erased.filter(|_| reveals) {
            respond::set(&mut reply, wfldb_net::header::SEQ, &erased.seq.to_string());
            if wants_receipt {
                return audit::add_receipt_of_leaf(&app, reply, authorized, erased.leaf).await;
            }
        }
        Ok(reply)
    };
    rest.instrument(debug_span!("handlers::object::erase")).await
}

/// `POST /v1/{bucket}/{key}?undelete=true`.
pub(super) async fn undelete(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let body = body::nothing(body).await;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::NONE)?;
        body?;
        let undelete = |engine: &Engine, authorized: &Authorized| engine.undelete(authorized);
        let (restored, _) = document::settled(&app, authorized, undelete).await?;
        let mut reply = respond::empty(StatusCode::OK);
        respond::set_version(
            &mut reply,
            &restored.etag,
            restored.version,
            restored.seq,
            restored.modified,
        );
        Ok(reply)
    };
    rest.instrument(debug_span!("handlers::object::undelete")).await
}

/// What a copy is made of.
type Copying = (Authorized, CopySource, ObjectHeaders, Preconditions);

/// `POST /v1/{bucket}/{key}?copy=`.
pub(super) async fn copy(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let body = body::nothing(body).await;
    let Admitted {
        authorized,
        parameters,
    } = admit(&app, knock).await?;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        let Parameters::Copy(asked) = parameters else {
            return Err(Fault::Forbidden(Forbidden));
        };
        let request = request(&authorized)?;
        signed::check(request, signed::PUT)?;
        let headers = ObjectHeaders::parse(request.signed_headers())?;
        let conditions = preconditions(&authorized)?;
        body?;
        let from = Target::Key(asked.bucket.clone(), asked.key.clone());
        app.gate.further(
            &authorized,
            std::iter::once((Op::Get, from.clone(), Written::Later)),
        )?;
        access::also(&app, &authorized, Op::Get, &from).await?;
        let source = CopySource {
            bucket: asked.bucket,
            key: asked.key,
            version: asked.version,
        };
        let reveals = authorized.reveals_existence();
        let wants_receipt = audit::wants_receipt(&authorized)?;
        let copy = |engine: &Engine, (authorized, source, headers, conditions): &Copying| {
            engine.copy(authorized, source, headers.clone(), conditions.clone())
        };
        let copying = (authorized, source, headers, conditions);
        let (stored, (authorized, ..)) = document::settled(&app, copying, copy).await?;
        let reply = stored_reply(&stored, reveals);
        if wants_receipt {
            return audit::add_receipt(&app, reply, authorized, stored.version).await;
        }
        Ok(reply)
    };
    rest.instrument(debug_span!("handlers::object::copy")).await
}
