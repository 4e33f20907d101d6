//! The files of two slots: `HWM` and `REPLAY`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| wfldb_engine::fuzz::slots(input));
