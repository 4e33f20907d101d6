//! Everything that can be wrong with a request, and what of it the caller is told.
//!
//! One enum, one way to the wire ([`Fault::problem`]); the log gets [`Fault::reason`]. Neither holds a key, a path
//! or a secret.

use std::borrow::Cow;

use wfldb_core::Kind;
use wfldb_core::auth::{Forbidden, Method};
use wfldb_core::limits::FIELD_PATH_BYTES_MAX;
use wfldb_core::object::ObjectError;
use wfldb_core::packet::PacketError;
use wfldb_core::request::{FreshError, RequestError};
use wfldb_engine::{Changed, EngineError};
use wfldb_net::accept::NotAcceptable;
use wfldb_net::batch::BatchError;
use wfldb_net::condition::BadCondition;
use wfldb_net::multipart::PartListError;
use wfldb_net::problem::Problem;
use wfldb_net::range::RangeError;
use wfldb_net::route::RouteError;
use wfldb_net::tx::TxError;

use crate::text::SearchFault;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("HTTP/1.1 and HTTP/2 are served, HTTP/1.0 is not")]
    HttpVersion,
    #[error("the request target is a path that begins with `/`, without host or fragment")]
    BadTarget,
    #[error("`upgrade` is not served")]
    Upgrade,
    #[error("HTTP/1.1 wants exactly one `host`")]
    BadHost,
    #[error("`content-length` and `transfer-encoding` cannot stand together")]
    TwoLengths,
    #[error("trailers are not served")]
    Trailers,
    #[error("the header list has at most 24576 bytes and 64 fields")]
    HeadersTooLarge,
    #[error(transparent)]
    Route(#[from] RouteError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Packet(#[from] PacketError),
    #[error(transparent)]
    Fresh(#[from] FreshError),
    /// Stamped at or before the replay mark that the last process left.
    #[error("the timestamp is not after the server's start")]
    BeforeStart,
    #[error("the session is unknown or over")]
    SessionUnknown,
    #[error("this request needs a signature of its own, not a session")]
    SignatureRequired,
    #[error("this server opens no sessions now")]
    NoSessions,
    #[error("the replay mark cannot be made durable")]
    ReplayMark(#[source] std::io::Error),
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error("more requests than a rate allows: the grant's, the key's or the bucket's")]
    Rate,
    #[error("too many requests of this grant or key are in flight")]
    InFlight,
    #[error("too many feeds of this key wait for changes")]
    Feeds,
    #[error("the server is at its limit of work; try again")]
    Overloaded,
    #[error("header `{0}` has no meaning on this route")]
    HeaderNotServed(&'static str),
    #[error("header `{0}` is not served yet")]
    HeaderNotSupportedYet(&'static str),
    #[error(transparent)]
    Condition(#[from] BadCondition),
    #[error("`if-range` takes one quoted etag")]
    IfRange,
    #[error("`x-wfldb-receipt` takes `true`")]
    ReceiptHeader,
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("the body's type is not served here")]
    ContentType,
    #[error(transparent)]
    Batch(BatchError),
    #[error(transparent)]
    Tx(TxError),
    #[error(transparent)]
    PartList(PartListError),
    #[error("the body is not what this route takes")]
    Body,
    #[error("`last-event-id` takes the id of an event of this feed")]
    LastEventId,
    #[error("the cursor is not one that was given for this request")]
    Cursor,
    #[error(transparent)]
    NotAcceptable(#[from] NotAcceptable),
    #[error("this request has no body")]
    BodyNotAllowed,
    #[error("the body is larger than this route takes")]
    BodyTooLarge,
    #[error("the body has another length than was signed")]
    BodyLength,
    #[error("the body has another hash than was signed")]
    BodyHash,
    #[error("the body came too slowly")]
    BodyTimeout,
    #[error("the body broke off")]
    BodyBroken,
    #[error("no byte of the object lies in the range")]
    Range(u64),
    #[error("a precondition does not hold")]
    Precondition,
    #[error("there is no such version")]
    NoSuchVersion,
    #[error("the bucket has no schema")]
    NoSchema,
    #[error("this server keeps no mirror")]
    NoMirror,
    #[error("this server takes no backups: it was started without --backup-dir")]
    BackupNotConfigured,
    #[error("the path is not below the directory that this server allows, or goes through a link")]
    BackupPath,
    #[error("this server brings nothing together: it was started without --mirror-remote")]
    SyncNotConfigured,
    #[error(
        "a store whose key nobody has named to be trusted pushed to the remote, or the remote is no mirror's history"
    )]
    SyncUntrusted,
    #[error("the stores could not be brought together; the server's log says why")]
    SyncFailed(String),
    #[error(transparent)]
    Search(#[from] SearchFault),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the bucket wants each read in the audit log, and this one cannot be written there: {0}")]
    NotLogged(#[source] EngineError),
    #[error("a task of the request panicked")]
    Panicked,
}

impl Fault {
    pub(crate) fn from_range(error: RangeError, whole: u64) -> Self {
        match error {
            RangeError::NotSatisfiable | RangeError::Malformed => Self::Range(whole),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::HttpVersion
            | Self::BadTarget
            | Self::Upgrade
            | Self::BadHost
            | Self::TwoLengths
            | Self::Trailers
            | Self::HeaderNotServed(_)
            | Self::HeaderNotSupportedYet(_)
            | Self::Condition(_)
            | Self::IfRange
            | Self::ReceiptHeader
            | Self::LastEventId
            | Self::Cursor
            | Self::Batch(BatchError::Malformed | BatchError::Entries)
            | Self::Tx(TxError::Malformed | TxError::Ops)
            | Self::PartList(_)
            | Self::Body
            | Self::BodyNotAllowed
            | Self::BodyLength
            | Self::BodyHash
            | Self::BodyBroken => Kind::Invalid,
            Self::HeadersTooLarge => Kind::HeadersTooLarge,
            Self::Route(error) => error.kind(),
            Self::Request(error) => error.kind(),
            Self::Packet(error) => error.kind(),
            Self::Fresh(error) => error.kind(),
            Self::BeforeStart | Self::SessionUnknown | Self::SignatureRequired => Kind::Unauthenticated,
            Self::Forbidden(error) => error.kind(),
            Self::Rate | Self::InFlight | Self::Feeds => Kind::Throttled,
            Self::ReplayMark(_) | Self::NoSessions | Self::Overloaded | Self::NotLogged(_) => {
                Kind::Unavailable
            }
            Self::Object(error) => error.kind(),
            Self::ContentType => Kind::Unsupported,
            Self::NotAcceptable(_) => Kind::NotAcceptable,
            Self::BodyTooLarge | Self::Batch(BatchError::TooLarge) | Self::Tx(TxError::TooLarge) => {
                Kind::TooLarge
            }
            Self::BodyTimeout => Kind::Timeout,
            Self::Range(_) => Kind::Range,
            Self::Precondition => Kind::Precondition,
            Self::NoSuchVersion | Self::NoSchema | Self::NoMirror => Kind::NotFound,
            Self::BackupNotConfigured | Self::BackupPath | Self::SyncNotConfigured => Kind::Forbidden,
            Self::SyncUntrusted => Kind::Conflict,
            Self::SyncFailed(_) => Kind::Unavailable,
            Self::Search(error) => error.kind(),
            Self::Engine(error) => error.kind(),
            Self::Panicked => Kind::Internal,
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::HttpVersion => "HttpVersionNotSupported",
            Self::BadTarget => "BadTarget",
            Self::Upgrade => "UpgradeNotSupported",
            Self::BadHost
            | Self::HeaderNotServed(_)
            | Self::Condition(_)
            | Self::IfRange
            | Self::ReceiptHeader
            | Self::LastEventId => "BadHeader",
            Self::TwoLengths => "TwoLengths",
            Self::Trailers => "TrailersNotAllowed",
            Self::HeadersTooLarge => "HeadersTooLarge",
            Self::Route(error) => error.code(),
            Self::Request(error) => error.code(),
            Self::Packet(error) => error.code(),
            Self::Fresh(error) => error.code(),
            Self::BeforeStart => "Unauthenticated",
            Self::SessionUnknown => "SessionUnknown",
            Self::SignatureRequired => "SignatureRequired",
            Self::ReplayMark(_) | Self::NoSessions => "Unavailable",
            Self::Forbidden(error) => error.code(),
            Self::Rate => "RateExceeded",
            Self::InFlight | Self::Feeds => "TooManyRequests",
            Self::Overloaded => "Overloaded",
            Self::NotLogged(_) => "ReadNotLogged",
            Self::HeaderNotSupportedYet(_) => "NotSupportedYet",
            Self::Object(error) => error.code(),
            Self::ContentType => "ContentTypeNotSupported",
            Self::Cursor => "BadCursor",
            Self::NotAcceptable(_) => "NotAcceptable",
            Self::BodyNotAllowed => "BodyNotAllowed",
            Self::BodyTooLarge | Self::Batch(BatchError::TooLarge) | Self::Tx(TxError::TooLarge) => {
                "TooLarge"
            }
            Self::Tx(_) => "BadTransaction",
            Self::Batch(_) => "BadBatch",
            Self::PartList(_) => "BadPartList",
            Self::Body => "BadBody",
            Self::BodyLength => "LengthMismatch",
            Self::BodyHash => "HashMismatch",
            Self::BodyTimeout => "BodyTimeout",
            Self::BodyBroken => "BodyIncomplete",
            Self::Range(_) => "RangeNotSatisfiable",
            Self::Precondition => "PreconditionFailed",
            Self::NoSuchVersion => "NoSuchVersion",
            Self::NoSchema => "NoSuchSchema",
            Self::NoMirror => "NoMirror",
            Self::BackupNotConfigured => "BackupNotConfigured",
            Self::BackupPath => "BackupPathNotAllowed",
            Self::SyncNotConfigured => "SyncNotConfigured",
            Self::SyncUntrusted => "SyncUntrusted",
            Self::SyncFailed(_) => "SyncFailed",
            Self::Search(error) => error.code(),
            Self::Engine(error) => error.code(),
            Self::Panicked => "Internal",
        }
    }

    /// The public hint.
    ///
    /// SECURITY: of a failed authentication a caller learns about its clock, and only after its signature verified
    /// whether the packet has expired or the request was seen before. The errors of core keep that rule.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Request(error) => error.hint(),
            Self::Fresh(error) => error.hint(),
            Self::BeforeStart => Some("ClockSkew"),
            _ => None,
        }
    }

    /// What the log says: more than the caller is told, and still no name, key or secret.
    pub(crate) fn reason(&self) -> Cow<'static, str> {
        match self {
            Self::Request(error) => error.reason().into(),
            Self::Packet(error) => error.reason().into(),
            Self::Fresh(error) => error.reason().into(),
            Self::BeforeStart => "BeforeStart".into(),
            Self::ReplayMark(source) => format!("the replay mark cannot be made durable: {source}").into(),
            Self::SyncFailed(why) => format!("the stores could not be brought together: {why}").into(),
            Self::Search(SearchFault::Failed(why)) => format!("the full-text index failed: {why}").into(),
            // Of a backup that failed: with the operator's directory in it.
            Self::Engine(error) => error.to_string().into(),
            other => other.to_string().into(),
        }
    }

    /// The methods for `allow` beside 405.
    pub(crate) fn allow(&self) -> Option<&[Method]> {
        match self {
            Self::Route(RouteError::Method(methods)) => Some(methods),
            _ => None,
        }
    }

    /// Whether the connection must not carry another HTTP/1.1 request: where the next one begins is in doubt.
    pub(crate) fn breaks_framing(&self) -> bool {
        matches!(
            self,
            Self::HttpVersion
                | Self::BadTarget
                | Self::Upgrade
                | Self::BadHost
                | Self::TwoLengths
                | Self::Trailers
        )
    }

    /// Whether nobody's signature stands behind the request, so that it may be anyone's noise.
    pub(crate) fn is_anonymous(&self) -> bool {
        match self {
            Self::HttpVersion
            | Self::BadTarget
            | Self::Upgrade
            | Self::BadHost
            | Self::TwoLengths
            | Self::HeadersTooLarge
            | Self::Request(_)
            | Self::Packet(_)
            | Self::BeforeStart
            | Self::SessionUnknown
            | Self::Overloaded => true,
            Self::Route(error) => !matches!(error, RouteError::BadParameter(_)),
            _ => false,
        }
    }

    /// The problem that the caller is sent.
    pub(crate) fn problem(&self, request_id: String) -> Problem {
        let kind = self.kind();
        let mut problem = Problem::new(kind, self.code(), self.detail(kind), request_id);
        if let Self::Engine(EngineError::Entry { index, .. }) = self {
            problem.entry = u32::try_from(*index).ok();
        }
        if let Self::Engine(error) = self {
            // One as long as a document would be no help.
            let pointer = error
                .pointer()
                .filter(|pointer| pointer.len() <= FIELD_PATH_BYTES_MAX);
            problem.pointer = pointer.map(Cow::Owned);
        }
        match (self.hint(), self.changed()) {
            (Some(hint), _) => problem.with_hint(hint),
            (None, Some(changed)) => problem.with_hint(changed),
            (None, None) => problem,
        }
    }

    /// What has changed since a transaction read it: the caller named it itself.
    fn changed(&self) -> Option<String> {
        let Self::Engine(error) = self else { return None };
        let error = match error {
            EngineError::Entry { error, .. } => error,
            error => error,
        };
        let EngineError::TransactionConflict(changed) = error else {
            return None;
        };
        Some(match &**changed {
            Changed::Bucket(bucket) => format!("bucket {bucket}"),
            Changed::Key(bucket, key) => format!("key {bucket}/{key}"),
            Changed::Range(bucket, from) => format!("range {bucket}/{from}"),
        })
    }

    fn detail(&self, kind: Kind) -> Cow<'static, str> {
        match (kind, self) {
            // What the caller has to do instead; it says nothing of keys or packets.
            (Kind::Unauthenticated, Self::SessionUnknown | Self::SignatureRequired) => {
                self.to_string().into()
            }
            (Kind::Unauthenticated, Self::Fresh(FreshError::SessionEnded)) => {
                Self::SessionUnknown.to_string().into()
            }
            (Kind::Unauthenticated, Self::Engine(EngineError::SignatureRequired)) => {
                Self::SignatureRequired.to_string().into()
            }
            // SECURITY: one text for every failure of authentication.
            (Kind::Unauthenticated, _) => {
                "key packet, signature or time of the request is not accepted".into()
            }
            // Internal text never leaves.
            (Kind::Internal, Self::Engine(EngineError::OutcomeUnknown)) => {
                "whether the write happened is not known; read back before trying again".into()
            }
            (Kind::Internal, Self::Engine(EngineError::BackupFailed(_))) => {
                "the backup failed; the server's log says why".into()
            }
            (Kind::Internal, Self::Engine(EngineError::Corrupt(_))) => "stored data is damaged".into(),
            (Kind::Internal, _) => "the server failed; its log knows the request id".into(),
            (_, Self::NotLogged(_)) => {
                "the bucket wants each read in the audit log, which takes none now".into()
            }
            (_, Self::ReplayMark(_)) => "the server cannot take requests now".into(),
            _ => self.to_string().into(),
        }
    }
}
