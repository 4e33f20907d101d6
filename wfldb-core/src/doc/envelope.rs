//! What the store adds to a document: the members `_id _v _ts _prev _by _hash`, and the signature `_sig`, which is kept
//! beside it.
//!
//! A document's *payload* is the canonical JSON of its members but `_hash` and `_sig`, with `_fmt` and `_b` (the bucket)
//! added. `_hash` is its SHA-256, and the signature is over it in the form of OpenSSH. So bucket, key, version, time and
//! predecessor cannot be changed, nor a member taken away, without it being found.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{Object, Value, canonical};
use crate::encoding::{base64, hex, pointer};
use crate::id::{self, PublicKey, Role, SecretKey, SignatureBytes};
use crate::limits::{DOCUMENT_BYTES_MAX, JSON_INTEGER_MAX};
use crate::name::{BucketName, ObjectKey};
use crate::sshsig;
use crate::time::UnixMillis;

/// The form of the payload.
pub const FORMAT: &str = "wfldb-doc-1";
/// Names that begin with it are the store's.
const RESERVED: char = '_';

const ID: &str = "_id";
const VERSION: &str = "_v";
const TIME: &str = "_ts";
const PREVIOUS: &str = "_prev";
const BY: &str = "_by";
const HASH: &str = "_hash";
/// The member that a document is signed in.
pub const SIGNATURE: &str = "_sig";
/// What a signature begins with.
const SCHEME: &str = "ed25519:";
/// The members of an envelope.
pub const MEMBERS: [&str; 7] = [ID, VERSION, TIME, PREVIOUS, BY, HASH, SIGNATURE];

/// What is wrong with a document that somebody wants to store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// A member's name begins with `_` and is none of the envelope's.
    #[error("names that begin with `_` are reserved")]
    Reserved(String),
    /// `_id` is not the key.
    #[error("`_id` is not the key")]
    WrongId,
    /// A member of the envelope is not what the current version has there.
    #[error("`{0}` is not that of the current version")]
    NotCurrent(&'static str),
    /// More than [`DOCUMENT_BYTES_MAX`] with its envelope.
    #[error("a document has at most 1 MiB, its envelope included")]
    TooLarge,
    /// No number is left for another version.
    #[error("no version is left")]
    NoVersionLeft,
}

impl EnvelopeError {
    /// The place: a JSON pointer, empty for the whole document.
    pub fn pointer(&self) -> String {
        match self {
            Self::Reserved(name) => pointer::inside("", name),
            Self::WrongId => format!("/{ID}"),
            Self::NotCurrent(name) => format!("/{name}"),
            Self::TooLarge | Self::NoVersionLeft => String::new(),
        }
    }
}

/// What is wrong with a document that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentFault {
    /// Bytes that are not the canonical JSON of an object.
    #[error("the document is not canonical JSON")]
    NotCanonical,
    /// An envelope with a member missing, one too many, or one that is none.
    #[error("the document has no whole envelope")]
    Envelope,
    /// `_id` is not the key.
    #[error("`_id` is not the key")]
    Id,
    /// `_hash` is not the payload's.
    #[error("`_hash` is not the payload's")]
    Hash,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// Not one after the version below it: `_v`, `_prev` or `_ts`.
    #[error("the document does not follow the version below it")]
    Sequence,
}

/// SHA-256 of a payload; `sha256:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DocumentHash([u8; 32]);

impl DocumentHash {
    fn of(payload: &[u8]) -> Self {
        Self(Sha256::digest(payload).into())
    }

    /// Reads the one spelling.
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:")?;
        hex::decode_array(digits).ok().map(Self)
    }
}

impl fmt::Display for DocumentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(&self.0))
    }
}

impl fmt::Debug for DocumentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DocumentHash({self})")
    }
}

/// The store's signature of a document: `ed25519:`, the node key's id, `:`, base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentSignature {
    /// The public key that signed.
    pub key: [u8; 32],
    /// Over the payload in the form of OpenSSH.
    pub bytes: SignatureBytes,
}

