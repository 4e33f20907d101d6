//! The Rust client of wflDB.
//!
//! [`Client`] signs each request with the key of its [`Profile`], sends it over a reused HTTP/2 connection, sends
//! again only what is safe to send again ([`retry`]), and checks the bytes that it reads against their hash.
//! The signing rule itself is in `wfldb-core`; nothing here has a canonical form of its own.
//!
//! Also here, because the `wfldb` program and others need it: the rules for copying directory trees ([`tree`]).
//!
//! Not here: TLS, sessions, multipart uploads, documents. They come with later releases.

mod backup;
mod bucket;
mod call;
mod client;
mod clock;
mod endpoint;
mod error;
mod listing;
mod object;
mod outgoing;
mod pool;
pub mod profile;
pub mod retry;
pub mod tree;

pub use backup::{BackupFiles, TakenBackup};
pub use bucket::{BucketInfo, Usage};
pub use client::{Client, ClientOptions};
pub use endpoint::Endpoint;
pub use error::{ApiError, Error};
pub use listing::{Page, Scan, ScanQuery, Versions};
pub use object::{GetOptions, Object, ObjectInfo, Prepared, PutOptions, Stored};
pub use outgoing::Progress;
pub use profile::Profile;
