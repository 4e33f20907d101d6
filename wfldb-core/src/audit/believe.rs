//! What a stranger checks about a receipt, with nothing but the log's verifier key: the whole way from the signature of
//! the checkpoint to that of the request.

use super::{
    AuditError, Commitment, Content, EffectAction, Entry, EntryActor, Label, LogName, Outcome, Receipt,
    ReceiptEvidence, SignedCheckpoint, VerifierKey, evidence_value, leaf_hash,
};
use crate::auth::{Method, Op, Service, Target};
use crate::encoding::percent::{self, Literal};
use crate::id::{ContentHash, KeyId, PacketHash, PublicKey};
use crate::name::{Audience, BucketName, ObjectKey};
use crate::object::ContentDigest;
use crate::packet::{Packet, UrlLink};
use crate::time::UnixMillis;

/// Methods that ask to be shown something.
const READING: [&str; 2] = ["GET", "HEAD"];

/// Why a receipt is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Entry, proof or checkpoint.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The entry commits to another value, to none where the receipt has one, or to one that the receipt leaves out.
    #[error("the entry does not commit to this {0}")]
    Commitment(&'static str),
    /// The key packet cannot be read, or a link of it is not signed by whom it names.
    #[error("the key packet is not signed by whom it names")]
    Packet,
    /// The packet, or the request, is for another store.
    #[error("the request was made to another store")]
    Audience,
    /// The actor is not who signed.
    #[error("the actor is not who signed the request")]
    Actor,
    /// The signature does not verify.
    #[error("the request's signature does not verify")]
    Signature,
    /// What was signed is another request than the entry tells of: its form, path, key or body.
    #[error("the signed request is not the one that the entry tells of: {0}")]
    Request(&'static str),
}

impl ReceiptError {
    /// The stable error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Audit(error) => error.code(),
            Self::Commitment(_) => "OtherCommitment",
            Self::Packet => "BadReceiptPacket",
            Self::Audience => "OtherStore",
            Self::Actor => "OtherActor",
            Self::Signature => "BadRequestSignature",
            Self::Request(_) => "OtherRequest",
        }
    }
}

/// What a receipt proves.
#[derive(Clone, Debug)]
pub struct Proven {
    /// The entry.
    pub entry: Entry,
    /// The checkpoint that it is proven by.
    pub checkpoint: SignedCheckpoint,
    /// Who asked, as they signed it. None where the process itself did something: then the log alone says so.
    pub request: Option<ProvenRequest>,
}

/// The signed request behind an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenRequest {
    /// Who signed.
    pub signer: KeyId,
    /// The root key that link 0 of the packet names as its signer. Whether that is the store's is for the verifier to
    /// know.
    pub root: KeyId,
    /// When, by the signer's clock.
    pub timestamp: UnixMillis,
    /// The method.
    pub method: String,
    /// The path as it was signed, percent-encoded.
    pub path: String,
    /// The query as it was signed.
    pub query: String,
    /// The bucket in the path; none of the commit of a transaction, whose buckets stand in the receipt by their ids.
    pub bucket: Option<BucketName>,
    /// The signer made a link in a URL, at that time, and whoever had it wrote this: the signer has not seen the bytes.
    pub by_link: bool,
}

impl Receipt {
    /// Checks everything that can be checked with the log's verifier key alone: that the log signed the checkpoint, that
    /// the entry is in its tree, that the entry commits to exactly what the receipt shows, that the actor signed the
    /// request with a packet whose links are signed, and that the request is for this store, key and body. Of a
    /// [`document`](Self::document) the body that was signed is not what is stored, so that is the log's word alone.
    ///
    /// # Errors
    /// [`ReceiptError`] by what is not so.
    pub fn verify(&self, key: &VerifierKey) -> Result<Proven, ReceiptError> {
        let entry = Entry::parse(&self.entry)?;
        if entry.leaf != self.proof.leaf() {
            return Err(AuditError::Inclusion.into());
        }
        let checkpoint = self.proof.verify(leaf_hash(&self.entry), key)?;
        self.check_commitments(&entry)?;
        let request = match &self.evidence {
            None => None,
            Some(evidence) => Some(self.check_request(evidence, &entry, key.name())?),
        };
        // SECURITY: what a key is said to have done is believed by its signature only. The log's word is enough for what
        // the process did by itself, and for what is known to be erased.
        let by_a_key = entry.actor.as_ref().is_some_and(|actor| actor.key_id().is_some());
        if by_a_key && request.is_none() && entry.outcome != Outcome::Erased {
            return Err(ReceiptError::Commitment("evidence"));
        }
        Ok(Proven {
            entry,
            checkpoint,
            request,
        })
    }

