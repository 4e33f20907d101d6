//! Transactions: many reads and writes over many buckets, carried out at one place of the log or not at all.
//!
//! A transaction reads one snapshot and keeps what it is to write in memory, with a note of everything that it read. Its
//! commit is one plan: what was read is held against what is there by then (`reads`), and then the writes are carried
//! out like those of a batch (`commit::apply::transaction`). So transactions are serialisable in the order of the log, and
//! one whose reads were overtaken is refused and can be tried again. `writes` has savepoints and nesting, `commit` the
//! way to the log, `scan` ranges, `locks` what keeps transactions that
//! ask for it out of each other's way.

mod commit;
mod lock_table;
mod locks;
mod reads;
mod scan;
mod writes;

use std::sync::Arc;

use bytes::Bytes;
use wfldb_core::auth::{Actor, Authorized, Op, Service, Target, Written};
use wfldb_core::doc;
use wfldb_core::id::{BucketId, ContentHash, PacketHash, VersionId};
use wfldb_core::limits::TX_BYTES_MAX;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{BucketKind, ObjectHeaders, Preconditions};
use wfldb_core::time::UnixMillis;

pub use self::commit::{Committed, TransactionWrite};
pub use self::lock_table::LockMode;
use self::locks::Holder;
pub use self::locks::LockWait;
pub(crate) use self::locks::Locks;
pub use self::reads::Changed;
use self::reads::last_change;
pub(crate) use self::reads::{ReadSet, View};
pub use self::scan::{TxKey, TxPage, TxRange};
use self::writes::{PendingPut, Write, WriteAction, WriteSet};
use crate::bucket::{admits, bucket_of};
use crate::engine::{Engine, Inner};
use crate::error::EngineError;
use crate::object::{check_conditions, inline_body, read_chunks};
use crate::row::{BucketRow, ObjectRow, key};
use crate::storage::{Snapshot, Space};

/// How often a closure is run that [`Engine::transaction`] was given, at most.
const ATTEMPTS_MAX: u32 = 32;

/// An object as a transaction sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxObject {
    /// Its version; `None` of what the transaction itself is to write.
    pub version: Option<VersionId>,
    /// BLAKE3 of the stored bytes; `None` of a document that is still to be made.
    pub etag: Option<ContentHash>,
    /// When it was committed; `None` as for the version.
    pub modified: Option<UnixMillis>,
    /// What is kept with it.
    pub headers: ObjectHeaders,
    /// Length of the stored bytes.
    pub len: u64,
    /// The bytes; of a document its JSON, with `_sig` where it is stored, and as it was given where it is not.
    pub body: Bytes,
}

/// A transaction that is under way. Dropping it ends it without a trace.
///
/// Every access takes a proof of its own, of the same caller with the same packet as the one it was begun with.
pub struct Transaction {
    inner: Arc<Inner>,
    actor: Actor,
    packet: Option<PacketHash>,
    snapshot: Arc<dyn Snapshot>,
    reads: ReadSet,
    writes: WriteSet,
    /// It cannot be committed any more: the whole can be tried again.
    overtaken: bool,
    /// It was ended to resolve a deadlock.
    ended: bool,
    /// It stands for the transaction among the locks.
    holder: Arc<Holder>,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}

impl Engine {
    /// Begins a transaction on what is committed by now. `proof` is one for [`Service::Tx`].
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn begin(&self, proof: &Authorized) -> Result<Transaction, EngineError> {
        if *proof.target() != Target::Service(Service::Tx) {
            return Err(EngineError::Forbidden);
        }
        Ok(Transaction {
            inner: Arc::clone(&self.inner),
            actor: proof.actor().clone(),
            packet: packet_of(proof),
            snapshot: self.inner.storage.snapshot(),
            reads: ReadSet::default(),
            writes: WriteSet::default(),
            overtaken: false,
            ended: false,
            holder: Arc::new(self.inner.locks.holder()),
        })
    }

