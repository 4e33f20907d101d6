//! Signed notes (C2SP signed-note) with Ed25519 keys: text, an empty line, and a line for each signature.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::AuditError;
use crate::encoding::{base64, hex};
use crate::id::{PublicKey, SecretKey, SignatureBytes};
use crate::limits::{NOTE_BYTES_MAX, NOTE_NAME_BYTES_MAX, NOTE_SIGNATURES_MAX};
use crate::name::Realm;

/// The signature type of plain Ed25519.
const ED25519: u8 = 1;
/// What a signature line begins with: an em dash and a space.
const SIGNATURE_LINE: &str = "\u{2014} ";
const NOT_A_NOTE: AuditError = AuditError::Form("signed note");
const NOT_A_KEY: AuditError = AuditError::Form("verifier key");
const NOT_A_NAME: AuditError = AuditError::Form("log name");

/// The name of a log: the origin of its checkpoints and the name of the key that signs them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName(Arc<str>);

impl LogName {
    /// The name of a store's log: `wfldb/<realm>/<store id in hex>`.
    ///
    /// ```
    /// use wfldb_core::{audit::LogName, name::Realm};
    ///
    /// let name = LogName::of_store(&Realm::parse("local")?, &[0xab; 16]);
    /// assert_eq!(name.as_str(), "wfldb/local/abababababababababababababababab");
    /// assert_eq!(name.realm(), Some(Realm::parse("local")?));
    /// # Ok::<(), wfldb_core::name::NameError>(())
    /// ```
    pub fn of_store(realm: &Realm, store: &[u8; 16]) -> Self {
        Self(format!("wfldb/{realm}/{}", hex::encode(store)).into())
    }

    /// Reads any name that a note's key can have: 1 to 255 bytes, no white space, no `+`, no control characters.
    ///
    /// # Errors
    /// [`AuditError::Form`] for anything else.
    pub fn parse(text: &str) -> Result<Self, AuditError> {
        let length_fits = (1..=NOTE_NAME_BYTES_MAX).contains(&text.len());
        let is_taken = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if length_fits && !text.contains(is_taken) {
            Ok(Self(text.into()))
        } else {
            Err(NOT_A_NAME)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The realm in the name of a store's log; `None` for any other name.
    pub fn realm(&self) -> Option<Realm> {
        let (realm, store) = self.0.strip_prefix("wfldb/")?.split_once('/')?;
        hex::decode_array::<16>(store).ok()?;
        Realm::parse(realm).ok()
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a stranger is given to verify a log's checkpoints with: `<name>+<key hash>+<base64 of type and key>`.
///
/// ```
/// use wfldb_core::audit::{LogName, VerifierKey};
/// use wfldb_core::id::SecretKey;
///
/// let key = VerifierKey::new(LogName::parse("example.com/log")?, SecretKey::from_seed([7; 32]).public_key());
/// assert_eq!(VerifierKey::parse(&key.to_string())?, key);
/// # Ok::<(), wfldb_core::audit::AuditError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: LogName,
    key: PublicKey,
    hash: [u8; 4],
}

impl VerifierKey {
    /// The verifier key of a name and an Ed25519 key.
    pub fn new(name: LogName, key: PublicKey) -> Self {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(name.as_str())
            .chain_update([b'\n', ED25519])
            .chain_update(key.as_bytes())
            .finalize()
            .into();
        let [a, b, c, d, ..] = digest;
        Self {
            name,
            key,
            hash: [a, b, c, d],
        }
    }

    /// Reads the text form, in its one spelling.
    ///
    /// # Errors
    /// [`AuditError::Form`] for anything else, keys of another type than Ed25519 included.
    pub fn parse(text: &str) -> Result<Self, AuditError> {
        let (name, rest) = text.split_once('+').ok_or(NOT_A_KEY)?;
        let (hash, key) = rest.split_once('+').ok_or(NOT_A_KEY)?;
        let [kind, key @ ..] = base64::decode_array::<33>(key).map_err(|_| NOT_A_KEY)?;
        if kind != ED25519 {
            return Err(NOT_A_KEY);
        }
        let key = PublicKey::from_bytes(&key).map_err(|_| NOT_A_KEY)?;
        let verifier = Self::new(LogName::parse(name)?, key);
        if hex::decode_array(hash) == Ok(verifier.hash) {
            Ok(verifier)
        } else {
            Err(NOT_A_KEY)
        }
    }

    /// The name of the log and of its key.
    pub fn name(&self) -> &LogName {
        &self.name
    }

    /// The key itself.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend(self.key.as_bytes());
        write!(
            f,
            "{}+{}+{}",
            self.name,
            hex::encode(&self.hash),
            base64::encode(&key)
        )
    }
}

/// A log's signing key under its name. `Debug` does not show the secret.
#[derive(Debug)]
pub struct NoteSigner {
    verifier: VerifierKey,
    secret: SecretKey,
}

impl NoteSigner {
    /// The signer of this log with this key: a server's own.
    pub fn new(name: LogName, secret: SecretKey) -> Self {
        let verifier = VerifierKey::new(name, secret.public_key());
        Self { verifier, secret }
    }

    /// What verifies its signatures.
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a text.
    ///
    /// # Errors
    /// [`AuditError::Form`] for a text that no note can have: it has to end with a line feed, and has no other control
    /// characters.
    pub fn sign(&self, text: &str) -> Result<SignedNote, AuditError> {
        check_text(text)?;
        let signature = self.secret.sign(text.as_bytes());
        let mut signed = self.verifier.hash.to_vec();
        signed.extend(signature.as_bytes());
        let name = &self.verifier.name;
        let note = format!("{text}\n{SIGNATURE_LINE}{name} {}\n", base64::encode(&signed));
        SignedNote::parse(note.as_bytes())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NoteSignature {
    name: LogName,
    hash: [u8; 4],
    /// What follows the hash; 64 bytes when it is of Ed25519.
    signature: Vec<u8>,
}

/// A note that was read. Nothing of it may be believed before [`verified_by`](Self::verified_by) gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    note: Arc<str>,
    text_bytes: usize,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Reads a note of at most 64 KiB with at most 64 signatures, of any keys.
    ///
    /// # Errors
    /// [`AuditError::Form`] for anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self, AuditError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NOT_A_NOTE);
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NOT_A_NOTE)?;
        // The last empty line ends the text, which may have empty lines itself.
        let (before, lines) = note.rsplit_once("\n\n").ok_or(NOT_A_NOTE)?;
        let text_bytes = before.len() + 1;
        check_text(note.get(..text_bytes).ok_or(NOT_A_NOTE)?)?;
        let lines = lines.strip_suffix('\n').ok_or(NOT_A_NOTE)?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() >= NOTE_SIGNATURES_MAX {
                return Err(NOT_A_NOTE);
            }
            signatures.push(parse_signature(line)?);
        }
        Ok(Self {
            note: note.into(),
            text_bytes,
            signatures,
        })
    }

