//! Whether a link may be believed.

use std::sync::Arc;

use super::url_link::{UrlLink, UrlLinkClaims};
use super::{Claims, PacketError, VerifiedPacket};
use crate::id::PacketHash;
use crate::limits::PACKET_SKEW_SECONDS;
use crate::request::Evidence;
use crate::revocation::{Chain, LinkIdentity};
use crate::time::UnixMillis;

impl UrlLinkClaims {
    /// Checks the link against the last link of its packet: signed by its holder, for the same store, inside its times,
    /// and allowed to follow.
    pub(crate) fn check_follows(&self, parent: &Claims) -> Result<(), PacketError> {
        let rules = [
            ("iss", self.iss == parent.sub),
            ("aud", self.aud == parent.aud),
            ("iat", parent.iat <= self.iat),
            ("exp", self.exp <= parent.exp),
            // SECURITY: whoever may not pass a packet on may not put it into a URL either.
            ("dlg", parent.dlg > 0),
        ];
        match rules.into_iter().find(|(_, holds)| !holds) {
            None => Ok(()),
            Some((claim, _)) => Err(PacketError::Chain(claim)),
        }
    }

    /// Whether the link is valid now, its packet aside.
    ///
    /// # Errors
    /// [`PacketError::NotYetValid`] or [`PacketError::Expired`].
    pub fn check_time(&self, now: UnixMillis) -> Result<(), PacketError> {
        if self.iat > now.seconds().saturating_add(PACKET_SKEW_SECONDS) {
            return Err(PacketError::NotYetValid);
        }
        if now >= self.ends() {
            return Err(PacketError::Expired);
        }
        Ok(())
    }

    /// When it is over.
    pub fn ends(&self) -> UnixMillis {
        UnixMillis::new(self.exp.saturating_mul(1000))
    }
}

impl UrlLink {
    pub(super) fn signature_verifies(&self) -> bool {
        let signed = self.token.as_bytes().get(..self.signed_bytes);
        let key = self.claims.iss.public_key();
        signed.is_some_and(|signed| key.verify_strict(signed, &self.signature))
    }

    /// Verifies the link with its packet, which the caller had verified: all but the times.
    ///
    /// # Errors
    /// [`PacketError::Chain`] when the packet is not the one in the link or the link does not follow it,
    /// [`PacketError::Signature`].
    pub fn verify(self, packet: &VerifiedPacket) -> Result<VerifiedUrlLink, PacketError> {
        if **packet.token() != *self.packet_token() {
            return Err(PacketError::Chain("prf"));
        }
        let last = packet.links().last().ok_or(PacketError::Links)?;
        self.claims.check_follows(last)?;
        if !self.signature_verifies() {
            return Err(PacketError::Signature);
        }
        let hash = PacketHash::of(self.token.as_bytes());
        let signer = *self.claims.iss.public_key().as_bytes();
        let own = LinkIdentity {
            hash,
            iss: signer,
            sub: signer,
            iat: self.claims.iat,
        };
        let chain = Chain::new(packet.chain().links().iter().cloned().chain([own]));
        let mut canonical = self.token.into_bytes();
        canonical.truncate(self.signed_bytes);
        Ok(VerifiedUrlLink(Arc::new(Inner {
            hash,
            evidence: Evidence {
                key: packet.subject().clone(),
                packet: packet.token().clone(),
                canonical,
                signature: self.signature,
            },
            claims: self.claims,
            packet: packet.clone(),
            chain,
        })))
    }
}

#[derive(Debug)]
struct Inner {
    hash: PacketHash,
    claims: UrlLinkClaims,
    packet: VerifiedPacket,
    chain: Chain,
    evidence: Evidence,
}

/// A link that the holder of a verified packet signed. Its time has to be checked at each use, which
/// [`LinkRequest::fresh`](crate::request::LinkRequest::fresh) does. Cheap to clone.
#[derive(Clone, Debug)]
pub struct VerifiedUrlLink(Arc<Inner>);

impl VerifiedUrlLink {
    /// The hash of the link's bytes, by which its uses are counted.
    pub fn hash(&self) -> PacketHash {
        self.0.hash
    }

    /// What it says.
    pub fn claims(&self) -> &UrlLinkClaims {
        &self.0.claims
    }

    /// The packet that it gives a part of.
    pub fn packet(&self) -> &VerifiedPacket {
        &self.0.packet
    }

    /// The links of its packet and behind them itself, to be held against what is revoked: a link is revoked like the
    /// packet that a further link makes, by its hash.
    pub fn chain(&self) -> &Chain {
        &self.0.chain
    }

    /// What its signer signed.
    pub fn evidence(&self) -> &Evidence {
        &self.0.evidence
    }

    /// Whether the link and all before it are valid now.
    ///
    /// # Errors
    /// [`PacketError::NotYetValid`] or [`PacketError::Expired`].
    pub fn check_time(&self, now: UnixMillis) -> Result<(), PacketError> {
        self.0.packet.check_time(now)?;
        self.0.claims.check_time(now)
    }
}
