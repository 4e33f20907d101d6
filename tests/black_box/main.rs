//! The running binaries, over real sockets, as a user and as a failing machine meet them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod backup;
mod bad_input;
mod cli;
mod crash;
mod cut;
mod damage;
mod disk_full;
mod edges;
mod exhaustion;
mod lifecycle;
mod memory;
mod mixed;
mod rot;
mod sessions;
mod transfer;
mod verbs;
