//! Certificates for tests, and TLS byte by byte.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use wfldb_admin::{Certificate, Term, new_authority, new_client_certificate, new_server_certificate};
use wfldb_client::TlsOptions;

/// When a certificate is valid.
#[derive(Debug, Clone, Copy)]
pub enum Validity {
    /// Since yesterday, until tomorrow.
    Now,
    /// Until yesterday.
    Past,
    /// From tomorrow on.
    Future,
}

impl Validity {
    fn term(self) -> Term {
        let day = 24 * 3600;
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let (from, until) = match self {
            Self::Now => (now - day, now + day),
            Self::Past => (now - 3 * day, now - day),
            Self::Future => (now + day, now + 3 * day),
        };
        Term { from, until }
    }
}

/// An authority of a test.
#[derive(Debug)]
pub struct Authority {
    made: Certificate,
}

impl Authority {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            made: new_authority(Validity::Now.term()).unwrap(),
        }
    }

    /// Its certificate in PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.made.certificate
    }

    /// A client that trusts it, and nobody else.
    #[must_use]
    pub fn trusted(&self) -> TlsOptions {
        TlsOptions::default().trusting(self.pem().as_bytes()).unwrap()
    }

    /// A server's certificate.
    #[must_use]
    pub fn server(&self, name: &str, validity: Validity) -> Certificate {
        new_server_certificate(&self.made.key, &[name.to_owned()], validity.term()).unwrap()
    }

    /// A client's certificate.
    #[must_use]
    pub fn client(&self, validity: Validity) -> Certificate {
        new_client_certificate(&self.made.key, "tester", validity.term()).unwrap()
    }

    /// The authority's certificate as a file.
    #[must_use]
    pub fn file(&self, dir: &Path) -> PathBuf {
        let path = dir.join("ca.pem");
        fs::write(&path, self.pem()).unwrap();
        path
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes `server.pem` and `server.key`, one after the other, over what is there.
#[must_use]
pub fn write_pair(dir: &Path, pair: &Certificate) -> (PathBuf, PathBuf) {
    let (cert, key) = (dir.join("server.pem"), dir.join("server.key"));
    fs::write(&cert, &pair.certificate).unwrap();
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&key)
        .unwrap();
    std::io::Write::write_all(&mut file, pair.key.as_bytes()).unwrap();
    (cert, key)
}

/// TLS of a test that sends what it likes in it.
pub type TlsWire = StreamOwned<ClientConnection, TcpStream>;

/// A client of a test, with the sessions that servers let it resume.
#[derive(Debug, Clone)]
pub struct TlsCaller(Arc<ClientConfig>);

impl TlsCaller {
    /// One that trusts an authority, asks for a protocol, and shows a certificate.
    #[must_use]
    pub fn new(trusted: &Authority, protocol: Option<&[u8]>, shown: Option<&Certificate>) -> Self {
        let roots = wfldb_net::tls::roots(trusted.pem().as_bytes()).unwrap();
        let builder = ClientConfig::builder_with_provider(wfldb_net::tls::provider())
            .with_protocol_versions(wfldb_net::tls::VERSIONS)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match shown {
            Some(shown) => {
                let pair = wfldb_net::tls::identity(shown.certificate.as_bytes(), shown.key.as_bytes());
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair.unwrap())))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocol.iter().map(|name| name.to_vec()).collect();
        Self(Arc::new(config))
    }

    /// A connection with its handshake done.
    ///
    /// # Errors
    /// Whatever the handshake met.
    pub fn connect(&self, address: &str) -> std::io::Result<TlsWire> {
        let host = address.rsplit_once(':').unwrap().0.to_owned();
        let name = ServerName::try_from(host).unwrap();
        let mut connection = ClientConnection::new(Arc::clone(&self.0), name).unwrap();
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        connection.complete_io(&mut stream)?;
        let asked = self.0.alpn_protocols.first().map(Vec::as_slice);
        assert_eq!(
            connection.alpn_protocol(),
            asked,
            "the server chose another protocol"
        );
        Ok(StreamOwned::new(connection, stream))
    }
}

/// A connection of a client without a certificate.
///
/// # Errors
/// Whatever the handshake met.
pub fn tls_wire(address: &str, trusted: &Authority, protocol: Option<&[u8]>) -> std::io::Result<TlsWire> {
    TlsCaller::new(trusted, protocol, None).connect(address)
}
