//! Receipts: an entry with everything that it commits to and the proof that it is in the log, as JSON. Not here: what
//! makes one believable ([`Receipt::verify`] is in `audit/believe.rs`).

use serde::{Deserialize, Serialize};

use super::{AuditError, BucketEffects, Content, Effect, EffectAction, Entry, TlogProof};
use crate::encoding::{JsonObject, base64url};
use crate::id::{BucketId, ContentHash, LeafIndex, SignatureBytes, VersionId};
use crate::limits::RECEIPT_BYTES_MAX;
use crate::name::ObjectKey;

const NOT_A_RECEIPT: AuditError = AuditError::Form("receipt");

/// The signed request that a change was made by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptEvidence {
    /// The key packet, as sent.
    pub packet: String,
    /// The canonical string that was signed.
    pub canonical: Vec<u8>,
    /// The signature over it.
    pub signature: SignatureBytes,
}

/// An entry of the log, what it commits to, and the proof that it is in the log.
///
/// A receipt that was read says nothing before [`verify`](Self::verify) found it true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The entry's bytes.
    pub entry: Vec<u8>,
    /// The salt of its commitments.
    pub salt: [u8; 32],
    /// The bucket's id.
    pub bucket: Option<BucketId>,
    /// The object's key, or the bucket's name for a change of a bucket.
    pub key: Option<String>,
    /// What was done.
    pub content: Option<Content>,
    /// The key got a document: what is stored is what was sent with an envelope around it, so its hash is another.
    /// Nothing commits to this but the log's own word.
    pub document: bool,
    /// Who asked for it; none where nobody did.
    pub evidence: Option<ReceiptEvidence>,
    /// That the entry is in the log.
    pub proof: TlogProof,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptJson {
    leaf: u64,
    entry: String,
    salt: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<ContentJson>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    document: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<EvidenceJson>,
    proof: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContentJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    len: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effects: Option<Vec<EffectJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    buckets: Option<Vec<BucketEffectsJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BucketEffectsJson {
    bucket: String,
    effects: Vec<EffectJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EffectJson {
    action: String,
    key: String,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    len: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EvidenceJson {
    packet: String,
    canonical: String,
    signature: String,
}

impl Receipt {
    /// The receipt as JSON.
    ///
    /// # Errors
    /// [`AuditError::Form`] when it would be larger than a receipt may be.
    pub fn to_json(&self) -> Result<String, AuditError> {
        let evidence = |evidence: &ReceiptEvidence| EvidenceJson {
            packet: evidence.packet.clone(),
            canonical: base64url::encode(&evidence.canonical),
            signature: evidence.signature.to_string(),
        };
        let json = serde_json::to_string(&ReceiptJson {
            leaf: self.proof.leaf().get(),
            entry: base64url::encode(&self.entry),
            salt: base64url::encode(&self.salt),
            bucket: self.bucket.map(|bucket| bucket.to_string()),
            key: self.key.clone(),
            content: self.content.as_ref().map(ContentJson::of),
            document: self.document,
            evidence: self.evidence.as_ref().map(evidence),
            proof: self.proof.to_string(),
        });
        json.ok()
            .filter(|json| json.len() <= RECEIPT_BYTES_MAX)
            .ok_or(NOT_A_RECEIPT)
    }

    /// Reads a receipt of at most 4 MiB.
    ///
    /// # Errors
    /// [`AuditError::Form`] for anything else, unknown members included.
    pub fn parse(json: &[u8]) -> Result<Self, AuditError> {
        if json.len() > RECEIPT_BYTES_MAX {
            return Err(NOT_A_RECEIPT);
        }
        let JsonObject(json) =
            serde_json::from_slice::<JsonObject<ReceiptJson>>(json).map_err(|_| NOT_A_RECEIPT)?;
        let leaf = LeafIndex::new(json.leaf);
        let receipt = json.read()?;
        if receipt.proof.leaf() == leaf && Entry::parse(&receipt.entry)?.leaf == leaf {
            Ok(receipt)
        } else {
            Err(NOT_A_RECEIPT)
        }
    }
}

/// Reads what is there.
fn optional<T, U>(value: Option<T>, read: impl FnOnce(T) -> Option<U>) -> Result<Option<U>, AuditError> {
    match value {
        None => Ok(None),
        Some(value) => read(value).map(Some).ok_or(NOT_A_RECEIPT),
    }
}

impl ReceiptJson {
    fn read(self) -> Result<Receipt, AuditError> {
        Ok(Receipt {
            entry: base64url::decode(&self.entry).map_err(|_| NOT_A_RECEIPT)?,
            salt: base64url::decode_array(&self.salt).map_err(|_| NOT_A_RECEIPT)?,
            bucket: optional(self.bucket, |bucket| BucketId::parse(&bucket).ok())?,
            key: self.key,
            content: optional(self.content, |content| content.read().ok())?,
            document: self.document,
            evidence: optional(self.evidence, EvidenceJson::read)?,
            proof: TlogProof::parse(self.proof.as_bytes())?,
        })
    }
}

impl EvidenceJson {
    fn read(self) -> Option<ReceiptEvidence> {
        Some(ReceiptEvidence {
            packet: self.packet,
            canonical: base64url::decode(&self.canonical).ok()?,
            signature: SignatureBytes::parse(&self.signature).ok()?,
        })
    }
}

impl ContentJson {
    fn of(content: &Content) -> Self {
        match content {
            Content::Object { etag, len, version } => Self {
                etag: etag.map(|etag| etag.to_string()),
                len: Some(*len),
                version: version.map(|version| version.to_string()),
                ..Self::default()
            },
            Content::Effects(effects) => Self {
                effects: Some(effects.iter().map(EffectJson::of).collect()),
                ..Self::default()
            },
            Content::Buckets(buckets) => {
                let bucket = |of: &BucketEffects| BucketEffectsJson {
                    bucket: of.bucket.to_string(),
                    effects: of.effects.iter().map(EffectJson::of).collect(),
                };
                Self {
                    buckets: Some(buckets.iter().map(bucket).collect()),
                    ..Self::default()
                }
            }
            Content::Configuration(json) => Self {
                configuration: Some(json.clone()),
                ..Self::default()
            },
        }
    }

    fn read(self) -> Result<Content, AuditError> {
        let etag = optional(self.etag, |etag| ContentHash::parse(&etag).ok())?;
        let version = optional(self.version, |version| VersionId::parse(&version).ok())?;
        if let Some(len) = self.len {
            let only = self.effects.is_none() && self.buckets.is_none() && self.configuration.is_none();
            let content = Content::Object { etag, len, version };
            return only.then_some(content).ok_or(NOT_A_RECEIPT);
        }
        if etag.is_some() || version.is_some() {
            return Err(NOT_A_RECEIPT);
        }
        match (self.effects, self.buckets, self.configuration) {
            (Some(effects), None, None) => effects_of(effects).map(Content::Effects),
            (None, Some(buckets), None) => {
                let buckets = buckets.into_iter().map(|of| {
                    Ok(BucketEffects {
                        bucket: BucketId::parse(&of.bucket).map_err(|_| NOT_A_RECEIPT)?,
                        effects: effects_of(of.effects)?,
                    })
                });
                buckets.collect::<Result<_, _>>().map(Content::Buckets)
            }
            (None, None, Some(json)) => Ok(Content::Configuration(json)),
            _ => Err(NOT_A_RECEIPT),
        }
    }
}

fn effects_of(effects: Vec<EffectJson>) -> Result<Vec<Effect>, AuditError> {
    effects.into_iter().map(EffectJson::read).collect()
}

impl EffectJson {
    fn of(effect: &Effect) -> Self {
        Self {
            action: effect.action.word().to_owned(),
            key: effect.key.to_string(),
            version: effect.version.to_string(),
            etag: effect.etag.map(|etag| etag.to_string()),
            len: effect.len,
        }
    }

    fn read(self) -> Result<Effect, AuditError> {
        Ok(Effect {
            action: EffectAction::parse(&self.action).ok_or(NOT_A_RECEIPT)?,
            key: ObjectKey::parse(&self.key).map_err(|_| NOT_A_RECEIPT)?,
            version: VersionId::parse(&self.version).map_err(|_| NOT_A_RECEIPT)?,
            etag: optional(self.etag, |etag| ContentHash::parse(&etag).ok())?,
            len: self.len,
        })
    }
}
