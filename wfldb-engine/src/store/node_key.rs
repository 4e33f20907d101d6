//! The store's own key, `DIR/keys/node.key`: what it signs with in its own name.
//!
//! Made at the first start that finds none. It stays with the directory: backups do not hold it, so a restored store
//! has another.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use wfldb_core::id::{KeyId, PublicKey, Role, SecretKey};

use super::folder::{FileError, Folder};

const NAME: &str = "node.key";
/// Keys of other stores whose documents are here: a key id on each line.
const OTHERS: &str = "nodes";
/// Largest file of them.
const OTHERS_BYTES_MAX: u64 = 1 << 20;

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

/// The node keys of other stores, whose documents the store in `data` has taken over: what is signed by them is not by
/// strangers. None of them is a secret.
///
/// # Errors
/// When the file cannot be read, or has a line that is no id of a node key.
pub(crate) fn other_node_keys(data: &Path) -> Result<Vec<PublicKey>, NodeKeyError> {
    let folder = Folder::new(data.join("keys"));
    let path = folder.path(OTHERS);
    let wrong = || NodeKeyError::NotAKey(path.display().to_string());
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() > OTHERS_BYTES_MAX => return Err(wrong()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            let path = path.display().to_string();
            return Err(FileError { path, source }.into());
        }
    }
    let text = folder.read(OTHERS)?;
    let keys = text.lines().map(|line| match KeyId::parse(line) {
        Ok(id) if id.role() == Role::Node => Ok(id.public_key().clone()),
        _ => Err(wrong()),
    });
    keys.collect()
}

/// Adds to them, on stable storage.
pub(crate) fn add_node_keys(data: &Path, keys: &[PublicKey]) -> Result<(), NodeKeyError> {
    let mut all = other_node_keys(data)?;
    let before = all.len();
    for key in keys {
        if !all.contains(key) {
            all.push(key.clone());
        }
    }
    if all.len() > before {
        let lines = all
            .into_iter()
            .map(|key| format!("{}\n", KeyId::new(Role::Node, key)));
        let folder = Folder::new(data.join("keys"));
        folder.create()?;
        folder.write(OTHERS, lines.collect::<String>().as_bytes())?;
    }
    Ok(())
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

    use super::*;

    /// DEFECT: a line that is no key is passed over, and documents are strangers' then.
    #[test]
    fn keys_of_other_stores_are_kept_once_and_never_guessed() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(other_node_keys(dir.path()).unwrap(), []);
        let [one, two] = [[1; 32], [2; 32]].map(|seed| SecretKey::from_seed(seed).public_key());
        add_node_keys(dir.path(), &[one.clone(), one.clone()]).unwrap();
        add_node_keys(dir.path(), &[two.clone(), one.clone()]).unwrap();
        assert_eq!(other_node_keys(dir.path()).unwrap(), [one, two]);
        let path = dir.path().join("keys/nodes");
        let text = fs::read_to_string(&path).unwrap();
        for wrong in [
            text.replace("wn1", "wc1"),
            format!("{text}x\n"),
            text.replace('\n', " "),
        ] {
            fs::write(&path, wrong).unwrap();
            assert!(matches!(
                other_node_keys(dir.path()),
                Err(NodeKeyError::NotAKey(_))
            ));
        }
    }

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
