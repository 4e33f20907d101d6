//! Batches in JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_core::limits::BATCH_ENTRIES_MAX;
use wfldb_fuzz::reads_back;
use wfldb_net::{batch, codec};

fuzz_target!(|input: &[u8]| {
    let Ok(entries) = batch::parse_json(input) else { return };
    assert!((1..=BATCH_ENTRIES_MAX).contains(&entries.len()));
    reads_back(&entries, batch::parse_json(&batch::to_json(&entries)));
    reads_back(&entries, codec::decode_batch(&codec::encode_batch(&entries)));
});
