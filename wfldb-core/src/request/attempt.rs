//! A request that somebody signed, whatever became of it: what the audit log tells of reads and refusals.

use super::{Evidence, VerifiedRequest};
use crate::auth::{Authorized, Method, Op, RouteKind, Target, Written, required};
use crate::name::BucketName;
use crate::packet::VerifiedUrlLink;
use crate::revocation::Chain;

/// The proof that a key signed a request to something in a bucket, or the link that it came by. It allows nothing: it is
/// what an entry of the audit log can be made of.
///
/// A request of a session leaves none, since its tag proves nothing to a stranger.
#[derive(Clone, Debug)]
pub struct Attempt {
    op: Op,
    target: Target,
    /// What it is answered tells of what is there, also when it is refused.
    asks: bool,
    evidence: Evidence,
    chain: Chain,
}

impl Attempt {
    /// That of a signed request. `None` when it is to nothing in a bucket, or the route is not what was signed.
    pub fn of_signed(
        request: &VerifiedRequest,
        method: Method,
        route: RouteKind,
        target: &Target,
    ) -> Option<Self> {
        let signed = request.request();
        // SECURITY: what the log will say was asked for is what was signed.
        if signed.method() != method || signed.path() != target.path() {
            return None;
        }
        Self::new(
            method,
            route,
            target,
            request.evidence().clone(),
            request.packet().chain().clone(),
        )
    }

    /// That of a request by a link. `None` where the link is not for it: then nobody signed anything that says so.
    pub fn of_link(
        link: &VerifiedUrlLink,
        method: Method,
        route: RouteKind,
        target: &Target,
    ) -> Option<Self> {
        if !link.claims().covers_request(method, target) {
            return None;
        }
        Self::new(
            method,
            route,
            target,
            link.evidence().clone(),
            link.chain().clone(),
        )
    }

    /// That of a further access of a request that was allowed: the source of a copy, the entries of a batch. `None` when
    /// the packet does not allow it, or nobody signed.
    pub fn further(first: &Authorized, op: Op, target: &Target) -> Option<Self> {
        first.further(op, target.clone(), Written::Later).ok()?;
        Self::denied(first, op, target)
    }

    /// That of a further access which a request was not allowed, or that came to nothing: for its refusal. `None` when
    /// nobody signed.
    pub fn denied(first: &Authorized, op: Op, target: &Target) -> Option<Self> {
        target.bucket()?;
        Some(Self {
            op,
            target: target.clone(),
            asks: reads(op),
            evidence: first.evidence()?.clone(),
            chain: first.chain()?.clone(),
        })
    }

    /// That of what a request that was allowed read of its own target, beside the operation of its route.
    pub fn also(first: &Authorized, op: Op) -> Option<Self> {
        first.bucket()?;
        Some(Self {
            op,
            target: first.target().clone(),
            asks: reads(op),
            evidence: first.evidence()?.clone(),
            chain: first.chain()?.clone(),
        })
    }

    fn new(
        method: Method,
        route: RouteKind,
        target: &Target,
        evidence: Evidence,
        chain: Chain,
    ) -> Option<Self> {
        target.bucket()?;
        let ops = required(method, route)?;
        Some(Self {
            op: *ops.first()?,
            target: target.clone(),
            // Of a patch, and of several writes at once, the outcome of each is told.
            asks: ops.iter().any(|op| reads(*op)) || matches!(target, Target::Batch(_) | Target::Bulk(_)),
            evidence,
            chain,
        })
    }

    /// The operation that was asked for, the first of the route's.
    pub fn op(&self) -> Op {
        self.op
    }

    /// Whether it asked to be shown something and to change nothing.
    pub fn reads(&self) -> bool {
        reads(self.op)
    }

    /// Whether a refusal of it, once it was admitted, tells of what is there.
    pub fn asks(&self) -> bool {
        self.asks
    }

    /// What it was made to; something in a bucket.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The bucket.
    pub fn bucket(&self) -> Option<&BucketName> {
        self.target.bucket()
    }

    /// Who signed what.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The chain that it was or would be decided by.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }
}

const fn reads(op: Op) -> bool {
    match op {
        Op::Get | Op::List | Op::Query | Op::Watch | Op::Audit => true,
        Op::Put | Op::Delete | Op::Erase | Op::Manage | Op::Admin => false,
    }
}
