//! The server as its clients see it: a real one in this process, real sockets, requests signed by hand.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "tests and their helpers fail by panicking"
)]
#![expect(
    clippy::too_many_lines,
    clippy::type_complexity,
    clippy::assigning_clones,
    reason = "tables of cases read best as one table, each case on its line"
)]

mod aggregate;
mod audit;
mod bad_input;
mod batch;
mod changes;
mod copy;
mod delegation;
mod documents;
mod erase;
mod harness;
mod indexes;
mod lifecycle;
mod limits;
mod links;
mod multipart;
mod object_life;
mod permissions;
mod queries;
mod raw;
mod reads;
mod reads_of_parts;
mod reads_of_routes;
mod replay;
mod revocation;
mod routes;
mod search;
mod services;
mod sessions;
mod spans;
mod streaming;
mod tampering;
mod tx;
