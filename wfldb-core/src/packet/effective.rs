//! What a chain of links allows in all, and whether a grant would ask for more. For people and for tools that pass
//! packets on; a request is decided link by link (`auth::authorize`), never by what is computed here.

use super::{Claims, Grant};
use crate::auth::Op;

/// Most grants that are computed. A chain whose grants cross in more ways is shown by its first ones.
const EFFECTIVE_MAX: usize = 1024;

/// The grants that a chain comes to: what one grant of each link allows together, for every such choice. Grants that
/// another one covers are left out.
///
/// `rate` and `quota_bytes` are the tightest on the way; they are counted at every link by itself.
pub fn effective<'a>(links: impl IntoIterator<Item = &'a Claims>) -> Vec<Grant> {
    let mut links = links.into_iter();
    let everything = Grant::everything();
    let first = links.next().map(|link| link.cap.as_slice()).unwrap_or_default();
    // The intersection with everything leaves out what a grant names and nobody could use.
    let first = first.iter().filter_map(|grant| grant.intersect(&everything));
    links.fold(minimal(first.map(without_idle_limits)), |allowed, link| {
        let pairs = allowed
            .iter()
            .flat_map(|left| link.cap.iter().filter_map(|right| left.intersect(right)));
        minimal(pairs.map(without_idle_limits))
    })
}

/// The grant without limits on writing where none of its operations writes.
fn without_idle_limits(mut grant: Grant) -> Grant {
    let limits = &mut grant.limits;
    if !grant.ops.contains(Op::Put) {
        (limits.max_bytes, limits.quota_bytes, limits.content_type) = (None, None, None);
    }
    limits.create_only &= grant.ops.iter().any(Op::writes);
    grant
}

/// The grants without those that another one covers, in their order.
fn minimal(grants: impl Iterator<Item = Grant>) -> Vec<Grant> {
    let mut kept: Vec<Grant> = Vec::new();
    for grant in grants {
        if kept.len() >= EFFECTIVE_MAX || kept.iter().any(|other| covers(other, &grant)) {
            continue;
        }
        kept.retain(|other| !covers(&grant, other));
        kept.push(grant);
    }
    kept
}

/// Whether everything that the other grant allows, this one does, under no limit that the other has not.
fn covers(grant: &Grant, other: &Grant) -> bool {
    grant.prefix.covers_prefix(&other.prefix)
        && other.ops.iter().all(|op| grant.ops.contains(op))
        && grant.intersect(other).is_some_and(|both| same(&both, other))
}

/// Whether two grants are the same but for the order of their lists.
fn same(left: &Grant, right: &Grant) -> bool {
    let sorted = |grant: &Grant| {
        let mut grant = grant.clone();
        if let Some(cidr) = &mut grant.limits.cidr {
            cidr.sort_unstable_by_key(ToString::to_string);
        }
        if let Some(types) = &mut grant.limits.content_type {
            types.sort_unstable();
        }
        grant
    };
    sorted(left) == sorted(right)
}

/// What a grant asks for beyond what may be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widening {
    /// The operation that it asks it for.
    pub op: Op,
    /// The member of the grant that is too wide: `b`, `ops`, `p`, `cidr`, `max_bytes`, `rate`, `quota_bytes` or
    /// `content_type`.
    pub member: &'static str,
}

/// Whether a grant asks for more than `allowed` (what [`effective`] gives of the packet that is passed on), and where.
///
/// A limit that it does not name is no widening: the limits of the links before hold whatever a later link says. One
/// that it names and that is laxer than theirs is.
pub fn widening(allowed: &[Grant], grant: &Grant) -> Option<Widening> {
    grant.ops.iter().find_map(|op| {
        let mut farthest = 0;
        for parent in allowed {
            farthest = farthest.max(first_wider(parent, grant, op)?);
        }
        // The best of the grants is the one that fits longest.
        let member = MEMBERS.get(farthest).copied()?;
        Some(Widening { op, member })
    })
}

const MEMBERS: [&str; 8] = [
    "b",
    "ops",
    "p",
    "cidr",
    "max_bytes",
    "rate",
    "quota_bytes",
    "content_type",
];

/// The place in [`MEMBERS`] of the first member that asks for more than the parent's grant has.
fn first_wider(parent: &Grant, grant: &Grant, op: Op) -> Option<usize> {
    let lax = |named: Option<u64>, held: Option<u64>| matches!((named, held), (Some(named), Some(held)) if named > held);
    let (limits, held) = (&grant.limits, &parent.limits);
    let wider = [
        parent.bucket != super::GrantBucket::Any && parent.bucket != grant.bucket,
        !parent.ops.contains(op),
        !parent.prefix.covers_prefix(&grant.prefix),
        limits
            .cidr
            .as_ref()
            .zip(held.cidr.as_ref())
            .is_some_and(|(named, held)| {
                !named
                    .iter()
                    .all(|range| held.iter().any(|wide| wide.covers(range)))
            }),
        lax(limits.max_bytes, held.max_bytes),
        lax(limits.rate, held.rate),
        lax(limits.quota_bytes, held.quota_bytes),
        limits
            .content_type
            .as_ref()
            .zip(held.content_type.as_ref())
            .is_some_and(|(named, held)| !named.iter().all(|one| held.contains(one))),
    ];
    wider.iter().position(|wider| *wider)
}
