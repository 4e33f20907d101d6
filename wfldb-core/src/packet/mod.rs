//! Key packets: what a holder of a key may do, signed by who may grant it.
//!
//! A packet is a compact JWS. What decides on a request is the strict parser here with
//! `verify_strict`; the JWT library only builds and signs packets in [`issue`], and is the second
//! opinion in tests. This release takes packets of one link; one with `prf` is refused.

mod cidr;
mod claims;
mod error;
mod grant;
mod issue;
mod json;
mod parse;
mod verify;

pub use cidr::Cidr;
pub use claims::Claims;
pub use error::PacketError;
pub use grant::{Grant, GrantBucket, GrantLimits};
pub use issue::issue;
pub use parse::Packet;
pub use verify::{TrustedRoots, VerifiedPacket, verify, verify_signatures};
