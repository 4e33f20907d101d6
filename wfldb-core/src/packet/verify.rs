//! Whether a packet may be believed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Claims, Link, Packet, PacketError};
use crate::id::{KeyId, PacketHash, PublicKey, Role};
use crate::name::Audience;
use crate::replay::Holders;
use crate::revocation::{Chain as RevocableChain, LinkIdentity};
use crate::time::UnixMillis;

/// The root keys that a store believes. Trust is in the 32 key bytes.
#[derive(Clone, Debug, Default)]
pub struct TrustedRoots(BTreeSet<PublicKey>);

impl TrustedRoots {
    /// The set of these keys. Ids of another role than root are left out: nobody made them roots.
    pub fn new(ids: impl IntoIterator<Item = KeyId>) -> Self {
        let roots = ids.into_iter().filter(|id| id.role() == Role::Root);
        Self(roots.map(|id| id.public_key().clone()).collect())
    }

    /// Whether the key is trusted.
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.0.contains(key)
    }

    /// Whether no key is trusted, so that no request can succeed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Debug)]
struct Chain {
    token: Arc<str>,
    hash: PacketHash,
    subject: KeyId,
    holders: Holders,
    revocable: RevocableChain,
    links: Vec<Claims>,
}

/// A packet whose signatures were verified up to a trusted root, for this store. Cheap to clone, and
/// meant to be kept in a cache by its hash; its time has to be checked at each use, which
/// [`VerifiedRequest::fresh`](crate::request::VerifiedRequest::fresh) does.
#[derive(Clone, Debug)]
pub struct VerifiedPacket(Arc<Chain>);

impl VerifiedPacket {
    /// The hash of the packet's bytes.
    pub fn hash(&self) -> PacketHash {
        self.0.hash
    }

    /// The packet as sent.
    pub fn token(&self) -> &Arc<str> {
        &self.0.token
    }

    /// The links, from the root outward. There is at least one.
    pub fn links(&self) -> &[Claims] {
        &self.0.links
    }

    /// The holder: requests are signed with this key.
    pub fn subject(&self) -> &KeyId {
        &self.0.subject
    }

    /// The chain as revocations see it.
    pub fn chain(&self) -> &RevocableChain {
        &self.0.revocable
    }

    /// Whose share of the replay memory its requests take: the holders of all links.
    pub(crate) fn holders(&self) -> &Holders {
        &self.0.holders
    }

    /// Whether every link is valid now.
    ///
    /// # Errors
    /// [`PacketError::NotYetValid`] or [`PacketError::Expired`].
    pub fn check_time(&self, now: UnixMillis) -> Result<(), PacketError> {
        self.0.links.iter().try_for_each(|link| link.check_time(now))
    }
}

/// Verifies a packet in all but its time: size, form, claims of every link, trusted signer, audience, and every link's
/// signature, from link 0 outward.
///
/// # Errors
/// [`PacketError`] by what is wrong.
pub fn verify_signatures(
    token: &str,
    trust: &TrustedRoots,
    aud: &Audience,
) -> Result<VerifiedPacket, PacketError> {
    let packet = Packet::parse(token)?;
    // SECURITY: trust is asked of link 0 alone. That it is a root's, and that each later link names the holder before
    // it as its signer, the parser saw to.
    if !trust.contains(packet.root().claims().iss.public_key()) {
        return Err(PacketError::Untrusted);
    }
    if !packet.links().all(|link| link.claims().aud == *aud) {
        return Err(PacketError::Audience);
    }
    if !packet.signatures_verify() {
        return Err(PacketError::Signature);
    }
    let holders = packet.links().map(|link| link.claims().sub.public_key());
    let identity = |link: &Link| LinkIdentity {
        hash: link.hash(),
        iss: *link.claims().iss.public_key().as_bytes(),
        sub: *link.claims().sub.public_key().as_bytes(),
        iat: link.claims().iat,
    };
    Ok(VerifiedPacket(Arc::new(Chain {
        revocable: RevocableChain::new(packet.links().map(identity)),
        holders: Holders::new(packet.claims().sub.public_key(), holders),
        token: packet.token().clone(),
        hash: packet.hash(),
        subject: packet.claims().sub.clone(),
        links: packet.into_claims(),
    })))
}

/// Verifies a packet, its time included.
///
/// # Errors
/// [`PacketError`] by what is wrong.
pub fn verify(
    token: &str,
    trust: &TrustedRoots,
    aud: &Audience,
    now: UnixMillis,
) -> Result<VerifiedPacket, PacketError> {
    let packet = verify_signatures(token, trust, aud)?;
    packet.check_time(now)?;
    Ok(packet)
}
