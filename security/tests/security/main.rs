//! The security suite: each test is named for a class of attack and listed in docs/SECURITY.md, where those classes are
//! too whose tests are elsewhere. `cargo test -p wfldb-security` runs it and prints the cases of each class.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "tests and their helpers fail by panicking"
)]
#![expect(
    clippy::too_many_lines,
    reason = "tables of cases read best as one table, each case on its line"
)]

mod credentials;
mod curve;
#[path = "../../../wfldb-server/tests/server/harness.rs"]
#[expect(
    dead_code,
    reason = "the harness is that of the server's own tests, which use all of it"
)]
mod harness;
mod listed;
mod logs;
mod matrix;
mod packets;
mod routes;
mod secrets;
mod seeds;
mod spellings;
