//! The memory of nonces: one request is carried out once. A pure state machine; whoever keeps it
//! makes each call atomic, with a lock or by sharding on the public key.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::Kind;
use crate::id::{Nonce, PublicKey};
use crate::request::Window;
use crate::time::UnixMillis;

/// Why a nonce is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The key has used the nonce before.
    #[error("the request was seen before")]
    Replayed,
    /// The key, or one that passed the packet on to it, has used its share of the memory.
    #[error("too many requests within the time window")]
    ShareFull,
    /// The memory is full.
    #[error("the replay memory is full")]
    Full,
    /// The counter is below its session's window, so whether it was used is not known any more.
    #[error("the counter is below the session's window")]
    CounterTooOld,
    /// The timestamp is outside the window, so the nonce could not be remembered long enough.
    #[error("the timestamp is too far from the server's time")]
    OutsideWindow,
}

impl ReplayError {
    /// The stable error code that a client sees.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Replayed | Self::CounterTooOld | Self::OutsideWindow => "Unauthenticated",
            Self::ShareFull => "TooManyRequests",
            Self::Full => "Unavailable",
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Replayed | Self::CounterTooOld | Self::OutsideWindow => Kind::Unauthenticated,
            Self::ShareFull => Kind::Throttled,
            Self::Full => Kind::Unavailable,
        }
    }

    /// The public hint.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Replayed | Self::CounterTooOld => Some("Replayed"),
            Self::OutsideWindow => Some("ClockSkew"),
            Self::ShareFull | Self::Full => None,
        }
    }

    /// The exact reason, for the log and the test vectors. Never sent to a client.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Replayed => "Replayed",
            Self::CounterTooOld => "CounterTooOld",
            Self::ShareFull => "ReplayShareFull",
            Self::Full => "ReplayMemoryFull",
            Self::OutsideWindow => "ClockSkew",
        }
    }
}

/// 128 bits of BLAKE3 over key and nonce. A collision would refuse one good request; it lets no
/// replay through.
type Fingerprint = [u8; 16];
/// The bytes of a public key.
type KeyBytes = [u8; 32];
/// The keys whose shares a nonce takes.
type Shares = Arc<[KeyBytes]>;
/// Whose nonce it is: the key that signed, and those that passed its packet on, each key once.
///
/// SECURITY: a nonce takes a share of all of them. Who may pass a packet on can make keys without end, and would fill
/// the memory for everybody if each of them had a share of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holders {
    signer: KeyBytes,
    all: Shares,
}

impl Holders {
    /// The signer's nonces, taken from the shares of the signer and of the holders before it.
    pub fn new<'a>(signer: &PublicKey, before: impl IntoIterator<Item = &'a PublicKey>) -> Self {
        let signer = *signer.as_bytes();
        let mut all = vec![signer];
        for key in before {
            if !all.contains(key.as_bytes()) {
                all.push(*key.as_bytes());
            }
        }
        Self {
            signer,
            all: all.into(),
        }
    }
}

/// The nonces that were used within the time window.
///
/// Its size is bounded, and it never forgets a nonce whose timestamp would still be accepted; when it
/// is full it refuses instead.
#[derive(Debug)]
pub struct ReplayMemory {
    capacity: usize,
    share: usize,
    window: Window,
    /// The latest time seen. It never goes back, since what was forgotten then stays forgotten.
    now: UnixMillis,
    seen: HashSet<Fingerprint>,
    by_timestamp: BTreeMap<UnixMillis, Vec<(Fingerprint, Shares)>>,
    held: HashMap<KeyBytes, usize>,
}

impl ReplayMemory {
    /// A memory of at most `capacity` nonces, at most `share` of one key and all that it passed its packet on to, for the default window.
    pub fn new(capacity: usize, share: usize) -> Self {
        Self::with_window(capacity, share, Window::default())
    }

    /// A memory for another window.
    pub fn with_window(capacity: usize, share: usize, window: Window) -> Self {
        Self {
            capacity,
            share,
            window,
            now: UnixMillis::default(),
            seen: HashSet::new(),
            by_timestamp: BTreeMap::new(),
            held: HashMap::new(),
        }
    }

    /// How many nonces are remembered.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Takes a nonce of a key, once, out of the shares of the key and of those that passed its packet on.
    ///
    /// INVARIANT: a nonce is kept until its timestamp has left the window for good. Forgetting and
    /// accepting use the same window and the same time, which never goes back.
    ///
    /// # Errors
    /// [`ReplayError`]; nothing is remembered then.
    pub fn check_and_insert(
        &mut self,
        holders: &Holders,
        nonce: &Nonce,
        timestamp: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), ReplayError> {
        self.advance(now);
        // Both times are asked: a clock that was set back must neither accept what was forgotten nor
        // keep what is far in its future.
        if !self.window.contains(timestamp, now) || timestamp < self.now.minus_ms(self.window.past_ms()) {
            return Err(ReplayError::OutsideWindow);
        }
        let fingerprint = fingerprint(&holders.signer, nonce);
        if self.seen.contains(&fingerprint) {
            return Err(ReplayError::Replayed);
        }
        let full = |key: &KeyBytes| self.held.get(key).is_some_and(|count| *count >= self.share);
        if holders.all.iter().any(full) {
            return Err(ReplayError::ShareFull);
        }
        if self.seen.len() >= self.capacity {
            return Err(ReplayError::Full);
        }
        for key in &*holders.all {
            *self.held.entry(*key).or_insert(0) += 1;
        }
        self.seen.insert(fingerprint);
        self.by_timestamp
            .entry(timestamp)
            .or_default()
            .push((fingerprint, holders.all.clone()));
        Ok(())
    }

    /// Drops what has left the window by `now`, and gives back memory that is mostly empty. For a memory to which no
    /// requests come; [`ReplayMemory::check_and_insert`] forgets by itself.
    pub fn forget_by(&mut self, now: UnixMillis) {
        self.advance(now);
        if self.seen.capacity() / 4 > self.seen.len() {
            self.seen.shrink_to(self.seen.len() * 2);
        }
    }

    /// Drops what has left the window.
    fn advance(&mut self, now: UnixMillis) {
        self.now = self.now.max(now);
        let oldest = self.now.minus_ms(self.window.past_ms());
        while let Some(entry) = self.by_timestamp.first_entry() {
            if *entry.key() >= oldest {
                break;
            }
            for (fingerprint, holders) in entry.remove() {
                self.seen.remove(&fingerprint);
                for key in &*holders {
                    if let Some(count) = self.held.get_mut(key) {
                        *count = count.saturating_sub(1);
                        if *count == 0 {
                            self.held.remove(key);
                        }
                    }
                }
            }
        }
    }
}

fn fingerprint(key: &KeyBytes, nonce: &Nonce) -> Fingerprint {
    let hash = blake3::Hasher::new()
        .update(key)
        .update(nonce.as_bytes())
        .finalize();
    let (fingerprint, _) = hash.as_bytes().split_first_chunk().unwrap_or((&[0; 16], &[]));
    *fingerprint
}
