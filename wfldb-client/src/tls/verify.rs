//! Whether a server's certificate is believed: by the authorities that signed it, by its key, or by both.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, PeerIncompatible, RootCertStore,
    SignatureScheme,
};
use sha2::{Digest as _, Sha256};
use wfldb_net::tls;

use super::{Pin, TlsFailure};

/// The server has a key that is not pinned.
#[derive(Debug, thiserror::Error)]
#[error("the key {0} is not pinned")]
pub(super) struct OtherKey(pub(super) Pin);

/// The verifier of a client's options. Reads the operating system's authorities when nothing else is trusted.
pub(super) fn verifier(
    roots: Option<Arc<RootCertStore>>,
    pins: &[Pin],
) -> Result<Arc<dyn ServerCertVerifier>, TlsFailure> {
    let provider = tls::provider();
    let algorithms = provider.signature_verification_algorithms;
    let roots = match roots {
        None if pins.is_empty() => Some(Arc::new(native()?)),
        given => given,
    };
    let chain = roots
        .map(|roots| WebPkiServerVerifier::builder_with_provider(roots, provider).build())
        .transpose()
        .map_err(|error| TlsFailure::Other(error.to_string()))?;
    Ok(match chain {
        Some(chain) if pins.is_empty() => chain,
        chain => Arc::new(PinVerifier {
            chain,
            pins: pins.to_vec(),
            algorithms,
        }),
    })
}

/// The authorities of the operating system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
fn native() -> Result<RootCertStore, TlsFailure> {
    let mut roots = RootCertStore::empty();
    // Such lists hold certificates that nobody can read; those that can be read are enough.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        Err(TlsFailure::NoAuthorities)
    } else {
        Ok(roots)
    }
}

/// Believes a key. With a chain to verify, believes only what both allow.
#[derive(Debug)]
struct PinVerifier {
    chain: Option<Arc<WebPkiServerVerifier>>,
    pins: Vec<Pin>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(chain) = &self.chain {
            chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        }
        let key = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        let found = Pin(Sha256::digest(key.as_ref()).into());
        if self.pins.contains(&found) {
            Ok(ServerCertVerified::assertion())
        } else {
            let other = OtherError(Arc::new(OtherKey(found)));
            Err(Error::InvalidCertificate(CertificateError::Other(other)))
        }
    }

    /// TLS 1.2 is not spoken.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    // SECURITY: this is what shows that the server holds the pinned key; a certificate anyone can copy.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
