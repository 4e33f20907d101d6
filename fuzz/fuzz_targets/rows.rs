//! Rows of the storage. The first byte says which.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| wfldb_engine::fuzz::rows(input));
