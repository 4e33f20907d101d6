//! `/healthz` and `/readyz`, which need no key and tell no more than yes or no.

use std::sync::Arc;

use http::{Method, StatusCode};

use crate::app::App;
use crate::respond::{self, Reply};

/// The answer, if the request is for one of the two.
pub(crate) async fn health(app: &Arc<App>, method: &Method, path_and_query: &str) -> Option<Reply> {
    let is_known = matches!(path_and_query, "/healthz" | "/readyz");
    let to_head = method == Method::HEAD;
    if !is_known || !(to_head || method == Method::GET) {
        return None;
    }
    let ok = path_and_query == "/healthz" || ready(app).await;
    let (status, text) = if ok {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    };
    Some(if to_head {
        respond::empty(status)
    } else {
        respond::text(status, text)
    })
}

/// Whether requests can succeed: not stopping, past the replay mark, and commits succeed.
async fn ready(app: &Arc<App>) -> bool {
    if app.is_draining() || !app.is_past_replay_mark() {
        return false;
    }
    // One check at a time, so that strangers cannot fill the threads; not under a work permit, since a server at its
    // limit is busy, not broken.
    let _turn = app.readiness.lock().await;
    let engine = app.engine.clone();
    let asked = tokio::task::spawn_blocking(move || {
        engine.probe();
        engine.health().writable.is_ok()
    });
    asked.await.unwrap_or(false)
}
