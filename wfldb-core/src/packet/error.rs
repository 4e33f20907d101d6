//! Why a packet is refused.

use crate::Kind;

/// Why a packet is refused. To a client all of them look the same; [`PacketError::reason`] is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Larger than 12 KiB.
    #[error("the packet is too large")]
    TooLarge,
    /// Not three parts of base64url, the last of 64 bytes.
    #[error("the packet is not a compact JWS")]
    Form,
    /// The header is not exactly the three members with their values.
    #[error("the packet's header is not the expected one")]
    Header,
    /// Header or claims are not strict JSON: syntax, a repeated member, a float, a negative or too
    /// large number, `null`, too deep or too many members.
    #[error("the packet's JSON is not strict")]
    Json,
    /// A claim or grant is missing, unknown, of a wrong type or out of range; the text says which.
    #[error("the packet's `{0}` is not valid")]
    Claim(&'static str),
    /// More than four links.
    #[error("the packet's chain has more than four links")]
    Links,
    /// A link does not fit the one before it; the text says by which claim.
    #[error("a link's `{0}` does not fit the link before it")]
    Chain(&'static str),
    /// The signer is not one of the store's trusted roots.
    #[error("the packet's signer is not trusted")]
    Untrusted,
    /// The packet is for another store.
    #[error("the packet is for another audience")]
    Audience,
    /// The signature does not verify.
    #[error("the packet's signature does not verify")]
    Signature,
    /// `iat` is more than 60 s ahead, or `nbf` is.
    #[error("the packet is not valid yet")]
    NotYetValid,
    /// `exp` was 60 s ago or longer.
    #[error("the packet has expired")]
    Expired,
    /// It, a packet that it was passed on from, or a key in its chain was revoked.
    #[error("the packet was revoked")]
    Revoked,
    /// The packet could not be built: the signer does not fit the claims, or the library refused.
    #[error("the packet could not be issued")]
    Issue,
}

impl PacketError {
    /// The stable error code that a client sees.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Issue => "Internal",
            _ => "Unauthenticated",
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Issue => Kind::Internal,
            _ => Kind::Unauthenticated,
        }
    }

    /// The public hint. It may be sent only after the request's own signature verified.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Expired => Some("Expired"),
            _ => None,
        }
    }

    /// The exact reason, for the log and the test vectors. Never sent to a client.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge => "PacketTooLarge",
            Self::Form => "PacketForm",
            Self::Header => "PacketHeader",
            Self::Json => "PacketJson",
            Self::Claim(_) => "PacketClaim",
            Self::Links => "PacketLinks",
            Self::Chain(_) => "PacketChain",
            Self::Untrusted => "PacketUntrusted",
            Self::Audience => "PacketAudience",
            Self::Signature => "PacketSignature",
            Self::NotYetValid => "PacketNotYetValid",
            Self::Expired => "PacketExpired",
            Self::Revoked => "PacketRevoked",
            Self::Issue => "PacketIssue",
        }
    }
}
