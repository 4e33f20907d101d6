//! The store's own key, `DIR/keys/node.key`: what it signs with in its own name.
//!
//! Made at the first start that finds none. It stays with the directory: backups do not hold it, so a restored store
//! has another.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use wfldb_core::id::SecretKey;

use super::folder::{FileError, Folder};

const NAME: &str = "node.key";

/// Why the key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NodeKeyError {
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is there and is not a key.
    #[error("{0} is not a secret key")]
    NotAKey(String),
    /// Others could have copied it.
    #[error("{0} may be read by others; run `chmod 600` on it, or remove it and another one is made")]
    Open(String),
}

/// Reads the node key of the store in `data`, or makes it. `None`, with a line in the log, when it is missing and cannot
/// be made: a store must open on a disk that is full too.
///
/// # Errors
/// When there is a file that cannot be read, is no key, or may be read by others.
pub fn load_node_key(data: &Path) -> Result<Option<SecretKey>, NodeKeyError> {
    let folder = Folder::new(data.join("keys"));
    let path = folder.path(NAME);
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(create(&folder).map_or_else(
                |reason| {
                    tracing::warn!(%reason, "the node key cannot be made; nothing is signed with it");
                    None
                },
                Some,
            ));
        }
        Err(source) => {
            let path = path.display().to_string();
            return Err(FileError { path, source }.into());
        }
    };
    // SECURITY: as ssh does: a key that others can read is not a key.
    if metadata.mode() & 0o077 != 0 {
        return Err(NodeKeyError::Open(path.display().to_string()));
    }
    let key = SecretKey::parse(folder.read(NAME)?.trim_end());
    key.map(Some)
        .map_err(|_| NodeKeyError::NotAKey(path.display().to_string()))
}

fn create(folder: &Folder) -> Result<SecretKey, String> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| error.to_string())?;
    let key = SecretKey::from_seed(seed);
    let mut text = key.to_wire();
    text.push('\n');
    folder.create().map_err(|error| error.to_string())?;
    folder
        .write(NAME, text.as_bytes())
        .map_err(|error| error.to_string())?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use wfldb_core::id::Role;

    use super::*;

    #[test]
    fn the_key_is_made_once_for_its_owner_only_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let first = load_node_key(dir.path()).unwrap().unwrap();
        let again = load_node_key(dir.path()).unwrap().unwrap();
        assert_eq!(first.key_id(Role::Node), again.key_id(Role::Node));
        let path = dir.path().join("keys/node.key");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(load_node_key(dir.path()), Err(NodeKeyError::Open(_))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "wsk1x").unwrap();
        assert!(matches!(load_node_key(dir.path()), Err(NodeKeyError::NotAKey(_))));
    }

    #[test]
    fn a_key_that_cannot_be_made_leaves_the_server_without_one() {
        let dir = tempfile::tempdir().unwrap();
        // What stands in the way of the new file.
        fs::create_dir_all(dir.path().join("keys/node.key.new/x")).unwrap();
        assert!(load_node_key(dir.path()).unwrap().is_none());
    }
}
