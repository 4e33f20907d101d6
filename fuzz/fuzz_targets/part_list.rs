//! The list of parts that completes an upload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_fuzz::reads_back;
use wfldb_net::multipart::parse_list;

fuzz_target!(|input: &[u8]| {
    let Ok(list) = parse_list(input) else { return };
    assert!(list.iter().zip(1..).all(|(part, number)| part.part == number), "parts out of order");
    let text = serde_json::to_vec(&list).expect("a list that cannot be written");
    reads_back(&list, parse_list(&text));
});
