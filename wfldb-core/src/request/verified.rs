//! The two proofs between a request's form and its authorization: signature, then freshness.

use super::canonical::Canonical;
use super::{Evidence, FreshError, RequestError, SignedRequest};
use crate::id::{KeyId, Nonce};
use crate::name::Audience;
use crate::object::ContentDigest;
use crate::packet::VerifiedPacket;
use crate::replay::ReplayMemory;
use crate::time::UnixMillis;
use crate::verifier::Verifier;

impl SignedRequest {
    /// The canonical string of this request for a store, as the client signed it.
    pub fn canonical_bytes(&self, audience: &Audience, packet: &VerifiedPacket) -> Vec<u8> {
        let timestamp = self.timestamp.to_string();
        let nonce = self.nonce.to_string();
        let content = self.content.to_string();
        let canonical = Canonical {
            audience,
            method: self.method,
            path: &self.path,
            query: &self.query,
            timestamp: &timestamp,
            nonce: &nonce,
            packet_hash: packet.hash(),
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
            request: self.request,
            packet: self.packet,
            evidence: self.evidence,
        })
    }
}

/// A request whose signature verified, whose packet is valid and whose nonce was not seen before.
/// [`authorize`](crate::auth::authorize) takes it.
#[derive(Debug)]
pub struct FreshRequest {
    pub(crate) request: SignedRequest,
    pub(crate) packet: VerifiedPacket,
    pub(crate) evidence: Evidence,
}

impl FreshRequest {
    /// Who signed it.
    pub fn subject(&self) -> &KeyId {
        self.packet.subject()
    }

    /// The packet that came with it.
    pub fn packet(&self) -> &VerifiedPacket {
        &self.packet
    }

    /// The request itself.
    pub fn request(&self) -> &SignedRequest {
        &self.request
    }

    /// Who signed what.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }
}
