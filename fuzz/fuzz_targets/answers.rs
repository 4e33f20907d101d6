//! Answers as a client reads them: FlatBuffers, or JSON where the input begins like it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wfldb_fuzz::reads_back;
use wfldb_net::batch::BatchResults;
use wfldb_net::bucket::{Bucket, Buckets};
use wfldb_net::codec;
use wfldb_net::dry_run::DryRunAnswer;
use wfldb_net::listing::{Listing, Versions};
use wfldb_net::multipart::{Parts, UploadStarted};
use wfldb_net::problem::Problem;

fuzz_target!(|input: &[u8]| {
    if let Ok(listing) = codec::decode_listing(input) {
        reads_back(&listing, codec::decode_listing(&codec::encode_listing(&listing)));
    }
    if let Ok(versions) = codec::decode_versions(input) {
        reads_back(&versions, codec::decode_versions(&codec::encode_versions(&versions)));
    }
    if let Ok(bucket) = codec::decode_bucket(input) {
        reads_back(&bucket, codec::decode_bucket(&codec::encode_bucket(&bucket)));
    }
    if let Ok(buckets) = codec::decode_buckets(input) {
        reads_back(&buckets, codec::decode_buckets(&codec::encode_buckets(&buckets)));
    }
    if let Ok(problem) = codec::decode_problem(input) {
        reads_back(&problem, codec::decode_problem(&codec::encode_problem(&problem)));
    }
    if let Ok(results) = codec::decode_batch_results(input) {
        reads_back(&results, codec::decode_batch_results(&codec::encode_batch_results(&results)));
    }
    if input.starts_with(b"{") {
        json::<Listing>(input);
        json::<Versions>(input);
        json::<Bucket>(input);
        json::<Buckets>(input);
        json::<Problem>(input);
        json::<BatchResults>(input);
        json::<DryRunAnswer>(input);
        json::<Parts>(input);
        json::<UploadStarted>(input);
    }
});

fn json<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(input: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(input) {
        let text = serde_json::to_vec(&value).expect("an answer that cannot be written");
        reads_back(&value, serde_json::from_slice::<T>(&text));
    }
}
