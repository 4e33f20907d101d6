//! Revoking packets and keys: the body that asks for it, its answer, and the listing. Not here: who may, and what it
//! ends (`wfldb_core::revocation`).

use serde::{Deserialize, Serialize};
use wfldb_core::encoding::{JsonObject, hex};
use wfldb_core::id::{KeyId, PacketHash, PublicKey};
use wfldb_core::limits::REVOKE_BODY_BYTES_MAX;
use wfldb_core::revocation::{Revoked, Terms};
use wfldb_core::time::UnixMillis;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    packet_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packet: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

/// What a body asks to revoke. A packet in it is not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokeAsked {
    /// A packet by its hash.
    Hash(PacketHash),
    /// A public key.
    Key(PublicKey),
    /// A packet that is shown whole.
    Packet(String),
    /// A link in a URL that is shown whole.
    Link(String),
    /// A public key, in the chains that go through what the caller signed of this packet.
    Below(String, PublicKey),
}

impl RevokeAsked {
    /// The body that asks for it.
    pub fn encode(&self) -> Vec<u8> {
        let key_text = |key: &PublicKey| Some(hex::encode(key.as_bytes()));
        let body = match self {
            Self::Hash(hash) => Body {
                packet_hash: Some(hash.to_string()),
                ..Body::default()
            },
            Self::Key(key) => Body {
                key: key_text(key),
                ..Body::default()
            },
            Self::Packet(packet) => Body {
                packet: Some(packet.clone()),
                ..Body::default()
            },
            Self::Link(link) => Body {
                link: Some(link.clone()),
                ..Body::default()
            },
            Self::Below(packet, key) => Body {
                packet: Some(packet.clone()),
                key: key_text(key),
                ..Body::default()
            },
        };
        // An object of texts can always be encoded.
        serde_json::to_vec(&body).unwrap_or_default()
    }

    /// Reads a body: at most 16 KiB, one of the five shapes. `None` for anything else.
    pub fn decode(body: &[u8]) -> Option<Self> {
        if body.len() > REVOKE_BODY_BYTES_MAX {
            return None;
        }
        let JsonObject(body): JsonObject<Body> = serde_json::from_slice(body).ok()?;
        if let Some(link) = body.link {
            let alone = body.packet_hash.is_none() && body.packet.is_none() && body.key.is_none();
            return alone.then_some(Self::Link(link));
        }
        match (body.packet_hash, body.packet, body.key) {
            (Some(hash), None, None) => PacketHash::parse(&hash).ok().map(Self::Hash),
            (None, None, Some(key)) => parse_key(&key).map(Self::Key),
            (None, Some(packet), None) => Some(Self::Packet(packet)),
            (None, Some(packet), Some(key)) => parse_key(&key).map(|key| Self::Below(packet, key)),
            _ => None,
        }
    }
}

/// Reads a public key: 64 lower-case hex digits, or its id in whatever role.
pub fn parse_key(text: &str) -> Option<PublicKey> {
    match hex::decode_array(text) {
        Ok(bytes) => PublicKey::from_bytes(&bytes).ok(),
        Err(_) => KeyId::parse(text).ok().map(|id| id.public_key().clone()),
    }
}

/// A revocation in its JSON form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RevocationForm {
    /// The packet, where one is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_hash: Option<String>,
    /// The public key, where one is revoked: 64 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The hash of the packet that ends with the link, where the key is revoked in chains with that link alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Of a key: it covers packets that were issued at or before this time, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_until: Option<u64>,
    /// When it is forgotten; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_until: Option<String>,
    /// In a listing: when it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// In a listing: who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// In an answer to a revocation: whether it changed anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<bool>,
}

