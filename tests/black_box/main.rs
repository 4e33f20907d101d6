//! The running binaries, over real sockets, as a user and as a failing machine meet them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod agent;
mod attacks;
mod backup;
mod bad_input;
mod cli;
mod crash;
mod cut;
mod damage;
mod delegate;
mod disk_full;
mod document_verbs;
mod documents;
mod edges;
mod exhaustion;
mod lifecycle;
mod memory;
mod mirror;
mod mirror_back;
mod mirror_commit;
mod mirror_kill;
mod mirror_sync;
mod mirror_watch;
mod mixed;
mod revocation;
mod rot;
mod sdk_documents;
mod search;
mod sessions;
mod tls;
mod transactions;
mod transfer;
mod verbs;
mod watch;
