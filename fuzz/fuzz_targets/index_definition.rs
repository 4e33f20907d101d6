//! The definition of an index, and the rows of a document in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_core::doc;
use wfldb_core::index::IndexDefinition;

fuzz_target!(|input: &[u8]| {
    let Ok(json) = doc::parse(input) else { return };
    let Ok(definition) = IndexDefinition::parse(&json) else { return };
    assert_eq!(IndexDefinition::parse(&definition.to_json()), Ok(definition.clone()));
    // Any JSON is a document.
    let Ok(entries) = definition.entries(&json) else { return };
    assert!(entries.windows(2).all(|pair| pair[0] < pair[1]), "a row twice");
});
