//! The changes of a bucket: one page, now or as soon as there is one; or a feed.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use tokio::time::Instant;
use tracing::{Instrument as _, debug_span};
use wfldb_core::auth::{Authorized, Forbidden};
use wfldb_core::limits::CHANGES_LIMIT_MAX;
use wfldb_engine::{BucketChange, ChangePage, ChangesQuery, EngineError, Since};
use wfldb_net::changes::{self, Change, FeedKind, Framing, KeyChange, Page, SinceQuery};
use wfldb_net::route::Parameters;

use super::{Call, admit, blocking, request, signed};
use crate::app::App;
use crate::body::{self, BETWEEN_READS, Feed, Terms, Watch};
use crate::fault::Fault;
use crate::respond::{self, Reply};

/// How long `longpoll` waits where its request does not say.
const LONGPOLL: Duration = Duration::from_mins(1);

/// `GET /v1/{bucket}/_changes`.
pub(super) async fn changes(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let body = body::nothing(body).await;
    let admitted = admit(&app, knock).await?;
    let rest = async {
        let Parameters::Changes(asked) = admitted.parameters else {
            return Err(Fault::Forbidden(Forbidden));
        };
        let authorized = admitted.authorized;
        let in_flight = app.budget.enter(&authorized)?;
        let is_events = asked.kind == FeedKind::EventSource;
        signed::check(
            request(&authorized)?,
            if is_events { signed::EVENTS } else { signed::NONE },
        )?;
        body?;
        let query = query(&authorized, &asked)?;
        let proof = Arc::new(authorized);
        let reply = match asked.kind {
            FeedKind::Normal => {
                let read = move |app: &Arc<App>| Ok(app.engine.changes(&proof, &query)?);
                page(&app, &blocking(&app, read).await?)?
            }
            FeedKind::LongPoll => {
                let patience = asked.timeout.unwrap_or(LONGPOLL);
                long_poll(feed(&app, proof, query).await?, patience).await?
            }
            FeedKind::Continuous | FeedKind::EventSource => {
                let terms = Terms {
                    framing: if is_events {
                        Framing::Events
                    } else {
                        Framing::Lines
                    },
                    left: asked.limit,
                    ends: asked.timeout.map(|timeout| Instant::now() + timeout),
                    heartbeat: asked.heartbeat,
                };
                let mut feed = feed(&app, proof, query).await?;
                // What cannot be followed is said before the status is.
                let first = feed.read().await?;
                stream(feed, first, terms)
            }
        };
        Ok(reply.map(|body| body.holding(in_flight)))
    };
    rest.instrument(debug_span!("handlers::changes::changes")).await
}

fn query(authorized: &Authorized, asked: &changes::ChangesQuery) -> Result<ChangesQuery, Fault> {
    let last_event = request(authorized)?.header("last-event-id");
    // An event source comes back to the URL that it began with, and says here how far it came.
    let since = match last_event {
        Some(id) => SinceQuery::parse(id).ok_or(Fault::LastEventId)?,
        None => asked.since,
    };
    Ok(ChangesQuery {
        since: match since {
            SinceQuery::Seq(seq) => Since::Seq(seq),
            SinceQuery::Now => Since::Now,
        },
        bucket: asked.bucket,
        prefix: asked.prefix.clone(),
        limit: asked.limit.unwrap_or(CHANGES_LIMIT_MAX),
    })
}

/// Subscribes before anything is read, so that nothing falls between the two.
async fn feed(app: &Arc<App>, proof: Arc<Authorized>, query: ChangesQuery) -> Result<Feed, Fault> {
    let feeding = app.budget.feed(&proof)?;
    let follows = Arc::clone(&proof);
    let to_come = blocking(app, move |app| Ok(app.engine.changes_to_come(&follows)?)).await?;
    Ok(Feed {
        app: Arc::clone(app),
        proof,
        query,
        to_come,
        _feeding: feeding,
    })
}

/// One page, as soon as there is something on it or the time is up.
async fn long_poll(mut feed: Feed, patience: Duration) -> Result<Reply, Fault> {
    let app = Arc::clone(&feed.app);
    let ends = Instant::now() + patience;
    let watch = Watch::of(&feed.proof, app.engine.revocation_view());
    let waiting = async {
        loop {
            feed.check_time()?;
            let found = feed.read().await?;
            let is_last = app.is_draining() || Instant::now() >= ends;
            if !found.changes.is_empty() || is_last {
                return page(&app, &found);
            }
            if found.more {
                continue;
            }
            tokio::select! {
                changed = feed.to_come.changed() => {
                    if !changed {
                        return page(&app, &found);
                    }
                    tokio::time::sleep(BETWEEN_READS).await;
                }
                () = app.draining() => return page(&app, &found),
                () = tokio::time::sleep_until(ends) => return page(&app, &found),
            }
        }
    };
    match watch {
        None => waiting.await,
        Some(watch) => tokio::select! {
            reply = waiting => reply,
            () = watch.until_revoked() => Err(Fault::Engine(EngineError::Revoked)),
        },
    }
}

fn stream(feed: Feed, first: ChangePage, terms: Terms) -> Reply {
    let mut reply = respond::empty(StatusCode::OK);
    let headers = reply.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(terms.framing.content_type()),
    );
    // It is of the moment.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *reply.body_mut() = feed.stream(first, terms);
    reply
}

fn page(app: &App, page: &ChangePage) -> Result<Reply, Fault> {
    app.metrics.changes(page.changes.len());
    let answer = Page {
        bucket: page.bucket,
        results: page.changes.iter().map(change_json).collect(),
        last_seq: page.last.get(),
        more: page.more,
    };
    respond::json(StatusCode::OK, &answer)
}

/// A change in its form on the wire.
pub(crate) fn change_json(change: &BucketChange) -> Change {
    let key = |key: &wfldb_engine::KeyChange| KeyChange {
        op: key.kind.as_str().to_owned(),
        key: key.key.clone(),
        version: key.version,
        etag: key.stored.map(|(etag, _)| etag),
        size: key.stored.map(|(_, size)| size),
    };
    Change {
        seq: change.seq.get(),
        at: change.at,
        changes: change.keys.iter().map(key).collect(),
    }
}
