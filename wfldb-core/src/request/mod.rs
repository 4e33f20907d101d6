//! Signed requests: the canonical string, made once for client and server.

mod evidence;

pub use evidence::Evidence;

/// (phase 2)
#[derive(Clone, Debug)]
pub struct SignedRequest {}