    /// Runs `body` in a transaction and commits it; when something that it read was overtaken, again from the start, 32
    /// times at most. Blocks. An error of `body` ends the transaction without a trace.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use wfldb_core::auth::{Authorized, Op, Service, Target};
    /// use wfldb_core::name::{BucketName, ObjectKey};
    /// use wfldb_core::object::{BucketConfig, ObjectHeaders, Preconditions};
    /// use wfldb_engine::{Engine, EngineError, EngineOptions};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let engine = Engine::open(dir.path(), EngineOptions::default().without_floor())?;
    /// let bucket = BucketName::parse("counts")?;
    /// let key = ObjectKey::parse("visits")?;
    /// let proof = |op, target| Authorized::local("example", op, target);
    /// engine.put_bucket(&proof(Op::Manage, Target::Bucket(bucket.clone())), BucketConfig::default()).wait()?;
    ///
    /// let at = || Target::Key(bucket.clone(), key.clone());
    /// let (visits, _) = engine.transaction(&proof(Op::List, Target::Service(Service::Tx)), |tx| {
    ///     let visits = tx.get(&proof(Op::Get, at()))?.map_or(0, |object| object.body.len());
    ///     let more = Bytes::from(vec![b'|'; visits + 1]);
    ///     tx.put(&proof(Op::Put, at()), more, ObjectHeaders::default(), &Preconditions::default())?;
    ///     Ok::<_, EngineError>(visits + 1)
    /// })?;
    /// assert_eq!(visits, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of `body`; those of [`Transaction::commit`], `TransactionConflict` after the last attempt.
    pub fn transaction<T, E: From<EngineError>>(
        &self,
        proof: &Authorized,
        mut body: impl FnMut(&mut Transaction) -> Result<T, E>,
    ) -> Result<(T, Committed), E> {
        let mut attempt = 1;
        loop {
            let mut tx = self.begin(proof)?;
            let again = match body(&mut tx) {
                Ok(value) => match tx.commit(proof) {
                    Ok(committed) => return Ok((value, committed)),
                    Err(error @ EngineError::TransactionConflict(_)) => error.into(),
                    Err(error) => return Err(error.into()),
                },
                Err(error) if tx.overtaken => error,
                Err(error) => return Err(error),
            };
            if attempt == ATTEMPTS_MAX {
                return Err(again);
            }
            commit::back_off(attempt)?;
            attempt += 1;
        }
    }
}

fn packet_of(proof: &Authorized) -> Option<PacketHash> {
    proof.packet().map(wfldb_core::packet::VerifiedPacket::hash)
}

impl Transaction {
    /// SECURITY: nobody adds to another's transaction, nor with another packet: the commit is held against what is revoked
    /// of one.
    fn check_owner(&self, proof: &Authorized) -> Result<(), EngineError> {
        if *proof.actor() != self.actor || packet_of(proof) != self.packet {
            return Err(EngineError::Forbidden);
        }
        if self.ended {
            return Err(EngineError::Deadlock);
        }
        Ok(())
    }

    /// The newest version of the key that `proof` (for `get`) names, whole: what this transaction is to write there, or
    /// else what was there when it began; `None`: nothing. Reads the storage.
    ///
    /// # Errors
    /// `NoSuchBucket`; `TooLarge` for an object of more than 8 MiB; `TransactionLimit`; `TransactionConflict` for what was
    /// removed for good since the transaction began.
    pub fn get(&mut self, proof: &Authorized) -> Result<Option<TxObject>, EngineError> {
        self.check_owner(proof)?;
        let name = bucket_of(proof, Op::Get)?;
        let object = proof.key().ok_or(EngineError::Forbidden)?;
        let bucket = self.bucket(name)?;
        admits(&bucket, proof)?;
        match self.writes.at(&bucket.id, object).map(|write| &write.action) {
            Some(WriteAction::Put(put)) => return Ok(Some(TxObject::pending(put))),
            Some(WriteAction::Delete) => return Ok(None),
            None => {}
        }
        let Some(head) = self.head(&bucket.id, object)? else {
            return Ok(None);
        };
        if head.len > TX_BYTES_MAX as u64 {
            return Err(EngineError::TooLarge);
        }
        let version = key::version(&bucket.id, object, &head.version);
        // SECURITY: what was erased since, or has ended, is not read out of an old snapshot.
        let latest = self.inner.storage.snapshot();
        let row = match latest.get(Space::Versions, &version)? {
            Some(_) => self.snapshot.get(Space::Versions, &version)?,
            None => return Err(self.overtaken(Changed::Key(name.clone(), object.clone()))),
        };
        let row = ObjectRow::decode(&row.ok_or(EngineError::Corrupt("version"))?)?;
        let body = if let Some(signature) = &row.signature {
            let text = inline_body(&*self.snapshot, &bucket.id, &row)?;
            doc::with_signature(&text, signature).into()
        } else if row.inline {
            inline_body(&*self.snapshot, &bucket.id, &row)?
        } else {
            let read = read_chunks(&self.inner.chunks, bucket.id, &row);
            let is_gone = read.is_err()
                && self
                    .inner
                    .storage
                    .snapshot()
                    .get(Space::Versions, &version)?
                    .is_none();
            if is_gone {
                return Err(self.overtaken(Changed::Key(name.clone(), object.clone())));
            }
            read?
        };
        Ok(Some(TxObject {
            version: Some(row.version),
            etag: Some(row.etag),
            modified: Some(row.modified),
            len: row.len,
            headers: row.headers,
            body,
        }))
    }

