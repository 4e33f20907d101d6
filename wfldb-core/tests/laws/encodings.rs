//! Every wire form has exactly one spelling.

use proptest::prelude::*;
use wfldb_core::encoding::percent::{self, Literal};
use wfldb_core::encoding::{base32, base64url, hex};
use wfldb_core::id::{ContentHash, KeyId, Nonce, Role, SecretKey, SignatureBytes, VersionId};
use wfldb_core::name::{KeyPrefix, ObjectKey};
use wfldb_core::object::{BucketConfig, ContentDigest, ObjectHeaders, Tags};
use wfldb_core::time::UnixMillis;

/// Reads a text as each of the types; what is read must print as the very same text.
fn assert_one_spelling(text: &str) {
    macro_rules! same {
        ($($parsed:expr),* $(,)?) => {
            $(if let Ok(value) = $parsed { assert_eq!(value.to_string(), text); })*
        };
    }
    same!(
        KeyId::parse(text),
        VersionId::parse(text),
        Nonce::parse(text),
        SignatureBytes::parse(text),
        ContentHash::parse(text),
        UnixMillis::parse(text),
        ContentDigest::parse(text),
        Tags::parse(text),
        SecretKey::parse(text).map(|key| key.to_wire().as_str().to_owned()),
        base32::decode(text).map(|bytes| base32::encode(&bytes)),
        base64url::decode(text).map(|bytes| base64url::encode(&bytes)),
        hex::decode_array::<4>(text).map(|bytes| hex::encode(&bytes)),
        percent::decode_canonical(text, Literal::Path).map(|path| percent::encode_path_segmentwise(&path)),
        percent::decode_canonical(text, Literal::Component)
            .map(|part| percent::encode_query_component(&part)),
    );
    if let Ok(pairs) = percent::parse_query(text) {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(percent::encode_query(&pairs), text);
    }
}

/// A text in one of the wire forms, most of the time.
fn wire_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<[u8; 32]>().prop_map(|seed| SecretKey::from_seed(seed).key_id(Role::Client).to_string()),
        any::<[u8; 32]>().prop_map(|seed| SecretKey::from_seed(seed).to_wire().as_str().to_owned()),
        any::<[u8; 16]>().prop_map(|bytes| VersionId::from_bytes(bytes).to_string()),
        any::<[u8; 16]>().prop_map(|bytes| Nonce::from_bytes(bytes).to_string()),
        any::<u64>().prop_map(|millis| UnixMillis::new(millis).to_string()),
        (1_u64.., any::<[u8; 32]>()).prop_map(|(len, hash)| ContentDigest::blake3(
            len,
            ContentHash::from_bytes(hash)
        )
        .to_string()),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| base32::encode(&bytes)),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| base64url::encode(&bytes)),
        any::<String>().prop_map(|text| percent::encode_path_segmentwise(&text)),
        proptest::collection::btree_map(".{1,9}", ".{0,9}", 0..4).prop_map(|pairs| {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            percent::encode_query(&pairs)
        }),
        "[%a-f0-9A-F/=&+. ]{0,12}",
    ]
}

