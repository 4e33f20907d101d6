//! Entries: what the leaves of the log hash.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use super::{AuditError, Commitment, TreeHash, leaf_hash};
use crate::auth::Op;
use crate::encoding::JsonObject;
use crate::id::{KeyId, LeafIndex};
use crate::limits::{AUDIT_ACTOR_BYTES_MAX, AUDIT_ENTRY_BYTES_MAX, AUDIT_LEAVES_MAX};
use crate::time::UnixMillis;

const NOT_AN_ENTRY: AuditError = AuditError::Form("audit entry");
/// Longest word of an operation, in bytes.
const OP_BYTES_MAX: usize = 32;

/// One entry of the log. Its bytes are canonical JSON (RFC 8785): members sorted, no spaces, nothing escaped.
///
/// What is absent there is `None` here: there was no such thing. An entry whose [`Outcome`] is `erased` has neither
/// actor nor commitments, and no other entry is without an actor.
///
/// ```
/// use wfldb_core::audit::{Commitment, Entry, EntryActor, EntryOp, Label, Outcome};
/// use wfldb_core::id::LeafIndex;
/// use wfldb_core::time::UnixMillis;
///
/// let salt = [9; 32];
/// let entry = Entry {
///     leaf: LeafIndex::new(17),
///     at: UnixMillis::new(1_767_323_045_006),
///     actor: Some(EntryActor::lossy("system:expire")),
///     op: EntryOp::EXPIRE,
///     outcome: Outcome::Ok,
///     bucket: Some(Commitment::new(&salt, Label::Bucket, &[1; 16])),
///     key: None,
///     content: None,
///     evidence: None,
/// };
/// let bytes = entry.to_bytes();
/// assert!(bytes.starts_with(br#"{"actor":"system:expire","at":"2026-01-02T03:04:05.006Z","bucket":""#));
/// assert!(bytes.ends_with(br#","leaf":17,"op":"expire","outcome":"ok"}"#));
/// assert_eq!(Entry::parse(&bytes)?, entry);
/// # Ok::<(), wfldb_core::audit::AuditError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the log.
    pub leaf: LeafIndex,
    /// When it was committed. It never decreases.
    pub at: UnixMillis,
    /// Who did it.
    pub actor: Option<EntryActor>,
    /// What was done or asked for.
    pub op: EntryOp,
    /// What came of it.
    pub outcome: Outcome,
    /// Commitment to the id of the bucket.
    pub bucket: Option<Commitment>,
    /// Commitment to the object's key, or the bucket's name for a change of a bucket, or what was revoked as text.
    pub key: Option<Commitment>,
    /// Commitment to [`Content::value`](super::Content::value).
    pub content: Option<Commitment>,
    /// Commitment to [`evidence_value`](super::evidence_value).
    pub evidence: Option<Commitment>,
}

impl Entry {
    /// The entry of a change whose evidence, and with it its salt, was erased before the log had a leaf for it. All that
    /// is known is when it was and what was done.
    pub fn erased(leaf: LeafIndex, at: UnixMillis, op: EntryOp) -> Self {
        Self {
            leaf,
            at,
            actor: None,
            op,
            outcome: Outcome::Erased,
            bucket: None,
            key: None,
            content: None,
            evidence: None,
        }
    }

    /// The bytes, at most 4 KiB: what [`leaf_hash`] takes and entry bundles hold.
    pub fn to_bytes(&self) -> Vec<u8> {
        // INVARIANT: no value holds a character that JSON escapes, so that writing them as they are is canonical.
        let leaf = self.leaf.to_string();
        let texts: [(&str, Option<String>); 8] = [
            ("actor", self.actor.as_ref().map(EntryActor::to_string)),
            ("at", Some(self.at.to_string())),
            ("bucket", self.bucket.as_ref().map(Commitment::to_string)),
            ("content", self.content.as_ref().map(Commitment::to_string)),
            ("evidence", self.evidence.as_ref().map(Commitment::to_string)),
            ("key", self.key.as_ref().map(Commitment::to_string)),
            ("op", Some(self.op.to_string())),
            ("outcome", Some(self.outcome.to_string())),
        ];
        let mut json = String::with_capacity(512);
        for (name, text) in &texts {
            let Some(text) = text else { continue };
            // The number stands where its name sorts.
            if *name == "op" {
                json.extend([",\"leaf\":", &leaf]);
            }
            json.push(if json.is_empty() { '{' } else { ',' });
            json.extend(["\"", name, "\":\"", text, "\""]);
        }
        json.push('}');
        json.into_bytes()
    }

