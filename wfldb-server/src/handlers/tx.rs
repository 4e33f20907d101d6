//! `POST /v1/_tx`: transactions over many keys and buckets, request by request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use tracing::{Instrument as _, debug_span};
use wfldb_core::auth::{Authorized, ObjectAttributes, Op, Target, Written};
use wfldb_core::id::{Seq, TxId};
use wfldb_core::limits::{BATCH_BYTES_MAX, TX_BYTES_MAX};
use wfldb_core::name::BucketName;
use wfldb_core::object::{HeaderText, ObjectHeaders};
use wfldb_engine::{Committed, Engine, EngineError, LockMode, Shown, Transaction, TxObject, TxRange};
use wfldb_net::batch::BatchAction;
use wfldb_net::header as ours;
use wfldb_net::tx::{TxAction, TxAnswer, TxBucket, TxItem, TxOp, TxRequest, TxResult, TxWrite};

use super::bucket::is_json;
use super::tx_reads::{Asked, Done};
use super::{Call, admit, audit, blocking, document, limit_bucket, request, signed, whole_body};
use crate::app::App;
use crate::fault::Fault;
use crate::respond::{self, Reply};
use crate::transactions::{Open, Work};

/// An operation and the proof that it is allowed.
type Step = (Authorized, TxAction);

/// The operations of a request, and what the audit log has to know of them.
struct Steps {
    all: Vec<Step>,
    asked: Asked,
}

pub(super) async fn tx(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        let head = request(&authorized)?;
        signed::check(head, signed::BATCH)?;
        if head
            .header("content-type")
            .is_some_and(|content_type| !is_json(content_type))
        {
            return Err(Fault::ContentType);
        }
        let (json, share) = whole_body(&app, &authorized, body, BATCH_BYTES_MAX).await?;
        let asked = TxRequest::parse(&json).map_err(Fault::Tx)?;
        drop((json, share));
        carry_out(&app, authorized, asked).await
    };
    rest.instrument(debug_span!("handlers::tx::tx")).await
}

async fn carry_out(app: &Arc<App>, authorized: Authorized, asked: TxRequest) -> Result<Reply, Fault> {
    let find = |id: TxId| app.transactions.find(&authorized, id, Instant::now());
    match asked {
        TxRequest::Begin { idle_ms, ops } => {
            let steps = steps(app, &authorized, ops).await?;
            let tx = app.engine.begin(&authorized)?;
            let idle = Duration::from_millis(idle_ms);
            let open = app.transactions.keep(&authorized, tx, idle, Instant::now())?;
            let run = run(app, &authorized, &open, steps).await;
            if run.is_err() {
                app.transactions.end(&open);
            }
            answer(&TxAnswer {
                tx: Some(open.id),
                results: run?,
                ..TxAnswer::default()
            })
        }
        TxRequest::Run { tx, ops } => {
            let steps = steps(app, &authorized, ops).await?;
            let open = find(tx)?;
            let results = run(app, &authorized, &open, steps).await?;
            answer(&TxAnswer {
                results,
                ..TxAnswer::default()
            })
        }
        TxRequest::Savepoint { tx, name } => {
            let open = find(tx)?;
            at_work(&mut open.work().await?)?.savepoint(&name)?;
            answer(&TxAnswer::default())
        }
        TxRequest::Rollback { tx, to } => {
            let open = find(tx)?;
            let mut work = open.work().await?;
            let tx = at_work(&mut work)?;
            tx.roll_back_to(&to)?;
            app.transactions.hold(&open, tx.held_bytes());
            answer(&TxAnswer::default())
        }
        TxRequest::Abort { tx } => {
            match find(tx) {
                Ok(open) => {
                    app.transactions.end(&open);
                    // Whatever is at work in it has ended by now, and with it its locks.
                    drop(open.work().await);
                }
                Err(Fault::Engine(EngineError::NoSuchTransaction)) => {}
                Err(fault) => return Err(fault),
            }
            answer(&TxAnswer::default())
        }
        TxRequest::Commit { tx, ops } => {
            let steps = steps(app, &authorized, ops).await?;
            let wants_receipt = audit::wants_receipt(&authorized)?;
            let open = find(tx)?;
            let results = run(app, &authorized, &open, steps).await?;
            let mut work = open.work().await?;
            let tx = work.take();
            app.transactions.end(&open);
            let tx = tx.ok_or(EngineError::NoSuchTransaction)?;
            drop(work);
            let commit = |_: &Engine, (tx, authorized): &(Transaction, Authorized)| tx.submit(authorized);
            let (done, (_, authorized)) = document::settled(app, (tx, authorized), commit).await?;
            let leaf = done.leaf.filter(|_| wants_receipt);
            let mut reply = answer(&TxAnswer {
                results,
                ..committed(&authorized, done)
            })?;
            if let Some(leaf) = leaf {
                respond::set(&mut reply, ours::LEAF, &leaf.to_string());
            }
            Ok(reply)
        }
    }
}

