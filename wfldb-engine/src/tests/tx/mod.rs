//! Transactions: what each law of them forbids by name (`anomalies`), generated histories held against a checker that
//! knows nothing of the engine (`histories`, `serial`), all or nothing over several buckets (`whole`), documents, locks, and what one
//! can be (`limits`).

mod anomalies;
mod documents;
mod histories;
mod limits;
mod locks;
mod serial;
mod whole;

use super::*;
use crate::{Committed, MemoryStorage, Transaction, TxPage, TxRange};
use wfldb_core::auth::Service;
use wfldb_core::name::KeyPrefix;

pub(super) fn begins() -> Authorized {
    Authorized::local("test", Op::List, Target::Service(Service::Tx))
}

pub(super) fn begin(engine: &Engine) -> Transaction {
    engine.begin(&begins()).unwrap()
}

pub(super) fn get(tx: &mut Transaction, bucket: &str, key: &str) -> Result<Option<Vec<u8>>, EngineError> {
    let found = tx.get(&object(bucket, key, Op::Get))?;
    Ok(found.map(|object| object.body.to_vec()))
}

pub(super) fn set(tx: &mut Transaction, bucket: &str, key: &str, body: &[u8]) -> Result<(), EngineError> {
    let body = Bytes::copy_from_slice(body);
    let proof = object(bucket, key, Op::Put);
    tx.put(&proof, body, ObjectHeaders::default(), &Preconditions::default())
}

pub(super) fn unset(tx: &mut Transaction, bucket: &str, key: &str) -> Result<(), EngineError> {
    tx.delete(&object(bucket, key, Op::Delete), &Preconditions::default())
}

pub(super) fn page(tx: &mut Transaction, bucket: &str, range: &TxRange) -> Result<TxPage, EngineError> {
    let proof = Authorized::local("test", Op::List, Target::Listing(name(bucket)));
    tx.scan(&proof, range)
}

pub(super) fn below(prefix: &str) -> TxRange {
    TxRange {
        prefix: KeyPrefix::parse(prefix).unwrap(),
        ..TxRange::default()
    }
}

/// The keys below a prefix.
pub(super) fn keys(tx: &mut Transaction, bucket: &str, prefix: &str) -> Result<Vec<String>, EngineError> {
    let page = page(tx, bucket, &below(prefix))?;
    Ok(page.items.iter().map(|item| item.key.to_string()).collect())
}

pub(super) fn commit(tx: Transaction) -> Result<Committed, EngineError> {
    tx.commit(&begins())
}

pub(super) fn is_conflict<T>(result: &Result<T, EngineError>) -> bool {
    matches!(result, Err(EngineError::TransactionConflict(_)))
}

/// An engine in memory with two buckets, and its storage.
pub(super) fn two_buckets() -> (tempfile::TempDir, MemoryStorage, Engine) {
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::new();
    let engine = Engine::with_storage(Arc::new(storage.clone()), dir.path(), options()).unwrap();
    make_bucket(&engine, "aaa");
    make_bucket(&engine, "bbb");
    (dir, storage, engine)
}
