//! Key packets: what a holder of a key may do, signed by who may grant it.
//!
//! A packet is a compact JWS. What decides on a request is the strict parser here with
//! `verify_strict`; the JWT library only builds and signs packets in [`issue`], and is the second
//! opinion in tests. A packet is a chain of one to four links: link 0 is a root key's, each later one is signed by the
//! holder of the link before, whose whole packet it carries (`prf`). Every link has to allow an access.

mod cidr;
mod claims;
mod effective;
mod error;
mod grant;
mod issue;
mod json;
mod parse;
mod url_link;
mod url_link_verify;
mod verify;

pub use cidr::Cidr;
pub use claims::Claims;
pub use effective::{Widening, effective, widening};
pub use error::PacketError;
pub use grant::{Grant, GrantBucket, GrantLimits};
pub use issue::{delegate, issue};
pub use parse::{Link, Packet};
pub use url_link::{UrlLink, UrlLinkClaims, UrlLinkKeys, UrlLinkMethod, issue_url_link};
pub use url_link_verify::VerifiedUrlLink;
pub use verify::{TrustedRoots, VerifiedPacket, verify, verify_signatures};