impl DocumentSignature {
    /// Reads the one spelling; `None` for anything else. Bytes that are no key sign nothing, which is found by whoever
    /// verifies.
    pub fn parse(text: &str) -> Option<Self> {
        let (key, bytes) = text.strip_prefix(SCHEME)?.split_once(':')?;
        let (_, key) = id::key_id_bytes(key).filter(|(role, _)| *role == Role::Node)?;
        Some(Self {
            key,
            bytes: SignatureBytes::from_bytes(base64::decode_array(bytes).ok()?),
        })
    }

    /// The id of the key that signed, as text.
    pub fn key_id(&self) -> String {
        id::key_id_text(Role::Node, &self.key)
    }

    /// Whether it is over this payload.
    fn verifies(&self, payload: &[u8]) -> bool {
        let signed = sshsig::signed_bytes(sshsig::NAMESPACE, payload);
        PublicKey::from_bytes(&self.key).is_ok_and(|key| key.verify_strict(&signed, &self.bytes))
    }
}

impl fmt::Display for DocumentSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{SCHEME}{}:{}",
            self.key_id(),
            base64::encode(self.bytes.as_bytes())
        )
    }
}

/// The envelope of a stored document, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// `_id`, the key.
    pub id: String,
    /// `_v`: 1, 2, 3 …
    pub version: u64,
    /// `_ts`: when it was planned.
    pub time: UnixMillis,
    /// `_prev`: `_hash` of the version before, if there was one.
    pub previous: Option<DocumentHash>,
    /// `_by`: who wrote it, as evidence names them.
    pub by: String,
    /// `_hash`.
    pub hash: DocumentHash,
}

impl Envelope {
    /// Reads the envelope of a document, with or without `_sig`.
    ///
    /// # Errors
    /// [`DocumentFault::Envelope`] when a member is missing or is none, or another's name begins with `_`.
    pub fn of(document: &Object) -> Result<Self, DocumentFault> {
        let foreign = |name: &String| name.starts_with(RESERVED) && !MEMBERS.contains(&name.as_str());
        if document.keys().any(foreign) {
            return Err(DocumentFault::Envelope);
        }
        let text = |name| document.get(name).and_then(Value::as_str);
        let read = || {
            let previous = match document.get(PREVIOUS) {
                None => None,
                Some(value) => Some(DocumentHash::parse(value.as_str()?)?),
            };
            Some(Self {
                id: text(ID)?.to_owned(),
                version: document.get(VERSION)?.as_u64().filter(|version| *version >= 1)?,
                time: UnixMillis::parse(text(TIME)?).ok()?,
                previous,
                by: text(BY)?.to_owned(),
                hash: DocumentHash::parse(text(HASH)?)?,
            })
        };
        read().ok_or(DocumentFault::Envelope)
    }

    /// Whether this is the version right after `below`.
    ///
    /// # Errors
    /// [`DocumentFault::Sequence`].
    pub fn follows(&self, below: &Self) -> Result<(), DocumentFault> {
        if below.version.checked_add(1) == Some(self.version)
            && self.previous == Some(below.hash)
            && self.time > below.time
        {
            Ok(())
        } else {
            Err(DocumentFault::Sequence)
        }
    }

    /// Whether this version can be kept above `below`, another one of the same key: versions between the two may be
    /// missing. Answers whether they are, or whether it stands on another one.
    ///
    /// # Errors
    /// `Present`, `Older`.
    pub fn skips_from(&self, below: &Self) -> Result<bool, AdoptError> {
        if self.hash == below.hash {
            return Err(AdoptError::Present);
        }
        if self.version <= below.version || self.time <= below.time {
            return Err(AdoptError::Older);
        }
        Ok(self.follows(below).is_err())
    }
}

/// What a new version stands on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing<'a> {
    /// The current document with its signature: what a body's own envelope is compared with.
    pub current: Option<(&'a Object, &'a DocumentSignature)>,
    /// The envelope of the newest document of the key, be it deleted.
    pub below: Option<&'a Envelope>,
    /// The envelope of another store's version, which the new one has to be above as well.
    pub above: Option<&'a Envelope>,
}

/// A new version, not signed yet.
#[derive(Clone, Debug)]
pub struct Draft {
    document: Object,
    payload: Vec<u8>,
}

