//! Signatures in the form of OpenSSH (`PROTOCOL.sshsig`), so that `ssh-keygen -Y verify` checks a document and
//! `git verify-commit` a commit of the mirror without any code of ours.

use sha2::{Digest as _, Sha512};

use crate::encoding::base64;
use crate::id::{PublicKey, SecretKey, SignatureBytes};

/// What a signature of a document is for; one for anything else is none of a document.
pub const NAMESPACE: &str = "doc@wfldb";
/// What git takes signatures of commits to be for.
pub(crate) const GIT_NAMESPACE: &str = "git";

const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;
const HASH: &str = "sha512";
const ALGORITHM: &str = "ssh-ed25519";
/// Characters in a line of an armoured signature.
const LINE: usize = 70;
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----\n";
const END: &str = "-----END SSH SIGNATURE-----\n";

/// The bytes that Ed25519 signs for a payload.
pub(crate) fn signed_bytes(namespace: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    put(&mut bytes, namespace.as_bytes());
    put(&mut bytes, b"");
    put(&mut bytes, HASH.as_bytes());
    put(&mut bytes, &Sha512::digest(payload));
    bytes
}

/// The signature of a document as a file for `ssh-keygen -Y verify -s`.
pub fn signature_file(key: &PublicKey, signature: &SignatureBytes) -> String {
    armoured(NAMESPACE, key, signature)
}

/// Signs a payload, as a file.
pub(crate) fn sign(namespace: &str, key: &SecretKey, payload: &[u8]) -> String {
    let signature = key.sign(&signed_bytes(namespace, payload));
    armoured(namespace, &key.public_key(), &signature)
}

/// Whether `file` is a signature of `payload`, in the spelling of [`sign`], and of which key.
pub(crate) fn verify(namespace: &str, file: &str, payload: &[u8]) -> Option<PublicKey> {
    let lines = file.strip_prefix(BEGIN)?.strip_suffix(END)?;
    let blob = base64::decode(&lines.replace('\n', "")).ok()?;
    // All lengths are known; whether the rest is what it should be, the comparison says.
    let key_at = MAGIC.len() + 4 + 4 + 4 + ALGORITHM.len() + 4;
    let key = PublicKey::from_bytes(blob.get(key_at..key_at + 32)?.try_into().ok()?).ok()?;
    let signature = SignatureBytes::from_bytes(*blob.last_chunk()?);
    let ours = armoured(namespace, &key, &signature) == file;
    (ours && key.verify_strict(&signed_bytes(namespace, payload), &signature)).then_some(key)
}

fn armoured(namespace: &str, key: &PublicKey, signature: &SignatureBytes) -> String {
    let mut blob = MAGIC.to_vec();
    blob.extend(VERSION.to_be_bytes());
    put(&mut blob, &key_blob(key));
    put(&mut blob, namespace.as_bytes());
    put(&mut blob, b"");
    put(&mut blob, HASH.as_bytes());
    let mut inner = Vec::new();
    put(&mut inner, ALGORITHM.as_bytes());
    put(&mut inner, signature.as_bytes());
    put(&mut blob, &inner);
    let mut file = String::from(BEGIN);
    for (index, character) in base64::encode(&blob).chars().enumerate() {
        if index > 0 && index.is_multiple_of(LINE) {
            file.push('\n');
        }
        file.push(character);
    }
    file.push('\n');
    file.push_str(END);
    file
}

/// A line of the file that `ssh-keygen -Y verify -f` takes: whoever is called `name` signs documents with `key`.
pub fn allowed_signer(name: &str, key: &PublicKey) -> String {
    allowed_signer_in(name, &[NAMESPACE], key)
}

/// The same of a key that also signs in other namespaces.
pub fn allowed_signer_in(name: &str, namespaces: &[&str], key: &PublicKey) -> String {
    let key = base64::encode(&key_blob(key));
    format!(
        "{name} namespaces=\"{}\" {ALGORITHM} {key}\n",
        namespaces.join(",")
    )
}

fn key_blob(key: &PublicKey) -> Vec<u8> {
    let mut blob = Vec::new();
    put(&mut blob, ALGORITHM.as_bytes());
    put(&mut blob, key.as_bytes());
    blob
}

/// Appends bytes behind their length. All that is put is far shorter than 4 GiB.
fn put(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    into.extend(bytes);
}
