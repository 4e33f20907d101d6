//! What a packet says to a request that is only asked about: allowed or not, and which grant of which link decided.
//!
//! Nothing here makes a proof. It is decided by the same functions as a request, from names alone, so the answer holds
//! nothing that is not in the caller's own packet.

use std::net::IpAddr;

use super::authorize::Question;
use super::{Authorized, Method, Op, RouteKind, Target, Written, required};
use crate::packet::Claims;

/// The first of its limits that keeps a grant from allowing an access, in the order in which they are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Objection {
    /// It is for another bucket.
    Bucket,
    /// It does not name the operation.
    Op,
    /// Its prefix does not cover the key, or the operation needs the whole bucket.
    Prefix,
    /// The peer's address is in none of its ranges.
    Peer,
    /// The object is larger than it allows.
    Size,
    /// The object's content type is none that it allows.
    ContentType,
}

impl Objection {
    /// The member of a grant that says it.
    pub const fn member(self) -> &'static str {
        match self {
            Self::Bucket => "b",
            Self::Op => "ops",
            Self::Prefix => "p",
            Self::Peer => "cidr",
            Self::Size => "max_bytes",
            Self::ContentType => "content_type",
        }
    }
}

/// A request that is only asked about.
#[derive(Clone, Debug)]
pub struct Inquiry<'a> {
    /// Its method.
    pub method: Method,
    /// Its route.
    pub route: RouteKind,
    /// What it would be made to.
    pub target: Target,
    /// Of a copy: what is copied.
    pub source: Option<Target>,
    /// What it would write.
    pub written: Written<'a>,
    /// Where it would come from; `None`: from where the question comes.
    pub peer: Option<IpAddr>,
}

/// The answer: what the packet says to each access that the request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRun {
    /// The accesses, the request's own first.
    pub accesses: Vec<Explained>,
}

/// What the packet says to one access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The operation.
    pub op: Op,
    /// What it would be made to.
    pub target: Target,
    /// What each link says, from link 0 outward.
    pub links: Vec<LinkVerdict>,
}

/// What one link says to an access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkVerdict {
    /// The place in the link's `cap` of the grant that allows it and is charged; `None`: no grant does.
    pub grant: Option<usize>,
    /// What the grant that fits longest fails at, where none allows it; `None` when there are no grants at all.
    pub objection: Option<Objection>,
    /// What the grant leaves to the commit and to counters: `create_only`, `quota_bytes`, `rate`.
    pub undecided: Vec<&'static str>,
}

impl DryRun {
    /// Whether every link allows every access.
    pub fn is_allowed(&self) -> bool {
        self.accesses.iter().all(Explained::is_allowed)
    }

    /// The first access that is not allowed, and the place of the first link that refuses it.
    pub fn refusal(&self) -> Option<(&Explained, usize)> {
        self.accesses
            .iter()
            .find_map(|access| Some((access, access.refused_by()?)))
    }
}

impl Explained {
    /// Whether every link allows it.
    pub fn is_allowed(&self) -> bool {
        self.refused_by().is_none()
    }

    /// The place of the first link that refuses it.
    pub fn refused_by(&self) -> Option<usize> {
        self.links.iter().position(|link| link.grant.is_none())
    }
}

impl Authorized {
    /// What the packet of this request says to another request; `None` where the method is not one of the route, or
    /// the target none that the route has, or no packet stands behind the proof.
    pub fn dry_run(&self, inquiry: &Inquiry<'_>) -> Option<DryRun> {
        let credentials = self.credentials.as_ref()?;
        let ops = required(inquiry.method, inquiry.route)?;
        if !inquiry.target.fits(inquiry.route) {
            return None;
        }
        let explain = |op: Op, target: &Target, written: Written<'_>| {
            let question = Question {
                target,
                peer: inquiry.peer.unwrap_or(credentials.peer),
                written,
            };
            let links = credentials.packet.links().iter();
            Explained {
                op,
                target: target.clone(),
                links: links.map(|link| question.verdict(link, op)).collect(),
            }
        };
        let own = ops
            .iter()
            .map(|op| explain(*op, &inquiry.target, inquiry.written));
        let source = inquiry
            .source
            .iter()
            .map(|source| explain(Op::Get, source, Written::Later));
        Some(DryRun {
            accesses: own.chain(source).collect(),
        })
    }
}

impl Question<'_> {
    /// What one link says.
    fn verdict(&self, link: &Claims, op: Op) -> LinkVerdict {
        let Some(chosen) = self.choose(link, op) else {
            let objections = link.cap.iter().filter_map(|grant| self.objection(grant, op));
            return LinkVerdict {
                grant: None,
                objection: objections.max(),
                undecided: Vec::new(),
            };
        };
        let limits = &chosen.limits;
        let left = [
            ("create_only", limits.create_only && op.writes()),
            ("quota_bytes", limits.quota_bytes.is_some() && op == Op::Put),
            ("rate", limits.rate.is_some()),
        ];
        LinkVerdict {
            grant: link.cap.iter().position(|grant| std::ptr::eq(grant, chosen)),
            objection: None,
            undecided: left
                .into_iter()
                .filter_map(|(name, open)| open.then_some(name))
                .collect(),
        }
    }
}
