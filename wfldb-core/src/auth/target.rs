//! What an access is made to.

use super::{Op, RouteKind};
use crate::audit::Resource;
use crate::encoding::percent::encode_path_segmentwise;
use crate::name::{BucketName, ObjectKey};

/// What an access is made to. Only names: whether any of it exists is not asked here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The store: its list of buckets.
    Store,
    /// A bucket as a whole.
    Bucket(BucketName),
    /// One key.
    Key(BucketName, ObjectKey),
    /// The keys of a bucket, as far as the caller may see them.
    Listing(BucketName),
    /// The changes of a bucket, of keys as far as the caller may see them.
    Changes(BucketName),
    /// Several keys of a bucket, each decided by itself.
    Batch(BucketName),
    /// A question about the documents of a bucket, as far as the caller may see them.
    Find(BucketName),
    /// How such a question is answered.
    Explain(BucketName),
    /// The indexes of a bucket.
    Indexes(BucketName),
    /// The documents of a bucket, grouped, as far as the caller may see them.
    Aggregate(BucketName),
    /// The full-text index of a bucket.
    Search(BucketName),
    /// Several documents of a bucket, each decided and stored by itself.
    Bulk(BucketName),
    /// What the documents of a bucket have to be like.
    Schema(BucketName),
    /// A service of the store as a whole.
    Service(Service),
    /// The audit log of the store.
    Audit(AuditPart),
}

/// A part of the audit log, under `/v1/_audit/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuditPart {
    /// What a tiled log publishes: checkpoint, tiles, entries.
    Published(Resource),
    /// `proof`: that a leaf is in it.
    Proof,
    /// `consistency`: that it only grew.
    Consistency,
    /// `receipt`: of the change that wrote a version.
    Receipt,
}

/// A service under a reserved word of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// `/v1/_stats`.
    Stats,
    /// `/v1/_admin`.
    Admin,
    /// `/v1/_backup`.
    Backup,
    /// `/v1/_dryrun`.
    DryRun,
    /// `/v1/_session`.
    Session,
    /// `/v1/_keys`.
    Keys,
    /// `/v1/_tx`.
    Tx,
}

impl Service {
    /// All services.
    pub const ALL: [Self; 7] = [
        Self::Stats,
        Self::Admin,
        Self::Backup,
        Self::DryRun,
        Self::Session,
        Self::Keys,
        Self::Tx,
    ];

    /// The reserved word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stats => "_stats",
            Self::Admin => "_admin",
            Self::Backup => "_backup",
            Self::DryRun => "_dryrun",
            Self::Session => "_session",
            Self::Keys => "_keys",
            Self::Tx => "_tx",
        }
    }
}

impl Target {
    /// The bucket, if it is in one.
    pub fn bucket(&self) -> Option<&BucketName> {
        match self {
            Self::Store | Self::Service(_) | Self::Audit(_) => None,
            Self::Bucket(bucket)
            | Self::Key(bucket, _)
            | Self::Listing(bucket)
            | Self::Batch(bucket)
            | Self::Find(bucket)
            | Self::Explain(bucket)
            | Self::Indexes(bucket)
            | Self::Aggregate(bucket)
            | Self::Changes(bucket)
            | Self::Search(bucket)
            | Self::Bulk(bucket)
            | Self::Schema(bucket) => Some(bucket),
        }
    }

    /// The key, if it is one.
    pub fn key(&self) -> Option<&ObjectKey> {
        match self {
            Self::Key(_, key) => Some(key),
            Self::Store
            | Self::Bucket(_)
            | Self::Listing(_)
            | Self::Changes(_)
            | Self::Batch(_)
            | Self::Find(_)
            | Self::Explain(_)
            | Self::Indexes(_)
            | Self::Aggregate(_)
            | Self::Search(_)
            | Self::Bulk(_)
            | Self::Schema(_)
            | Self::Service(_)
            | Self::Audit(_) => None,
        }
    }

