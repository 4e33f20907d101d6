//! The running binaries, over real sockets, as a user and as a failing machine meet them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]
#![expect(clippy::print_stderr, reason = "a test that cannot run here says so")]

mod bad_input;
mod cli;
mod crash;
mod damage;
mod lifecycle;
mod memory;
