//! Change rows, which form the BLAKE3 chain, and the evidence beside them, which can be erased.

use flatbuffers::{FlatBufferBuilder, WIPOffset};
use wfldb_core::auth::{Actor, Authorized};
use wfldb_core::id::{BucketId, ContentHash, LogPosition, Seq, VersionId};
use wfldb_core::request::Evidence;
use wfldb_core::time::UnixMillis;
use wfldb_schemas::store;

use super::{RowError, hash, hash_bytes, id, id_bytes, verifier};

const DAMAGED: RowError = RowError("change");

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    BucketCreated,
    BucketConfigured,
    BucketDeleted,
    ObjectPut,
    ObjectDeleted,
    ObjectRestored,
    VersionErased,
    VersionPruned,
    VersionExpired,
    /// Several effects, all in the entries.
    Batch,
    /// What a worker ended, all in the entries.
    Lifecycle,
    /// A packet or a key; `key` says which. Of no bucket.
    Revoked,
    /// Several effects in several buckets, all in `buckets`.
    Transaction,
}

impl Action {
    fn to_store(self) -> store::Action {
        match self {
            Self::BucketCreated => store::Action::BucketCreated,
            Self::BucketConfigured => store::Action::BucketConfigured,
            Self::BucketDeleted => store::Action::BucketDeleted,
            Self::ObjectPut => store::Action::ObjectPut,
            Self::ObjectDeleted => store::Action::ObjectDeleted,
            Self::ObjectRestored => store::Action::ObjectRestored,
            Self::VersionErased => store::Action::VersionErased,
            Self::VersionPruned => store::Action::VersionPruned,
            Self::VersionExpired => store::Action::VersionExpired,
            Self::Batch => store::Action::Batch,
            Self::Lifecycle => store::Action::Lifecycle,
            Self::Revoked => store::Action::Revoked,
            Self::Transaction => store::Action::Transaction,
        }
    }

    fn from_store(action: store::Action) -> Result<Self, RowError> {
        match action {
            store::Action::BucketCreated => Ok(Self::BucketCreated),
            store::Action::BucketConfigured => Ok(Self::BucketConfigured),
            store::Action::BucketDeleted => Ok(Self::BucketDeleted),
            store::Action::ObjectPut => Ok(Self::ObjectPut),
            store::Action::ObjectDeleted => Ok(Self::ObjectDeleted),
            store::Action::ObjectRestored => Ok(Self::ObjectRestored),
            store::Action::VersionErased => Ok(Self::VersionErased),
            store::Action::VersionPruned => Ok(Self::VersionPruned),
            store::Action::VersionExpired => Ok(Self::VersionExpired),
            store::Action::Batch => Ok(Self::Batch),
            store::Action::Lifecycle => Ok(Self::Lifecycle),
            store::Action::Revoked => Ok(Self::Revoked),
            store::Action::Transaction => Ok(Self::Transaction),
            _ => Err(DAMAGED),
        }
    }
}

/// What a change did to one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) action: Action,
    pub(crate) key: String,
    pub(crate) version: VersionId,
    pub(crate) etag: Option<ContentHash>,
    pub(crate) len: u64,
}

/// What a transaction did in one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BucketChange {
    pub(crate) bucket: BucketId,
    pub(crate) seq: Seq,
    pub(crate) effects: Vec<Effect>,
}

/// One change. `key` is the object key, or the bucket's name for changes of a bucket; empty when all is in `entries`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChangeRow {
    /// BLAKE3 of the encoded row before this one.
    pub(crate) prev: [u8; 32],
    pub(crate) position: LogPosition,
    pub(crate) at: UnixMillis,
    pub(crate) bucket: BucketId,
    pub(crate) seq: Seq,
    pub(crate) action: Action,
    pub(crate) key: String,
    pub(crate) version: Option<VersionId>,
    pub(crate) etag: Option<ContentHash>,
    pub(crate) len: u64,
    pub(crate) config: Option<String>,
    /// BLAKE3 of the encoded evidence row.
    pub(crate) evidence: [u8; 32],
    /// Effects beside the main one, in order.
    pub(crate) entries: Vec<Effect>,
    /// What a transaction did in each of its buckets, in the order of their ids; `bucket` is zeros then, and `seq` 0.
    pub(crate) buckets: Vec<BucketChange>,
    /// The change's leaf in the audit log; `None` in rows of formats before 3, and until the commit gives it one.
    pub(crate) leaf: Option<LeafLink>,
}

