//! The decision: may this request do this?

use std::net::IpAddr;

use super::authorized::Scope;
use super::explain::Objection;
use super::{
    Access, Actor, AuditPart, Authorized, Charge, Method, Op, OpSet, RouteKind, Service, Target,
    fits_session, required,
};
use crate::Kind;
use crate::name::{BucketName, KeyPrefix};
use crate::packet::{Claims, Grant, GrantBucket, VerifiedPacket, VerifiedUrlLink};
use crate::request::{Evidence, FreshRequest, RequestHead};

/// The packet does not allow the access. It is the same whether or not the target exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet does not allow this")]
pub struct Forbidden;

impl Forbidden {
    /// The stable error code.
    pub fn code(&self) -> &'static str {
        "Forbidden"
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        Kind::Forbidden
    }
}

/// What is about to be written, as far as grants limit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectAttributes<'a> {
    /// Its content type.
    pub content_type: Option<&'a str>,
    /// Its length, in bytes.
    pub len: u64,
}

/// What can be said of the object that a request writes, while the request is authorized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written<'a> {
    /// The request says all: a put.
    Known(ObjectAttributes<'a>),
    /// The store knows, and asks with [`Authorized::further`] before it writes: a copy, a restore, parts. The proof
    /// alone is not enough for a write: [`Authorized::object_is_known`].
    Later,
}

/// Decides whether a request may do what its method and route ask for.
///
/// Every link of the packet must have at least one grant that by itself allows the access with all
/// its limits; grants never combine. The first such grant in list order is charged, one without
/// `create_only` before one with it.
///
/// Decided here: bucket, prefix, operations, `max_bytes`, `content_type`, `cidr`. Left to whoever
/// carries the access out: `create_only`, `quota_bytes`, `rate` ([`Authorized::create_only`],
/// [`Authorized::charges`]).
///
/// # Errors
/// [`Forbidden`], also when method or target are not what was signed, the route lacks the method, or the request is
/// one of a session and the route wants a signature ([`fits_session`]).
pub fn authorize(
    request: FreshRequest,
    method: Method,
    route: RouteKind,
    target: Target,
    peer: IpAddr,
    written: Written<'_>,
) -> Result<Authorized, Forbidden> {
    let ops = required(method, route).ok_or(Forbidden)?;
    let first = ops.first().copied().ok_or(Forbidden)?;
    // SECURITY: the names that are authorized are the names that were signed. A router that reads
    // them differently is caught here.
    if request.request().method() != method
        || !target.fits(route)
        || request.request().path() != target.path()
    {
        return Err(Forbidden);
    }
    let of_session = request.is_of_session();
    if of_session && !fits_session(method, route) {
        return Err(Forbidden);
    }
    // SECURITY: what comes by a link is taken on this one route, and nothing else is taken there; whatever its packet
    // allows, the link is for one method and its keys.
    let by_link = route == RouteKind::ObjectLink;
    if by_link != request.link().is_some()
        || request
            .link()
            .is_some_and(|link| !link.claims().covers_request(method, &target))
    {
        return Err(Forbidden);
    }
    let actor = Actor::Key(request.subject().clone());
    let FreshRequest {
        request,
        packet,
        evidence,
        link,
    } = request;
    let credentials = Credentials {
        packet,
        peer,
        of_session,
        link,
    };
    let granted = credentials.grant(ops, &target, written)?;
    Ok(granted.authorized(
        Access { op: first, target },
        actor,
        credentials,
        Some((request, evidence)),
    ))
}

/// What every further access of a request is decided by.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) packet: VerifiedPacket,
    pub(super) peer: IpAddr,
    of_session: bool,
    link: Option<VerifiedUrlLink>,
}

impl Credentials {
    pub(super) fn packet(&self) -> &VerifiedPacket {
        &self.packet
    }

    pub(super) fn of_session(&self) -> bool {
        self.of_session
    }

    pub(super) fn link(&self) -> Option<&VerifiedUrlLink> {
        self.link.as_ref()
    }

