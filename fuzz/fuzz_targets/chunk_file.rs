//! Chunk files, plain and packed, with group values that fit the chunk's name.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| wfldb_engine::fuzz::chunk_file(input));
