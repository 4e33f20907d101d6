//! What requests by a link need beside those of signed requests: their uses spent, and answers that are safe for browsers.

use std::sync::Arc;

use http::header::{self, HeaderValue};
use wfldb_core::auth::Authorized;
use wfldb_engine::Pending;
use wfldb_net::active::is_active;

use crate::app::App;
use crate::fault::Fault;
use crate::handlers::blocking;
use crate::respond::Reply;

/// Refuses a link that is used up before anything is looked for. Whether a use has to be spent before the answer.
pub(crate) async fn check(app: &Arc<App>, authorized: Authorized) -> Result<(Authorized, bool), Fault> {
    let counted = authorized.link().is_some_and(|link| link.claims().uses.is_some());
    if !counted {
        return Ok((authorized, false));
    }
    let check = move |app: &Arc<App>| {
        let spends = app.engine.check_link(&authorized)?;
        Ok((authorized, spends))
    };
    blocking(app, check).await
}

/// A use on its way to stable storage. The answer has to wait for it.
#[derive(Debug)]
pub(crate) struct Spending(Option<Pending<()>>);

impl Spending {
    /// Nothing is spent.
    pub(crate) const NONE: Self = Self(None);

    /// Spends a use of the link that the proof came by. Reads the storage at most once, when the bucket is not in memory.
    pub(crate) fn begin(app: &App, authorized: &Authorized) -> Self {
        Self(Some(app.engine.spend_link(authorized)))
    }

    /// Returns when it is on stable storage.
    pub(crate) async fn done(self) -> Result<(), Fault> {
        match self.0 {
            None => Ok(()),
            Some(pending) => Ok(pending.await?),
        }
    }
}

/// Makes an answer safe for a browser, which got the URL as it gets any: nothing that was stored runs in it, and neither
/// the URL nor what it showed goes anywhere else.
pub(crate) fn make_safe(reply: &mut Reply) {
    let succeeded = reply.status().is_success();
    let headers = reply.headers_mut();
    let mut set = |name, value| drop(headers.insert(name, HeaderValue::from_static(value)));
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // What was kept with the object is its owner's word; a failure is nobody's.
    if !succeeded || !headers.contains_key(header::CACHE_CONTROL) {
        let kept = headers.get(header::CACHE_CONTROL).cloned();
        let value = kept.unwrap_or(HeaderValue::from_static("private, no-store"));
        headers.insert(header::CACHE_CONTROL, value);
    }
    let content_type = headers.get(header::CONTENT_TYPE);
    let active = content_type.is_some_and(|value| value.to_str().map_or(true, is_active));
    if succeeded && active {
        headers.insert(
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment"),
        );
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox; default-src 'none'"),
        );
    }
}
