//! The transactions of this process that callers have open: found by their id by who began them, bounded, ended when they
//! lie idle, last too long, or their packet is revoked. In memory only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedMutexGuard, watch};
use wfldb_core::auth::{Actor, Authorized, Forbidden};
use wfldb_core::id::{PacketHash, PublicKey, TxId};
use wfldb_core::limits::{TX_MS_MAX, TX_OF_ONE_KEY, TX_OPEN_BYTES_MAX, TX_OPEN_MAX};
use wfldb_core::revocation::Chain;
use wfldb_engine::{EngineError, RevocationView, Transaction};

use crate::fault::Fault;

/// The table of transactions.
#[derive(Debug)]
pub(crate) struct Transactions {
    table: Mutex<Table>,
    revocations: Arc<RevocationView>,
    /// What all of them are to write.
    bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct Table {
    open: HashMap<TxId, Arc<Open>>,
    of_key: HashMap<PublicKey, usize>,
}

/// The transaction itself, for one request at a time; `None`: it is over.
pub(crate) type Work = OwnedMutexGuard<Option<Transaction>>;

/// A transaction that is open.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) id: TxId,
    holder: PublicKey,
    packet: PacketHash,
    chain: Chain,
    idle: Duration,
    ends: Instant,
    /// When it was last asked for something.
    used: Mutex<Instant>,
    work: Arc<tokio::sync::Mutex<Option<Transaction>>>,
    held: AtomicUsize,
    over: watch::Sender<bool>,
}

/// Whose request it is: the key, and the packet.
fn owner(authorized: &Authorized) -> Result<(&PublicKey, PacketHash, &Chain), Fault> {
    match (authorized.actor(), authorized.packet()) {
        (Actor::Key(key), Some(packet)) => Ok((key.public_key(), packet.hash(), packet.chain())),
        _ => Err(Fault::Forbidden(Forbidden)),
    }
}

impl Transactions {
    pub(crate) fn new(revocations: Arc<RevocationView>) -> Self {
        Self {
            table: Mutex::default(),
            revocations,
            bytes: AtomicUsize::new(0),
        }
    }

    /// Keeps a transaction that was begun by whoever made the request.
    pub(crate) fn keep(
        &self,
        authorized: &Authorized,
        tx: Transaction,
        idle: Duration,
        now: Instant,
    ) -> Result<Arc<Open>, Fault> {
        let (holder, packet, chain) = owner(authorized)?;
        let mut table = self.table();
        let own = table.of_key.get(holder).copied().unwrap_or(0);
        if own >= TX_OF_ONE_KEY {
            return Err(Fault::InFlight);
        }
        if table.open.len() >= TX_OPEN_MAX {
            return Err(Fault::Overloaded);
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| Fault::Overloaded)?;
        let open = Arc::new(Open {
            id: TxId::from_bytes(id),
            holder: holder.clone(),
            packet,
            chain: chain.clone(),
            idle,
            ends: now + Duration::from_millis(TX_MS_MAX),
            used: Mutex::new(now),
            work: Arc::new(tokio::sync::Mutex::new(Some(tx))),
            held: AtomicUsize::new(0),
            over: watch::Sender::new(false),
        });
        table.open.insert(open.id, Arc::clone(&open));
        *table.of_key.entry(holder.clone()).or_default() += 1;
        Ok(open)
    }

    /// The transaction of that id, if whoever made the request began it.
    ///
    /// SECURITY: another's is not told apart from none.
    pub(crate) fn find(&self, authorized: &Authorized, id: TxId, now: Instant) -> Result<Arc<Open>, Fault> {
        let (holder, packet, _) = owner(authorized)?;
        let open = self.table().open.get(&id).cloned();
        let open = open.filter(|open| open.holder == *holder && open.packet == packet);
        let open = open.filter(|open| !open.has_ended(now));
        let open = open.ok_or(Fault::Engine(EngineError::NoSuchTransaction))?;
        open.touch(now);
        Ok(open)
    }

    /// Ends a transaction: nobody finds it any more, and who waits in it is told.
    pub(crate) fn end(&self, open: &Open) {
        let mut table = self.table();
        if table.open.remove(&open.id).is_none() {
            return;
        }
        if let Some(own) = table.of_key.get_mut(&open.holder) {
            *own -= 1;
            if *own == 0 {
                table.of_key.remove(&open.holder);
            }
        }
        drop(table);
        // ORDER: over first, so that who notes what it holds gives it back itself, or is seen here.
        open.over.send_replace(true);
        self.let_go(open);
        // A request that is at work sees that it is over, and drops it.
        if let Ok(mut work) = open.work.try_lock() {
            drop(work.take());
        }
    }

    /// Takes note of what a transaction holds; `false`: there is no room for it.
    pub(crate) fn hold(&self, open: &Open, bytes: usize) -> bool {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        let before = open.held.swap(bytes, Ordering::SeqCst);
        let all = self.bytes.fetch_sub(before, Ordering::SeqCst) - before;
        if open.is_over() {
            self.let_go(open);
        }
        bytes <= before || all <= TX_OPEN_BYTES_MAX
    }

    fn let_go(&self, open: &Open) {
        let held = open.held.swap(0, Ordering::SeqCst);
        self.bytes.fetch_sub(held, Ordering::SeqCst);
    }

    /// Ends those that have lain idle or lasted too long, and those whose packet is revoked.
    pub(crate) fn sweep(&self, now: Instant) {
        let all: Vec<_> = self.table().open.values().cloned().collect();
        for open in all {
            if open.has_ended(now) || self.revocations.covers(&open.chain) {
                self.end(&open);
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Waits until no other request is at work in it.
    pub(crate) async fn work(&self) -> Result<Work, Fault> {
        let work = Arc::clone(&self.work).lock_owned().await;
        if self.is_over() || work.is_none() {
            Err(Fault::Engine(EngineError::NoSuchTransaction))
        } else {
            Ok(work)
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Waits until it is over.
    pub(crate) async fn ended(&self) {
        let mut over = self.over.subscribe();
        // The sender is here, so it does not go away meanwhile.
        let _ = over.wait_for(|over| *over).await;
    }

    pub(crate) fn touch(&self, now: Instant) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// A request that is at work keeps it from being idle, but not from lasting too long.
    fn has_ended(&self, now: Instant) -> bool {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let idles = now.saturating_duration_since(used) >= self.idle;
        now >= self.ends || (idles && self.work.try_lock().is_ok())
    }
}
