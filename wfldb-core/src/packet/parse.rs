//! Reading a packet, link by link. Not here: whether its signatures and its root are any good.

use std::sync::Arc;

use super::{Claims, PacketError, json};
use crate::encoding::base64url;
use crate::id::{KeyId, PacketHash, SignatureBytes};
use crate::limits::{LINKS_MAX, PACKET_BYTES_MAX};

const ALGORITHM: &str = "EdDSA";
const TYPE: &str = "wfldb-kp+jwt";

/// One link of a packet, read by itself.
#[derive(Clone, Debug)]
pub struct Link {
    token: Arc<str>,
    signed_bytes: usize,
    signature: SignatureBytes,
    claims: Claims,
}

impl Link {
    /// Reads a link, and gives the parent packet that it carries.
    fn parse(token: &str) -> Result<(Self, Option<String>), PacketError> {
        if token.len() > PACKET_BYTES_MAX {
            return Err(PacketError::TooLarge);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(PacketError::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(PacketError::Form)?;
        let signature = SignatureBytes::parse(signature).map_err(|_| PacketError::Form)?;
        let header = base64url::decode(header).map_err(|_| PacketError::Form)?;
        let claims = base64url::decode(claims).map_err(|_| PacketError::Form)?;
        let kid = parse_header(&header, TYPE)?;
        let (claims, parent) = Claims::from_object(json::parse_object(&claims)?)?;
        if claims.iss != kid {
            return Err(PacketError::Claim("iss"));
        }
        let link = Self {
            token: token.into(),
            signed_bytes: signed.len(),
            signature,
            claims,
        };
        Ok((link, parent))
    }

    /// What it says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The hash of the packet that ends with this link. Revocations name it.
    pub fn hash(&self) -> PacketHash {
        PacketHash::of(self.token.as_bytes())
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
}

/// A packet that was read and whose links fit together. It is not verified.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Link 0 and those after it, without the last.
    before: Vec<Link>,
    last: Link,
}

impl Packet {
    /// Reads a packet with everything nested in it.
    ///
    /// # Errors
    /// [`PacketError`] by what is wrong: of each link, from the last to link 0, size, form, header and claims; then how
    /// the links follow each other.
    pub fn parse(token: &str) -> Result<Self, PacketError> {
        let (last, mut parent) = Link::parse(token)?;
        let mut before = Vec::new();
        while let Some(token) = parent {
            if before.len() + 1 >= LINKS_MAX {
                return Err(PacketError::Links);
            }
            let (link, next) = Link::parse(&token)?;
            before.push(link);
            parent = next;
        }
        before.reverse();
        let packet = Self { before, last };
        for (parent, child) in packet.links().zip(packet.links().skip(1)) {
            child.claims.check_follows(&parent.claims)?;
        }
        Ok(packet)
    }

    /// The packet as sent.
    pub fn token(&self) -> &Arc<str> {
        &self.last.token
    }

    /// The hash that signed requests and revocations name it by.
    pub fn hash(&self) -> PacketHash {
        self.last.hash()
    }

    /// What its last link says: who may use it.
    pub fn claims(&self) -> &Claims {
        &self.last.claims
    }

    /// Link 0, which names a root key as its signer.
    pub fn root(&self) -> &Link {
        self.before.first().unwrap_or(&self.last)
    }

    /// The links, from link 0 outward.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.before.iter().chain(std::iter::once(&self.last))
    }

    /// Whether each link was signed by the key that it names as its signer, from link 0 outward.
    #[must_use]
    pub fn signatures_verify(&self) -> bool {
        self.links().all(Link::signature_verifies)
    }

    /// The claims of all links, from link 0 outward.
    pub(super) fn into_claims(self) -> Vec<Claims> {
        let links = self.before.into_iter().chain(std::iter::once(self.last));
        links.map(|link| link.claims).collect()
    }
}

/// The header has exactly `alg`, `kid` and `typ`, which is the one that is expected.
///
/// SECURITY: the algorithm is compared, never chosen by: there is one, and no `none`.
pub(super) fn parse_header(header: &[u8], typ: &str) -> Result<KeyId, PacketError> {
    let mut object = json::parse_object(header)?;
    let algorithm_fits = object.text("alg").as_deref() == Some(ALGORITHM);
    let type_fits = object.text("typ").as_deref() == Some(typ);
    let kid = object.text("kid").and_then(|kid| KeyId::parse(&kid).ok());
    if !algorithm_fits || !type_fits || object.finish().is_none() {
        return Err(PacketError::Header);
    }
    kid.ok_or(PacketError::Header)
}
