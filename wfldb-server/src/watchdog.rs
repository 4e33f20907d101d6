//! The tasks that look after the store while requests run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use wfldb_engine::Unready;

use crate::app::App;

/// How often the replay mark is moved ahead of the clock while requests come.
const MARK_STEP: Duration = Duration::from_millis(250);
/// How often sessions that have ended are forgotten, and their keys wiped.
const SESSIONS_STEP: Duration = Duration::from_secs(10);
/// How often transactions that have ended are let go: those whose packet is revoked at most a second later.
const TRANSACTIONS_STEP: Duration = Duration::from_millis(500);
/// How often the store's health is looked at.
const HEALTH_STEP: Duration = Duration::from_secs(1);

/// Moves the replay mark ahead, so that requests do not wait for its sync.
pub(crate) async fn replay_mark(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    while sleep(MARK_STEP, &mut stopped).await {
        let app = Arc::clone(&app);
        let moved = tokio::task::spawn_blocking(move || app.gate.replay().move_ahead(app.clock.now()));
        if let Ok(Err(error)) = moved.await {
            tracing::error!(%error, "the replay mark cannot be moved; requests will be refused");
        }
    }
}

/// Forgets sessions that have ended, and nonces that no request could repeat any more.
pub(crate) async fn sessions(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    while sleep(SESSIONS_STEP, &mut stopped).await {
        let now = app.clock.now();
        app.gate.sessions().forget_ended(now);
        app.gate.replay().forget_by(now);
    }
}

/// Ends transactions that lie idle, that last too long, or whose packet is revoked.
pub(crate) async fn transactions(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    while sleep(TRANSACTIONS_STEP, &mut stopped).await {
        app.transactions.sweep(Instant::now());
    }
}

/// Logs when writes stop or succeed again, and raises `failed` when only a restart helps.
pub(crate) async fn storage(app: Arc<App>, failed: watch::Sender<bool>, mut stopped: watch::Receiver<bool>) {
    let mut last: Option<Unready> = app.engine.health().writable.err();
    while sleep(HEALTH_STEP, &mut stopped).await {
        let engine = app.engine.clone();
        let Ok(health) = tokio::task::spawn_blocking(move || engine.health()).await else {
            continue;
        };
        let now = health.writable.err();
        if now == last {
            continue;
        }
        match &now {
            None => tracing::info!("the store takes writes again"),
            Some(unready) => tracing::error!(reason = %unready, "the store takes no writes; reads go on"),
        }
        if now == Some(Unready::Poisoned) {
            let _ = failed.send(true);
        }
        last = now;
    }
}

/// `false` when the server stopped meanwhile.
async fn sleep(pause: Duration, stopped: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(pause) => true,
        _ = stopped.wait_for(|stopped| *stopped) => false,
    }
}
