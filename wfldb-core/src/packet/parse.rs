//! Reading a packet of one link. Not here: whether its signature and signer are any good.

use std::sync::Arc;

use super::{Claims, PacketError, json};
use crate::encoding::base64url;
use crate::id::{KeyId, PacketHash, SignatureBytes};
use crate::limits::PACKET_BYTES_MAX;

const ALGORITHM: &str = "EdDSA";
const TYPE: &str = "wfldb-kp+jwt";

/// A packet that was read and whose claims fit together. It is not verified.
#[derive(Clone, Debug)]
pub struct Packet {
    token: Arc<str>,
    signed_bytes: usize,
    signature: SignatureBytes,
    claims: Claims,
}

impl Packet {
    /// Reads a packet.
    ///
    /// # Errors
    /// [`PacketError`] by what is wrong, sizes first, then form, header and claims.
    pub fn parse(token: &str) -> Result<Self, PacketError> {
        if token.len() > PACKET_BYTES_MAX {
            return Err(PacketError::TooLarge);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(PacketError::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(PacketError::Form)?;
        let signature = SignatureBytes::parse(signature).map_err(|_| PacketError::Form)?;
        let header = base64url::decode(header).map_err(|_| PacketError::Form)?;
        let claims = base64url::decode(claims).map_err(|_| PacketError::Form)?;
        let kid = parse_header(&header)?;
        let claims = Claims::from_object(json::parse_object(&claims)?)?;
        if claims.iss != kid {
            return Err(PacketError::Claim("iss"));
        }
        Ok(Self {
            token: token.into(),
            signed_bytes: signed.len(),
            signature,
            claims,
        })
    }

    /// The packet as sent.
    pub fn token(&self) -> &Arc<str> {
        &self.token
    }

    /// The hash that signed requests and revocations name it by.
    pub fn hash(&self) -> PacketHash {
        PacketHash::of(self.token.as_bytes())
    }

    /// What it says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Whether the key that it names as its signer signed it.
    #[must_use]
    pub fn signature_verifies(&self) -> bool {
        let signed = self.token.as_bytes().get(..self.signed_bytes);
        signed.is_some_and(|signed| {
            self.claims
                .iss
                .public_key()
                .verify_strict(signed, &self.signature)
        })
    }

    pub(super) fn into_claims(self) -> Claims {
        self.claims
    }
}

/// The header has exactly `alg`, `kid` and `typ`.
///
/// SECURITY: the algorithm is compared, never chosen by: there is one, and no `none`.
fn parse_header(header: &[u8]) -> Result<KeyId, PacketError> {
    let mut object = json::parse_object(header)?;
    let algorithm_fits = object.text("alg").as_deref() == Some(ALGORITHM);
    let type_fits = object.text("typ").as_deref() == Some(TYPE);
    let kid = object.text("kid").and_then(|kid| KeyId::parse(&kid).ok());
    if !algorithm_fits || !type_fits || object.finish().is_none() {
        return Err(PacketError::Header);
    }
    kid.ok_or(PacketError::Header)
}
