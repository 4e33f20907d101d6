//! TLS towards the server: whom the client trusts to be it, and how the client shows itself.
//!
//! Not here: what both ends of TLS share (`wfldb_net::tls`). Requests are signed with or without TLS; TLS keeps them
//! from being read, and answers from being changed.

mod failure;
mod stream;
mod verify;

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wfldb_core::encoding::hex;
use wfldb_net::tls;

use crate::Error;
use crate::profile::read_secret_file;

pub use failure::TlsFailure;
pub(crate) use stream::{Fault, Watched};

/// The SHA-256 of a public key, as its certificate carries it (`SubjectPublicKeyInfo` in DER). In text 64 hex digits:
/// `openssl x509 -pubkey -noout -in server.pem | openssl pkey -pubin -outform der | sha256sum`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin([u8; 32]);

impl Pin {
    /// Parses 64 lower-case hex digits.
    ///
    /// # Errors
    /// `Local` for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::Local(format!(
                "`{text}` is not a pin: 64 hex digits, the SHA-256 of a public key"
            ))
        };
        hex::decode_array(text).map(Self).map_err(|_| wrong())
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pin({self})")
    }
}

/// Whom a client trusts. By default: the authorities that this machine's operating system trusts.
///
/// A pin alone is all the trust there is: the server has that key, whoever signed its certificate, whatever name and
/// term stand in it. With authorities of one's own both must hold.
#[derive(Clone, Default)]
pub struct TlsOptions {
    roots: Option<Arc<RootCertStore>>,
    pins: Vec<Pin>,
    identity: Option<Arc<CertifiedKey>>,
}

impl std::fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsOptions")
            .field("own_authorities", &self.roots.is_some())
            .field("pins", &self.pins)
            .field("has_certificate", &self.identity.is_some())
            .finish()
    }
}

impl TlsOptions {
    /// Trusts these authorities (PEM) and no others.
    ///
    /// # Errors
    /// `Local` when one of them cannot be read.
    pub fn trusting(mut self, ca_pem: &[u8]) -> Result<Self, Error> {
        let roots = tls::roots(ca_pem).map_err(|error| Error::Local(format!("authorities: {error}")))?;
        self.roots = Some(Arc::new(roots));
        Ok(self)
    }

    /// Accepts a server only if it has this key, or another one that was pinned.
    #[must_use]
    pub fn pinning(mut self, pin: Pin) -> Self {
        self.pins.push(pin);
        self
    }

    /// Shows this certificate (PEM, with what signed it behind it) to a server that asks for one.
    ///
    /// # Errors
    /// `Local` when the two are not a pair.
    pub fn showing(mut self, chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, Error> {
        let identity = tls::identity(chain_pem, key_pem)
            .map_err(|error| Error::Local(format!("client certificate: {error}")))?;
        self.identity = Some(Arc::new(identity));
        Ok(self)
    }

    /// The same from files: authorities, pins, and certificate with key. The key's file must be its owner's only.
    ///
    /// # Errors
    /// `Local`, naming the file.
    pub fn from_files(
        ca: Option<&Path>,
        pins: &[String],
        identity: Option<(&Path, &Path)>,
    ) -> Result<Self, Error> {
        let mut options = Self::default();
        if let Some(path) = ca {
            options = options.trusting(&read(path)?).map_err(|error| at(path, error))?;
        }
        for pin in pins {
            options = options.pinning(Pin::parse(pin)?);
        }
        if let Some((chain, key)) = identity {
            let secret = read_secret_file(key)?;
            options = options
                .showing(&read(chain)?, secret.as_bytes())
                .map_err(|error| at(chain, error))?;
        }
        Ok(options)
    }

    /// Blocks where the operating system's authorities are read.
    fn config(&self) -> Result<ClientConfig, TlsFailure> {
        let library = |error: &dyn std::fmt::Display| TlsFailure::Other(error.to_string());
        let verifier = verify::verifier(self.roots.clone(), &self.pins)?;
        let builder = ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(tls::VERSIONS)
            .map_err(|error| library(&error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &self.identity {
            Some(identity) => {
                let shown = SingleCertAndKey::from(Arc::clone(identity));
                builder.with_client_cert_resolver(Arc::new(shown))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![tls::ALPN_HTTP2.to_vec()];
        Ok(config)
    }
}

/// Performs handshakes. What it trusts is read when the first is needed, so that plaintext costs nothing.
#[derive(Debug)]
pub(crate) struct Connector {
    options: TlsOptions,
    config: OnceCell<Arc<ClientConfig>>,
}

/// Why there is no TLS on a connection.
#[derive(Debug)]
pub(crate) enum NoTls {
    /// One side refuses the other.
    Refused(TlsFailure),
    /// The connection broke.
    Broken(std::io::Error),
}

impl Connector {
    pub(crate) fn new(options: TlsOptions) -> Self {
        Self {
            options,
            config: OnceCell::new(),
        }
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, TlsFailure> {
        let make = async || {
            let options = self.options.clone();
            let config = tokio::task::spawn_blocking(move || options.config()).await;
            config
                .map_err(|error| TlsFailure::Other(error.to_string()))?
                .map(Arc::new)
        };
        self.config.get_or_try_init(make).await.cloned()
    }

    /// The client's side of a handshake with `host`.
    pub(crate) async fn connect(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, NoTls> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            NoTls::Refused(TlsFailure::Other(format!(
                "`{host}` cannot stand in a certificate"
            )))
        })?;
        let connector = TlsConnector::from(self.config().await.map_err(NoTls::Refused)?);
        let stream =
            connector
                .connect(name, stream)
                .await
                .map_err(|error| match TlsFailure::of_io(&error) {
                    Some(failure) => NoTls::Refused(failure),
                    None => NoTls::Broken(error),
                })?;
        if stream.get_ref().1.alpn_protocol() == Some(tls::ALPN_HTTP2) {
            Ok(stream)
        } else {
            Err(NoTls::Refused(TlsFailure::NoHttp2))
        }
    }
}

fn at(path: &Path, error: Error) -> Error {
    match error {
        Error::Local(why) => Error::Local(format!("{}: {why}", path.display())),
        other => other,
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| Error::io("cannot read", path, &error);
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(tls::FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > tls::FILE_BYTES_MAX {
        return Err(Error::Local(format!("{}: is larger than 1 MiB", path.display())));
    }
    Ok(bytes)
}
