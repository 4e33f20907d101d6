//! Who is asking, and may they: the steps from a request's bytes to an `Authorized` proof.
//!
//! The decisions are core's; here they get their clock, their memory and their caches, in the protocol's order.

mod admit;
mod heard;
mod packets;
mod rate;
mod refusals;
mod replay;
mod sessions;
mod tokens;

pub(crate) use admit::{Admitted, Gate, Knock};
pub(crate) use heard::Heard;
pub(crate) use rate::Rates;
pub(crate) use replay::Replay;
pub(crate) use sessions::Sessions;
