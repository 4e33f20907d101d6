//! Laws of the audit log's tree, formats and verifiers.

mod check;
mod formats;
mod naive;
mod oracle;
mod receipts;
mod tree;
mod vector;
