//! What a request of a transaction reads, for the audit log: each read by itself, whatever becomes of the transaction.

use std::sync::Arc;

use wfldb_core::Kind;
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_engine::{Came, EngineError, Shown};
use wfldb_net::batch::BatchAction;
use wfldb_net::tx::{TxAction, TxOp, TxResult};

use crate::access::{self, Part};
use crate::app::App;
use crate::fault::Fault;

/// What became of an operation, and which version it has shown.
#[derive(Default)]
pub(super) struct Done {
    pub(super) result: TxResult,
    pub(super) shown: Option<Shown>,
}

impl Done {
    pub(super) fn of(result: TxResult) -> Self {
        Self { result, shown: None }
    }
}

/// The operations of a request, as the audit log names them.
pub(super) struct Asked(Vec<Asking>);

struct Asking {
    op: Op,
    target: Target,
    /// It tells of what is there.
    reads: bool,
}

impl Asked {
    pub(super) fn of(ops: &[TxOp]) -> Self {
        Self(ops.iter().map(Asking::of).collect())
    }

    /// Logs what they came to, before it is told.
    pub(super) async fn conclude<T>(
        self,
        app: &Arc<App>,
        authorized: &Authorized,
        came: Result<T, Fault>,
        done: impl FnOnce(&T) -> &[Done],
    ) -> Result<T, Fault> {
        let parts = match &came {
            Ok(all) => {
                let asked = self.0.into_iter().zip(done(all));
                let read = asked.filter(|(asking, _)| asking.reads);
                read.map(|(asking, done)| asking.read(done)).collect()
            }
            // All before it have gone well, and nothing of them is told.
            Err(Fault::Engine(EngineError::Entry { index, error })) => {
                let asking = self.0.into_iter().nth(*index);
                asking
                    .and_then(|asking| asking.failed(error))
                    .into_iter()
                    .collect()
            }
            Err(_) => Vec::new(),
        };
        access::parts(app, authorized, parts).await?;
        came
    }
}

impl Asking {
    fn of(op: &TxOp) -> Self {
        let key = |key: &wfldb_core::name::ObjectKey| Target::Key(op.bucket.clone(), key.clone());
        let (op, target, reads) = match &op.action {
            TxAction::Get(name) => (Op::Get, key(name), true),
            TxAction::Scan { .. } => (Op::List, Target::Listing(op.bucket.clone()), true),
            // A condition is answered at once, and the transaction may never be committed.
            TxAction::Write(entry) if entry.preconditions.need_get() => (Op::Get, key(&entry.key), true),
            TxAction::Write(entry) => {
                let op = match entry.action {
                    BatchAction::Put { .. } | BatchAction::Document { .. } => Op::Put,
                    BatchAction::Delete => Op::Delete,
                    BatchAction::Check => Op::Get,
                };
                (op, key(&entry.key), false)
            }
            TxAction::Lock { key: name, .. } => (Op::Get, key(name), false),
        };
        Self { op, target, reads }
    }

    fn read(self, done: &Done) -> Part {
        let came = if done.result.found == Some(false) {
            Came::Missed
        } else {
            Came::Allowed(done.shown)
        };
        Part::Read(self.op, self.target, came)
    }

    fn failed(self, error: &EngineError) -> Option<Part> {
        match error.kind() {
            Kind::NotFound | Kind::Conflict | Kind::Precondition | Kind::TooLarge if self.reads => {
                Some(Part::Read(self.op, self.target, Came::Missed))
            }
            Kind::Unauthenticated
            | Kind::Forbidden
            | Kind::NotFound
            | Kind::Conflict
            | Kind::Gone
            | Kind::Precondition => Some(Part::Refused(self.op, self.target)),
            _ => None,
        }
    }
}
