//! Requests to transactions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_core::limits::TX_OPS_MAX;
use wfldb_fuzz::reads_back;
use wfldb_net::tx::TxRequest;

fuzz_target!(|input: &[u8]| {
    let Ok(request) = TxRequest::parse(input) else { return };
    if let TxRequest::Begin { ops, .. } | TxRequest::Run { ops, .. } | TxRequest::Commit { ops, .. } = &request {
        assert!(ops.len() <= TX_OPS_MAX);
    }
    reads_back(&request, TxRequest::parse(&request.to_json()));
});
