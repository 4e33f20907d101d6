//! The two proofs between a request's form and its authorization: signature, then freshness.

use super::canonical::{Canonical, Scheme};
use super::{Evidence, FreshError, RequestError, RequestHead, SignedRequest};
use crate::id::{KeyId, Nonce};
use crate::name::Audience;
use crate::object::ContentDigest;
use crate::packet::{VerifiedPacket, VerifiedUrlLink};
use crate::replay::ReplayMemory;
use crate::time::UnixMillis;
use crate::verifier::Verifier;

impl SignedRequest {
    /// The canonical string of this request for a store, as the client signed it.
    pub fn canonical_bytes(&self, audience: &Audience, packet: &VerifiedPacket) -> Vec<u8> {
        let timestamp = self.timestamp.to_string();
        let nonce = self.nonce.to_string();
        let content = self.content.to_string();
        let hash = packet.hash().to_string();
        let canonical = Canonical {
            scheme: Scheme::Signature,
            audience,
            method: self.method,
            path: &self.path,
            query: &self.query,
            timestamp: &timestamp,
            nonce: &nonce,
            credential: &hash,
            content: &content,
            signed_names: &self.signed_names,
        };
        canonical.bytes(self.signed_headers())
    }

    /// Verifies the signature with the key that the packet names as its holder.
    ///
    /// # Errors
    /// [`RequestError::Packet`] when the packet is not the one that came with the request,
    /// [`RequestError::Signature`] when the signature does not verify.
    pub fn verify(
        self,
        packet: &VerifiedPacket,
        audience: &Audience,
        verifier: &Verifier,
    ) -> Result<VerifiedRequest, RequestError> {
        if **packet.token() != *self.packet_token {
            return Err(RequestError::Packet);
        }
        let canonical = self.canonical_bytes(audience, packet);
        let key = packet.subject().clone();
        if !verifier.verify_strict(key.public_key(), &canonical, &self.signature) {
            return Err(RequestError::Signature);
        }
        let evidence = Evidence {
            key,
            packet: packet.token().clone(),
            canonical,
            signature: self.signature,
        };
        Ok(VerifiedRequest {
            request: self,
            packet: packet.clone(),
            evidence,
        })
    }
}

/// A request whose signature verified. It may still be a replay, and its packet may have expired.
#[derive(Debug)]
pub struct VerifiedRequest {
    request: SignedRequest,
    packet: VerifiedPacket,
    evidence: Evidence,
}

impl VerifiedRequest {
    /// Who signed it.
    pub fn subject(&self) -> &KeyId {
        self.packet.subject()
    }

    /// The packet that came with it.
    pub fn packet(&self) -> &VerifiedPacket {
        &self.packet
    }

    /// Who signed what.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The request itself.
    pub fn request(&self) -> &SignedRequest {
        &self.request
    }

    /// When the client made it.
    pub fn timestamp(&self) -> UnixMillis {
        self.request.timestamp
    }

    /// Its nonce.
    pub fn nonce(&self) -> &Nonce {
        &self.request.nonce
    }

    /// Length and hash of its body.
    pub fn content(&self) -> &ContentDigest {
        &self.request.content
    }

    /// The value of a signed header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.header(name)
    }

    /// Checks that the packet is valid now and spends the nonce.
    ///
    /// # Errors
    /// [`FreshError::Packet`] when the packet is not valid now; the nonce is not spent, since the
    /// request can never succeed again. [`FreshError::Replay`] when the memory does not take the nonce.
    pub fn fresh(self, memory: &mut ReplayMemory, now: UnixMillis) -> Result<FreshRequest, FreshError> {
        self.packet.check_time(now)?;
        memory.check_and_insert(
            self.packet.holders(),
            &self.request.nonce,
            self.request.timestamp,
            now,
        )?;
        Ok(FreshRequest {
            request: self.request.head,
            packet: self.packet,
            evidence: Some(self.evidence),
            link: None,
        })
    }
}

/// A request that was vouched for, whose packet is valid and whose nonce or counter was not seen before.
/// [`authorize`](crate::auth::authorize) takes it.
#[derive(Debug)]
pub struct FreshRequest {
    pub(crate) request: RequestHead,
    pub(crate) packet: VerifiedPacket,
    /// `None` for a request of a session: its tag proves nothing to a third party, since the server could have made it.
    pub(crate) evidence: Option<Evidence>,
    /// The link that it came by.
    pub(crate) link: Option<VerifiedUrlLink>,
}

impl FreshRequest {
    /// Who sent it.
    pub fn subject(&self) -> &KeyId {
        self.packet.subject()
    }

    /// The packet that it is decided by.
    pub fn packet(&self) -> &VerifiedPacket {
        &self.packet
    }

    /// The request itself.
    pub fn request(&self) -> &RequestHead {
        &self.request
    }

    /// Who signed what; `None` for a request of a session.
    pub fn evidence(&self) -> Option<&Evidence> {
        self.evidence.as_ref()
    }

    /// The link that it came by, instead of a signature of its own.
    pub fn link(&self) -> Option<&VerifiedUrlLink> {
        self.link.as_ref()
    }

    /// Whether it came over a session, without a signature of its own.
    pub fn is_of_session(&self) -> bool {
        self.evidence.is_none()
    }
}
