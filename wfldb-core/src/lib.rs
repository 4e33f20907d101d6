//! The pure rules of wflDB: names, ids, key packets, signed requests, authorization, chunk maths,
//! the audit log's tree and proofs.
//!
//! Everything here is a decision over bytes, state, `now` and randomness that come in as arguments.
//! There is no clock, file, socket or async code in this crate, and no storage. Client and server
//! both call these functions, so that each wire rule exists once.
//!
//! What comes from outside is parsed once, into types that cannot hold a bad value:
//!
//! ```
//! use wfldb_core::name::{BucketName, ObjectKey};
//!
//! let bucket = BucketName::parse("photos")?;
//! let key = ObjectKey::parse("2026/cat.jpg")?;
//! assert_eq!(key.as_str(), "2026/cat.jpg");
//! assert!(BucketName::parse("Photos").is_err());
//! assert!(ObjectKey::parse("a/../b").is_err());
//! # assert_eq!(bucket.to_string(), "photos");
//! # Ok::<(), wfldb_core::name::NameError>(())
//! ```

pub mod aggregate;
pub mod audit;
pub mod auth;
pub mod chunk;
pub mod doc;
pub mod encoding;
pub mod id;
pub mod index;
mod kind;
pub mod limits;
pub mod mirror;
pub mod name;
pub mod object;
pub mod packet;
pub mod query;
pub mod replay;
pub mod request;
pub mod revocation;
pub mod session;
mod sshsig;
pub mod text;
pub mod time;
pub mod verifier;

pub use kind::Kind;
