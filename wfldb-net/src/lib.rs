//! The wire of wflDB as pure functions over bytes: routes, headers, statuses, answers in JSON and FlatBuffers.
//!
//! Client and server share it. Not here: sockets and HTTP connections (`wfldb-server`, `wfldb-client`), and how
//! requests are signed and allowed (`wfldb_core`).

pub mod accept;
pub mod active;
pub mod batch;
pub mod bucket;
pub mod changes;
pub mod codec;
pub mod condition;
pub mod control;
pub mod date;
pub mod document;
pub mod dry_run;
pub mod find;
pub mod framing;
pub mod header;
pub mod index;
pub mod keys;
pub mod listing;
pub mod multipart;
pub mod problem;
pub mod range;
pub mod route;
pub mod search;
pub mod session;
pub mod status;
mod text;
pub mod tls;
pub mod tx;