    /// Whether the link that the request came by, if any, is for this: one more link that has to allow it.
    fn link_allows(&self, op: Op, target: &Target, written: Written<'_>) -> bool {
        self.link().is_none_or(|link| {
            let len = match written {
                Written::Known(object) => object.len,
                Written::Later => 0,
            };
            let claims = link.claims();
            claims.covers(op, target) && claims.max_bytes.is_none_or(|max| len <= max)
        })
    }

    /// Decides on operations to one target; the first of `ops` is the access itself.
    fn grant(&self, ops: &[Op], target: &Target, written: Written<'_>) -> Result<Granted, Forbidden> {
        let first = ops.first().copied().ok_or(Forbidden)?;
        // SECURITY: whatever route led here, nothing is changed without a signature.
        if self.of_session && !ops.iter().all(|op| op.fits_session()) {
            return Err(Forbidden);
        }
        if !ops.iter().all(|op| self.link_allows(*op, target, written)) {
            return Err(Forbidden);
        }
        let question = Question {
            target,
            peer: self.peer,
            written,
        };
        let links = self.packet.links();
        let mut choice = Choice {
            object_bytes_max: self.link().and_then(|link| link.claims().max_bytes),
            ..Choice::default()
        };
        for op in ops {
            for link in links {
                let grant = question.choose(link, *op).ok_or(Forbidden)?;
                choice.add(link, grant, *op);
            }
        }
        let also = Op::ALL
            .into_iter()
            .filter(|op| links.iter().all(|link| question.choose(link, *op).is_some()))
            .filter(|op| self.link_allows(*op, target, written))
            .collect();
        Ok(Granted {
            scope: question.scope(links, first),
            also: ops.iter().fold(also, |set: OpSet, op| set.with(*op)),
            choice,
            object_is_known: matches!(written, Written::Known(_)),
        })
    }

    /// A further access, by itself.
    pub(super) fn further(
        &self,
        op: Op,
        target: Target,
        written: Written<'_>,
        actor: Actor,
    ) -> Result<Authorized, Forbidden> {
        let granted = self.grant(&[op], &target, written)?;
        Ok(granted.authorized(Access { op, target }, actor, self.clone(), None))
    }
}

/// A decision in the caller's favour.
struct Granted {
    scope: Scope,
    also: OpSet,
    choice: Choice,
    object_is_known: bool,
}

impl Granted {
    fn authorized(
        self,
        access: Access,
        actor: Actor,
        credentials: Credentials,
        request: Option<(RequestHead, Option<Evidence>)>,
    ) -> Authorized {
        Authorized {
            access,
            actor,
            request,
            credentials: Some(credentials),
            scope: self.scope,
            also: self.also,
            object_is_known: self.object_is_known,
            create_only: self.choice.create_only,
            object_bytes_max: self.choice.object_bytes_max,
            charges: self.choice.charges,
        }
    }
}

/// What the chosen grants leave to whoever carries the access out.
#[derive(Default)]
struct Choice {
    create_only: bool,
    object_bytes_max: Option<u64>,
    charges: Vec<Charge>,
}

impl Choice {
    fn add(&mut self, link: &Claims, grant: &Grant, op: Op) {
        if op.writes() {
            self.create_only |= grant.limits.create_only;
        }
        if let Some(max) = grant.limits.max_bytes.filter(|_| op == Op::Put) {
            self.object_bytes_max = Some(self.object_bytes_max.map_or(max, |known| known.min(max)));
        }
        let charge = Charge {
            grant: grant.id(&link.iss, &link.sub),
            quota_bytes: grant.limits.quota_bytes,
            rate: grant.limits.rate,
        };
        // One counter, one charge: keys that pass packets to and fro come to the same one again, and the tighter
        // limit holds.
        let known = self.charges.iter_mut().find(|known| known.grant == charge.grant);
        match known {
            Some(known) => known.tighten(&charge),
            None => self.charges.push(charge),
        }
    }
}

pub(super) struct Question<'a> {
    pub(super) target: &'a Target,
    pub(super) peer: IpAddr,
    pub(super) written: Written<'a>,
}

