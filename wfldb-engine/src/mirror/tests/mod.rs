//! Tests of the mirror. `support` says from the store alone what a directory should hold; `model` holds the directory
//! against that after random work and stops at random points; the others have what each is named for.

mod hostile;
mod kept;
mod model;
mod planted;
mod rebuild;
mod shards;
mod support;
mod tampered;
mod thread;
mod watch;
