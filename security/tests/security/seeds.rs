//! The seeds of the fuzz targets that text cannot be written for. Those that are kept are what the code writes today:
//! `WFLDB_SEEDS=write cargo test -p wfldb-security seeds` writes them anew.

use std::fs;
use std::path::Path;

use wfldb_net::batch::{self, BatchResults};
use wfldb_net::bucket::{Bucket, Buckets};
use wfldb_net::codec;
use wfldb_net::listing::{Listing, Versions};
use wfldb_net::problem::Problem;
use wfldb_security::count;

fn corpus() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("fuzz/corpus")
}

fn keep(target: &str, name: &str, seed: &[u8]) {
    let path = corpus().join(target).join(name);
    if std::env::var_os("WFLDB_SEEDS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, seed).unwrap();
    }
    assert_eq!(
        fs::read(&path).unwrap_or_default(),
        seed,
        "{target}/{name} is not what is written today"
    );
}

/// The JSON seed of this name, as its value.
fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&fs::read(corpus().join("answers").join(name)).unwrap()).unwrap()
}

/// A defect it catches: seeds of a form that the code no longer reads, so that the targets begin at nothing.
#[test]
fn seeds_of_the_flatbuffers_targets_are_what_is_written_today() {
    let json = fs::read(corpus().join("batch_json/all")).unwrap();
    let entries = batch::parse_json(&json).unwrap();
    keep("batch_flatbuffers", "all", &codec::encode_batch(&entries));
    keep("batch_flatbuffers", "one", &codec::encode_batch(&entries[..1]));
    let listing: Listing = read("listing");
    keep("answers", "listing.fb", &codec::encode_listing(&listing));
    let versions = Versions {
        items: listing.items,
        cursor: listing.cursor,
    };
    keep("answers", "versions.fb", &codec::encode_versions(&versions));
    keep(
        "answers",
        "bucket.fb",
        &codec::encode_bucket(&read::<Bucket>("bucket")),
    );
    keep(
        "answers",
        "buckets.fb",
        &codec::encode_buckets(&read::<Buckets>("buckets")),
    );
    keep(
        "answers",
        "problem.fb",
        &codec::encode_problem(&read::<Problem>("problem")),
    );
    keep(
        "answers",
        "results.fb",
        &codec::encode_batch_results(&read::<BatchResults>("results")),
    );
    count("seeds of FlatBuffers", 8);
}
