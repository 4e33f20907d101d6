//! Who may revoke what.

use super::{Chain, KeyBytes, Revoked};
use crate::auth::{Authorized, Forbidden, Op, Service, Target};
use crate::id::{PacketHash, PublicKey};
use crate::limits::{PACKET_SKEW_SECONDS, REVOCATION_SLACK_SECONDS};
use crate::packet::{VerifiedPacket, VerifiedUrlLink};
use crate::time::UnixMillis;

/// What somebody asks to revoke.
#[derive(Clone, Debug)]
pub enum Asked {
    /// A packet by its hash.
    Hash(PacketHash),
    /// A public key.
    Key(PublicKey),
    /// A packet that is shown whole.
    Packet(VerifiedPacket),
    /// A link in a URL that is shown whole.
    Link(VerifiedUrlLink),
    /// A public key in what the caller passed on, in chains like this packet.
    Below(VerifiedPacket, PublicKey),
}

/// A revocation that its asker may make. Only [`order`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    what: Revoked,
    kept_until: Option<UnixMillis>,
    share: Option<KeyBytes>,
}

impl Order {
    /// What is to be revoked.
    pub fn what(&self) -> Revoked {
        self.what
    }

    /// When it cannot matter any more; `None`: never.
    pub fn kept_until(&self) -> Option<UnixMillis> {
        self.kept_until
    }

    /// Whose share of the set it takes; `None` for an administrator's.
    pub fn share(&self) -> Option<KeyBytes> {
        self.share
    }
}

/// Decides whether the holder of a proof for `_keys` may revoke something: `admin` anything; another caller a packet
/// in whose chain its own key signed a link, a link in a URL that it or such a key signed, or a key that holds that link or one after it, in chains with that very
/// link.
///
/// # Errors
/// [`Forbidden`].
pub fn order(proof: &Authorized, asked: &Asked) -> Result<Order, Forbidden> {
    if *proof.target() != Target::Service(Service::Keys) {
        return Err(Forbidden);
    }
    let share = if proof.may_also(Op::Admin) {
        None
    } else {
        // What was passed on shares with whom the root gave it to, so that minting packets gains nothing.
        let first = proof.packet().and_then(|packet| packet.links().first());
        Some(*first.ok_or(Forbidden)?.sub.public_key().as_bytes())
    };
    let is_admin = share.is_none();
    let (what, kept_until) = match asked {
        Asked::Hash(hash) if is_admin => (Revoked::Packet(*hash), None),
        Asked::Key(key) if is_admin => (Revoked::Key(*key.as_bytes()), None),
        Asked::Hash(_) | Asked::Key(_) => return Err(Forbidden),
        Asked::Packet(packet) => {
            if !is_admin && signed_place(proof, packet.chain()).is_none() {
                return Err(Forbidden);
            }
            (Revoked::Packet(packet.hash()), Some(end(packet)))
        }
        Asked::Link(link) => {
            // The holder that signed it, or whoever signed a link of its packet.
            if !is_admin && signed_place(proof, link.chain()).is_none() {
                return Err(Forbidden);
            }
            let kept = link.claims().exp.saturating_add(REVOCATION_SLACK_SECONDS);
            let kept = UnixMillis::new(kept.saturating_mul(1000));
            (Revoked::Packet(link.hash()), Some(kept))
        }
        Asked::Below(packet, key) => {
            let place = signed_place(proof, packet.chain()).ok_or(Forbidden)?;
            let from_there = packet.chain().links().get(place..).unwrap_or_default();
            let link = from_there.first().ok_or(Forbidden)?.hash;
            let key = *key.as_bytes();
            // SECURITY: what stands above the caller's own link is not the caller's to end.
            if !from_there.iter().any(|link| link.sub == key) {
                return Err(Forbidden);
            }
            (Revoked::Below { link, key }, None)
        }
    };
    Ok(Order {
        what,
        kept_until,
        share,
    })
}

/// The place of the first link that the caller's own key signed.
fn signed_place(proof: &Authorized, chain: &Chain) -> Option<usize> {
    let own = proof.packet()?.subject().public_key().as_bytes();
    chain.links().iter().position(|link| link.iss == *own)
}

/// When the packet, and everything that goes on from it, is over for good: `exp`, its tolerance, and a day for clocks
/// that are set back.
fn end(packet: &VerifiedPacket) -> UnixMillis {
    let exp = packet
        .links()
        .iter()
        .map(|link| link.exp)
        .min()
        .unwrap_or(u64::MAX);
    let end = exp.saturating_add(PACKET_SKEW_SECONDS + REVOCATION_SLACK_SECONDS);
    UnixMillis::new(end.saturating_mul(1000))
}
