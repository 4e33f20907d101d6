//! Secret keys in files: one `wsk1…` on a line of its own, readable by the owner only. Lines that begin with `#` are
//! remarks.

use std::path::Path;

use wfldb_client::profile::{create_secret_file, read_secret_file};
use wfldb_core::id::{Role, SecretKey};
use zeroize::Zeroizing;

use crate::Error;

/// Writes a key to a new file, mode 0600. An existing file is never overwritten: it may hold the only copy of a key.
///
/// # Errors
/// `File`.
pub fn create_key_file(path: &Path, key: &SecretKey, role: Role) -> Result<(), Error> {
    let text = Zeroizing::new(format!(
        "# secret key of {}\n{}\n",
        key.key_id(role),
        *key.to_wire()
    ));
    Ok(create_secret_file(path, &text)?)
}

/// Reads a key from its file.
///
/// # Errors
/// `File` when it cannot be read or others may read it, `Usage` when it does not hold exactly one key.
pub fn load_key_file(path: &Path) -> Result<SecretKey, Error> {
    parse_key_text(&read_secret_file(path)?).ok_or_else(|| {
        Error::Usage(format!(
            "{}: does not hold exactly one secret key (wsk1…)",
            path.display()
        ))
    })
}

/// The one key in a key file's text.
pub fn parse_key_text(text: &str) -> Option<SecretKey> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let key = SecretKey::parse(lines.next()?).ok()?;
    lines.next().is_none().then_some(key)
}
