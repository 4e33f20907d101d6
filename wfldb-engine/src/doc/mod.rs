//! Documents: planning their versions and reading them. What a document is, is `wfldb_core::doc`'s; a version of one is
//! kept like any object's, with the store's signature in its row (docs/decisions/0014).

mod bulk;
mod edit;
mod history;
mod plan;
mod read;
mod schema;
mod signer;
mod verify;
mod write;

pub use self::bulk::{BulkAction, BulkOp, BulkResult};
pub use self::edit::EditOutcome;
pub(crate) use self::edit::version_with;
pub use self::history::{HistoryItem, HistoryPage};
pub(crate) use self::plan::{Body, NewVersion, document_of};
pub use self::read::Document;
pub(crate) use self::schema::Schemas;
pub(crate) use self::signer::Signer;
pub(crate) use self::verify::{Following, verify_version};
pub use self::write::DocumentPatch;
pub(crate) use self::write::parse;