/// A change's leaf in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeafLink {
    pub(crate) leaf: u64,
    /// BLAKE3 of the leaf's entry: so the chain of changes holds the leaves too, also those whose evidence is gone.
    pub(crate) entry: [u8; 32],
}

impl ChangeRow {
    /// The index of the change's leaf. What formats before 3 wrote got its leaves in the order of positions.
    pub(crate) fn leaf_index(&self) -> u64 {
        self.leaf
            .map_or_else(|| self.position.get().saturating_sub(1), |link| link.leaf)
    }

    /// Each bucket that the change is one of, with its number there. A revocation is of none.
    pub(crate) fn touched(&self) -> impl Iterator<Item = (BucketId, Seq)> + '_ {
        let own = !matches!(self.action, Action::Revoked | Action::Transaction);
        let own = own.then_some((self.bucket, self.seq));
        let buckets = self.buckets.iter().map(|change| (change.bucket, change.seq));
        own.into_iter().chain(buckets)
    }

    /// Everything that the change did to versions, in order, each with its bucket.
    pub(crate) fn effects(&self) -> impl Iterator<Item = (BucketId, Effect)> + '_ {
        let main = self.version.map(|version| Effect {
            action: self.action,
            key: self.key.clone(),
            version,
            etag: self.etag,
            len: self.len,
        });
        let own = main.into_iter().chain(self.entries.iter().cloned());
        let buckets = self.buckets.iter();
        let others = buckets.flat_map(|change| {
            let effects = change.effects.iter().cloned();
            effects.map(|effect| (change.bucket, effect))
        });
        own.map(|effect| (self.bucket, effect)).chain(others)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::with_capacity(512);
        let key = Some(builder.create_string(&self.key));
        let config = self.config.as_ref().map(|config| builder.create_string(config));
        let version = self.version.map(|version| id(&version.to_bytes()));
        let etag = self.etag.map(|etag| hash(etag.as_bytes()));
        let entries: Vec<_> = self
            .entries
            .iter()
            .map(|entry| entry.create(&mut builder))
            .collect();
        let entries = (!entries.is_empty()).then(|| builder.create_vector(&entries));
        let entry = self.leaf.map(|link| hash(&link.entry));
        let buckets: Vec<_> = self
            .buckets
            .iter()
            .map(|change| change.create(&mut builder))
            .collect();
        let buckets = (!buckets.is_empty()).then(|| builder.create_vector(&buckets));
        let args = store::ChangeRowArgs {
            prev: Some(&hash(&self.prev)),
            position: self.position.get(),
            at_ms: self.at.get(),
            bucket: Some(&id(self.bucket.as_bytes())),
            seq: self.seq.get(),
            action: self.action.to_store(),
            key,
            version: version.as_ref(),
            etag: etag.as_ref(),
            len: self.len,
            config,
            evidence: Some(&hash(&self.evidence)),
            entries,
            leaf: self.leaf.map_or(0, |link| link.leaf),
            entry: entry.as_ref(),
            buckets,
        };
        let row = store::ChangeRow::create(&mut builder, &args);
        builder.finish(row, None);
        builder.finished_data().to_vec()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let row =
            flatbuffers::root_with_opts::<store::ChangeRow<'_>>(&verifier(), row).map_err(|_| DAMAGED)?;
        Ok(Self {
            prev: hash_bytes(row.prev()),
            position: LogPosition::new(row.position()),
            at: UnixMillis::new(row.at_ms()),
            bucket: BucketId::from_bytes(id_bytes(row.bucket())),
            seq: Seq::new(row.seq()),
            action: Action::from_store(row.action())?,
            key: row.key().ok_or(DAMAGED)?.to_owned(),
            version: row
                .version()
                .map(|version| VersionId::from_bytes(id_bytes(version))),
            etag: row.etag().map(|etag| ContentHash::from_bytes(hash_bytes(etag))),
            len: row.len(),
            config: row.config().map(str::to_owned),
            evidence: hash_bytes(row.evidence()),
            entries: row
                .entries()
                .into_iter()
                .flatten()
                .map(|entry| Effect::read(&entry))
                .collect::<Result<_, _>>()?,
            leaf: row.entry().map(|entry| LeafLink {
                leaf: row.leaf(),
                entry: hash_bytes(entry),
            }),
            buckets: row
                .buckets()
                .into_iter()
                .flatten()
                .map(|change| BucketChange::read(&change))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl BucketChange {
    fn create<'a>(&self, builder: &mut FlatBufferBuilder<'a>) -> WIPOffset<store::BucketChange<'a>> {
        let effects: Vec<_> = self.effects.iter().map(|effect| effect.create(builder)).collect();
        let args = store::BucketChangeArgs {
            bucket: Some(&id(self.bucket.as_bytes())),
            seq: self.seq.get(),
            entries: Some(builder.create_vector(&effects)),
        };
        store::BucketChange::create(builder, &args)
    }

    fn read(change: &store::BucketChange<'_>) -> Result<Self, RowError> {
        let effects = change.entries().into_iter().flatten();
        Ok(Self {
            bucket: BucketId::from_bytes(id_bytes(change.bucket())),
            seq: Seq::new(change.seq()),
            effects: effects
                .map(|effect| Effect::read(&effect))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Effect {
    fn create<'a>(&self, builder: &mut FlatBufferBuilder<'a>) -> WIPOffset<store::ChangeEntry<'a>> {
        let key = Some(builder.create_string(&self.key));
        let etag = self.etag.map(|etag| hash(etag.as_bytes()));
        let args = store::ChangeEntryArgs {
            action: self.action.to_store(),
            key,
            version: Some(&id(&self.version.to_bytes())),
            etag: etag.as_ref(),
            len: self.len,
        };
        store::ChangeEntry::create(builder, &args)
    }

    fn read(entry: &store::ChangeEntry<'_>) -> Result<Self, RowError> {
        Ok(Self {
            action: Action::from_store(entry.action())?,
            key: entry.key().to_owned(),
            version: VersionId::from_bytes(id_bytes(entry.version())),
            etag: entry.etag().map(|etag| ContentHash::from_bytes(hash_bytes(etag))),
            len: entry.len(),
        })
    }
}

/// Who asked for a change, and the signed request that proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EvidenceRow {
    pub(crate) salt: [u8; 32],
    pub(crate) actor: String,
    pub(crate) packet: Option<String>,
    pub(crate) canonical: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl EvidenceRow {
    /// The evidence that `proof` carries, with `salt` for the commitments of the audit log.
    pub(crate) fn of(proof: &Authorized, salt: [u8; 32]) -> Self {
        let actor = match proof.actor() {
            Actor::Key(key) => key.to_string(),
            Actor::Local(reason) => format!("local:{reason}"),
            Actor::System(worker) => format!("system:{worker}"),
        };
        match proof.evidence() {
            Some(evidence) => Self {
                salt,
                actor,
                packet: Some(evidence.packet.to_string()),
                canonical: evidence.canonical.clone(),
                signature: evidence.signature.as_bytes().to_vec(),
            },
            None => Self {
                salt,
                actor,
                packet: None,
                canonical: Vec::new(),
                signature: Vec::new(),
            },
        }
    }

    /// What a key signed, with `salt` for the commitments of the audit log.
    pub(crate) fn signed(evidence: &Evidence, salt: [u8; 32]) -> Self {
        Self {
            salt,
            actor: evidence.key.to_string(),
            packet: Some(evidence.packet.to_string()),
            canonical: evidence.canonical.clone(),
            signature: evidence.signature.as_bytes().to_vec(),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::with_capacity(2048);
        let actor = Some(builder.create_string(&self.actor));
        let packet = self.packet.as_ref().map(|packet| builder.create_string(packet));
        let canonical = (!self.canonical.is_empty()).then(|| builder.create_vector(&self.canonical));
        let signature = (!self.signature.is_empty()).then(|| builder.create_vector(&self.signature));
        let args = store::EvidenceRowArgs {
            salt: Some(&hash(&self.salt)),
            actor,
            packet,
            canonical,
            signature,
        };
        let row = store::EvidenceRow::create(&mut builder, &args);
        builder.finish(row, None);
        builder.finished_data().to_vec()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let damaged = RowError("evidence");
        let row =
            flatbuffers::root_with_opts::<store::EvidenceRow<'_>>(&verifier(), row).map_err(|_| damaged)?;
        let bytes = |vector: Option<flatbuffers::Vector<'_, u8>>| {
            vector.map_or_else(Vec::new, |v| v.bytes().to_vec())
        };
        Ok(Self {
            salt: hash_bytes(row.salt()),
            actor: row.actor().to_owned(),
            packet: row.packet().map(str::to_owned),
            canonical: bytes(row.canonical()),
            signature: bytes(row.signature()),
        })
    }
}
