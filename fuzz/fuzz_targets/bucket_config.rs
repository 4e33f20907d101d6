//! The configuration of a bucket.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_core::object::BucketConfig;
use wfldb_fuzz::reads_back;

fuzz_target!(|input: &[u8]| {
    let Ok(config) = BucketConfig::parse_json(input) else { return };
    let _ = config.is_mirrored();
    let text = serde_json::to_vec(&config).expect("a configuration that cannot be written");
    reads_back(&config, BucketConfig::parse_json(&text));
    if let Some(retention) = config.versions {
        assert!(!retention.is_lowered_by(&retention));
        assert_ne!(retention.newest_kept(), Some(0), "the newest version would go");
    }
});
