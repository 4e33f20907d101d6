//! What the planner hands along, so that the committer need not read documents.

use wfldb_core::doc::Value;
use wfldb_core::id::VersionId;
use wfldb_core::index::{IndexEntry, IndexError};

use crate::row::Indexes;

/// The rows of a new document, and of the version that it most likely replaces, in the indexes that the planner knew. A
/// number stands for one definition for ever, so they are right for that number whenever they are used.
#[derive(Debug, Clone, Default)]
pub(crate) struct IndexHints {
    of: Vec<Hint>,
    /// SECURITY: whether a refusal may name the index that it comes from; who may write below a prefix only may not know.
    pub(crate) may_name: bool,
}

/// A version, and its rows.
pub(crate) type Replaced = (VersionId, Vec<IndexEntry>);

#[derive(Debug, Clone)]
struct Hint {
    number: u32,
    new: Vec<IndexEntry>,
    replaced: Option<Replaced>,
}

impl IndexHints {
    /// What is known of `new`, and of `replaced` where there is such a version.
    ///
    /// # Errors
    /// When an index cannot hold the new document.
    pub(crate) fn of_documents(
        indexes: &Indexes,
        new: &Value,
        replaced: Option<(VersionId, &Value)>,
        may_name: bool,
    ) -> Result<Self, IndexError> {
        let hint = |index: &crate::row::DefinedIndex| {
            // A document that cannot be indexed has no rows.
            let entries = |document| index.definition.entries(document).unwrap_or_default();
            let replaced = replaced.map(|(version, document)| (version, entries(document)));
            Ok(Hint {
                number: index.number,
                new: index.definition.entries(new)?,
                replaced,
            })
        };
        let of = indexes.kept().map(hint).collect::<Result<_, _>>()?;
        Ok(Self { of, may_name })
    }

    /// The rows of the new document, and those of the version that it was planned to replace.
    pub(crate) fn of(&self, number: u32) -> Option<(&[IndexEntry], Option<&Replaced>)> {
        let hint = self.of.iter().find(|hint| hint.number == number)?;
        Some((&hint.new, hint.replaced.as_ref()))
    }
}
