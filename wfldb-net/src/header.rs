//! Names of the header fields that wflDB gives a meaning, lower-case as in HTTP/2.

use http::HeaderName;

/// When the caller signed the request.
pub const TIMESTAMP: HeaderName = HeaderName::from_static("x-wfldb-timestamp");
/// 16 random bytes, spent once.
pub const NONCE: HeaderName = HeaderName::from_static("x-wfldb-nonce");
/// Length and hash of the body.
pub const CONTENT: HeaderName = HeaderName::from_static("x-wfldb-content");
/// Names of the signed fields.
pub const SIGNED_HEADERS: HeaderName = HeaderName::from_static("x-wfldb-signed-headers");
/// The caller's signature.
pub const SIGNATURE: HeaderName = HeaderName::from_static("x-wfldb-signature");

/// Version of an object, a ULID.
pub const VERSION: HeaderName = HeaderName::from_static("x-wfldb-version");
/// The bucket's commit number of a change.
pub const SEQ: HeaderName = HeaderName::from_static("x-wfldb-seq");
/// Identifies one request in the server's log.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-wfldb-request-id");
/// The server's time, on every 401.
pub const TIME: HeaderName = HeaderName::from_static("x-wfldb-time");
/// Tags of an object, in query encoding.
pub const TAGS: HeaderName = HeaderName::from_static("x-wfldb-tags");
/// Seconds that an object should live.
pub const TTL: HeaderName = HeaderName::from_static("x-wfldb-ttl");
/// Precondition: the newest version is this one.
pub const IF_VERSION: HeaderName = HeaderName::from_static("x-wfldb-if-version");
/// Asks a write for its receipt from the audit log.
pub const RECEIPT: HeaderName = HeaderName::from_static("x-wfldb-receipt");
/// The leaf of a write in the audit log.
pub const LEAF: HeaderName = HeaderName::from_static("x-wfldb-leaf");
/// `true` in the answer to a write that stored a document: its etag is that of what the store made of the body.
pub const DOCUMENT: HeaderName = HeaderName::from_static("x-wfldb-document");
/// What user metadata names begin with.
pub const META_PREFIX: &str = "x-wfldb-meta-";
/// Reserved for a later version of the protocol.
pub const IDEMPOTENCY: HeaderName = HeaderName::from_static("x-wfldb-idempotency");
/// Reserved for a later version of the protocol.
pub const RETRY_OF: HeaderName = HeaderName::from_static("x-wfldb-retry-of");
