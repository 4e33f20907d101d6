//! What is asked of a transaction.

use serde::{Deserialize, Serialize};
use wfldb_core::encoding::JsonObject;
use wfldb_core::id::TxId;
use wfldb_core::limits::{
    BATCH_BYTES_MAX, TX_IDLE_MS, TX_IDLE_MS_MAX, TX_IDLE_MS_MIN, TX_OPS_MAX, TX_SAVEPOINT_BYTES_MAX,
};

use super::op::JsonTxOp;
use super::{TxError, TxOp};
use crate::text;

/// What is asked of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxRequest {
    /// A new one.
    Begin {
        /// For how long it may lie idle.
        idle_ms: u64,
        /// What is done at once.
        ops: Vec<TxOp>,
    },
    /// Operations, in order.
    Run {
        /// Of which.
        tx: TxId,
        /// At least one.
        ops: Vec<TxOp>,
    },
    /// A savepoint.
    Savepoint {
        /// Of which.
        tx: TxId,
        /// Its name.
        name: String,
    },
    /// Back to a savepoint.
    Rollback {
        /// Of which.
        tx: TxId,
        /// Its name.
        to: String,
    },
    /// Its end, all of it.
    Commit {
        /// Of which.
        tx: TxId,
        /// What is done before.
        ops: Vec<TxOp>,
    },
    /// Its end, nothing of it.
    Abort {
        /// Of which.
        tx: TxId,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum JsonDo {
    Begin,
    Run,
    Savepoint,
    Rollback,
    Commit,
    Abort,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonRequest {
    r#do: JsonDo,
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    tx: Option<TxId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ops: Option<Vec<JsonTxOp>>,
}

impl TxRequest {
    /// Reads a request from JSON.
    ///
    /// # Errors
    /// Every [`TxError`].
    pub fn parse(json: &[u8]) -> Result<Self, TxError> {
        if json.len() > BATCH_BYTES_MAX {
            return Err(TxError::TooLarge);
        }
        let request = serde_json::from_slice::<JsonObject<JsonRequest>>(json);
        let JsonObject(request) = request.map_err(|_| TxError::Malformed)?;
        let idle = request.idle_ms.filter(|_| request.r#do != JsonDo::Begin);
        let fits = match request.r#do {
            JsonDo::Begin => request.tx.is_none() && request.name.is_none() && request.to.is_none(),
            JsonDo::Run | JsonDo::Commit => request.name.is_none() && request.to.is_none(),
            JsonDo::Savepoint => request.to.is_none() && request.ops.is_none(),
            JsonDo::Rollback => request.name.is_none() && request.ops.is_none(),
            JsonDo::Abort => request.name.is_none() && request.to.is_none() && request.ops.is_none(),
        };
        if !fits || idle.is_some() {
            return Err(TxError::Malformed);
        }
        let ops = request.ops.unwrap_or_default();
        if ops.len() > TX_OPS_MAX || (ops.is_empty() && request.r#do == JsonDo::Run) {
            return Err(TxError::Ops);
        }
        let ops = ops.into_iter().map(JsonTxOp::parsed);
        let ops = ops.collect::<Result<Vec<_>, _>>()?;
        let tx = || request.tx.ok_or(TxError::Malformed);
        Ok(match request.r#do {
            JsonDo::Begin => {
                let idle_ms = request.idle_ms.unwrap_or(TX_IDLE_MS);
                if !(TX_IDLE_MS_MIN..=TX_IDLE_MS_MAX).contains(&idle_ms) {
                    return Err(TxError::Malformed);
                }
                Self::Begin { idle_ms, ops }
            }
            JsonDo::Run => Self::Run { tx: tx()?, ops },
            JsonDo::Commit => Self::Commit { tx: tx()?, ops },
            JsonDo::Abort => Self::Abort { tx: tx()? },
            JsonDo::Savepoint => Self::Savepoint {
                tx: tx()?,
                name: savepoint(request.name)?,
            },
            JsonDo::Rollback => Self::Rollback {
                tx: tx()?,
                to: savepoint(request.to)?,
            },
        })
    }

    /// Writes a request as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = JsonRequest {
            r#do: JsonDo::Begin,
            tx: None,
            idle_ms: None,
            name: None,
            to: None,
            ops: None,
        };
        let ops = |ops: &[TxOp]| Some(ops.iter().map(JsonTxOp::of).collect::<Vec<_>>());
        match self {
            Self::Begin { idle_ms, ops: of } => {
                json.idle_ms = Some(*idle_ms);
                json.ops = ops(of).filter(|ops| !ops.is_empty());
            }
            Self::Run { tx, ops: of } => {
                (json.r#do, json.tx, json.ops) = (JsonDo::Run, Some(*tx), ops(of));
            }
            Self::Commit { tx, ops: of } => {
                (json.r#do, json.tx) = (JsonDo::Commit, Some(*tx));
                json.ops = ops(of).filter(|ops| !ops.is_empty());
            }
            Self::Savepoint { tx, name } => {
                (json.r#do, json.tx, json.name) = (JsonDo::Savepoint, Some(*tx), Some(name.clone()));
            }
            Self::Rollback { tx, to } => {
                (json.r#do, json.tx, json.to) = (JsonDo::Rollback, Some(*tx), Some(to.clone()));
            }
            Self::Abort { tx } => (json.r#do, json.tx) = (JsonDo::Abort, Some(*tx)),
        }
        // Strings, numbers and maps of strings always serialise.
        serde_json::to_vec(&json).unwrap_or_default()
    }
}

fn savepoint(name: Option<String>) -> Result<String, TxError> {
    let fits = |name: &String| {
        (1..=TX_SAVEPOINT_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
    };
    name.filter(fits).ok_or(TxError::Malformed)
}
