//! Opening a session: the body that asks for one, and the answer. Not here: the exchange itself (`wfldb_core::session`).

use serde::{Deserialize, Serialize};
use wfldb_core::encoding::JsonObject;
use wfldb_core::id::{KeyId, SessionId, SignatureBytes};
use wfldb_core::limits::SESSION_BODY_BYTES_MAX;
use wfldb_core::session::{ExchangeKey, Offer};
use wfldb_core::time::UnixMillis;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    key: String,
}

/// The body that asks for a session.
pub fn encode_asked(key: ExchangeKey) -> Vec<u8> {
    let asked = Asked { key: key.to_string() };
    // An object of one text can always be encoded.
    serde_json::to_vec(&asked).unwrap_or_default()
}

/// Reads the body that asks for a session: at most 1 KiB, one member. `None` for anything else.
pub fn decode_asked(body: &[u8]) -> Option<ExchangeKey> {
    if body.len() > SESSION_BODY_BYTES_MAX {
        return None;
    }
    let JsonObject(asked): JsonObject<Asked> = serde_json::from_slice(body).ok()?;
    ExchangeKey::parse(&asked.key).ok()
}

/// The answer, in its JSON form.
#[derive(Debug, Serialize, Deserialize)]
pub struct OfferForm {
    session: String,
    key: String,
    expires: String,
    node: String,
    signature: String,
}

impl From<&Offer> for OfferForm {
    fn from(offer: &Offer) -> Self {
        Self {
            session: offer.session.to_string(),
            key: offer.key.to_string(),
            expires: offer.expires.to_string(),
            node: offer.node.to_string(),
            signature: offer.signature.to_string(),
        }
    }
}

/// Reads an answer; members that it does not know are passed over. `None` when it is no offer.
pub fn decode_offer(body: &[u8]) -> Option<Offer> {
    let form: OfferForm = serde_json::from_slice(body).ok()?;
    Some(Offer {
        session: SessionId::parse(&form.session).ok()?,
        key: ExchangeKey::parse(&form.key).ok()?,
        expires: UnixMillis::parse(&form.expires).ok()?,
        node: KeyId::parse(&form.node).ok()?,
        signature: SignatureBytes::parse(&form.signature).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_for_a_session_has_one_shape() {
        let key = ExchangeKey::from_bytes([7; 32]);
        assert_eq!(decode_asked(&encode_asked(key)), Some(key));
        let good = String::from_utf8(encode_asked(key)).unwrap();
        assert_eq!(good.len(), 53);
        for bad in [
            String::new(),
            "{}".to_owned(),
            format!("[\"{key}\"]"),
            good.replace("key", "kee"),
            good.replace("\"}", "=\"}"),
            good.replace('}', ",\"x\":1}"),
            good.replace('}', &format!(",\"key\":\"{key}\"}}")),
            format!("{good}{}", " ".repeat(SESSION_BODY_BYTES_MAX)),
        ] {
            assert_eq!(decode_asked(bad.as_bytes()), None, "{bad}");
        }
    }
}
