//! Signed requests: the canonical string, made once for client and server.
//!
//! A server takes a request through four types, each proof that the step before was made:
//! [`SignedRequest`] (syntax) → [`VerifiedRequest`] (signature) → [`FreshRequest`] (packet valid now,
//! nonce not seen) → [`Authorized`](crate::auth::Authorized). None but the last leads to the engine.

mod attempt;
mod canonical;
mod error;
mod evidence;
mod link;
mod parse;
mod session;
mod sign;
mod verified;
mod window;

pub use attempt::Attempt;
pub use error::{FreshError, RequestError};
pub use evidence::Evidence;
pub use link::{LINK_PARAMETER, LinkRequest};
pub use parse::{RequestHead, SignedRequest};
pub use session::{ArrivedRequest, RequestToTag, SessionRequest, TaggedRequest, tag};
pub use sign::{RequestToSign, sign};
pub use verified::{FreshRequest, VerifiedRequest};
pub use window::Window;

/// The six headers that carry a signature.
pub mod header {
    /// `Bearer <packet>`.
    pub const AUTHORIZATION: &str = "authorization";
    /// The time of the request.
    pub const TIMESTAMP: &str = "x-wfldb-timestamp";
    /// 16 random bytes.
    pub const NONCE: &str = "x-wfldb-nonce";
    /// Length and hash of the body.
    pub const CONTENT: &str = "x-wfldb-content";
    /// The names of the other headers that are signed.
    pub const SIGNED_HEADERS: &str = "x-wfldb-signed-headers";
    /// The signature over the canonical string.
    pub const SIGNATURE: &str = "x-wfldb-signature";

    /// All six.
    pub const ALL: [&str; 6] = [
        AUTHORIZATION,
        TIMESTAMP,
        NONCE,
        CONTENT,
        SIGNED_HEADERS,
        SIGNATURE,
    ];

    /// What begins the names of our own headers, all of which have to be signed.
    pub(super) const OWN_PREFIX: &str = "x-wfldb-";
    /// Other headers that change what a request does, and so have to be signed when present.
    pub(super) const MUST_SIGN: [&str; 10] = [
        "content-type",
        "range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "cache-control",
        "expires",
        "last-event-id",
    ];
}
