//! Questions of `POST /v1/_dryrun`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_core::auth::required;
use wfldb_net::dry_run::Question;

fuzz_target!(|input: &[u8]| {
    let Ok(question) = Question::parse(input) else { return };
    let inquiry = question.inquiry();
    assert!(required(inquiry.method, inquiry.route).is_some(), "a request that no route has");
    // A lenient reader sees the same method and target.
    let seen: serde_json::Value = serde_json::from_slice(input).expect("not JSON for others");
    assert_eq!(seen["method"].as_str(), Some(inquiry.method.as_str()));
    let target = seen["target"].as_str().unwrap_or_default();
    assert_eq!(target.split('?').next(), Some(inquiry.target.path().as_str()));
});