fn answer(answer: &TxAnswer) -> Result<Reply, Fault> {
    respond::json(StatusCode::OK, answer)
}

/// The transaction that a request is at work in, without what a request that broke off has left undone.
fn at_work(work: &mut Work) -> Result<&mut Transaction, Fault> {
    let tx = work.as_mut().ok_or(EngineError::NoSuchTransaction)?;
    while tx.is_nested() {
        tx.end_nested(false);
    }
    Ok(tx)
}

/// The operations with their proofs, all decided before any is carried out, and counted by rates.
async fn steps(app: &Arc<App>, authorized: &Authorized, ops: Vec<TxOp>) -> Result<Steps, Fault> {
    let asked = Asked::of(&ops);
    let mut buckets: Vec<BucketName> = Vec::new();
    for op in &ops {
        if !buckets.contains(&op.bucket) {
            buckets.push(op.bucket.clone());
        }
    }
    app.gate.further(
        authorized,
        ops.iter().map(|op| access(op, exclusive_by(authorized, op))),
    )?;
    let mut all = Vec::with_capacity(ops.len());
    for (index, op) in ops.into_iter().enumerate() {
        let (operation, target, written) = access(&op, exclusive_by(authorized, &op));
        let Ok(proof) = authorized.further(operation, target, written) else {
            let refused = Err(at(index, EngineError::Forbidden));
            return asked.conclude(app, authorized, refused, |_| &[]).await;
        };
        all.push((proof, op.action));
    }
    for bucket in &buckets {
        limit_bucket(app, bucket).await?;
    }
    Ok(Steps { all, asked })
}

/// What an exclusive lock is asked by: whoever may write the key in any way may keep others from it.
fn exclusive_by(authorized: &Authorized, op: &TxOp) -> Op {
    let TxAction::Lock { key, .. } = &op.action else {
        return Op::Put;
    };
    let target = Target::Key(op.bucket.clone(), key.clone());
    match authorized.further(Op::Put, target, Written::Later) {
        Ok(_) => Op::Put,
        Err(_) => Op::Delete,
    }
}

/// What an operation does, as its grant is asked.
fn access(op: &TxOp, exclusive_by: Op) -> (Op, Target, Written<'_>) {
    let (operation, key, written) = match &op.action {
        TxAction::Scan { .. } => return (Op::List, Target::Listing(op.bucket.clone()), Written::Later),
        TxAction::Get(key) => (Op::Get, key, Written::Later),
        TxAction::Lock { key, exclusive, .. } => {
            let operation = if *exclusive { exclusive_by } else { Op::Get };
            (operation, key, Written::Later)
        }
        TxAction::Write(entry) => match &entry.action {
            BatchAction::Put {
                body, content_type, ..
            } => {
                let written = ObjectAttributes {
                    content_type: content_type.as_ref().map(HeaderText::as_str),
                    len: body.len() as u64,
                };
                (Op::Put, &entry.key, Written::Known(written))
            }
            BatchAction::Document { json, .. } => {
                let written = ObjectAttributes {
                    content_type: Some("application/json"),
                    len: json.len() as u64,
                };
                (Op::Put, &entry.key, Written::Known(written))
            }
            BatchAction::Delete => (Op::Delete, &entry.key, Written::Later),
            BatchAction::Check => (Op::Get, &entry.key, Written::Later),
        },
    };
    (operation, Target::Key(op.bucket.clone(), key.clone()), written)
}

fn at(index: usize, error: EngineError) -> Fault {
    Fault::Engine(EngineError::Entry {
        index,
        error: Box::new(error),
    })
}

