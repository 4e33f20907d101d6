//! TLS as client and server both hold to it: the version, the cryptography, and the form of certificate files.
//!
//! TLS 1.3 only, with ring. Not here: sockets, files, and who is trusted.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroize as _;

/// The name of HTTP/2 in the handshake (ALPN).
pub const ALPN_HTTP2: &[u8] = b"h2";
/// The name of HTTP/1.1 in the handshake.
pub const ALPN_HTTP1: &[u8] = b"http/1.1";
/// Versions that are spoken. Older ones have more ways to go wrong, and every client of ours is newer.
pub const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
/// Largest file of certificates or keys that is read.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Certificates of one chain.
const CHAIN_MAX: usize = 16;

/// What is wrong with a file of certificates or keys. It never holds a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The text is damaged.
    #[error("is not PEM")]
    NotPem,
    /// There is none in it.
    #[error("holds no certificate")]
    NoCertificate,
    /// There are more than one chain has.
    #[error("holds more than 16 certificates")]
    LongChain,
    /// A certificate cannot be read.
    #[error("holds a certificate that cannot be read")]
    BadCertificate,
    /// There is none in it.
    #[error("holds no private key")]
    NoKey,
    /// Not one of the kinds that can sign here.
    #[error(
        "holds a private key of a kind that is not supported (ECDSA P-256 or P-384, Ed25519, RSA from 2048 bits)"
    )]
    UnsupportedKey,
    /// The pair is not one.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
}

/// The cryptography of every handshake.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A chain, the end's own certificate first, with its private key.
///
/// # Errors
/// [`CertificateError`]; also when the two do not belong together, as in the middle of an exchange of the files.
pub fn identity(chain_pem: &[u8], key_pem: &[u8]) -> Result<CertifiedKey, CertificateError> {
    let chain = certificates(chain_pem)?;
    if chain.len() > CHAIN_MAX {
        return Err(CertificateError::LongChain);
    }
    let mut key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => CertificateError::NoKey,
        _ => CertificateError::NotPem,
    })?;
    let signer = ring::sign::any_supported_type(&key);
    key.zeroize();
    let identity = CertifiedKey::new(chain, signer.map_err(|_| CertificateError::UnsupportedKey)?);
    identity.keys_match().map_err(|error| match error {
        rustls::Error::InvalidCertificate(_) => CertificateError::BadCertificate,
        _ => CertificateError::Mismatch,
    })?;
    Ok(identity)
}

/// Certificates of authorities that are trusted.
///
/// # Errors
/// [`CertificateError`], also when a single one of them cannot be read.
pub fn roots(pem: &[u8]) -> Result<RootCertStore, CertificateError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots
            .add(certificate)
            .map_err(|_| CertificateError::BadCertificate)?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| CertificateError::NotPem)?;
    if certificates.is_empty() {
        Err(CertificateError::NoCertificate)
    } else {
        Ok(certificates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pair {
        certificate: String,
        key: String,
    }

    fn pair() -> Pair {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Pair {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }

    fn refused(chain: &str, key: &str) -> CertificateError {
        identity(chain.as_bytes(), key.as_bytes()).unwrap_err()
    }

    /// A defect it catches: a pair in the middle of its exchange that is taken, after which every handshake fails.
    #[test]
    fn a_certificate_is_taken_with_its_own_key_only() {
        let (ours, other) = (pair(), pair());
        assert!(identity(ours.certificate.as_bytes(), ours.key.as_bytes()).is_ok());
        assert_eq!(refused(&ours.certificate, &other.key), CertificateError::Mismatch);
        assert_eq!(refused(&other.certificate, &ours.key), CertificateError::Mismatch);
    }

    #[test]
    fn what_is_no_pair_says_what_it_is() {
        let ours = pair();
        let cut: String = ours.certificate.lines().take(3).collect::<Vec<_>>().join("\n");
        assert_eq!(refused("", &ours.key), CertificateError::NoCertificate);
        assert_eq!(refused(&ours.key, &ours.key), CertificateError::NoCertificate);
        assert_eq!(refused(&ours.certificate, ""), CertificateError::NoKey);
        assert_eq!(
            refused(&ours.certificate, &ours.certificate),
            CertificateError::NoKey
        );
        assert_eq!(refused(&cut, &ours.key), CertificateError::NotPem);
        assert_eq!(
            refused(&ours.certificate.repeat(17), &ours.key),
            CertificateError::LongChain
        );
        let empty = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert_eq!(refused(empty, &ours.key), CertificateError::BadCertificate);
        let no_key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
        assert_eq!(
            refused(&ours.certificate, no_key),
            CertificateError::UnsupportedKey
        );
        assert_eq!(
            roots(empty.as_bytes()).unwrap_err(),
            CertificateError::BadCertificate
        );
        assert_eq!(roots(ours.certificate.as_bytes()).unwrap().len(), 1);
    }
}
