//! Certificates of a private authority, for trying TLS and for networks of one's own.
//!
//! The authority is one ECDSA key (P-256); everything else about it follows from the key, so that its file is enough to
//! sign with. Not here: revocation of certificates, and authorities that others run.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, date_time_ymd,
};
use sha2::{Digest as _, Sha256};
use wfldb_core::encoding::hex;
use zeroize::Zeroizing;

use crate::{Error, Term};

/// Other machines' clocks may be behind ours.
const BACKDATED: Duration = Duration::from_hours(1);

/// A certificate with its private key, both PEM.
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: Zeroizing<String>,
    /// SHA-256 of its public key, as `--tls-pin` takes it.
    pub pin: String,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("pin", &self.pin)
            .finish_non_exhaustive()
    }
}

/// Makes an authority.
///
/// # Errors
/// `Certificate` when the library cannot make it.
pub fn new_authority(term: Term) -> Result<Certificate, Error> {
    let key = KeyPair::generate()?;
    let mut params = authority(&key)?;
    set_term(&mut params, term);
    let certificate = params.self_signed(&key)?.pem();
    Ok(made(certificate, &key))
}

/// Makes a server's certificate for these host names and IP addresses.
///
/// # Errors
/// `Certificate` when a name cannot stand in one, or the authority's key is none.
pub fn new_server_certificate(
    authority_key: &str,
    names: &[String],
    term: Term,
) -> Result<Certificate, Error> {
    let mut params = CertificateParams::new(names)?;
    let first = names.first().map_or("wflDB server", String::as_str);
    params.distinguished_name.push(DnType::CommonName, first);
    sign(authority_key, params, ExtendedKeyUsagePurpose::ServerAuth, term)
}

/// Makes a client's certificate. The name is for people; the server lets in whoever the authority signed.
///
/// # Errors
/// `Certificate` when the authority's key is none.
pub fn new_client_certificate(authority_key: &str, name: &str, term: Term) -> Result<Certificate, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    sign(authority_key, params, ExtendedKeyUsagePurpose::ClientAuth, term)
}

fn sign(
    authority_key: &str,
    mut params: CertificateParams,
    purpose: ExtendedKeyUsagePurpose,
    term: Term,
) -> Result<Certificate, Error> {
    let authority_key = KeyPair::from_pem(authority_key)?;
    let issuer = Issuer::new(authority(&authority_key)?, authority_key);
    let key = KeyPair::generate()?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    set_term(&mut params, term);
    let certificate = params.signed_by(&key, &issuer)?.pem();
    Ok(made(certificate, &key))
}

/// The authority of a key. Its name has the key in it, so that two authorities are never taken for one.
fn authority(key: &KeyPair) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new([])?;
    let short: String = pin(key).chars().take(16).collect();
    let name = format!("wflDB private authority {short}");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn set_term(params: &mut CertificateParams, term: Term) {
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(term.from).saturating_sub(BACKDATED);
    params.not_after = epoch + Duration::from_secs(term.until);
}

fn pin(key: &KeyPair) -> String {
    hex::encode(&Sha256::digest(key.subject_public_key_info()))
}

fn made(certificate: String, key: &KeyPair) -> Certificate {
    Certificate {
        certificate,
        key: Zeroizing::new(key.serialize_pem()),
        pin: pin(key),
    }
}
