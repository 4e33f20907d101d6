//! What a change did, as the value that its entry commits to.

use sha2::{Digest as _, Sha256};

use crate::id::{BucketId, ContentHash, VersionId};
use crate::name::ObjectKey;

/// What a change did, as far as an entry commits to it under [`Label::Content`](super::Label::Content).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// One effect on one version of the key that the entry commits to.
    Object {
        /// The etag of the version; none for a tombstone.
        etag: Option<ContentHash>,
        /// Its length in bytes.
        len: u64,
        /// Its id.
        version: Option<VersionId>,
    },
    /// Everything that a change with several effects did, in order.
    Effects(Vec<Effect>),
    /// Everything that a transaction did, in each of several buckets.
    Buckets(Vec<BucketEffects>),
    /// A bucket's configuration, as the JSON that the change row holds.
    Configuration(String),
}

/// One effect of a change that has several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// What was done.
    pub action: EffectAction,
    /// To which key.
    pub key: ObjectKey,
    /// To which version: the one that was made, or the one that went.
    pub version: VersionId,
    /// Its etag; none for a tombstone.
    pub etag: Option<ContentHash>,
    /// Its length in bytes.
    pub len: u64,
}

/// What a transaction did in one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketEffects {
    /// The bucket's id.
    pub bucket: BucketId,
    /// What was done there, in order.
    pub effects: Vec<Effect>,
}

/// What an effect does to a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectAction {
    /// It was stored.
    Put,
    /// It is a tombstone.
    Delete,
    /// It was stored again from below a tombstone.
    Restore,
    /// It was removed for good by a caller.
    Erase,
    /// It was removed for good by the bucket's retention.
    Prune,
    /// It was ended by its time to live.
    Expire,
}

impl EffectAction {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Put,
        Self::Delete,
        Self::Restore,
        Self::Erase,
        Self::Prune,
        Self::Expire,
    ];

    /// The byte in [`Content::value`].
    pub const fn byte(self) -> u8 {
        match self {
            Self::Put => 1,
            Self::Delete => 2,
            Self::Restore => 3,
            Self::Erase => 4,
            Self::Prune => 5,
            Self::Expire => 6,
        }
    }

    /// The word in a receipt, which is that of an entry with this effect alone.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Restore => "restore",
            Self::Erase => "erase",
            Self::Prune => "prune",
            Self::Expire => "expire",
        }
    }

    /// The inverse of [`word`](Self::word).
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }
}

impl Content {
    /// The bytes that are committed to:
    /// - of one effect 56: `etag(32) ‖ len(8) ‖ version(16)`, zeros for what is not there;
    /// - of several 32: SHA-256 over `action(1) ‖ key length(2) ‖ key ‖ version(16) ‖ etag(32) ‖ len(8)` of each in
    ///   order, zeros for an etag that is not there;
    /// - of several buckets 32: SHA-256 over `bucket(16) ‖ number of effects(4)` of each in order, behind each its effects
    ///   as above;
    /// - of a configuration its bytes.
    ///
    /// Numbers are big-endian.
    pub fn value(&self) -> Vec<u8> {
        match self {
            Self::Object { etag, len, version } => {
                let mut value = Vec::with_capacity(56);
                value.extend(etag_bytes(etag.as_ref()));
                value.extend(len.to_be_bytes());
                value.extend(version.map_or([0; 16], VersionId::to_bytes));
                value
            }
            Self::Effects(effects) => {
                let mut hash = Sha256::new();
                for effect in effects {
                    effect.hash_into(&mut hash);
                }
                let digest: [u8; 32] = hash.finalize().into();
                digest.to_vec()
            }
            Self::Buckets(buckets) => {
                let mut hash = Sha256::new();
                for BucketEffects { bucket, effects } in buckets {
                    // A change has far fewer.
                    let number = u32::try_from(effects.len()).unwrap_or(u32::MAX);
                    hash.update(bucket.as_bytes());
                    hash.update(number.to_be_bytes());
                    for effect in effects {
                        effect.hash_into(&mut hash);
                    }
                }
                let digest: [u8; 32] = hash.finalize().into();
                digest.to_vec()
            }
            Self::Configuration(json) => json.clone().into_bytes(),
        }
    }
}

impl Effect {
    fn hash_into(&self, hash: &mut Sha256) {
        let key = self.key.as_str().as_bytes();
        // A key has at most 1,024 bytes.
        let key_bytes = u16::try_from(key.len()).unwrap_or(u16::MAX);
        hash.update([self.action.byte()]);
        hash.update(key_bytes.to_be_bytes());
        hash.update(key);
        hash.update(self.version.to_bytes());
        hash.update(etag_bytes(self.etag.as_ref()));
        hash.update(self.len.to_be_bytes());
    }
}

fn etag_bytes(etag: Option<&ContentHash>) -> [u8; 32] {
    etag.map_or([0; 32], |etag| *etag.as_bytes())
}
