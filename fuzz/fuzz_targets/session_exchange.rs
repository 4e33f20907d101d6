//! The two bodies of `POST /v1/_session`, and the exchange over a key that a stranger chose.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_core::id::{PacketHash, SecretKey, SessionId};
use wfldb_core::name::Audience;
use wfldb_core::session::{ExchangeSecret, accept, complete};
use wfldb_core::time::UnixMillis;
use wfldb_fuzz::reads_back;
use wfldb_net::session::{OfferForm, decode_asked, decode_offer, encode_asked};

fuzz_target!(|input: &[u8]| {
    let audience = Audience::parse("wfldb:test-cluster").unwrap();
    let packet = PacketHash::of(b"packet");
    if let Some(key) = decode_asked(input) {
        reads_back(&Some(key), Ok::<_, ()>(decode_asked(&encode_asked(key))));
        let session = SessionId::from_bytes([7; 16]);
        let expires = UnixMillis::new(1_767_323_945_006);
        let node = SecretKey::from_seed([4; 32]);
        let secret = ExchangeSecret::from_bytes([6; 32]);
        if let Ok((offer, _)) = accept(key, secret, session, expires, &audience, packet, &node) {
            let text = serde_json::to_vec(&OfferForm::from(&offer)).unwrap();
            reads_back(&Some(offer), Ok::<_, ()>(decode_offer(&text)));
        }
    }
    if let Some(offer) = decode_offer(input) {
        let text = serde_json::to_vec(&OfferForm::from(&offer)).unwrap();
        reads_back(&Some(offer.clone()), Ok::<_, ()>(decode_offer(&text)));
        let secret = ExchangeSecret::from_bytes([5; 32]);
        let _ = complete(&offer, secret, &audience, packet);
    }
});