/// Carries out operations in order, all or none of what they write; `None` where there are none. What they read is logged
/// where its bucket wants that.
async fn run(
    app: &Arc<App>,
    authorized: &Authorized,
    open: &Arc<Open>,
    steps: Steps,
) -> Result<Option<Vec<TxResult>>, Fault> {
    if steps.all.is_empty() {
        return Ok(None);
    }
    let ran = run_all(app, open, steps.all).await;
    let done = steps.asked.conclude(app, authorized, ran, Vec::as_slice).await?;
    Ok(Some(done.into_iter().map(|done| done.result).collect()))
}

async fn run_all(app: &Arc<App>, open: &Arc<Open>, steps: Vec<Step>) -> Ran {
    let mut work = open.work().await?;
    at_work(&mut work)?.begin_nested()?;
    let (mut work, done) = run_steps(app, open, work, steps).await?;
    if open.is_over() {
        // It was ended meanwhile: revoked, or too old.
        drop(work.take());
        return Err(Fault::Engine(EngineError::NoSuchTransaction));
    }
    let Some(tx) = work.as_mut() else {
        return Err(Fault::Engine(EngineError::NoSuchTransaction));
    };
    let fits = app.transactions.hold(open, tx.held_bytes());
    tx.end_nested(fits && done.is_ok());
    app.transactions.hold(open, tx.held_bytes());
    open.touch(Instant::now());
    if done.as_ref().is_err_and(is_deadlock) {
        drop(work.take());
        app.transactions.end(open);
    }
    match done {
        Ok(_) if !fits => Err(Fault::Overloaded),
        done => done,
    }
}

fn is_deadlock(fault: &Fault) -> bool {
    matches!(fault, Fault::Engine(EngineError::Entry { error, .. }) if matches!(**error, EngineError::Deadlock))
}

type Ran = Result<Vec<Done>, Fault>;

/// The operations, on threads that may block; only a lock is waited for here.
async fn run_steps(
    app: &Arc<App>,
    open: &Arc<Open>,
    mut work: Work,
    steps: Vec<Step>,
) -> Result<(Work, Ran), Fault> {
    let mut results = Vec::with_capacity(steps.len());
    let mut bytes = 0;
    let mut steps = steps.into_iter().peekable();
    loop {
        let mut together = Vec::new();
        while let Some(step) = steps.next_if(|(_, action)| !matches!(action, TxAction::Lock { .. })) {
            together.push(step);
        }
        if !together.is_empty() {
            let first = results.len();
            let job = move |_: &Arc<App>| {
                let done = do_steps(&mut work, together, first, &mut bytes);
                Ok((work, done, bytes))
            };
            let (back, done, read) = blocking(app, job).await?;
            (work, bytes) = (back, read);
            match done {
                Ok(done) => results.extend(done),
                Err(fault) => return Ok((work, Err(fault))),
            }
        }
        let Some((proof, action)) = steps.next() else {
            return Ok((work, Ok(results)));
        };
        let index = results.len();
        let (back, locked) = lock(app, open, work, proof, action).await?;
        work = back;
        match locked {
            Ok(()) => results.push(Done::default()),
            Err(error) => return Ok((work, Err(at(index, error)))),
        }
    }
}

async fn lock(
    app: &Arc<App>,
    open: &Arc<Open>,
    mut work: Work,
    proof: Authorized,
    action: TxAction,
) -> Result<(Work, Result<(), EngineError>), Fault> {
    let TxAction::Lock {
        exclusive, wait_ms, ..
    } = action
    else {
        return Err(Fault::Body);
    };
    let mode = if exclusive {
        LockMode::Exclusive
    } else {
        LockMode::Shared
    };
    let ask = move |_: &Arc<App>| {
        let tx = work.as_mut().ok_or(EngineError::NoSuchTransaction)?;
        let asked = tx.ask_lock(&proof, mode);
        Ok((work, asked))
    };
    let (mut work, asked) = blocking(app, ask).await?;
    let waits = match asked {
        Ok(waits) => waits,
        Err(error) => return Ok((work, Err(error))),
    };
    let waited = tokio::select! {
        waited = tokio::time::timeout(Duration::from_millis(wait_ms), waits) => {
            waited.unwrap_or(Err(EngineError::LockTimeout))
        }
        () = open.ended() => Err(EngineError::NoSuchTransaction),
    };
    let note = move |_: &Arc<App>| {
        let tx = work.as_mut().ok_or(EngineError::NoSuchTransaction)?;
        let noted = tx.after_lock(waited);
        Ok((work, noted))
    };
    blocking(app, note).await
}