    /// The text, its last line feed included, if this key signed it. Signatures of other keys are not looked at.
    ///
    /// # Errors
    /// [`AuditError::Signature`] when no signature is of this key, or one of it does not verify.
    pub fn verified_by(&self, key: &VerifierKey) -> Result<&str, AuditError> {
        let mut of_key = self
            .signatures
            .iter()
            .filter(|signature| signature.name == key.name && signature.hash == key.hash)
            .peekable();
        let text = self.note.get(..self.text_bytes).ok_or(NOT_A_NOTE)?;
        let verifies = |signature: &NoteSignature| {
            let signature = <[u8; 64]>::try_from(signature.signature.as_slice());
            signature.is_ok_and(|signature| {
                let signature = SignatureBytes::from_bytes(signature);
                key.key.verify_strict(text.as_bytes(), &signature)
            })
        };
        if of_key.peek().is_some() && of_key.all(verifies) {
            Ok(text)
        } else {
            Err(AuditError::Signature)
        }
    }

    /// The whole note as it is sent and stored.
    pub fn as_str(&self) -> &str {
        &self.note
    }
}

/// A text ends with a line feed and has no other control characters below U+0020.
fn check_text(text: &str) -> Result<(), AuditError> {
    let has_control = text.bytes().any(|byte| byte < b' ' && byte != b'\n');
    if text.ends_with('\n') && !has_control {
        Ok(())
    } else {
        Err(NOT_A_NOTE)
    }
}

/// Reads `— <name> <base64 of key hash and signature>`.
fn parse_signature(line: &str) -> Result<NoteSignature, AuditError> {
    let (name, signed) = line
        .strip_prefix(SIGNATURE_LINE)
        .and_then(|rest| rest.split_once(' '))
        .ok_or(NOT_A_NOTE)?;
    let signed = base64::decode(signed).map_err(|_| NOT_A_NOTE)?;
    let (hash, signature) = signed.split_first_chunk::<4>().ok_or(NOT_A_NOTE)?;
    if signature.is_empty() {
        return Err(NOT_A_NOTE);
    }
    Ok(NoteSignature {
        name: LogName::parse(name).map_err(|_| NOT_A_NOTE)?,
        hash: *hash,
        signature: signature.to_vec(),
    })
}
