//! Names, ids, times and hashes: every newtype with one wire form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_core::encoding::percent::{self, Literal};
use wfldb_core::encoding::{base32, base64url, hex};
use wfldb_core::id::{
    ContentHash, KeyId, Nonce, PacketHash, SecretKey, SessionId, SignatureBytes, UploadId, VersionId,
};
use wfldb_core::name::{Audience, BucketName, KeyPrefix, ObjectKey, Realm};
use wfldb_core::object::{ContentDigest, HeaderText, Tags};
use wfldb_core::packet::Cidr;
use wfldb_core::session::ExchangeKey;
use wfldb_core::time::UnixMillis;
use wfldb_fuzz::{one_spelling, text};

fuzz_target!(|input: &[u8]| {
    // Encoding always gives what decoding takes.
    assert_eq!(base64url::decode(&base64url::encode(input)).unwrap(), input);
    let Some(input) = text(input) else { return };
    one_spelling(input, BucketName::parse);
    one_spelling(input, ObjectKey::parse);
    one_spelling(input, KeyPrefix::parse);
    one_spelling(input, Realm::parse);
    one_spelling(input, Audience::parse);
    one_spelling(input, KeyId::parse);
    one_spelling(input, Nonce::parse);
    one_spelling(input, SessionId::parse);
    one_spelling(input, UploadId::parse);
    one_spelling(input, VersionId::parse);
    one_spelling(input, ContentHash::parse);
    one_spelling(input, PacketHash::parse);
    one_spelling(input, SignatureBytes::parse);
    one_spelling(input, ExchangeKey::parse);
    one_spelling(input, UnixMillis::parse);
    one_spelling(input, ContentDigest::parse);
    one_spelling(input, HeaderText::parse);
    one_spelling(input, Tags::parse);
    one_spelling(input, |text| Cidr::parse(text).ok_or(()));
    if let Ok(key) = SecretKey::parse(input) {
        assert_eq!(key.to_wire().as_str(), input);
    }
    if let Ok(bytes) = base64url::decode(input) {
        assert_eq!(base64url::encode(&bytes), input);
    }
    if let Ok(bytes) = base32::decode(input) {
        assert_eq!(base32::encode(&bytes), input);
    }
    if let Ok(bytes) = hex::decode_array::<32>(input) {
        assert_eq!(hex::encode(&bytes), input);
    }
    if let Ok(decoded) = percent::decode_canonical(input, Literal::Path) {
        assert_eq!(percent::encode_path_segmentwise(&decoded), input);
    }
    if let Ok(decoded) = percent::decode_canonical(input, Literal::Component) {
        assert_eq!(percent::encode_query_component(&decoded), input);
    }
    let encoded = percent::encode_path_segmentwise(input);
    assert_eq!(percent::decode_canonical(&encoded, Literal::Path).as_deref(), Ok(input));
});
