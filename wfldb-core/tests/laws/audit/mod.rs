//! Laws of the audit log's tree, formats and verifiers.

mod formats;
mod naive;
mod tree;
