//! Pipelines of `POST /v1/{bucket}/_aggregate`, carried out over documents. The first line is the body, each further one a
//! document.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_core::aggregate::{Aggregation, Pipeline};
use wfldb_core::doc::{canonical, parse};

/// Small, so that the limit is met.
const BYTES_MAX: usize = 64 * 1024;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|byte| *byte == b'\n');
    let Some(Ok(body)) = lines.next().map(parse) else { return };
    let Ok(pipeline) = Pipeline::parse(&body) else { return };
    let bounds = pipeline.key_bounds();
    let mut groups = Aggregation::new(pipeline.into(), BYTES_MAX);
    let mut matched = 0;
    for document in lines.filter_map(|line| parse(line).ok()) {
        let Ok(is_match) = groups.take(&canonical(&document)) else { return };
        matched += usize::from(is_match);
        if is_match && let Some(key) = document["_id"].as_str() {
            assert!(bounds.contain(key.as_bytes()), "a document that the bounds leave out");
        }
        assert!(groups.bytes() <= BYTES_MAX);
    }
    let Ok(mut rows) = groups.finish() else { return };
    assert!(rows.len() <= matched.max(1));
    for row in rows.all() {
        assert!(serde_json::to_string(&row).is_ok());
    }
});
