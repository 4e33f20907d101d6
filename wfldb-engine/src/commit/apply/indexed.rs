//! What indexes say of documents: their rows follow the newest version.

use wfldb_core::name::ObjectKey;

use super::edit::Edit;
use crate::error::EngineError;
use crate::index::IndexHints;
use crate::row::ObjectRow;

impl Edit<'_> {
    /// Brings the rows of a document from `old`, the row that stood in `heads`, to `new`, which takes its place.
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "no index is kept yet"
    )]
    pub(super) fn index(
        &mut self,
        _object: &ObjectKey,
        _old: Option<&ObjectRow>,
        _new: Option<&ObjectRow>,
        _hints: Option<&IndexHints>,
    ) -> Result<(), EngineError> {
        Ok(())
    }
}
