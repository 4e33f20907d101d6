//! Revocation: what was revoked, which chains that ends, and who may revoke what.
//!
//! The set is bounded by whoever keeps it; the limits are in [`limits`](crate::limits). Not here: where it is kept, and
//! when it is asked.

mod chain;
mod order;
mod set;
mod what;

pub use chain::{Chain, LinkIdentity};
pub use order::{Asked, Order, order};
pub use set::{Revocations, Terms};
pub use what::{KeyBytes, Revoked};
