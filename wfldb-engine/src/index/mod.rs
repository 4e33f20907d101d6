//! Indexes of documents.

mod hints;

pub(crate) use self::hints::IndexHints;
