//! What can go wrong, sorted by what the caller does about it. Nothing here holds a key, a packet or a signature.

use std::path::PathBuf;

use wfldb_core::id::KeyId;

use crate::tls::TlsFailure;

/// A refusal by the server, from its problem+json answer (PROTOCOL §8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// Stable upper-camel word, for example `NoSuchKey`.
    pub code: String,
    /// Stable word that narrows the code, for example `ClockSkew`.
    pub hint: Option<String>,
    /// The server's name for this request, for its operator.
    pub request_id: Option<String>,
    /// One sentence for people.
    pub detail: String,
    /// Of a batch: the entry that was refused, from 0. The other entries were not carried out either.
    pub entry: Option<u32>,
}

/// Every error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server answered, and refused.
    #[error("{} ({} {})", .0.detail, .0.status, .0.code)]
    Api(Box<ApiError>),
    /// The server could not be reached, or stopped in the middle of a read. Nothing was changed.
    #[error("{0}")]
    Transport(String),
    /// Client and server do not trust each other, or one of them does not speak TLS. Nothing was sent.
    #[error("{server}: {failure}")]
    Tls {
        /// The server's URL.
        server: String,
        /// The reason.
        failure: TlsFailure,
    },
    /// A write was sent and nobody knows whether it was carried out. Read back before trying again.
    #[error("outcome unknown: {0}")]
    OutcomeUnknown(String),
    /// The server signed with another key than the profile names: somebody else may answer in its place. Nothing is sent
    /// any more.
    #[error(
        "the server signs as {found}, the profile says {expected}: somebody else may answer in its place. Where its operator \
         says that it got another key (a restored store has one), put the new one into the profile's member `node`"
    )]
    OtherNode {
        /// Whom the profile names.
        expected: Box<KeyId>,
        /// Who signed.
        found: Box<KeyId>,
    },
    /// What arrived is not what was promised: the bytes do not have the hash of their etag.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// What was asked for is more than the packet allows. It was found out here; nothing was sent.
    #[error("{0}")]
    Widening(String),
    /// The fault is on this side, before or beside the request: a file, a name, a profile.
    #[error("{0}")]
    Local(String),
}

impl Error {
    pub(crate) fn io(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Local(format!("{what} {}: {error}", path.display()))
    }

    /// The HTTP status, when the server answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api(api) => Some(api.status),
            _ => None,
        }
    }

    /// The server's code word, when the server answered.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Api(api) => Some(&api.code),
            _ => None,
        }
    }

    /// The server's hint, when it answered with one.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Self::Api(api) => api.hint.as_deref(),
            _ => None,
        }
    }

    /// The entry of a batch that was refused, from 0.
    pub fn refused_entry(&self) -> Option<usize> {
        match self {
            Self::Api(api) => api.entry.and_then(|entry| usize::try_from(entry).ok()),
            _ => None,
        }
    }

    /// Why there is no TLS connection, when that is the reason.
    pub fn tls(&self) -> Option<&TlsFailure> {
        match self {
            Self::Tls { failure, .. } => Some(failure),
            _ => None,
        }
    }

    /// Whether the server said that the thing is not there.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether a precondition did not hold.
    pub fn is_precondition(&self) -> bool {
        self.status() == Some(412)
    }

    /// Whether the next request would most likely fail the same way: the server is away, or it does not know us.
    pub fn stops_everything(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Tls { .. } | Self::OtherNode { .. } => true,
            Self::Api(api) => matches!(api.status, 401 | 503 | 507),
            Self::OutcomeUnknown(_) | Self::Corrupt(_) | Self::Widening(_) | Self::Local(_) => false,
        }
    }
}

/// A file whose bytes were not the same at two looks.
pub(crate) fn changed_meanwhile(path: &std::path::Path) -> Error {
    Error::Local(format!(
        "{}: the file changed while it was being read",
        PathBuf::from(path).display()
    ))
}
