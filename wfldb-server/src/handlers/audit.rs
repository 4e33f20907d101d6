//! The audit log: what it publishes, proofs, receipts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use tracing::{Instrument as _, debug_span};
use wfldb_core::audit::{Receipt, Resource, TreeHash};
use wfldb_core::auth::{AuditPart, Authorized, Forbidden, Op, Target, Written};
use wfldb_core::id::{LeafIndex, VersionId};
use wfldb_core::name::ObjectKey;
use wfldb_engine::EngineError;
use wfldb_net::header as ours;
use wfldb_net::route::{Parameters, ReceiptQuery};

use super::{Call, admit, blocking, request, signed, structured};
use crate::app::App;
use crate::body;
use crate::fault::Fault;
use crate::respond::{self, Reply};

/// How long an answer waits for the checkpoint that covers its leaf.
const RECEIPT_WAIT: Duration = Duration::from_secs(2);
/// Checkpoints are text.
const TEXT: &str = "text/plain; charset=utf-8";
const OCTETS: &str = "application/octet-stream";

/// `GET /v1/_audit/checkpoint` and `GET /v1/_audit/tile/…`.
pub(super) async fn published(call: Call) -> Result<Reply, Fault> {
    let span = || debug_span!("handlers::audit::published");
    structured(call, span, |app, admitted, _| {
        let proof = &admitted.authorized;
        let Target::Audit(AuditPart::Published(resource)) = proof.target() else {
            return Err(Fault::Forbidden(Forbidden));
        };
        Ok(match *resource {
            Resource::Checkpoint => {
                let checkpoint = app.engine.audit_checkpoint(proof)?;
                respond::bytes(TEXT, Bytes::copy_from_slice(checkpoint.text().as_bytes()))
            }
            Resource::Tile(tile) => respond::bytes(OCTETS, app.engine.audit_tile(proof, tile)?.into()),
            Resource::Entries(bundle) => {
                respond::bytes(OCTETS, app.engine.audit_entries(proof, bundle)?.into())
            }
        })
    })
    .await
}

/// The answer of `_audit/proof` and `_audit/consistency`.
#[derive(Serialize)]
struct Proof {
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
    size: u64,
    hashes: Vec<String>,
}

fn texts(hashes: &[TreeHash]) -> Vec<String> {
    hashes.iter().map(TreeHash::to_string).collect()
}

/// `GET /v1/_audit/proof?leaf=`.
pub(super) async fn inclusion(call: Call) -> Result<Reply, Fault> {
    let span = || debug_span!("handlers::audit::inclusion");
    structured(call, span, |app, admitted, _| {
        let Parameters::AuditProof(leaf, size) = admitted.parameters else {
            return Err(Fault::Forbidden(Forbidden));
        };
        let (size, hashes) = app.engine.audit_inclusion(&admitted.authorized, leaf, size)?;
        let proof = Proof {
            leaf: Some(leaf.get()),
            from: None,
            size,
            hashes: texts(&hashes),
        };
        respond::json(StatusCode::OK, &proof)
    })
    .await
}

/// `GET /v1/_audit/consistency?from=&to=`.
pub(super) async fn consistency(call: Call) -> Result<Reply, Fault> {
    let span = || debug_span!("handlers::audit::consistency");
    structured(call, span, |app, admitted, _| {
        let Parameters::AuditConsistency(from, to) = admitted.parameters else {
            return Err(Fault::Forbidden(Forbidden));
        };
        let hashes = app.engine.audit_consistency(&admitted.authorized, from, to)?;
        let proof = Proof {
            leaf: None,
            from: Some(from),
            size: to,
            hashes: texts(&hashes),
        };
        respond::json(StatusCode::OK, &proof)
    })
    .await
}