    /// Is to write `body` to the key that `proof` (for `put`) names. Preconditions are decided at once, as this transaction
    /// sees the key; that it saw it so is part of what it has read.
    ///
    /// # Errors
    /// `NoSuchBucket`, `ReservedKey`, `PreconditionFailed`, `Forbidden`, `TransactionLimit`; `Json` in a bucket of documents
    /// for what is none. What the bucket's and the grants' quotas allow is decided in the commit, and so is the envelope of
    /// a document.
    pub fn put(
        &mut self,
        proof: &Authorized,
        body: Bytes,
        headers: ObjectHeaders,
        preconditions: &Preconditions,
    ) -> Result<(), EngineError> {
        if !proof.object_is_known() {
            return Err(EngineError::Forbidden);
        }
        let (bucket, object) = self.writable(proof, Op::Put, preconditions)?;
        let planned_by = if bucket.config.kind == BucketKind::Documents {
            // What is no document is refused here, what its commit makes of it there.
            doc::parse_object(&body)?;
            let target = Target::Key(bucket.name.clone(), object.clone());
            let by = proof.further(Op::Put, target, Written::Later);
            Some(Arc::new(by.map_err(|_| EngineError::Forbidden)?))
        } else {
            None
        };
        let put = PendingPut {
            planned_by,
            etag: ContentHash::of(&body),
            body,
            headers,
            charges: proof.charges().to_vec(),
        };
        let action = WriteAction::Put(Box::new(put));
        self.writes.write(bucket.id, object, action, proof.create_only())
    }

    /// As [`Transaction::put`], where the bucket has to hold documents.
    ///
    /// # Errors
    /// As [`Transaction::put`]; `NotDocuments`.
    pub fn put_document(
        &mut self,
        proof: &Authorized,
        json: Bytes,
        headers: ObjectHeaders,
        preconditions: &Preconditions,
    ) -> Result<(), EngineError> {
        self.check_owner(proof)?;
        let bucket = self.bucket(bucket_of(proof, Op::Put)?)?;
        if bucket.config.kind != BucketKind::Documents {
            return Err(EngineError::NotDocuments);
        }
        self.put(proof, json, headers, preconditions)
    }

