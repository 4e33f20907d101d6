//! What operators do with keys: make them, issue packets and profiles, look into them, renew them.
//!
//! And certificates of a private authority, for TLS; and copies of audit logs, checked. All of it works offline. Packet rules are `wfldb-core`'s; nothing here has rules of its own.
//! Not here: backups, which the program passes on to the server (`wfldb-client`) or to the files (`wfldb-engine`); and
//! not yet: revocation, verification of a store, metrics.

mod certificate;
mod error;
mod inspect;
mod issue;
mod key_file;
mod log_copy;
mod renew;

pub use certificate::{Certificate, new_authority, new_client_certificate, new_server_certificate};
pub use error::Error;
pub use inspect::{Report, Verdict, inspect};
pub use issue::{Subject, Term, issue};
pub use key_file::{create_key_file, load_key_file, parse_key_text};
pub use log_copy::{CopyVerdict, LogCopy};
pub use renew::renew;