/// `GET /v1/_audit/receipt?leaf=`, or `?bucket=&key=&version=`.
pub(super) async fn receipt(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let body = body::nothing(body).await;
    let admitted = admit(&app, knock).await?;
    let rest = async {
        let authorized = admitted.authorized;
        let in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::NONE)?;
        body?;
        let asked = match admitted.parameters {
            Parameters::AuditReceipt(ReceiptQuery::Version(asked)) => asked,
            Parameters::AuditReceipt(ReceiptQuery::Leaf(leaf)) => {
                // What it is of is not known before it is read, so it takes a look at everything.
                let read = move |app: &Arc<App>| {
                    let _in_flight = in_flight;
                    let receipt = app.engine.receipt_of_leaf(&authorized, leaf)?;
                    Ok(respond::with_json(
                        respond::empty(StatusCode::OK),
                        json(&receipt)?,
                    ))
                };
                return blocking(&app, read).await;
            }
            _ => return Err(Fault::Forbidden(Forbidden)),
        };
        let target = Target::Key(asked.bucket, asked.key.clone());
        app.gate.further(
            &authorized,
            std::iter::once((Op::Audit, target.clone(), Written::Later)),
        )?;
        let proof = authorized
            .further(Op::Audit, target, Written::Later)
            .map_err(Fault::Forbidden)?;
        let read = move |app: &Arc<App>| {
            let _in_flight = in_flight;
            let receipt = app
                .engine
                .receipt(&proof, &asked.key, asked.version)
                .map_err(missing)?;
            Ok(respond::with_json(
                respond::empty(StatusCode::OK),
                json(&receipt)?,
            ))
        };
        blocking(&app, read).await
    };
    rest.instrument(debug_span!("handlers::audit::receipt")).await
}

fn missing(error: EngineError) -> Fault {
    match error {
        EngineError::NoSuchKey => Fault::NoSuchVersion,
        error => Fault::Engine(error),
    }
}

/// Whether the caller asked for a receipt of what it writes.
pub(super) fn wants_receipt(authorized: &Authorized) -> Result<bool, Fault> {
    match request(authorized)?.header(ours::RECEIPT.as_str()) {
        None => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Fault::ReceiptHeader),
    }
}

/// Adds the receipt of a write to its answer: the leaf, and as the body the receipt as soon as a checkpoint covers it. A
/// write that is answered without a body is there all the same; its receipt can be fetched later.
pub(super) async fn add_receipt(
    app: &Arc<App>,
    mut reply: Reply,
    authorized: Authorized,
    version: VersionId,
) -> Result<Reply, Fault> {
    let Some(key) = authorized.key().cloned() else {
        return Ok(reply);
    };
    let proof = Arc::new(authorized);
    let Some(leaf) = add_leaf(app, &mut reply, &proof, &key, version).await? else {
        return Ok(reply);
    };
    if !covered(app, leaf).await {
        return Ok(reply);
    }
    let build = move |app: &Arc<App>| Ok(app.engine.receipt(&proof, &key, version));
    match blocking(app, build).await? {
        Ok(receipt) => Ok(respond::with_json(reply, json(&receipt)?)),
        Err(_) => Ok(reply),
    }
}

/// The same by the leaf, for what wrote no version.
pub(super) async fn add_receipt_of_leaf(
    app: &Arc<App>,
    mut reply: Reply,
    authorized: Authorized,
    leaf: LeafIndex,
) -> Result<Reply, Fault> {
    respond::set(&mut reply, ours::LEAF, &leaf.to_string());
    if !covered(app, leaf).await {
        return Ok(reply);
    }
    let build = move |app: &Arc<App>| Ok(app.engine.receipt_of_leaf(&authorized, leaf));
    match blocking(app, build).await? {
        Ok(receipt) => Ok(respond::with_json(reply, json(&receipt)?)),
        Err(_) => Ok(reply),
    }
}

/// Adds the leaf of a write to its answer. `None`: it cannot be told any more, since whoever came after had the version
/// pruned; that is no failure of this write.
pub(super) async fn add_leaf(
    app: &Arc<App>,
    reply: &mut Reply,
    proof: &Arc<Authorized>,
    key: &ObjectKey,
    version: VersionId,
) -> Result<Option<LeafIndex>, Fault> {
    let (proof, key) = (Arc::clone(proof), key.clone());
    let find = move |app: &Arc<App>| Ok(app.engine.leaf_of(&proof, &key, version).ok());
    let leaf = blocking(app, find).await?;
    if let Some(leaf) = leaf {
        respond::set(reply, ours::LEAF, &leaf.to_string());
    }
    Ok(leaf)
}

fn json(receipt: &Receipt) -> Result<String, Fault> {
    receipt.to_json().map_err(|error| Fault::Engine(error.into()))
}

/// Waits for a checkpoint that covers the leaf.
async fn covered(app: &Arc<App>, leaf: LeafIndex) -> bool {
    let Some(mut newest) = app.engine.checkpoints_to_come() else {
        return false;
    };
    let covers = newest.wait_for(|newest| newest.as_ref().is_some_and(|newest| newest.size() > leaf.get()));
    matches!(tokio::time::timeout(RECEIPT_WAIT, covers).await, Ok(Ok(_)))
}
