//! TLS on the data port: the files, the configuration made of them, and the one that is in use now.
//!
//! A new pair of files takes effect for handshakes that begin after it was read; connections that are open go on as
//! they are. Not here: what both ends of TLS share (`wfldb_net::tls`).

mod handshake;
mod reload;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::SingleCertAndKey;
use tokio::sync::{Notify, Semaphore};
use wfldb_net::tls::{self, CertificateError};
use zeroize::Zeroizing;

pub(crate) use handshake::HANDSHAKES_PER_ADDRESS;
pub(crate) use reload::watch;

/// Where the certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's chain in PEM, its own certificate first.
    pub cert: PathBuf,
    /// The private key of that certificate in PEM.
    pub key: PathBuf,
    /// Authorities of client certificates in PEM. With it, a client without such a certificate is turned away.
    pub client_ca: Option<PathBuf>,
}

/// Why there is no TLS with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// The reason.
        source: io::Error,
    },
    /// A file is too large.
    #[error("{0}: is larger than 1 MiB")]
    TooLarge(String),
    /// Everybody on the machine may read the private key.
    #[error("{0}: others may read this private key; run `chmod o=` on it")]
    OpenKey(String),
    /// The certificate or its key.
    #[error("{path}: {source}")]
    Pair {
        /// The certificate's file.
        path: String,
        /// What is wrong.
        source: CertificateError,
    },
    /// The authorities of clients.
    #[error("{path}: {source}")]
    ClientCa {
        /// The file.
        path: String,
        /// What is wrong.
        source: CertificateError,
    },
    /// The library refuses the configuration.
    #[error("TLS: {0}")]
    Library(String),
}

/// What the files held at one look.
pub(crate) struct Contents {
    cert: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
}

/// TLS of the data port.
pub(crate) struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
    /// Handshakes that may run at the same time.
    turns: Semaphore,
    /// Somebody asks to look at the files now.
    look: Notify,
    /// The hash of the contents that were looked at last, whether they were taken or not.
    seen: std::sync::Mutex<blake3::Hash>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files. Blocks.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        let config = contents.config(&files)?;
        Ok(Self {
            turns: Semaphore::new(handshake::HANDSHAKES_MAX),
            look: Notify::new(),
            seen: std::sync::Mutex::new(contents.hash()),
            current: RwLock::new(Arc::new(config)),
            files,
        })
    }

    fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has the files looked at soon.
    pub(crate) fn look_now(&self) {
        self.look.notify_one();
    }
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let client_ca = files.client_ca.as_deref().map(|path| read(path, false));
        Ok(Self {
            cert: read(&files.cert, false)?.to_vec(),
            key: read(&files.key, true)?,
            client_ca: client_ca.transpose()?.map(|bytes| bytes.to_vec()),
        })
    }

    fn hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for part in [Some(&self.cert), Some(&*self.key), self.client_ca.as_ref()] {
            // Each by itself first, so that bytes that move from one file to the next are a change.
            let part = blake3::hash(part.map_or(&[], Vec::as_slice));
            hasher.update(part.as_bytes());
        }
        hasher.finalize()
    }

    fn config(&self, files: &TlsFiles) -> Result<ServerConfig, TlsError> {
        let pair = tls::identity(&self.cert, &self.key).map_err(|source| TlsError::Pair {
            path: shown(&files.cert),
            source,
        })?;
        let library = |error: &dyn std::fmt::Display| TlsError::Library(error.to_string());
        let provider = tls::provider();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(tls::VERSIONS)
            .map_err(|error| library(&error))?;
        let builder = match self.client_ca.as_ref().zip(files.client_ca.as_ref()) {
            Some((pem, path)) => {
                let roots = tls::roots(pem).map_err(|source| TlsError::ClientCa {
                    path: shown(path),
                    source,
                })?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(|error| library(&error))?)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        config.alpn_protocols = vec![tls::ALPN_HTTP2.to_vec(), tls::ALPN_HTTP1.to_vec()];
        // SECURITY: early data can be played again by whoever saw it.
        config.max_early_data_size = 0;
        Ok(config)
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn read(path: &Path, secret: bool) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let failed = |source| TlsError::Read {
        path: shown(path),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if secret && metadata.is_file() && metadata.mode() & 0o007 != 0 {
        return Err(TlsError::OpenKey(shown(path)));
    }
    let len = metadata.len().min(tls::FILE_BYTES_MAX);
    // All of it at once: a buffer that grows leaves copies of a key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(len).unwrap_or(0).saturating_add(1),
    ));
    file.take(tls::FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > tls::FILE_BYTES_MAX {
        return Err(TlsError::TooLarge(shown(path)));
    }
    Ok(bytes)
}
