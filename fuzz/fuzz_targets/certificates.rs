//! PEM files of certificates and keys.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_net::tls;

fuzz_target!(|input: &[u8]| {
    let _ = tls::roots(input);
    if let Ok(identity) = tls::identity(input, input) {
        assert!((1..=16).contains(&identity.cert.len()));
    }
});