    /// The canonical path of the target, as clients sign it.
    ///
    /// ```
    /// use wfldb_core::auth::Target;
    /// use wfldb_core::name::{BucketName, ObjectKey};
    ///
    /// let target = Target::Key(BucketName::parse("photos")?, ObjectKey::parse("a b/cat.jpg")?);
    /// assert_eq!(target.path(), "/v1/photos/a%20b/cat.jpg");
    /// # Ok::<(), wfldb_core::name::NameError>(())
    /// ```
    pub fn path(&self) -> String {
        match self {
            Self::Store => "/v1".to_owned(),
            Self::Bucket(bucket) => format!("/v1/{bucket}"),
            Self::Key(bucket, key) => format!("/v1/{bucket}/{}", encode_path_segmentwise(key.as_str())),
            Self::Listing(bucket) => format!("/v1/{bucket}/scan"),
            Self::Changes(bucket) => format!("/v1/{bucket}/_changes"),
            Self::Batch(bucket) => format!("/v1/{bucket}/batch"),
            Self::Find(bucket) => format!("/v1/{bucket}/_find"),
            Self::Explain(bucket) => format!("/v1/{bucket}/_explain"),
            Self::Indexes(bucket) => format!("/v1/{bucket}/_index"),
            Self::Aggregate(bucket) => format!("/v1/{bucket}/_aggregate"),
            Self::Search(bucket) => format!("/v1/{bucket}/_search"),
            Self::Bulk(bucket) => format!("/v1/{bucket}/_bulk"),
            Self::Schema(bucket) => format!("/v1/{bucket}/_schema"),
            Self::Service(service) => format!("/v1/{}", service.word()),
            Self::Audit(AuditPart::Published(resource)) => format!("/v1/_audit/{resource}"),
            Self::Audit(AuditPart::Proof) => "/v1/_audit/proof".to_owned(),
            Self::Audit(AuditPart::Consistency) => "/v1/_audit/consistency".to_owned(),
            Self::Audit(AuditPart::Receipt) => "/v1/_audit/receipt".to_owned(),
        }
    }

    /// Whether a request to the route has this shape of target.
    pub(super) fn fits(&self, route: RouteKind) -> bool {
        match route {
            RouteKind::Buckets => matches!(self, Self::Store),
            RouteKind::Bucket | RouteKind::BucketForce => matches!(self, Self::Bucket(_)),
            RouteKind::Object
            | RouteKind::ObjectVersion
            | RouteKind::ObjectVersions
            | RouteKind::ObjectHistory
            | RouteKind::ObjectUndelete
            | RouteKind::ObjectAt
            | RouteKind::ObjectCopy
            | RouteKind::ObjectLink
            | RouteKind::UploadStart
            | RouteKind::Upload
            | RouteKind::UploadPart => matches!(self, Self::Key(..)),
            RouteKind::Scan => matches!(self, Self::Listing(_)),
            RouteKind::Changes => matches!(self, Self::Changes(_)),
            RouteKind::Batch => matches!(self, Self::Batch(_)),
            RouteKind::Find => matches!(self, Self::Find(_)),
            RouteKind::Explain => matches!(self, Self::Explain(_)),
            RouteKind::Indexes => matches!(self, Self::Indexes(_)),
            RouteKind::Aggregate => matches!(self, Self::Aggregate(_)),
            RouteKind::Search | RouteKind::SearchRebuild => matches!(self, Self::Search(_)),
            RouteKind::Bulk => matches!(self, Self::Bulk(_)),
            RouteKind::Schema => matches!(self, Self::Schema(_)),
            RouteKind::Stats => matches!(self, Self::Service(Service::Stats)),
            RouteKind::Admin => matches!(self, Self::Service(Service::Admin)),
            RouteKind::Backup => matches!(self, Self::Service(Service::Backup)),
            RouteKind::DryRun => matches!(self, Self::Service(Service::DryRun)),
            RouteKind::Session => matches!(self, Self::Service(Service::Session)),
            RouteKind::Keys => matches!(self, Self::Service(Service::Keys)),
            RouteKind::Tx => matches!(self, Self::Service(Service::Tx)),
            RouteKind::AuditLog => matches!(self, Self::Audit(AuditPart::Published(_))),
            RouteKind::AuditProof => matches!(self, Self::Audit(AuditPart::Proof)),
            RouteKind::AuditConsistency => matches!(self, Self::Audit(AuditPart::Consistency)),
            RouteKind::AuditReceipt => matches!(self, Self::Audit(AuditPart::Receipt)),
        }
    }
}

/// One access: an operation on a target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// The operation.
    pub op: Op,
    /// What it is made to.
    pub target: Target,
}
