//! The kinds of failure, sorted by what the caller should do. Not here: their HTTP status (net).

use std::fmt;

/// What went wrong, in terms of what the caller can do about it (the error table of the protocol).
///
/// Every error of every crate maps to one of these; the wire status follows from it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The request is wrong and will stay wrong: fix it.
    Invalid,
    /// Key, packet, signature or clock is wrong.
    Unauthenticated,
    /// The packet does not allow this: ask its issuer.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The route exists, the method or mode does not.
    NotAllowed,
    /// No representation that `accept` allows.
    NotAcceptable,
    /// The request took too long to arrive.
    Timeout,
    /// Something else was there first: read again, retry.
    Conflict,
    /// It existed and is no longer kept: start over.
    Gone,
    /// A precondition does not hold: read again.
    Precondition,
    /// A size is over its limit: split.
    TooLarge,
    /// The path with query is over its limit.
    UriTooLong,
    /// The header list is over its limit.
    HeadersTooLarge,
    /// The type or encoding of the body is not supported.
    Unsupported,
    /// The range cannot be satisfied.
    Range,
    /// Too many requests: wait `retry-after`.
    Throttled,
    /// Our fault, outcome unknown and corruption included: read back, report the request id.
    Internal,
    /// Not now: retry with backoff.
    Unavailable,
    /// The disk is full: call the operator.
    StorageFull,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