    /// Is to add a tombstone to the key that `proof` (for `delete`) names, if something is there then.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn delete(&mut self, proof: &Authorized, preconditions: &Preconditions) -> Result<(), EngineError> {
        let (bucket, object) = self.writable(proof, Op::Delete, preconditions)?;
        self.writes
            .write(bucket.id, object, WriteAction::Delete, proof.create_only())
    }

    /// Sets a savepoint. One of the same name is hidden while this one is there.
    ///
    /// # Errors
    /// `TransactionLimit`.
    pub fn savepoint(&mut self, name: &str) -> Result<(), EngineError> {
        self.writes.savepoint(Some(name.to_owned()))
    }

    /// Takes back what was written since the newest savepoint of that name, which stays. What was read stays read.
    ///
    /// # Errors
    /// `NoSuchSavepoint`.
    pub fn roll_back_to(&mut self, name: &str) -> Result<(), EngineError> {
        self.writes.roll_back_to(name)
    }

    /// Runs `body` as a transaction within this one: what it wrote is kept when it answers `Ok`, and taken back otherwise.
    /// What it read stays read by this one. Its savepoints end with it.
    ///
    /// # Errors
    /// Those of `body`; `TransactionLimit` when it is nested too deeply.
    pub fn nested<T, E: From<EngineError>>(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.begin_nested()?;
        let done = body(self);
        self.end_nested(done.is_ok());
        done
    }

    /// Begins a nested transaction, for who cannot write it as a closure. Each is ended by [`Transaction::end_nested`].
    ///
    /// # Errors
    /// `TransactionLimit`.
    pub fn begin_nested(&mut self) -> Result<(), EngineError> {
        self.writes.savepoint(None)
    }

    /// Ends the innermost nested transaction, and keeps or takes back what it wrote.
    pub fn end_nested(&mut self, keep: bool) {
        self.writes.end_nested(keep);
    }

    /// Whether a nested transaction is under way.
    #[must_use]
    pub fn is_nested(&self) -> bool {
        self.writes.is_nested()
    }

    /// Bytes that it holds of what is to be written.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.writes.bytes()
    }

    /// Goes on from what is committed by now, if everything that was read is still so there; answers whether it is. For
    /// whoever has just got a lock, and would otherwise not see what its last holder wrote.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn move_on(&mut self) -> Result<bool, EngineError> {
        let latest = self.inner.storage.snapshot();
        match self.reads.check(&*latest, self.inner.now()) {
            Ok(()) => {}
            Err(EngineError::TransactionConflict(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
        self.reads.moved_to(&*latest)?;
        self.snapshot = latest;
        Ok(true)
    }

    fn overtaken(&mut self, changed: Changed) -> EngineError {
        self.overtaken = true;
        changed.into()
    }

    /// The bucket that a name stands for, which it goes on to do for this transaction.
    fn bucket(&mut self, name: &BucketName) -> Result<BucketRow, EngineError> {
        let snapshot = &*self.snapshot;
        let id = if let Some(known) = self.reads.bucket(name) {
            *known
        } else {
            let row = snapshot.get(Space::Meta, &key::bucket_name(name))?;
            let id = row.map(|row| <[u8; 16]>::try_from(&*row)).transpose();
            let id = id.map_err(|_| EngineError::Corrupt("bucket name"))?;
            let found = match id.map(BucketId::from_bytes) {
                None => None,
                Some(id) => {
                    let seq = last_change(snapshot, &id)?;
                    Some((id, seq.ok_or(EngineError::Corrupt("counters"))?))
                }
            };
            self.reads.note_bucket(name, found)?;
            found.map(|(id, _)| id)
        };
        let id = id.ok_or(EngineError::NoSuchBucket)?;
        let row = snapshot.get(Space::Meta, &key::bucket_row(&id))?;
        Ok(BucketRow::decode(
            &row.ok_or(EngineError::Corrupt("bucket name"))?,
        )?)
    }

    /// The newest live version of a key as the snapshot has it, noted as read.
    fn head(&mut self, bucket: &BucketId, object: &ObjectKey) -> Result<Option<ObjectRow>, EngineError> {
        let row = self.snapshot.get(Space::Heads, &key::head(bucket, object))?;
        let row = row.map(|row| ObjectRow::decode(&row)).transpose()?;
        let live = row.filter(|row| row.is_live(self.inner.now()));
        let noted = self.reads.note_key(bucket, object, live.as_ref());
        self.overtaken |= matches!(noted, Err(EngineError::TransactionConflict(_)));
        noted.map(|()| live)
    }

    /// What `put` and `delete` have to check alike.
    fn writable(
        &mut self,
        proof: &Authorized,
        op: Op,
        preconditions: &Preconditions,
    ) -> Result<(BucketRow, ObjectKey), EngineError> {
        self.check_owner(proof)?;
        let name = bucket_of(proof, op)?;
        let object = proof.key().ok_or(EngineError::Forbidden)?.clone();
        check_conditions(proof, preconditions)?;
        object.check_writable().map_err(|_| EngineError::ReservedKey)?;
        let bucket = self.bucket(name)?;
        if !preconditions.is_empty() {
            let own = self.writes.at(&bucket.id, &object).map(Write::shown);
            let (etag, version) = if let Some(own) = own {
                (own, None)
            } else {
                let head = self.head(&bucket.id, &object)?;
                head.map_or((None, None), |head| (Some(head.etag), Some(head.version)))
            };
            // A version that is still to be made is none that a caller can name; that of zeros is of the year 1970.
            let unmade = || VersionId::from_bytes([0; 16]);
            let head = etag.map(|etag| (etag, version.unwrap_or_else(unmade)));
            let head = head.as_ref().map(|(etag, version)| (etag, version));
            preconditions
                .check(head)
                .map_err(|_| EngineError::PreconditionFailed)?;
        }
        Ok((bucket, object))
    }
}

impl Write {
    /// The etag of what is to be there; `None`: nothing.
    fn shown(&self) -> Option<ContentHash> {
        match &self.action {
            WriteAction::Put(put) => Some(put.etag),
            WriteAction::Delete => None,
        }
    }
}

impl TxObject {
    fn pending(put: &PendingPut) -> Self {
        Self {
            version: None,
            etag: put.planned_by.is_none().then_some(put.etag),
            modified: None,
            len: put.body.len() as u64,
            headers: put.headers.clone(),
            body: put.body.clone(),
        }
    }
}
