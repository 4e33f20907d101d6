//! The exchange that opens a session: X25519, what both sides put their names to, and the key that comes of it.

use std::fmt;

use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::SessionKey;
use crate::encoding::{EncodingError, base64url};
use crate::id::{KeyId, PacketHash, Role, SecretKey, SessionId, SignatureBytes};
use crate::name::Audience;
use crate::time::UnixMillis;

/// The first line of the transcript, which keeps its signatures apart from all others of the same key.
const TRANSCRIPT: &str = "WFLDB-SESSION-1";
/// HKDF's `info` for the key of request tags. A key for another use has another text here.
const REQUEST_KEY: &[u8] = b"WFLDB-SESSION-1 request tag";

/// Why an exchange gives no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// The other side's key is of small order, so that the result would be one that anyone knows.
    #[error("the exchanged key is weak")]
    WeakKey,
    /// The offer is not signed by the node key that it names.
    #[error("the offer's signature does not verify")]
    Signature,
    /// HKDF gave no key.
    #[error("no key could be derived")]
    Derivation,
}

/// The public half of an exchange: 32 bytes, spelled as 43 characters of base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeKey([u8; 32]);

impl ExchangeKey {
    /// A key from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 43 characters of base64url.
    ///
    /// # Errors
    /// [`EncodingError::Base64Url`] for anything else.
    pub fn parse(text: &str) -> Result<Self, EncodingError> {
        base64url::decode_array(text).map(Self)
    }
}

impl fmt::Display for ExchangeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

/// The secret half of an exchange, for one exchange only: whoever finishes it takes it away. It is wiped when dropped,
/// and its `Debug` shows the type only.
#[derive(ZeroizeOnDrop)]
pub struct ExchangeSecret(StaticSecret);

impl ExchangeSecret {
    /// A secret from 32 bytes, which have to be random.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self(StaticSecret::from(*bytes))
    }

    /// The public half.
    pub fn public(&self) -> ExchangeKey {
        ExchangeKey(PublicKey::from(&self.0).to_bytes())
    }

    /// X25519 with the other side's half.
    fn agree(self, other: ExchangeKey) -> Result<Zeroizing<[u8; 32]>, ExchangeError> {
        let shared = self.0.diffie_hellman(&PublicKey::from(other.0));
        // SECURITY: with a point of small order the result is zero whatever our secret is (RFC 7748, 6.1).
        if shared.was_contributory() {
            Ok(Zeroizing::new(shared.to_bytes()))
        } else {
            Err(ExchangeError::WeakKey)
        }
    }
}

impl fmt::Debug for ExchangeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExchangeSecret")
    }
}

/// What a server answers to a client that wants a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The session's id.
    pub session: SessionId,
    /// The server's half of the exchange.
    pub key: ExchangeKey,
    /// When the session ends.
    pub expires: UnixMillis,
    /// The server's own key.
    pub node: KeyId,
    /// Its signature over the transcript.
    pub signature: SignatureBytes,
}

/// What both sides agreed on, a line for each part, each ended by LF.
///
/// INVARIANT: no part holds a LF, so no two transcripts have the same bytes.
fn transcript(
    audience: &Audience,
    packet: PacketHash,
    client: ExchangeKey,
    server: ExchangeKey,
    session: SessionId,
    expires: UnixMillis,
    node: &KeyId,
) -> Vec<u8> {
    format!("{TRANSCRIPT}\n{audience}\n{packet}\n{client}\n{server}\n{session}\n{expires}\n{node}\n")
        .into_bytes()
}

/// The key of a session: HKDF-SHA256 over the shared secret, salted with the hash of the transcript, so that two sides
/// that saw different ones have different keys.
fn derive(shared: &Zeroizing<[u8; 32]>, transcript: &[u8]) -> Result<SessionKey, ExchangeError> {
    let salt = Sha256::digest(transcript);
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(&salt), &**shared)
        .expand(REQUEST_KEY, &mut *key)
        .map_err(|_| ExchangeError::Derivation)?;
    Ok(SessionKey::new(key))
}

/// The server's side: answers a client's half, which came in a signed request with the packet of this hash.
///
/// # Errors
/// [`ExchangeError::WeakKey`].
pub fn accept(
    client: ExchangeKey,
    secret: ExchangeSecret,
    session: SessionId,
    expires: UnixMillis,
    audience: &Audience,
    packet: PacketHash,
    node: &SecretKey,
) -> Result<(Offer, SessionKey), ExchangeError> {
    let (server, node_id) = (secret.public(), node.key_id(Role::Node));
    let shared = secret.agree(client)?;
    let transcript = transcript(audience, packet, client, server, session, expires, &node_id);
    let key = derive(&shared, &transcript)?;
    let offer = Offer {
        session,
        key: server,
        expires,
        node: node_id,
        signature: node.sign(&transcript),
    };
    Ok((offer, key))
}

/// The client's side: takes a server's offer.
///
/// # Errors
/// [`ExchangeError::Signature`] when the node key that the offer names did not sign just this, or is no node key;
/// [`ExchangeError::WeakKey`].
pub fn complete(
    offer: &Offer,
    secret: ExchangeSecret,
    audience: &Audience,
    packet: PacketHash,
) -> Result<SessionKey, ExchangeError> {
    let transcript = transcript(
        audience,
        packet,
        secret.public(),
        offer.key,
        offer.session,
        offer.expires,
        &offer.node,
    );
    let is_node = offer.node.role() == Role::Node;
    if !is_node
        || !offer
            .node
            .public_key()
            .verify_strict(&transcript, &offer.signature)
    {
        return Err(ExchangeError::Signature);
    }
    derive(&secret.agree(offer.key)?, &transcript)
}
