//! The laws of wfldb-core, tested from outside: the vector corpus, properties, and a second opinion.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]
#![expect(clippy::panic, reason = "test helpers fail by panicking")]
#![expect(clippy::indexing_slicing, reason = "test helpers fail by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "the tests read the corpus; the crate reads nothing"
)]

mod aggregate;
mod audit;
mod authorization;
mod canonical;
mod chains;
mod chunks;
mod differences;
mod differential;
mod doc;
mod doc_lazy;
mod encodings;
mod envelope;
mod indexes;
mod invariants;
mod merges;
mod mirror;
mod mirror_commit;
mod patch;
mod query;
mod reconciled;
mod replay;
mod revocation;
mod sessions;
mod support;
mod text;
mod url_links;
mod vectors;
mod worked_vector;
