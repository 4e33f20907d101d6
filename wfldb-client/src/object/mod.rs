//! Objects: store, fetch, look at, copy, delete, bring back.

mod copy;
mod download;
mod get;
mod info;
pub(crate) mod put;

pub use copy::{CopyOptions, CopySource};
pub use get::{GetOptions, Object};
pub(crate) use info::etag as part_etag;
pub use info::{ObjectInfo, Stored};
pub use put::{Prepared, PutOptions};