    /// The hash of its leaf.
    pub fn hash(&self) -> TreeHash {
        leaf_hash(&self.to_bytes())
    }

    /// Reads the one spelling of an entry.
    ///
    /// # Errors
    /// [`AuditError::Form`] for anything else: an unknown member, another order, a space, an erased entry that commits to
    /// something.
    pub fn parse(bytes: &[u8]) -> Result<Self, AuditError> {
        if bytes.len() > AUDIT_ENTRY_BYTES_MAX {
            return Err(NOT_AN_ENTRY);
        }
        let JsonObject(json) =
            serde_json::from_slice::<JsonObject<EntryJson<'_>>>(bytes).map_err(|_| NOT_AN_ENTRY)?;
        let entry = json.read().ok_or(NOT_AN_ENTRY)?;
        // SECURITY: one spelling only. What is compared is what is hashed.
        if entry.is_whole() && entry.to_bytes() == bytes {
            Ok(entry)
        } else {
            Err(NOT_AN_ENTRY)
        }
    }

    /// Whether it tells of a read or a refusal, and so of no change.
    pub fn is_access(&self) -> bool {
        self.outcome == Outcome::Refused || (self.outcome == Outcome::Ok && self.op.reads())
    }

    fn is_whole(&self) -> bool {
        let commits = [self.bucket, self.key, self.content, self.evidence];
        match self.outcome {
            Outcome::Erased => self.actor.is_none() && commits.iter().all(Option::is_none),
            Outcome::Ok | Outcome::Refused => self.actor.is_some(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryJson<'a> {
    #[serde(borrow)]
    actor: Option<Cow<'a, str>>,
    #[serde(borrow)]
    at: Cow<'a, str>,
    #[serde(borrow)]
    bucket: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow)]
    evidence: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    leaf: u64,
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
}

impl EntryJson<'_> {
    fn read(self) -> Option<Entry> {
        let commitment = |text: Option<Cow<'_, str>>| match text {
            None => Some(None),
            Some(text) => Commitment::parse(&text).ok().map(Some),
        };
        if self.leaf >= AUDIT_LEAVES_MAX {
            return None;
        }
        Some(Entry {
            leaf: LeafIndex::new(self.leaf),
            at: UnixMillis::parse(&self.at).ok()?,
            actor: match self.actor {
                None => None,
                Some(actor) => Some(EntryActor::parse(&actor).ok()?),
            },
            op: EntryOp::parse(&self.op).ok()?,
            outcome: Outcome::parse(&self.outcome)?,
            bucket: commitment(self.bucket)?,
            key: commitment(self.key)?,
            content: commitment(self.content)?,
            evidence: commitment(self.evidence)?,
        })
    }
}

/// Who did something: a key id, `local:<reason>` or `system:<worker>`. Its text has at most 128 printable ASCII
/// characters, none of them `"` or `\`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryActor(Arc<str>);

impl EntryActor {
    /// Reads an actor.
    ///
    /// # Errors
    /// [`AuditError::Form`] for anything else.
    pub fn parse(text: &str) -> Result<Self, AuditError> {
        let ours = text.starts_with("local:") || text.starts_with("system:");
        let length_fits = text.len() <= AUDIT_ACTOR_BYTES_MAX;
        if (ours && length_fits && text.chars().all(is_plain)) || KeyId::parse(text).is_ok() {
            Ok(Self(text.into()))
        } else {
            Err(AuditError::Form("actor"))
        }
    }

