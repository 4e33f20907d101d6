//! The log: lines on standard error, for people or as JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::LogForm;

/// What is logged by default: the storage tells more than an operator wants to know.
const DEFAULT: &str = "info,fjall=warn,lsm_tree=warn";

/// Sends what is logged from now on to standard error. `RUST_LOG` chooses what; otherwise `info`, and warnings of the storage.
///
/// A second call changes nothing.
pub fn start(form: LogForm) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let log = fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // A line that cannot be written is lost. The library would tell of it on standard error, and panic, in the middle
        // of a request or of a commit, where that is full too.
        .log_internal_errors(false)
        .with_env_filter(filter);
    // Only a log that is there already refuses, and then that one stays.
    let _ = match form {
        LogForm::Text => log.try_init(),
        LogForm::Json => log.json().flatten_event(true).try_init(),
    };
}
