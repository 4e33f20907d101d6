//! Grants, in JSON and in the words of the command line. An input is two grants, a line each.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_core::packet::{Grant, widening};
use wfldb_fuzz::{reads_back, two_texts};

fuzz_target!(|input: &[u8]| {
    let Some((left, right)) = two_texts(input) else { return };
    let parsed = |text: &str| {
        let grant = Grant::parse_json(text).or_else(|_| wfldb_client::parse_grant(text).map_err(|_| ())).ok()?;
        reads_back(&grant, Grant::parse_json(&grant.to_json()));
        Some(grant)
    };
    let (Some(left), Some(right)) = (parsed(left), parsed(right)) else { return };
    let (both, swapped) = (left.intersect(&right), right.intersect(&left));
    assert_eq!(both.is_some(), swapped.is_some(), "the order of two grants decides whether they meet");
    if let Some(both) = both {
        assert_eq!(widening(std::slice::from_ref(&left), &both), None);
        assert_eq!(widening(std::slice::from_ref(&right), &both), None);
    }
});
