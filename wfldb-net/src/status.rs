//! The one table from kinds of failure to HTTP statuses.

use wfldb_core::Kind;

/// Every kind, for tables and tests; a new kind is added here and below.
pub const KINDS: [Kind; 19] = [
    Kind::Invalid,
    Kind::Unauthenticated,
    Kind::Forbidden,
    Kind::NotFound,
    Kind::NotAllowed,
    Kind::NotAcceptable,
    Kind::Timeout,
    Kind::Conflict,
    Kind::Gone,
    Kind::Precondition,
    Kind::TooLarge,
    Kind::UriTooLong,
    Kind::HeadersTooLarge,
    Kind::Unsupported,
    Kind::Range,
    Kind::Throttled,
    Kind::Internal,
    Kind::Unavailable,
    Kind::StorageFull,
];

/// The HTTP status of a kind. No wildcard arm: a new kind does not compile without its status.
pub const fn status(kind: Kind) -> u16 {
    match kind {
        Kind::Invalid => 400,
        Kind::Unauthenticated => 401,
        Kind::Forbidden => 403,
        Kind::NotFound => 404,
        Kind::NotAllowed => 405,
        Kind::NotAcceptable => 406,
        Kind::Timeout => 408,
        Kind::Conflict => 409,
        Kind::Gone => 410,
        Kind::Precondition => 412,
        Kind::TooLarge => 413,
        Kind::UriTooLong => 414,
        Kind::Unsupported => 415,
        Kind::Range => 416,
        Kind::Throttled => 429,
        Kind::HeadersTooLarge => 431,
        Kind::Internal => 500,
        Kind::Unavailable => 503,
        Kind::StorageFull => 507,
    }
}

/// The kind that an error status stands for, for a client; `None` for a status that no kind has.
pub fn kind(status_code: u16) -> Option<Kind> {
    KINDS.into_iter().find(|kind| status(*kind) == status_code)
}

/// What the `title` of a problem says, the same for every problem of a kind.
pub const fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "The request is not valid",
        Kind::Unauthenticated => "The request is not authenticated",
        Kind::Forbidden => "The key packet does not allow this",
        Kind::NotFound => "Not found",
        Kind::NotAllowed => "Not served here",
        Kind::NotAcceptable => "No accepted media type is served",
        Kind::Timeout => "The request took too long to arrive",
        Kind::Conflict => "In conflict with what is there",
        Kind::Gone => "No longer kept",
        Kind::Precondition => "A precondition does not hold",
        Kind::TooLarge => "Too large",
        Kind::UriTooLong => "The path is too long",
        Kind::HeadersTooLarge => "The header list is too large",
        Kind::Unsupported => "This type of body is not supported",
        Kind::Range => "The range cannot be served",
        Kind::Throttled => "Too many requests",
        Kind::Internal => "The server failed",
        Kind::Unavailable => "Not available now",
        Kind::StorageFull => "The storage is full",
    }
}

/// Whether a caller should wait for `retry-after` and send the same request again.
pub const fn is_retried_later(kind: Kind) -> bool {
    matches!(kind, Kind::Throttled | Kind::Unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_status_of_its_own() {
        for one in KINDS {
            assert_eq!(kind(status(one)), Some(one));
        }
        assert_eq!(kind(200), None);
    }
}