impl Question<'_> {
    /// The grant of a link that the operation is charged to: the first that allows it without
    /// `create_only`, else the first that allows it.
    ///
    /// A key that has versions may be written with a plain grant even when a `create_only` one comes
    /// before it; so the plain one is taken at once, rather than both tried in the commit.
    pub(super) fn choose<'c>(&self, link: &'c Claims, op: Op) -> Option<&'c Grant> {
        let mut allowing = link.cap.iter().filter(|grant| self.allows(grant, op));
        let first = allowing.next()?;
        let plain = |grant: &&Grant| !(op.writes() && grant.limits.create_only);
        Some(
            Some(first)
                .filter(plain)
                .or_else(|| allowing.find(plain))
                .unwrap_or(first),
        )
    }

    /// Whether the grant by itself allows the operation on the target.
    fn allows(&self, grant: &Grant, op: Op) -> bool {
        self.objection(grant, op).is_none()
    }

    /// Why the grant by itself does not allow the operation on the target; `None`: it does.
    pub(super) fn objection(&self, grant: &Grant, op: Op) -> Option<Objection> {
        let (bucket_fits, op_fits, prefix_fits) = match self.target {
            // The list of buckets shows those with any grant; what a packet says is told to whoever has any, and a
            // session is opened for them. So is a transaction, in which each access is decided by itself.
            Target::Store | Target::Service(Service::DryRun | Service::Session | Service::Tx) => {
                (true, op == Op::List && !grant.ops.is_empty(), true)
            }
            // Whoever has any grant may end what they passed on; the rest of it is `admin`.
            Target::Service(Service::Keys) if op == Op::List => (true, !grant.ops.is_empty(), true),
            // How a question is answered speaks of all documents and of the indexes.
            Target::Bucket(bucket)
            | Target::Indexes(bucket)
            | Target::Schema(bucket)
            | Target::Explain(bucket) => (
                grant.bucket.covers(bucket),
                grant.ops.contains(op),
                grant.prefix.is_all(),
            ),
            Target::Key(bucket, key) => {
                let whole_fits = grant.prefix.is_all() || !op.needs_whole_bucket();
                (
                    grant.bucket.covers(bucket),
                    grant.ops.contains(op),
                    grant.prefix.covers(key) && whole_fits,
                )
            }
            // Which keys are shown follows from the prefixes; one grant is enough to ask.
            Target::Listing(bucket)
            | Target::Find(bucket)
            | Target::Aggregate(bucket)
            | Target::Changes(bucket) => (grant.bucket.covers(bucket), grant.ops.contains(op), true),
            // A search too; what speaks of the whole bucket needs a grant for all of it.
            Target::Search(bucket) => (
                grant.bucket.covers(bucket),
                grant.ops.contains(op),
                grant.prefix.is_all() || !op.needs_whole_bucket(),
            ),
            // The key that a receipt is of is decided by itself; whoever may audit no key may not ask.
            Target::Audit(AuditPart::Receipt) => (true, grant.ops.contains(op), true),
            // Packets name `admin` for all buckets only; that is checked when they are read. The audit log is that of the
            // whole store.
            Target::Service(_) | Target::Audit(_) => (
                grant.bucket == GrantBucket::Any,
                grant.ops.contains(op),
                grant.prefix.is_all(),
            ),
            // Each entry is decided by itself; whoever may do nothing of what an entry can be may not ask.
            Target::Batch(bucket) | Target::Bulk(bucket) => {
                let entries = [Op::Get, Op::Put, Op::Delete];
                let any = entries.into_iter().any(|op| grant.ops.contains(op));
                (grant.bucket.covers(bucket), op == Op::Put && any, true)
            }
        };
        if !bucket_fits {
            Some(Objection::Bucket)
        } else if !op_fits {
            Some(Objection::Op)
        } else if !prefix_fits {
            Some(Objection::Prefix)
        } else if !self.peer_fits(grant) {
            Some(Objection::Peer)
        } else if op == Op::Put {
            self.object_objection(grant)
        } else {
            None
        }
    }

    fn peer_fits(&self, grant: &Grant) -> bool {
        grant
            .limits
            .cidr
            .as_ref()
            .is_none_or(|ranges| ranges.iter().any(|range| range.contains(self.peer)))
    }

    fn object_objection(&self, grant: &Grant) -> Option<Objection> {
        let Written::Known(object) = self.written else {
            return None;
        };
        let size_fits = grant.limits.max_bytes.is_none_or(|max| object.len <= max);
        let type_fits = grant.limits.content_type.as_ref().is_none_or(|types| {
            let media_type = object.content_type.map(without_parameters);
            media_type.is_some_and(|media_type| types.iter().any(|allowed| allowed == media_type))
        });
        if !size_fits {
            Some(Objection::Size)
        } else if !type_fits {
            Some(Objection::ContentType)
        } else {
            None
        }
    }

    /// What the caller may see with an operation: what every link shows.
    fn scope(&self, links: &[Claims], op: Op) -> Scope {
        match self.target {
            Target::Store => {
                let shown = links.iter().map(|link| self.buckets(link));
                let common = shown.reduce(|left, right| match (left, right) {
                    (None, other) | (other, None) => other,
                    (Some(left), Some(right)) => {
                        Some(left.into_iter().filter(|bucket| right.contains(bucket)).collect())
                    }
                });
                common
                    .unwrap_or_else(|| Some(Vec::new()))
                    .map_or(Scope::All, Scope::Buckets)
            }
            Target::Service(_) | Target::Audit(_) => Scope::All,
            Target::Bucket(bucket)
            | Target::Key(bucket, _)
            | Target::Listing(bucket)
            | Target::Find(bucket)
            | Target::Explain(bucket)
            | Target::Batch(bucket)
            | Target::Indexes(bucket)
            | Target::Aggregate(bucket)
            | Target::Changes(bucket)
            | Target::Search(bucket)
            | Target::Bulk(bucket)
            | Target::Schema(bucket) => {
                let shown = links.iter().map(|link| self.prefixes(link, bucket, op));
                let common = shown
                    .reduce(|left, right| intersect(&left, &right))
                    .unwrap_or_default();
                if common.iter().any(KeyPrefix::is_all) {
                    Scope::All
                } else {
                    Scope::Keys(common)
                }
            }
        }
    }

    /// The buckets that a link has any grant for; `None` for all.
    fn buckets(&self, link: &Claims) -> Option<Vec<BucketName>> {
        let grants = link.cap.iter().filter(|grant| self.allows(grant, Op::List));
        let mut buckets = grants
            .map(|grant| match &grant.bucket {
                GrantBucket::Any => None,
                GrantBucket::Named(name) => Some(name.clone()),
            })
            .collect::<Option<Vec<_>>>()?;
        buckets.sort_unstable();
        buckets.dedup();
        Some(buckets)
    }

    /// The prefixes that a link allows the operation under, sorted, none inside another.
    fn prefixes(&self, link: &Claims, bucket: &BucketName, op: Op) -> Vec<KeyPrefix> {
        let grants = link
            .cap
            .iter()
            .filter(|grant| grant.bucket.covers(bucket) && grant.ops.contains(op) && self.peer_fits(grant));
        minimal(grants.map(|grant| grant.prefix.clone()).collect())
    }
}

/// The keys below both sets of prefixes.
fn intersect(left: &[KeyPrefix], right: &[KeyPrefix]) -> Vec<KeyPrefix> {
    let pairs = left.iter().flat_map(|a| right.iter().map(move |b| (a, b)));
    let narrower = pairs.filter_map(|(a, b)| {
        if a.covers_prefix(b) {
            Some(b.clone())
        } else {
            b.covers_prefix(a).then(|| a.clone())
        }
    });
    minimal(narrower.collect())
}

/// Sorted, and none inside another: a prefix sorts right before what it covers.
fn minimal(mut prefixes: Vec<KeyPrefix>) -> Vec<KeyPrefix> {
    prefixes.sort_unstable();
    prefixes.dedup_by(|later, kept| kept.covers_prefix(later));
    prefixes
}

fn without_parameters(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim_end()
}