proptest! {
    #[test]
    fn a_changed_text_is_refused_or_another_value(
        text in wire_text(),
        place in any::<prop::sample::Index>(),
        with in prop_oneof!["[ -~]{0,2}", "[a-zA-Z0-9%/=&]"],
    ) {
        assert_one_spelling(&text);
        let mut characters: Vec<char> = text.chars().collect();
        if !characters.is_empty() {
            let place = place.index(characters.len());
            characters.splice(place..=place, with.chars());
        }
        assert_one_spelling(&characters.into_iter().collect::<String>());
    }

    #[test]
    fn encoding_and_decoding_are_inverse(bytes in proptest::collection::vec(any::<u8>(), 0..99), text in any::<String>()) {
        prop_assert_eq!(base32::decode(&base32::encode(&bytes)).unwrap(), bytes.clone());
        prop_assert_eq!(base64url::decode(&base64url::encode(&bytes)).unwrap(), bytes);
        let path = percent::encode_path_segmentwise(&text);
        prop_assert_eq!(percent::decode_canonical(&path, Literal::Path).unwrap(), text.clone());
        let part = percent::encode_query_component(&text);
        prop_assert_eq!(percent::decode_canonical(&part, Literal::Component).unwrap(), text);
    }

    #[test]
    fn queries_and_tags_survive_the_wire(
        pairs in proptest::collection::btree_map("[^\\x00-\\x1f\\x7f]{1,9}", "[^\\x00-\\x1f\\x7f]{0,9}", 0..9)
    ) {
        let shuffled: Vec<_> = pairs.iter().rev().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let read = percent::parse_query(&percent::encode_query(&shuffled)).unwrap();
        prop_assert_eq!(read, pairs.clone().into_iter().collect::<Vec<_>>());
        let tags = Tags::from_pairs(pairs).unwrap();
        prop_assert_eq!(Tags::parse(&tags.to_string()).unwrap(), tags);
    }

    #[test]
    fn ids_survive_the_wire(seed in any::<[u8; 32]>(), millis in any::<u64>(), random in any::<[u8; 10]>()) {
        let key = SecretKey::from_seed(seed);
        for role in Role::ALL {
            let id = key.key_id(role);
            prop_assert_eq!(KeyId::parse(&id.to_string()).unwrap(), id);
        }
        prop_assert_eq!(SecretKey::parse(&key.to_wire()).unwrap().public_key(), key.public_key());
        let time = UnixMillis::new(millis);
        prop_assert_eq!(UnixMillis::parse(&time.to_string()).unwrap(), time);
        let version = VersionId::from_parts(time, random);
        prop_assert_eq!(VersionId::parse(&version.to_string()).unwrap(), version);
        prop_assert_eq!(VersionId::from_bytes(version.to_bytes()), version);
        prop_assert_eq!(version.millis(), time);
    }

    #[test]
    fn times_and_versions_are_ordered_like_their_texts(a in any::<(u64, [u8; 10])>(), b in any::<(u64, [u8; 10])>()) {
        let (time_a, time_b) = (UnixMillis::new(a.0), UnixMillis::new(b.0));
        prop_assert_eq!(time_a.cmp(&time_b), time_a.to_string().cmp(&time_b.to_string()));
        let (a, b) = (VersionId::from_parts(time_a, a.1), VersionId::from_parts(time_b, b.1));
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
        prop_assert!(a.next().is_none_or(|next| next > a));
    }

    #[test]
    fn every_beginning_of_a_key_is_a_prefix(key in "[a./ü]{1,12}", cut in any::<prop::sample::Index>()) {
        if let Ok(key) = ObjectKey::parse(&key) {
            let characters: Vec<char> = key.as_str().chars().collect();
            let beginning: String = characters[..cut.index(characters.len())].iter().collect();
            let prefix = KeyPrefix::parse(&beginning).unwrap();
            prop_assert!(prefix.covers(&key));
        }
    }

    #[test]
    fn object_headers_survive_the_wire(
        meta in proptest::collection::btree_map("[a-z0-9-]{1,8}", "[!-~]{0,8}", 0..5),
        content_type in proptest::option::of("[!-~]{1,9}( [!-~]{1,9}){0,2}"),
        ttl in proptest::option::of(1_u64..1_000_000),
    ) {
        let mut pairs: Vec<_> = meta.into_iter().map(|(name, value)| (format!("x-wfldb-meta-{name}"), value)).collect();
        pairs.extend(content_type.map(|value| ("content-type".to_owned(), value)));
        pairs.extend(ttl.map(|ttl| ("x-wfldb-ttl".to_owned(), ttl.to_string())));
        let read = |pairs: &[(String, String)]| {
            ObjectHeaders::parse(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))).unwrap()
        };
        let headers = read(&pairs);
        let mut printed = headers.to_pairs();
        prop_assert_eq!(read(&printed), headers);
        printed.sort();
        pairs.sort();
        prop_assert_eq!(printed, pairs);
    }

    #[test]
    fn bucket_configurations_survive_json(bytes in any::<Option<u64>>(), objects in any::<Option<u64>>(), strict in any::<bool>()) {
        let config = BucketConfig {
            quota_bytes: bytes,
            quota_objects: objects,
            require_signature: strict,
            auto_index: !strict,
            ..BucketConfig::default()
        };
        let json = serde_json::to_vec(&config).unwrap();
        prop_assert_eq!(BucketConfig::parse_json(&json).unwrap(), config);
    }
}