/// A new version of a document as it is stored.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Its members, without `_sig`.
    pub document: Object,
    /// The same in canonical JSON: the bytes that are stored.
    pub text: Vec<u8>,
    /// What stands beside them.
    pub signature: DocumentSignature,
}

/// Why a document that a store signed is not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdoptError {
    /// It is not what its signature says.
    #[error(transparent)]
    Fault(#[from] DocumentFault),
    /// Nobody trusts the key that signed it.
    #[error("the document is signed by a key that is not trusted")]
    Untrusted,
    /// It is the newest version that is there.
    #[error("the document is there already")]
    Present,
    /// The newest version that is there has a higher number, or a later time.
    #[error("the document is older than the one that is there")]
    Older,
    /// More than [`DOCUMENT_BYTES_MAX`].
    #[error("a document has at most 1 MiB, its envelope included")]
    TooLarge,
}

impl Sealed {
    /// A document as readers of another store get it, with its envelope and `_sig`, to be kept as it is.
    ///
    /// # Errors
    /// `Fault`, `Untrusted`, `TooLarge`.
    pub fn of_signed(
        bucket: &BucketName,
        key: &ObjectKey,
        whole: Object,
        trusted: &[PublicKey],
    ) -> Result<(Self, Envelope), AdoptError> {
        let (document, signature) = split_signature(whole)?;
        // SECURITY: anybody can sign; what counts is who did.
        if !trusted.iter().any(|key| *key.as_bytes() == signature.key) {
            return Err(AdoptError::Untrusted);
        }
        let envelope = verify(bucket, key, &document, &signature)?;
        let text = canonical(&document);
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(AdoptError::TooLarge);
        }
        let sealed = Self {
            document,
            text,
            signature,
        };
        Ok((sealed, envelope))
    }
}

impl Draft {
    /// The next version of `key` in `bucket`: the members of `body`, and an envelope of our own. What `body` has of an
    /// envelope has to be that of the current version.
    ///
    /// # Errors
    /// [`EnvelopeError`] with the place in the body.
    pub fn of(
        bucket: &BucketName,
        key: &ObjectKey,
        body: Object,
        standing: Standing<'_>,
        now: UnixMillis,
        by: &str,
    ) -> Result<Self, EnvelopeError> {
        let mut document = members(key, body, standing.current)?;
        let others = || standing.below.into_iter().chain(standing.above);
        let (version, time) = others().fold((1, now), |(version, time), other| {
            (
                version.max(other.version.saturating_add(1)),
                time.max(other.time.plus_ms(1)),
            )
        });
        // At the end of time it could not be later than the versions below.
        if version > JSON_INTEGER_MAX || others().any(|other| time <= other.time) {
            return Err(EnvelopeError::NoVersionLeft);
        }
        document.insert(ID.to_owned(), key.as_str().into());
        document.insert(VERSION.to_owned(), version.into());
        document.insert(TIME.to_owned(), time.to_string().into());
        if let Some(below) = standing.below {
            document.insert(PREVIOUS.to_owned(), below.hash.to_string().into());
        }
        document.insert(BY.to_owned(), by.into());
        let payload = payload(bucket, &document);
        let hash = DocumentHash::of(&payload);
        document.insert(HASH.to_owned(), hash.to_string().into());
        Ok(Self { document, payload })
    }

    /// Signs it with the store's node key.
    ///
    /// # Errors
    /// [`EnvelopeError::TooLarge`].
    pub fn sign(self, key: &SecretKey) -> Result<Sealed, EnvelopeError> {
        let text = canonical(&self.document);
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(EnvelopeError::TooLarge);
        }
        let signature = DocumentSignature {
            key: *key.public_key().as_bytes(),
            bytes: key.sign(&sshsig::signed_bytes(sshsig::NAMESPACE, &self.payload)),
        };
        Ok(Sealed {
            document: self.document,
            text,
            signature,
        })
    }
}

