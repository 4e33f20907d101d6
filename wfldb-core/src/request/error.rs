//! Why a request is refused before anyone asks what it wants.

use crate::Kind;
use crate::packet::PacketError;
use crate::replay::ReplayError;

/// Why a request is refused for its form, its clock or its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The path with query is over 8 KiB.
    #[error("the path with query is too long")]
    UriTooLong,
    /// The header list is over 24 KiB or 64 fields.
    #[error("the header list is too large")]
    HeadersTooLarge,
    /// A method that no route has.
    #[error("no route has this method")]
    Method,
    /// A part is not in its one spelling; the text says which.
    #[error("the {0} is not canonical")]
    NotCanonical(&'static str),
    /// A header that changes the request is not in the signed list.
    #[error("a header that has to be signed is not")]
    UnsignedHeader,
    /// One of the six headers is missing; the text says which.
    #[error("the {0} header is missing")]
    Missing(&'static str),
    /// The authorization is not a bearer packet of at most 12 KiB.
    #[error("the authorization is not a key packet")]
    Authorization,
    /// `content-length` is not the signed length.
    #[error("content-length is not the signed length")]
    Length,
    /// A put by a link without `content-length`.
    #[error("a put by a link needs content-length")]
    LengthRequired,
    /// `content-encoding` on a request.
    #[error("a request's body has no content-encoding")]
    ContentEncoding,
    /// A body with a method that has none.
    #[error("GET and HEAD have no body")]
    Body,
    /// The timestamp is outside the window.
    #[error("the timestamp is too far from the server's time")]
    ClockSkew,
    /// The verified packet is not the one that came with the request.
    #[error("the packet is another one")]
    Packet,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// The session's tag does not verify.
    #[error("the tag does not verify")]
    Tag,
}

impl RequestError {
    /// The stable error code that a client sees.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UriTooLong => "UriTooLong",
            Self::HeadersTooLarge => "HeadersTooLarge",
            Self::Method => "MethodNotAllowed",
            Self::NotCanonical(_) => "NotCanonical",
            Self::UnsignedHeader => "UnsignedHeader",
            Self::Length => "LengthMismatch",
            Self::LengthRequired => "LengthRequired",
            Self::ContentEncoding => "ContentEncodingNotSupported",
            Self::Body => "BodyNotAllowed",
            Self::Missing(_)
            | Self::Authorization
            | Self::ClockSkew
            | Self::Packet
            | Self::Signature
            | Self::Tag => "Unauthenticated",
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::UriTooLong => Kind::UriTooLong,
            Self::HeadersTooLarge => Kind::HeadersTooLarge,
            Self::Method => Kind::NotAllowed,
            Self::NotCanonical(_)
            | Self::UnsignedHeader
            | Self::Length
            | Self::LengthRequired
            | Self::Body => Kind::Invalid,
            Self::ContentEncoding => Kind::Unsupported,
            Self::Missing(_)
            | Self::Authorization
            | Self::ClockSkew
            | Self::Packet
            | Self::Signature
            | Self::Tag => Kind::Unauthenticated,
        }
    }

    /// The public hint.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::ClockSkew => Some("ClockSkew"),
            _ => None,
        }
    }

    /// The exact reason, for the log and the test vectors. Never sent to a client.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing(_) => "MissingHeader",
            Self::Authorization => "BadAuthorization",
            Self::ClockSkew => "ClockSkew",
            Self::Packet => "OtherPacket",
            Self::Signature => "RequestSignature",
            Self::Tag => "RequestTag",
            _ => self.code(),
        }
    }
}

/// Why a request whose signature verified is refused before its capability is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FreshError {
    /// The packet is not valid now.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The replay memory does not take the nonce, or the session not the counter.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The session is over.
    #[error("the session has ended")]
    SessionEnded,
}

impl FreshError {
    /// The stable error code that a client sees.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Packet(error) => error.code(),
            Self::Replay(error) => error.code(),
            Self::SessionEnded => "SessionUnknown",
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Packet(error) => error.kind(),
            Self::Replay(error) => error.kind(),
            Self::SessionEnded => Kind::Unauthenticated,
        }
    }

    /// The public hint, which may be sent since the signature verified.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Packet(error) => error.hint(),
            Self::Replay(error) => error.hint(),
            Self::SessionEnded => None,
        }
    }

    /// The exact reason, for the log and the test vectors. Never sent to a client.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Packet(error) => error.reason(),
            Self::Replay(error) => error.reason(),
            Self::SessionEnded => "SessionEnded",
        }
    }
}
