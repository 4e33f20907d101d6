//! The files that are about the mirror as a whole: whose it is, how far it is, and what its signatures are verified with.

use serde::Deserialize;
use serde_json::json;
use wfldb_core::doc;
use wfldb_core::encoding::hex;
use wfldb_core::id::{KeyId, LogPosition, PublicKey, Role, SecretKey};
use wfldb_core::mirror::pretty;

use super::dir::{MirrorDir, TEMP};
use super::error::MirrorError;
use crate::engine::Inner;
use crate::error::EngineError;
use crate::store::other_node_keys;

/// The file that makes a directory a mirror.
pub(crate) const ROOT: &str = "wfldb.json";
/// For `ssh-keygen -Y verify` and git.
pub(crate) const SIGNERS: &str = "keys/allowed_signers";
/// The form of the directory.
pub(crate) const FORMAT: u32 = 1;
const BYTES_MAX: u64 = 1 << 20;
/// What the store is called in `allowed_signers`.
const PRINCIPAL: &str = "wfldb";

/// What is read of it again.
#[derive(Deserialize)]
struct Root {
    format: u32,
    store: String,
}

/// Whether the directory is a mirror of the store already.
///
/// # Errors
/// `Foreign` when it is something else: nothing in it is touched then.
pub(crate) fn is_mirror_of(dir: &MirrorDir, inner: &Inner) -> Result<bool, MirrorError> {
    let Some(root) = dir.read(ROOT, BYTES_MAX)? else {
        let entries = dir.list("")?;
        let fresh = [TEMP, ".git", "lost+found"];
        let other = entries
            .iter()
            .find(|entry| !entry.as_str().is_some_and(|name| fresh.contains(&name)));
        return match other {
            None => Ok(false),
            Some(entry) => Err(MirrorError::NotEmpty(entry.name.to_string_lossy().into_owned())),
        };
    };
    let root: Root = serde_json::from_slice(&root).map_err(|_| MirrorError::NotEmpty(ROOT.to_owned()))?;
    if root.format == FORMAT && root.store == hex::encode(&inner.store) {
        Ok(true)
    } else {
        Err(MirrorError::Foreign)
    }
}

/// The key that the store signs with, where it has one.
pub(crate) fn own_key(inner: &Inner) -> Option<PublicKey> {
    inner.signer.key(inner.dir()).ok().map(SecretKey::public_key)
}

/// The keys that documents of the store are signed with: its own, where it has one, and those of stores whose documents
/// it has taken over.
///
/// # Errors
/// When there are others and they cannot be read.
pub(crate) fn signing_keys(inner: &Inner) -> Result<Vec<PublicKey>, EngineError> {
    let own = own_key(inner);
    let others = other_node_keys(inner.dir()).map_err(|error| EngineError::Read(error.to_string()))?;
    let others = others.into_iter().filter(|key| Some(key) != own.as_ref());
    Ok(own.iter().cloned().chain(others).collect())
}

/// The bytes of `wfldb.json`.
pub(crate) fn root(inner: &Inner, position: LogPosition) -> Result<Vec<u8>, EngineError> {
    let keys = signing_keys(inner)?.into_iter();
    let said = json!({
        "format": FORMAT,
        "keys": keys.map(|key| KeyId::new(Role::Node, key).to_string()).collect::<Vec<_>>(),
        "position": position.get(),
        "realm": inner.realm.as_str(),
        "store": hex::encode(&inner.store),
    });
    Ok(pretty(&doc::canonical(&said)))
}

/// The bytes of `keys/allowed_signers`.
pub(crate) fn signers(inner: &Inner) -> Result<Vec<u8>, EngineError> {
    let namespaces = [doc::NAMESPACE, "git"];
    let lines = signing_keys(inner)?.into_iter();
    let lines = lines.map(|key| doc::allowed_signer_in(PRINCIPAL, &namespaces, &key));
    Ok(lines.collect::<String>().into_bytes())
}
