//! A local process that signs plain requests, so that `curl` works against the server.
//!
//! Whoever can send it a request acts with its packet, so it is careful whom it listens to: a socket that only its user
//! can open, or a port of this machine with a secret of this run; and never a browser, whose pages would otherwise act in
//! its user's name. `rules` decides what is signed and what is refused, `place` makes socket and secret, `spool` gathers
//! bodies, which have to be hashed before they are signed, `serve` is the loop.
//!
//! Not here: what is allowed. The server decides, by the packet; a narrowed one is the caller's to make first.

mod place;
mod rules;
mod serve;
mod spool;

pub use place::{Listen, Place};
pub use serve::{Agent, AgentOptions};
