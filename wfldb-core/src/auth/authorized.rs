//! The proof that an access was allowed, and what the engine has to respect while carrying it out.

use super::authorize::Credentials;
use super::{Access, Actor, Charge, Forbidden, Op, OpSet, Target, Written};
use crate::name::{BucketName, KeyPrefix, ObjectKey};
use crate::packet::{VerifiedPacket, VerifiedUrlLink};
use crate::request::{Evidence, RequestHead};
use crate::revocation::Chain;

/// What the caller may see of a bucket's keys, or of the store's buckets.
#[derive(Clone, Debug)]
pub(super) enum Scope {
    /// Everything.
    All,
    /// Keys below these prefixes, sorted, none inside another.
    Keys(Vec<KeyPrefix>),
    /// These buckets.
    Buckets(Vec<BucketName>),
}

/// The proof that an access was allowed. It is not `Clone`, and a handler cannot make one.
///
/// ```
/// use wfldb_core::auth::{Authorized, Op, Target};
/// use wfldb_core::name::{BucketName, ObjectKey};
///
/// let target = Target::Key(BucketName::parse("photos")?, ObjectKey::parse("cat.jpg")?);
/// let proof = Authorized::local("import", Op::Put, target);
/// assert_eq!(proof.actor().to_string(), "local:import");
/// # Ok::<(), wfldb_core::name::NameError>(())
/// ```
#[derive(Debug)]
pub struct Authorized {
    pub(super) access: Access,
    pub(super) actor: Actor,
    pub(super) request: Option<(RequestHead, Option<Evidence>)>,
    /// What a further access is decided by; `None`: it is allowed.
    pub(super) credentials: Option<Credentials>,
    pub(super) scope: Scope,
    pub(super) also: OpSet,
    pub(super) object_is_known: bool,
    pub(super) create_only: bool,
    pub(super) object_bytes_max: Option<u64>,
    pub(super) charges: Vec<Charge>,
}

impl Authorized {
    /// The proof for embedded and offline use, where whoever runs the process owns the files.
    ///
    /// SECURITY: never call this for something that came over the network.
    pub fn local(reason: &'static str, op: Op, target: Target) -> Self {
        Self::unrestricted(Actor::Local(reason), op, target)
    }

    /// The proof for one of our own workers.
    ///
    /// SECURITY: never call this for something that came over the network.
    pub fn system(worker: &'static str, op: Op, target: Target) -> Self {
        Self::unrestricted(Actor::System(worker), op, target)
    }

    fn unrestricted(actor: Actor, op: Op, target: Target) -> Self {
        Self {
            access: Access { op, target },
            actor,
            request: None,
            credentials: None,
            scope: Scope::All,
            also: OpSet::all(),
            object_is_known: true,
            create_only: false,
            object_bytes_max: None,
            charges: Vec::new(),
        }
    }

    /// The proof for a further access of the same request, decided by itself like the first: an entry of a batch, the
    /// source of a copy, the object of a write whose length and type are known only now. It carries no request of its
    /// own, since the first proof's says it all.
    ///
    /// # Errors
    /// [`Forbidden`] when the packet does not allow it.
    pub fn further(&self, op: Op, target: Target, written: Written<'_>) -> Result<Self, Forbidden> {
        match &self.credentials {
            Some(credentials) => credentials.further(op, target, written, self.actor.clone()),
            None => Ok(Self::unrestricted(self.actor.clone(), op, target)),
        }
    }

    /// Whether the limits on size and type of what is written were looked at.
    pub fn object_is_known(&self) -> bool {
        self.object_is_known
    }

    /// The operation.
    pub fn op(&self) -> Op {
        self.access.op
    }

    /// What it is made to.
    pub fn target(&self) -> &Target {
        &self.access.target
    }

    /// The bucket, if the target is in one.
    pub fn bucket(&self) -> Option<&BucketName> {
        self.access.target.bucket()
    }

    /// The key, if the target is one.
    pub fn key(&self) -> Option<&ObjectKey> {
        self.access.target.key()
    }

    /// Who makes the access.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Who signed what, if a signed request was authorized.
    pub fn evidence(&self) -> Option<&Evidence> {
        self.request.as_ref().and_then(|(_, evidence)| evidence.as_ref())
    }

    /// The request, if one was authorized: its signed headers and content digest.
    pub fn request(&self) -> Option<&RequestHead> {
        self.request.as_ref().map(|(request, _)| request)
    }

    /// The packet that it was decided by, if a request was authorized.
    pub fn packet(&self) -> Option<&VerifiedPacket> {
        self.credentials.as_ref().map(Credentials::packet)
    }

    /// The chain that it was decided by, to be held against what is revoked: that of the packet, with the link behind it
    /// that the request came by, if it did.
    pub fn chain(&self) -> Option<&Chain> {
        match self.link() {
            Some(link) => Some(link.chain()),
            None => self.packet().map(VerifiedPacket::chain),
        }
    }

    /// Whether the request came over a session, without a signature of its own. A bucket can refuse that.
    pub fn is_of_session(&self) -> bool {
        self.credentials.as_ref().is_some_and(Credentials::of_session)
    }

    /// The link that the request came by, if it did.
    pub fn link(&self) -> Option<&VerifiedUrlLink> {
        self.credentials.as_ref().and_then(Credentials::link)
    }

    /// Whether the caller may do this operation to the key (of the target's bucket).
    pub fn sees_key(&self, key: &ObjectKey) -> bool {
        match &self.scope {
            Scope::All => true,
            Scope::Keys(prefixes) => prefixes.iter().any(|prefix| prefix.covers(key)),
            Scope::Buckets(_) => false,
        }
    }

    /// The prefixes of the keys that the caller may do this operation to: `None` for all, else
    /// sorted and none inside another.
    pub fn visible_prefixes(&self) -> Option<Vec<KeyPrefix>> {
        match &self.scope {
            Scope::All => None,
            Scope::Keys(prefixes) => Some(prefixes.clone()),
            Scope::Buckets(_) => Some(Vec::new()),
        }
    }

    /// Whether the caller may see the bucket in the store's list.
    pub fn sees_bucket(&self, bucket: &BucketName) -> bool {
        match &self.scope {
            Scope::All => true,
            Scope::Keys(_) => self.bucket() == Some(bucket),
            Scope::Buckets(buckets) => buckets.contains(bucket),
        }
    }

    /// Whether the key must have no version at all, tombstones included; decided in the commit.
    pub fn create_only(&self) -> bool {
        self.create_only
    }

    /// The largest object that the charged grants allow. A put's declared length was checked
    /// against it already.
    pub fn object_bytes_max(&self) -> Option<u64> {
        self.object_bytes_max
    }

    /// The counters that this access is charged to, of the grants of every link and operation; none twice.
    pub fn charges(&self) -> &[Charge] {
        &self.charges
    }

    /// Whether the answer may tell that the key existed: the caller may also get or list it.
    pub fn reveals_existence(&self) -> bool {
        self.may_also(Op::Get) || self.may_also(Op::List)
    }

    /// Whether the same caller may also do another operation to the same target.
    pub fn may_also(&self, op: Op) -> bool {
        self.also.contains(op)
    }
}
