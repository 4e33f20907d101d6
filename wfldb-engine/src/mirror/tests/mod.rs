//! Tests of the mirror. `support` says from the store alone what a directory should hold; `model` holds the directory
//! against that after random work and stops at random points; the others have what each is named for.

mod hostile;
mod kept;
mod log;
mod model;
mod past;
mod planted;
mod rebuild;
mod shards;
mod support;
mod sync;
mod sync_hostile;
mod tampered;
mod thread;
mod watch;
