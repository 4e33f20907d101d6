//! Documents: planning their versions and reading them. What a document is, is `wfldb_core::doc`'s; a version of one is
//! kept like any object's, with the store's signature in its row (docs/decisions/0014).

mod plan;
mod read;
mod signer;
mod write;

pub(crate) use self::plan::{NewVersion, document_of};
pub use self::read::Document;
pub(crate) use self::signer::Signer;
pub(crate) use self::write::parse;