/// The user's members of a body, whose envelope was compared with the current one.
fn members(
    key: &ObjectKey,
    body: Object,
    current: Option<(&Object, &DocumentSignature)>,
) -> Result<Object, EnvelopeError> {
    let mut members = Object::new();
    for (name, value) in body {
        if !name.starts_with(RESERVED) {
            members.insert(name, value);
            continue;
        }
        let Some(member) = MEMBERS.into_iter().find(|member| *member == name) else {
            return Err(EnvelopeError::Reserved(name));
        };
        if member == ID {
            if value.as_str() != Some(key.as_str()) {
                return Err(EnvelopeError::WrongId);
            }
            continue;
        }
        let same = current.is_some_and(|(document, signature)| {
            if member == SIGNATURE {
                value.as_str() == Some(signature.to_string().as_str())
            } else {
                document.get(member) == Some(&value)
            }
        });
        if !same {
            return Err(EnvelopeError::NotCurrent(member));
        }
    }
    Ok(members)
}

/// The user's members of a document.
pub fn without_envelope(mut document: Object) -> Object {
    document.retain(|name, _| !name.starts_with(RESERVED));
    document
}

/// What a document's `_hash` and signature are over.
pub fn payload(bucket: &BucketName, document: &Object) -> Vec<u8> {
    let outside = |name: &str| name == HASH || name == SIGNATURE;
    let mut signed: Object = document
        .iter()
        .filter(|(name, _)| !outside(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    signed.insert("_fmt".to_owned(), FORMAT.into());
    signed.insert("_b".to_owned(), bucket.as_str().into());
    canonical(&signed)
}

/// Checks a document that claims to be what a store with the signature's key holds under `key` in `bucket`. Whether
/// that key is one to be trusted is for the caller to say.
///
/// # Errors
/// [`DocumentFault`].
pub fn verify(
    bucket: &BucketName,
    key: &ObjectKey,
    document: &Object,
    signature: &DocumentSignature,
) -> Result<Envelope, DocumentFault> {
    let envelope = Envelope::of(document)?;
    if envelope.id != key.as_str() {
        return Err(DocumentFault::Id);
    }
    let payload = payload(bucket, document);
    if DocumentHash::of(&payload) != envelope.hash {
        return Err(DocumentFault::Hash);
    }
    if !signature.verifies(&payload) {
        return Err(DocumentFault::Signature);
    }
    Ok(envelope)
}

/// The JSON that a reader gets: the stored bytes with `_sig` as the last member. Those bytes come back when it is taken
/// away again.
pub fn with_signature(text: &[u8], signature: &DocumentSignature) -> Vec<u8> {
    let members = text.strip_suffix(b"}").unwrap_or(text);
    let mut whole = Vec::with_capacity(text.len() + 192);
    whole.extend(members);
    // A stored document is never without members, so there is one to stand behind. Every answer has many of these, so
    // the text is not formatted.
    for part in [
        ",\"",
        SIGNATURE,
        "\":\"",
        SCHEME,
        &signature.key_id(),
        ":",
        &base64::encode(signature.bytes.as_bytes()),
        "\"}",
    ] {
        whole.extend_from_slice(part.as_bytes());
    }
    whole
}

/// The stored text of a document as readers get it, which its etag is the hash of: the opposite of [`with_signature`].
pub fn stored_text(whole: &[u8]) -> Option<Vec<u8>> {
    let beginning = format!(",\"{SIGNATURE}\":\"");
    // Inside of a text its quotation marks would be escaped, so the last one is that of the last member.
    let at = whole
        .windows(beginning.len())
        .rposition(|window| window == beginning.as_bytes())?;
    let signature = whole.get(at + beginning.len()..)?.strip_suffix(b"\"}")?;
    DocumentSignature::parse(std::str::from_utf8(signature).ok()?)?;
    Some([whole.get(..at)?, b"}"].concat())
}

/// Takes a document as readers get it apart: the stored members, and the signature.
///
/// # Errors
/// [`DocumentFault::Signature`] when there is none that can be read.
pub fn split_signature(mut document: Object) -> Result<(Object, DocumentSignature), DocumentFault> {
    let signature = document.remove(SIGNATURE);
    let signature = signature.as_ref().and_then(Value::as_str);
    let signature = signature.and_then(DocumentSignature::parse);
    Ok((document, signature.ok_or(DocumentFault::Signature)?))
}
