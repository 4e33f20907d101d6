//! The headers that are kept with an object. An input has a line `name: value` for each.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_core::object::ObjectHeaders;
use wfldb_fuzz::{reads_back, text};

fuzz_target!(|input: &[u8]| {
    let Some(input) = text(input) else { return };
    let pairs = input.split('\n').filter_map(|line| line.split_once(": "));
    let Ok(headers) = ObjectHeaders::parse(pairs) else { return };
    headers.check().expect("headers that break their own rules");
    let again = headers.to_pairs();
    let pairs = again.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    reads_back(&headers, ObjectHeaders::parse(pairs));
    for (name, value) in &again {
        // What comes back out as an answer's header must be one.
        http::HeaderName::from_bytes(name.as_bytes()).expect("a header name that HTTP has not");
        http::HeaderValue::from_str(value).expect("a header value that HTTP has not");
    }
});
