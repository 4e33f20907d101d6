//! Why client and server do not come together over TLS, in words that say whose certificate has to change.

use rustls::{AlertDescription, CertificateError, Error as RustlsError};

use super::Pin;
use super::verify::OtherKey;

/// A refusal of a TLS connection, by either side. Trying again does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFailure {
    /// The server's certificate leads to no authority that is trusted here.
    #[error("the server's certificate is not signed by an authority that is trusted here")]
    Untrusted,
    /// Its time is over.
    #[error("the server's certificate has expired")]
    Expired,
    /// Its time has not come.
    #[error("the server's certificate is not valid yet")]
    NotYetValid,
    /// It is of another server.
    #[error("the server's certificate is not for this name or address")]
    WrongName,
    /// The server has another key than the pinned ones.
    #[error("the server's key is not a pinned one; it has {found}")]
    PinMismatch {
        /// The key that it has.
        found: Pin,
    },
    /// The server's certificate breaks another rule.
    #[error("the server's certificate cannot be used: {0}")]
    BadCertificate(String),
    /// Something else than TLS came back.
    #[error("the server does not speak TLS there: does the URL have to begin with http://?")]
    NotTls,
    /// TLS came back where it was not asked for.
    #[error("the server speaks TLS there: the URL has to begin with https://")]
    SpeaksTls,
    /// The server wants a client certificate, and there is none to show.
    #[error("the server demands a client certificate")]
    CertificateRequired,
    /// The server does not take the client certificate.
    #[error("the server does not accept the client certificate: {0}")]
    CertificateRefused(String),
    /// There is no HTTP/2 behind TLS.
    #[error("the server offers no HTTP/2 over TLS")]
    NoHttp2,
    /// There is nobody to trust.
    #[error("this machine names no trusted authorities, and none were given")]
    NoAuthorities,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl TlsFailure {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Untrusted => "Untrusted",
            Self::Expired => "Expired",
            Self::NotYetValid => "NotYetValid",
            Self::WrongName => "WrongName",
            Self::PinMismatch { .. } => "PinMismatch",
            Self::BadCertificate(_) => "BadCertificate",
            Self::NotTls => "NotTls",
            Self::SpeaksTls => "SpeaksTls",
            Self::CertificateRequired => "CertificateRequired",
            Self::CertificateRefused(_) => "CertificateRefused",
            Self::NoHttp2 => "NoHttp2",
            Self::NoAuthorities => "NoAuthorities",
            Self::Other(_) => "Other",
        }
    }

    /// What the TLS library says inside an error of a socket; `None` for an error of the socket itself.
    pub(super) fn of_io(error: &std::io::Error) -> Option<Self> {
        let error = error.get_ref()?.downcast_ref::<RustlsError>()?;
        Some(match error {
            RustlsError::InvalidCertificate(reason) => Self::of_certificate(reason),
            RustlsError::InvalidMessage(_) => Self::NotTls,
            RustlsError::AlertReceived(alert) => {
                Self::of_alert(*alert).unwrap_or_else(|| Self::Other(error.to_string()))
            }
            other => Self::Other(other.to_string()),
        })
    }

    /// What the server says of the client's certificate in an alert. It comes after the handshake is over for the
    /// client, and before the server reads a request.
    pub(super) fn of_client_certificate(error: &std::io::Error) -> Option<Self> {
        match error.get_ref()?.downcast_ref::<RustlsError>()? {
            RustlsError::AlertReceived(alert) => Self::of_alert(*alert),
            _ => None,
        }
    }

    fn of_alert(alert: AlertDescription) -> Option<Self> {
        use AlertDescription as Alert;
        let why = match alert {
            Alert::CertificateRequired => return Some(Self::CertificateRequired),
            Alert::NoApplicationProtocol => return Some(Self::NoHttp2),
            Alert::UnknownCA => "its authority is not trusted there",
            Alert::CertificateExpired => "it has expired",
            Alert::CertificateRevoked => "it is revoked",
            Alert::BadCertificate | Alert::CertificateUnknown | Alert::UnsupportedCertificate => {
                "it cannot be used there"
            }
            Alert::AccessDenied | Alert::DecryptError => "it is not let in",
            _ => return None,
        };
        Some(Self::CertificateRefused(why.to_owned()))
    }

    fn of_certificate(reason: &CertificateError) -> Self {
        match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Untrusted,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName
            }
            CertificateError::Other(other) => match other.0.downcast_ref::<OtherKey>() {
                Some(OtherKey(found)) => Self::PinMismatch { found: *found },
                None => Self::BadCertificate(reason.to_string()),
            },
            other => Self::BadCertificate(other.to_string()),
        }
    }
}
