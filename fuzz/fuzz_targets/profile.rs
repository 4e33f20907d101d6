//! Profiles, and the URLs in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_client::{Endpoint, Profile};
use wfldb_fuzz::text;

fuzz_target!(|input: &[u8]| {
    let Some(input) = text(input) else { return };
    if let Ok(endpoint) = Endpoint::parse(input) {
        assert_eq!(Endpoint::parse(&endpoint.to_string()).expect("not read back"), endpoint);
        assert!(endpoint.is_secure() || input.to_ascii_lowercase().starts_with("http:"));
    }
    match Profile::parse(input) {
        Ok(profile) => {
            let text = profile.to_text().expect("a profile that cannot be written");
            let again = Profile::parse(&text).expect("a profile that is not read back");
            assert_eq!(again.endpoint, profile.endpoint);
            assert_eq!((again.realm, again.packet), (profile.realm, profile.packet));
            assert_eq!(again.key.to_wire(), profile.key.to_wire());
        }
        Err(error) => {
            let said = error.to_string();
            let secret = input.split("wsk1").nth(1).and_then(|rest| rest.get(..20));
            // Words of the message itself are no key, and a message may say what stands elsewhere too.
            let is_key = |secret: &&str| {
                secret.bytes().all(|byte| byte.is_ascii_alphanumeric()) && input.matches(*secret).count() == 1
            };
            let secret = secret.filter(is_key);
            assert!(secret.is_none_or(|secret| !said.contains(secret)), "the key is in the message: {said}");
        }
    }
});