impl RevocationForm {
    /// The form of a revocation, without the members of an answer or a listing.
    pub fn of(what: &Revoked, terms: &Terms) -> Self {
        let mut form = Self {
            kept_until: terms.kept_until.map(|end| shown(end).to_string()),
            issued_until: what.is_of_key().then_some(terms.issued_until),
            ..Self::default()
        };
        match what {
            Revoked::Packet(hash) => form.packet_hash = Some(hash.to_string()),
            Revoked::Key(key) => form.key = Some(hex::encode(key)),
            Revoked::Below { link, key } => {
                form.link = Some(link.to_string());
                form.key = Some(hex::encode(key));
            }
        }
        form
    }
}

/// The last time that the wire form of times can show, for packets that end after it.
fn shown(end: UnixMillis) -> UnixMillis {
    const LAST_MS: u64 = 253_402_300_799_999;
    end.min(UnixMillis::new(LAST_MS))
}

/// A page of what is revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationList {
    /// The revocations.
    pub items: Vec<RevocationForm>,
    /// What to ask for the next page with; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use wfldb_core::id::{Role, SecretKey};

    use super::*;

    #[test]
    fn a_body_has_one_of_five_shapes() {
        let key = SecretKey::from_seed([7; 32]).public_key().clone();
        let hash = PacketHash::of(b"x");
        for asked in [
            RevokeAsked::Hash(hash),
            RevokeAsked::Key(key.clone()),
            RevokeAsked::Packet("a.b.c".to_owned()),
            RevokeAsked::Link("a.b.c".to_owned()),
            RevokeAsked::Below("a.b.c".to_owned(), key.clone()),
        ] {
            assert_eq!(RevokeAsked::decode(&asked.encode()), Some(asked));
        }
        // A key is its 32 bytes, whatever role its id has.
        for role in Role::ALL {
            let body = format!(r#"{{"key":"{}"}}"#, KeyId::new(role, key.clone()));
            assert_eq!(
                RevokeAsked::decode(body.as_bytes()),
                Some(RevokeAsked::Key(key.clone()))
            );
        }
        let hex = hex::encode(key.as_bytes());
        for bad in [
            String::new(),
            "{}".to_owned(),
            "[]".to_owned(),
            format!(r#"{{"key":"{}"}}"#, hex.to_uppercase()),
            format!(r#"{{"key":"{}"}}"#, "0".repeat(64)),
            format!(r#"{{"key":"{hex}","key":"{hex}"}}"#),
            format!(r#"{{"key":"{hex}","packet_hash":"{hash}"}}"#),
            format!(r#"{{"packet":"a","packet_hash":"{hash}"}}"#),
            format!(r#"{{"packet":"a","key":"{hex}","link":"{hash}"}}"#),
            format!(r#"{{"packet_hash":"{hash}0"}}"#),
            format!(r#"{{"packet":"{}"}}"#, "a".repeat(REVOKE_BODY_BYTES_MAX)),
        ] {
            assert_eq!(RevokeAsked::decode(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn the_form_shows_what_matters_of_each() {
        let terms = Terms {
            issued_until: 7,
            kept_until: None,
            share: None,
        };
        let json = |what| serde_json::to_string(&RevocationForm::of(&what, &terms)).unwrap();
        let (one, two) = ("01".repeat(32), "02".repeat(32));
        let link = PacketHash::from_bytes([1; 32]);
        assert_eq!(
            json(Revoked::Packet(link)),
            format!(r#"{{"packet_hash":"{one}"}}"#)
        );
        assert_eq!(
            json(Revoked::Key([2; 32])),
            format!(r#"{{"key":"{two}","issued_until":7}}"#)
        );
        let below = Revoked::Below { link, key: [2; 32] };
        assert_eq!(
            json(below),
            format!(r#"{{"key":"{two}","link":"{one}","issued_until":7}}"#)
        );
        let for_long = Terms {
            kept_until: Some(UnixMillis::new(u64::MAX)),
            ..terms
        };
        let form = RevocationForm::of(&Revoked::Packet(link), &for_long);
        assert_eq!(form.kept_until.as_deref(), Some("9999-12-31T23:59:59.999Z"));
    }
}
