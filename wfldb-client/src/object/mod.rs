//! Objects: store, fetch, look at, delete, bring back.

mod download;
mod get;
mod info;
mod put;

pub use get::{GetOptions, Object};
pub use info::{ObjectInfo, Stored};
pub use put::{Prepared, PutOptions};