    /// The actor of an evidence row. A key id stays as it is. Of a `local:` reason, which whoever embeds the engine
    /// chooses, `?` stands for characters that an entry cannot have, and its end is cut off when it is too long; what is
    /// none of these becomes a `local:` reason.
    pub fn lossy(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|_| {
            let ours = text.starts_with("local:") || text.starts_with("system:");
            let prefix = if ours { "" } else { "local:" };
            let plain = text.chars().map(|c| if is_plain(c) { c } else { '?' });
            let plain: String = prefix.chars().chain(plain).take(AUDIT_ACTOR_BYTES_MAX).collect();
            Self(plain.into())
        })
    }

    /// The actor as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key id, unless it is the process itself.
    pub fn key_id(&self) -> Option<KeyId> {
        KeyId::parse(&self.0).ok()
    }
}

fn is_plain(character: char) -> bool {
    matches!(character, ' '..='~') && character != '"' && character != '\\'
}

impl fmt::Display for EntryActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was done or asked for: a word of 1 to 32 characters `a-z` and `-`. Later releases may have more of them, so that
/// a verifier of this one reads their entries too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryOp(Cow<'static, str>);

impl EntryOp {
    /// A version was stored.
    pub const PUT: Self = Self(Cow::Borrowed("put"));
    /// A tombstone was added.
    pub const DELETE: Self = Self(Cow::Borrowed("delete"));
    /// A version was stored again from below a tombstone.
    pub const RESTORE: Self = Self(Cow::Borrowed("restore"));
    /// A version was removed for good by a caller.
    pub const ERASE: Self = Self(Cow::Borrowed("erase"));
    /// Versions were removed for good by a bucket's retention.
    pub const PRUNE: Self = Self(Cow::Borrowed("prune"));
    /// A version was ended by its time to live.
    pub const EXPIRE: Self = Self(Cow::Borrowed("expire"));
    /// Several keys at once.
    pub const BATCH: Self = Self(Cow::Borrowed("batch"));
    /// Several versions, by a worker.
    pub const LIFECYCLE: Self = Self(Cow::Borrowed("lifecycle"));
    /// A bucket was created.
    pub const BUCKET_CREATE: Self = Self(Cow::Borrowed("bucket-create"));
    /// A bucket was configured.
    pub const BUCKET_CONFIGURE: Self = Self(Cow::Borrowed("bucket-configure"));
    /// A bucket was deleted.
    pub const BUCKET_DELETE: Self = Self(Cow::Borrowed("bucket-delete"));
    /// A packet or a key was revoked.
    pub const REVOKE: Self = Self(Cow::Borrowed("revoke"));
    /// Versions of several buckets were written by a transaction.
    pub const TRANSACTION: Self = Self(Cow::Borrowed("transaction"));
    /// An object was read.
    pub const READ: Self = Self(Cow::Borrowed("read"));
    /// Keys were listed.
    pub const LIST: Self = Self(Cow::Borrowed("list"));
    /// Documents were asked for.
    pub const QUERY: Self = Self(Cow::Borrowed("query"));
    /// Changes were followed.
    pub const WATCH: Self = Self(Cow::Borrowed("watch"));
    /// The history of something was read.
    pub const AUDIT: Self = Self(Cow::Borrowed("audit"));

    /// What a request asked for, by its operation: `read` for `get`, else the operation's own word.
    pub fn asked(op: Op) -> Self {
        match op {
            Op::Get => Self::READ,
            other => Self(Cow::Borrowed(other.as_str())),
        }
    }

    /// Whether something was shown and nothing changed.
    pub fn reads(&self) -> bool {
        [Self::READ, Self::LIST, Self::QUERY, Self::WATCH, Self::AUDIT].contains(self)
    }

    /// Reads a word.
    ///
    /// # Errors
    /// [`AuditError::Form`] for anything else.
    pub fn parse(text: &str) -> Result<Self, AuditError> {
        let length_fits = (1..=OP_BYTES_MAX).contains(&text.len());
        if length_fits && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'-')) {
            Ok(Self(Cow::Owned(text.to_owned())))
        } else {
            Err(AuditError::Form("operation"))
        }
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntryOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was done.
    Ok,
    /// It was refused after its signature had verified.
    Refused,
    /// It was done, and its evidence was erased before the log had a leaf for it.
    Erased,
}

impl Outcome {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "ok" => Some(Self::Ok),
            "refused" => Some(Self::Refused),
            "erased" => Some(Self::Erased),
            _ => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Erased => "erased",
        })
    }
}
