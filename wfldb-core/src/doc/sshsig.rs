//! Signatures in the form of OpenSSH (`PROTOCOL.sshsig`), so that `ssh-keygen -Y verify` checks a document without any
//! code of ours.

use sha2::{Digest as _, Sha512};

use crate::encoding::base64;
use crate::id::{PublicKey, SignatureBytes};

/// What a signature of a document is for; one for anything else is none of a document.
pub const NAMESPACE: &str = "doc@wfldb";

const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;
const HASH: &str = "sha512";
const ALGORITHM: &str = "ssh-ed25519";
/// Characters in a line of an armoured signature.
const LINE: usize = 70;

/// The bytes that Ed25519 signs for a payload.
pub(super) fn signed_bytes(payload: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    put(&mut bytes, NAMESPACE.as_bytes());
    put(&mut bytes, b"");
    put(&mut bytes, HASH.as_bytes());
    put(&mut bytes, &Sha512::digest(payload));
    bytes
}

/// The signature as a file for `ssh-keygen -Y verify -s`.
pub fn signature_file(key: &PublicKey, signature: &SignatureBytes) -> String {
    let mut blob = MAGIC.to_vec();
    blob.extend(VERSION.to_be_bytes());
    put(&mut blob, &key_blob(key));
    put(&mut blob, NAMESPACE.as_bytes());
    put(&mut blob, b"");
    put(&mut blob, HASH.as_bytes());
    let mut inner = Vec::new();
    put(&mut inner, ALGORITHM.as_bytes());
    put(&mut inner, signature.as_bytes());
    put(&mut blob, &inner);
    let mut file = String::from("-----BEGIN SSH SIGNATURE-----\n");
    for (index, character) in base64::encode(&blob).chars().enumerate() {
        if index > 0 && index.is_multiple_of(LINE) {
            file.push('\n');
        }
        file.push(character);
    }
    file.push_str("\n-----END SSH SIGNATURE-----\n");
    file
}

/// A line of the file that `ssh-keygen -Y verify -f` takes: whoever is called `name` signs documents with `key`.
pub fn allowed_signer(name: &str, key: &PublicKey) -> String {
    let key = base64::encode(&key_blob(key));
    format!("{name} namespaces=\"{NAMESPACE}\" {ALGORITHM} {key}\n")
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