    /// The same for whoever knows the store's realm and its server's own key, and not the store's id.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn verify_of_node(&self, audience: &Audience, node: &PublicKey) -> Result<Proven, ReceiptError> {
        let name = self.proof.log_name().ok_or(AuditError::Form("checkpoint"))?;
        if name.realm().map(|realm| realm.audience()).as_ref() != Some(audience) {
            return Err(ReceiptError::Audience);
        }
        self.verify(&VerifierKey::new(name, node.clone()))
    }

    fn check_commitments(&self, entry: &Entry) -> Result<(), ReceiptError> {
        let commit =
            |label, value: Option<Vec<u8>>| value.map(|value| Commitment::new(&self.salt, label, &value));
        let bucket = self.bucket.map(|bucket| bucket.as_bytes().to_vec());
        let key = self.key.as_ref().map(|key| key.clone().into_bytes());
        let content = self.content.as_ref().map(Content::value);
        let evidence = self.evidence.as_ref().map(|evidence| {
            evidence_value(
                &evidence.packet,
                &evidence.canonical,
                evidence.signature.as_bytes(),
            )
        });
        let pairs = [
            ("bucket", entry.bucket, commit(Label::Bucket, bucket)),
            ("key", entry.key, commit(Label::Key, key)),
            ("content", entry.content, commit(Label::Content, content)),
            ("evidence", entry.evidence, commit(Label::Evidence, evidence)),
        ];
        match pairs.into_iter().find(|(_, entry, shown)| entry != shown) {
            None => Ok(()),
            Some((what, ..)) => Err(ReceiptError::Commitment(what)),
        }
    }

    fn check_request(
        &self,
        evidence: &ReceiptEvidence,
        entry: &Entry,
        log: &LogName,
    ) -> Result<ProvenRequest, ReceiptError> {
        let packet = Packet::parse(&evidence.packet).map_err(|_| ReceiptError::Packet)?;
        if !packet.signatures_verify() {
            return Err(ReceiptError::Packet);
        }
        let claims = packet.claims();
        if log.realm().is_some_and(|realm| realm.audience() != claims.aud) {
            return Err(ReceiptError::Audience);
        }
        let actor = entry.actor.as_ref().and_then(EntryActor::key_id);
        if actor.as_ref() != Some(&claims.sub) {
            return Err(ReceiptError::Actor);
        }
        let holder = claims.sub.public_key();
        if !holder.verify_strict(&evidence.canonical, &evidence.signature) {
            return Err(ReceiptError::Signature);
        }
        let Some(signed) = SignedLines::read(&evidence.canonical) else {
            return self.check_link(evidence, entry, &packet);
        };
        if signed.audience != claims.aud.as_str() {
            return Err(ReceiptError::Audience);
        }
        if PacketHash::parse(signed.packet) != Ok(packet.hash()) {
            return Err(ReceiptError::Packet);
        }
        let bucket = if entry.op.reads() && signed.method == Method::Post.as_str() {
            self.check_source(&signed)?
        } else {
            self.check_path(signed.path)?
        };
        // SECURITY: whoever asked to write is not said to have read, nor the other way round.
        let asks = READING.contains(&signed.method);
        let fits = if entry.op.reads() {
            asks || signed.method == Method::Post.as_str()
        } else {
            !asks || entry.outcome != Outcome::Ok
        };
        if !fits {
            return Err(ReceiptError::Request("method"));
        }
        self.check_body(&signed)?;
        Ok(ProvenRequest {
            signer: claims.sub.clone(),
            root: packet.root().claims().iss.clone(),
            timestamp: signed.timestamp,
            method: signed.method.to_owned(),
            path: signed.path.to_owned(),
            query: signed.query.to_owned(),
            bucket,
            by_link: false,
        })
    }

    /// Of a request by a link, what the holder signed is the link: which key may be read, or written and how much, not
    /// which bytes.
    fn check_link(
        &self,
        evidence: &ReceiptEvidence,
        entry: &Entry,
        packet: &Packet,
    ) -> Result<ProvenRequest, ReceiptError> {
        const OTHER: ReceiptError = ReceiptError::Request("form");
        let input = std::str::from_utf8(&evidence.canonical).map_err(|_| OTHER)?;
        let link = UrlLink::parse(&format!("{input}.{}", evidence.signature)).map_err(|_| OTHER)?;
        if link.packet_token() != evidence.packet {
            return Err(ReceiptError::Packet);
        }
        link.claims()
            .check_follows(packet.claims())
            .map_err(|_| ReceiptError::Packet)?;
        let claims = link.claims();
        let key = self.key.as_deref().and_then(|key| ObjectKey::parse(key).ok());
        let target = key.map(|key| Target::Key(claims.bucket.clone(), key));
        let (op, method) = if entry.op.reads() {
            (Op::Get, Method::Get)
        } else {
            (Op::Put, Method::Put)
        };
        let target = target.filter(|target| claims.covers(op, target));
        let target = target.ok_or(ReceiptError::Request("key"))?;
        if op == Op::Put && entry.outcome == Outcome::Ok {
            let (_, len) = self.stored().ok_or(ReceiptError::Request("body"))?;
            if claims.max_bytes.is_some_and(|most| len > most) {
                return Err(ReceiptError::Request("body"));
            }
        }
        Ok(ProvenRequest {
            signer: claims.iss.clone(),
            root: packet.root().claims().iss.clone(),
            timestamp: UnixMillis::new(claims.iat.saturating_mul(1000)),
            method: method.as_str().to_owned(),
            path: target.path(),
            query: String::new(),
            bucket: Some(claims.bucket.clone()),
            by_link: true,
        })
    }

    /// The path names a bucket, and the key of the receipt: `/v1/{bucket}/{key}`, or `/v1/{key}` of a change of a bucket.
    /// That of a transaction names neither, and its entry has no one key.
    fn check_path(&self, path: &str) -> Result<Option<BucketName>, ReceiptError> {
        const OTHER: ReceiptError = ReceiptError::Request("path");
        let path = percent::decode_canonical(path, Literal::Path).map_err(|_| OTHER)?;
        let names = path.strip_prefix("/v1/").ok_or(OTHER)?;
        if names == Service::Tx.word() && self.key.is_none() {
            return Ok(None);
        }
        let (bucket, key) = match names.split_once('/') {
            None => (names, names),
            Some((bucket, key)) => (bucket, key),
        };
        let bucket = BucketName::parse(bucket).map_err(|_| OTHER)?;
        match &self.key {
            Some(expected) if expected != key => Err(ReceiptError::Request("key")),
            Some(_) | None => Ok(Some(bucket)),
        }
    }

    /// What is read with a `POST`: the source of a copy, which its query names, or keys of the bucket in its path. What a
    /// transaction reads stands in its body.
    fn check_source(&self, signed: &SignedLines<'_>) -> Result<Option<BucketName>, ReceiptError> {
        const OTHER: ReceiptError = ReceiptError::Request("source");
        if signed.path == Target::Service(Service::Tx).path() {
            return Ok(None);
        }
        let pairs = signed.query.split('&').filter_map(|pair| pair.split_once('='));
        let Some((_, source)) = pairs.into_iter().find(|(name, _)| *name == "copy") else {
            return self.check_path(signed.path);
        };
        let source = percent::decode_canonical(source, Literal::Component).map_err(|_| OTHER)?;
        let names = source.strip_prefix('/').and_then(|names| names.split_once('/'));
        let (bucket, key) = names.ok_or(OTHER)?;
        if self.key.as_deref() == Some(key) {
            BucketName::parse(bucket).map(Some).map_err(|_| OTHER)
        } else {
            Err(ReceiptError::Request("key"))
        }
    }

    /// Of a plain PUT of an object, the body that was signed is the version that was stored. Of a document it is what the
    /// server put its envelope around.
    fn check_body(&self, signed: &SignedLines<'_>) -> Result<(), ReceiptError> {
        const OTHER: ReceiptError = ReceiptError::Request("body");
        let body = ContentDigest::parse(signed.content).map_err(|_| OTHER)?;
        let Some((etag, len)) = self.stored() else {
            return Ok(());
        };
        if signed.method != "PUT" || !signed.query.is_empty() || self.document {
            return Ok(());
        }
        let hash_fits = match body {
            ContentDigest::Blake3 { hash, .. } => hash == etag,
            ContentDigest::None => etag == ContentHash::of(b""),
            ContentDigest::Sha256 { .. } => true,
            // No signed request says that.
            ContentDigest::Unhashed { .. } => false,
        };
        if hash_fits && body.len() == len {
            Ok(())
        } else {
            Err(OTHER)
        }
    }

    /// Etag and length of the version that the key of the receipt got.
    fn stored(&self) -> Option<(ContentHash, u64)> {
        match self.content.as_ref()? {
            Content::Object { etag, len, .. } => etag.map(|etag| (etag, *len)),
            Content::Effects(effects) => {
                let key = ObjectKey::parse(self.key.as_ref()?).ok()?;
                let is_put = |action| action == EffectAction::Put;
                let put = effects.iter().find(|it| is_put(it.action) && it.key == key)?;
                put.etag.map(|etag| (etag, put.len))
            }
            Content::Buckets(_) | Content::Configuration(_) => None,
        }
    }
}

/// The lines of a canonical string that a verifier looks at.
struct SignedLines<'a> {
    audience: &'a str,
    method: &'a str,
    path: &'a str,
    query: &'a str,
    timestamp: UnixMillis,
    packet: &'a str,
    content: &'a str,
}

impl<'a> SignedLines<'a> {
    fn read(canonical: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(canonical).ok()?.strip_suffix('\n')?;
        let lines: Vec<&str> = text.split('\n').collect();
        let [
            scheme,
            audience,
            method,
            path,
            query,
            timestamp,
            _,
            packet,
            content,
            _,
            ..,
        ] = lines.as_slice()
        else {
            return None;
        };
        if *scheme != "WFLDB-ED25519-1" {
            return None;
        }
        Some(Self {
            audience,
            method,
            path,
            query,
            timestamp: UnixMillis::parse(timestamp).ok()?,
            packet,
            content,
        })
    }
}
