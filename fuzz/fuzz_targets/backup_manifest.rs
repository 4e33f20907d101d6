//! `BACKUP.json`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| wfldb_engine::fuzz::backup_manifest(input));