/// Carries out operations without locks, from the one with this place on.
fn do_steps(work: &mut Work, steps: Vec<Step>, first: usize, bytes: &mut usize) -> Ran {
    let tx = work.as_mut().ok_or(EngineError::NoSuchTransaction)?;
    let mut results = Vec::with_capacity(steps.len());
    for (index, (proof, action)) in (first..).zip(steps) {
        let done = do_step(tx, &proof, action).map_err(|error| at(index, error))?;
        let result = &done.result;
        *bytes += result
            .size
            .filter(|_| result.found == Some(true))
            .map_or(0, |size| {
                // An object that was read has at most 8 MiB.
                usize::try_from(size).unwrap_or(usize::MAX)
            });
        if *bytes > TX_BYTES_MAX {
            return Err(at(index, EngineError::TooLarge));
        }
        results.push(done);
    }
    Ok(results)
}

fn do_step(tx: &mut Transaction, proof: &Authorized, action: TxAction) -> Result<Done, EngineError> {
    match action {
        TxAction::Get(_) => Ok(match tx.get(proof)? {
            None => Done::of(TxResult {
                found: Some(false),
                ..TxResult::default()
            }),
            Some(object) => found(&object),
        }),
        TxAction::Scan {
            prefix,
            after,
            before,
            limit,
        } => {
            let range = TxRange {
                prefix,
                after,
                before,
                limit,
            };
            let page = tx.scan(proof, &range)?;
            let item = |key: wfldb_engine::TxKey| TxItem {
                key: key.key,
                version: key.version,
                etag: key.etag,
                size: key.len,
            };
            Ok(Done::of(TxResult {
                items: Some(page.items.into_iter().map(item).collect()),
                more: Some(page.more),
                ..TxResult::default()
            }))
        }
        TxAction::Write(entry) => {
            match entry.action {
                BatchAction::Put {
                    body,
                    content_type,
                    tags,
                } => {
                    let headers = ObjectHeaders {
                        content_type,
                        tags,
                        ..ObjectHeaders::default()
                    };
                    tx.put(proof, body, headers, &entry.preconditions)?;
                }
                BatchAction::Document { json, tags } => {
                    let headers = ObjectHeaders {
                        tags,
                        ..ObjectHeaders::default()
                    };
                    tx.put_document(proof, json, headers, &entry.preconditions)?;
                }
                BatchAction::Delete => tx.delete(proof, &entry.preconditions)?,
                BatchAction::Check => return Err(EngineError::Forbidden),
            }
            Ok(Done::default())
        }
        // It is waited for elsewhere.
        TxAction::Lock { .. } => Err(EngineError::LockTimeout),
    }
}

fn found(object: &TxObject) -> Done {
    let tags = object.headers.tags.iter();
    let tags = tags.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let content_type = object.headers.content_type.as_ref();
    let result = TxResult {
        found: Some(true),
        version: object.version,
        etag: object.etag,
        size: Some(object.body.len() as u64),
        content_type: content_type.map(|text| text.as_str().to_owned()),
        tags: Some(tags.collect()),
        modified: object.modified,
        ..TxResult::default()
    }
    .with_body(&object.body);
    let shown = object.version.zip(object.etag).map(|(version, etag)| Shown {
        version,
        etag,
        len: object.len,
    });
    Done { result, shown }
}

/// What a commit answers.
///
/// SECURITY: that there was something to delete is told to those only who could find out anyway.
fn committed(authorized: &Authorized, done: Committed) -> TxAnswer {
    let is_told = |write: &wfldb_engine::TransactionWrite| {
        let target = Target::Key(write.bucket.clone(), write.key.clone());
        let may = |op| authorized.further(op, target.clone(), Written::Later).is_ok();
        write.etag.is_some() || may(Op::Get) || may(Op::List)
    };
    let writes = done.writes.into_iter().map(|write| {
        let shown = is_told(&write);
        TxWrite {
            version: write.version.filter(|_| shown),
            etag: write.etag,
            bucket: write.bucket,
            key: write.key,
        }
    });
    let buckets = done.buckets.into_iter().map(|(bucket, seq)| TxBucket {
        bucket,
        seq: Seq::get(seq),
    });
    TxAnswer {
        buckets: Some(buckets.collect()),
        writes: Some(writes.collect()),
        ..TxAnswer::default()
    }
}
