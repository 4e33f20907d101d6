//! Sessions: a key that client and server agree on once, so that the reads that follow carry a cheap tag instead of a
//! signature. Not here: the requests themselves ([`crate::request`]), randomness, and where sessions are kept.
//!
//! A client signs a request that carries an [`ExchangeKey`]; the server answers with an [`Offer`], signed by its node
//! key. Both derive the same [`SessionKey`] from the exchange and its transcript. Each request then uses a counter
//! once, which the server's [`CounterWindow`] sees to.

mod exchange;
mod key;
mod window;

pub use exchange::{ExchangeError, ExchangeKey, ExchangeSecret, Offer, accept, complete};
pub use key::{SessionKey, SessionTag};
pub use window::CounterWindow;

use crate::id::{KeyId, SessionId};
use crate::packet::VerifiedPacket;
use crate::time::UnixMillis;

/// A session as the server keeps it: whose it is, until when, and the key. Everything that a request of it may do is
/// decided from its packet, as for a signed request that carries the same packet.
#[derive(Debug)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The packet that it was opened with, verified then in all but its time.
    pub packet: VerifiedPacket,
    /// When it ends.
    pub expires: UnixMillis,
    /// What its requests are tagged with.
    pub key: SessionKey,
}

impl Session {
    /// Who opened it.
    pub fn subject(&self) -> &KeyId {
        self.packet.subject()
    }

    /// Whether it is over.
    pub fn has_ended(&self, now: UnixMillis) -> bool {
        now >= self.expires
    }
}
