//! What every request shares.

use std::sync::Arc;

use tokio::sync::watch;
use wfldb_engine::Engine;

use crate::auth::Gate;
use crate::backups::BackupRoot;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::cursor::Cursors;
use crate::metrics::Metrics;
use crate::mirror::Mirroring;
use crate::text::Text;
use crate::transactions::Transactions;

/// The running server, without its sockets.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) gate: Gate,
    pub(crate) clock: Arc<Clock>,
    pub(crate) budget: Budget,
    pub(crate) backups: BackupRoot,
    pub(crate) cursors: Cursors,
    pub(crate) metrics: Metrics,
    pub(crate) transactions: Transactions,
    pub(crate) text: Text,
    pub(crate) mirror: Mirroring,
    /// Held while `/readyz` asks the engine.
    pub(crate) readiness: tokio::sync::Mutex<()>,
    /// The server is stopping: what is running finishes, `/readyz` says no, feeds end.
    draining: watch::Sender<bool>,
}

impl App {
    pub(crate) fn new(
        engine: Engine,
        gate: Gate,
        clock: Arc<Clock>,
        backups: BackupRoot,
        budget: Budget,
        mirror: Mirroring,
    ) -> Self {
        let text = Text::start(&engine);
        let cursors = Cursors::new(engine.store_secret("cursor"));
        let transactions = Transactions::new(engine.revocation_view());
        Self {
            engine,
            gate,
            clock,
            budget,
            backups,
            cursors,
            metrics: Metrics::new(),
            transactions,
            text,
            mirror,
            readiness: tokio::sync::Mutex::new(()),
            draining: watch::Sender::new(false),
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Returns once the server is stopping.
    pub(crate) async fn draining(&self) {
        let mut draining = self.draining.subscribe();
        // The sender is here, so this ends for no other reason.
        let _ = draining.wait_for(|draining| *draining).await;
    }

    pub(crate) fn start_draining(&self) {
        self.draining.send_replace(true);
        // A stop does not wait for a backup; the next one removes what this one has made.
        self.engine.stop_backups();
    }

    /// Whether requests can be accepted at all: server time is after the mark that the last process left.
    pub(crate) fn is_past_replay_mark(&self) -> bool {
        self.clock.now() > self.gate.replay().at_start()
    }
}
