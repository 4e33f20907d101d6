//! The `STORE` file, with a check that fits.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| wfldb_engine::fuzz::store_file(input));
