//! The worked vector of the protocol's last section, byte for byte.

use wfldb_core::auth::Method;
use wfldb_core::encoding::hex;
use wfldb_core::id::{ContentHash, KeyId, Nonce, PacketHash, Role, SecretKey};
use wfldb_core::name::Audience;
use wfldb_core::object::ContentDigest;
use wfldb_core::request::{RequestToSign, sign};
use wfldb_core::time::UnixMillis;

const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
pub(crate) const PACKET: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IndmbGRiLWtwK2p3dCJ9.e30.c2ln";
pub(crate) const CANONICAL: &str = "WFLDB-ED25519-1\n\
    wfldb:test-cluster\n\
    PUT\n\
    /v1/photos/a%20b/cat.jpg\n\
    \n\
    2026-01-02T03:04:05.006Z\n\
    AAECAwQFBgcICQoLDA0ODw\n\
    288476233645accf8df7ca573c2fed5f784145fc3c811e30c44211e54b7c10af\n\
    b3 11 92494b5df54d25ceeefc946a216503aa09d6dc642c5a013c20b79e200d497b19\n\
    content-type;if-none-match\n\
    content-type:image/jpeg\n\
    if-none-match:*\n";
pub(crate) const SIGNATURE: &str =
    "T_eIDhOxFSTpqifX87IuGXkcceZQRrpJ5z9tXDPqIqfPErf3LLA-GcqbgKqGBqrGPsj0IB0qEeA-nIVu8dYZAg";

#[test]
fn the_worked_vector_comes_out_byte_for_byte() {
    let key = SecretKey::from_seed(hex::decode_array(SEED).unwrap());
    let request = RequestToSign {
        method: Method::Put,
        path: "/v1/photos/a%20b/cat.jpg",
        query: "",
        timestamp: UnixMillis::parse("2026-01-02T03:04:05.006Z").unwrap(),
        nonce: Nonce::parse("AAECAwQFBgcICQoLDA0ODw").unwrap(),
        content: ContentDigest::of(b"hello wflDB"),
        headers: &[("if-none-match", "*"), ("content-type", "image/jpeg")],
    };
    let audience = Audience::parse("wfldb:test-cluster").unwrap();
    let headers = sign(&request, PACKET, &audience, &key).unwrap();
    let header = |name: &str| &headers.iter().find(|(known, _)| known == name).unwrap().1;
    assert_eq!(header("x-wfldb-signature"), SIGNATURE);
    assert_eq!(header("x-wfldb-signed-headers"), "content-type;if-none-match");
    assert_eq!(header("authorization"), &format!("Bearer {PACKET}"));

    assert_eq!(CANONICAL.len(), 316);
    assert_eq!(
        ContentHash::of(CANONICAL.as_bytes()).to_string(),
        "f6705c83b485a59a7c9b4f0cdca873de32547ab28dc335c34c7a5e1607e6219a"
    );
    // Ed25519 is deterministic, so an equal signature means equal bytes were signed.
    assert_eq!(key.sign(CANONICAL.as_bytes()).to_string(), SIGNATURE);
    assert_eq!(
        PacketHash::of(PACKET.as_bytes()).to_string(),
        "288476233645accf8df7ca573c2fed5f784145fc3c811e30c44211e54b7c10af"
    );
}

#[test]
fn the_worked_key_has_its_two_texts() {
    let key = SecretKey::from_seed(hex::decode_array(SEED).unwrap());
    let id = "wc125njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkencm4a";
    assert_eq!(key.key_id(Role::Client).to_string(), id);
    assert_eq!(KeyId::parse(id).unwrap().public_key(), &key.public_key());
    let secret = "wsk1tvq3dhpp7vngbouejl2jf3bmyrcetrljpmzgsglqhowaghfop5qjcgq";
    assert_eq!(key.to_wire().as_str(), secret);
    assert_eq!(SecretKey::parse(secret).unwrap().public_key(), key.public_key());
}

#[test]
fn the_worked_session_comes_out_byte_for_byte() {
    use wfldb_core::id::SessionId;
    use wfldb_core::request::{RequestToTag, tag};
    use wfldb_core::session::{ExchangeSecret, accept};

    let audience = Audience::parse("wfldb:test-cluster").unwrap();
    let client = ExchangeSecret::from_bytes([5; 32]).public();
    assert_eq!(client.to_string(), "UKYUCbHd0DJemxa3AOcZ6XcsBwALG9d4bpB8ZT0gSV0");
    let (offer, key) = accept(
        client,
        ExchangeSecret::from_bytes([6; 32]),
        SessionId::parse("AAECAwQFBgcICQoLDA0ODw").unwrap(),
        UnixMillis::parse("2026-01-02T03:19:05.006Z").unwrap(),
        &audience,
        PacketHash::of(PACKET.as_bytes()),
        &SecretKey::from_seed([4; 32]),
    )
    .unwrap();
    assert_eq!(
        offer.key.to_string(),
        "9bLW5g-Ud-MQwpgtqqbJE2wQihd3xZR-RI-jfWgXRVc"
    );
    assert_eq!(
        offer.node.to_string(),
        "wn1zkj2yfyfdbyhdvt3qpd76dx6qeeor3cfgblv25zgq6jthw62xz6ktwa"
    );
    assert_eq!(
        offer.signature.to_string(),
        "X71szE8MHdRCYljancaUC5hf7KGXgLbdFJktHOPDtfqF5f53f02L56bKKlxdGTQNJnBAYtPnkJxqxaoFwaBYDA"
    );
    let request = RequestToTag {
        method: Method::Get,
        path: "/v1",
        query: "",
        timestamp: UnixMillis::new(1_767_323_045_006),
        counter: 1,
        content: ContentDigest::None,
        headers: &[],
    };
    assert_eq!(
        tag(&request, offer.session, &audience, &key).unwrap(),
        [(
            "authorization",
            "WFLDB-B3MAC-1 AAECAwQFBgcICQoLDA0ODw.1767323045006.1.hjIYVQPz8_0DucyiKQ5K4g".to_owned()
        )]
    );
}
