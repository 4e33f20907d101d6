//! What the planner hands along, so that the committer need not read documents.

/// The rows of a new document, and of the version that it most likely replaces.
#[derive(Debug, Clone, Default)]
pub(crate) struct IndexHints;
