//! The first start: a root key, and a profile of full rights that it signed.
//!
//! The root key is written once and not read again: the store keeps its public part. Should the first start be cut
//! off, `bootstrap/unfinished` says so, and the next one goes on with the same key.

use std::path::{Path, PathBuf};

use serde::Serialize;
use wfldb_core::id::{KeyId, Nonce, Role, SecretKey};
use wfldb_core::name::Realm;
use wfldb_core::packet::{self, Claims, Grant, PacketError};
use wfldb_core::time::UnixMillis;

use wfldb_engine::{FileError, Folder};

/// How long the first profile is valid.
const PROFILE_SECONDS: u64 = 365 * 24 * 3600;
/// How many more links may follow the first profile's packet.
const PROFILE_DELEGATION: u8 = 3;

/// What the first start left for its operator.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// The root key.
    pub root_key: PathBuf,
    /// The profile of full rights.
    pub profile: PathBuf,
}

/// Why the first start did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// `root.key` is there and is not a key.
    #[error("{0} is not a secret key")]
    RootKey(String),
    /// There are no random bytes.
    #[error("random bytes are not to be had")]
    Random,
    /// The packet could not be made.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The profile could not be written down.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// A first start that is under way: the root key is on disk, its public part is about to be.
#[derive(Debug)]
pub(crate) struct Unfinished {
    folder: Folder,
    root: SecretKey,
}

#[derive(Serialize)]
struct Profile<'a> {
    url: &'a str,
    realm: &'a str,
    packet: &'a str,
    key: &'a str,
    /// The server's own key, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
}

/// Makes the root key of a store that is not there yet, or takes the one that a start before left behind.
pub(crate) fn begin(data: &Path) -> Result<Unfinished, BootstrapError> {
    let folder = Folder::new(data.join("bootstrap"));
    folder.create()?;
    folder.write("unfinished", b"")?;
    if !folder.path("root.key").exists() {
        let root = SecretKey::from_seed(random()?);
        let mut text = root.to_wire();
        text.push('\n');
        folder.write("root.key", text.as_bytes())?;
    }
    let root = read_root(&folder)?;
    Ok(Unfinished { folder, root })
}

/// The first start that was cut off after it had made this store, if there was one.
pub(crate) fn resume(data: &Path, trusted: &[KeyId]) -> Result<Option<Unfinished>, BootstrapError> {
    let folder = Folder::new(data.join("bootstrap"));
    if !folder.path("unfinished").exists() || !folder.path("root.key").exists() {
        return Ok(None);
    }
    let root = read_root(&folder)?;
    Ok(trusted
        .contains(&root.key_id(Role::Root))
        .then_some(Unfinished { folder, root }))
}

impl Unfinished {
    /// The id that the new store is to trust.
    pub(crate) fn root(&self) -> KeyId {
        self.root.key_id(Role::Root)
    }

    /// Writes the profile; the first start is complete then.
    pub(crate) fn finish(
        self,
        realm: &Realm,
        url: &str,
        node: Option<&KeyId>,
        now: UnixMillis,
    ) -> Result<Bootstrap, BootstrapError> {
        let client = SecretKey::from_seed(random()?);
        let claims = Claims {
            iss: self.root(),
            sub: client.key_id(Role::Client),
            aud: realm.audience(),
            iat: now.seconds(),
            nbf: now.seconds(),
            exp: now.seconds() + PROFILE_SECONDS,
            jti: Nonce::from_bytes(random()?).to_string(),
            cap: vec![Grant::everything()],
            dlg: PROFILE_DELEGATION,
        };
        let packet = packet::issue(&self.root, Role::Root, &claims)?;
        let profile = Profile {
            url,
            realm: realm.as_str(),
            packet: &packet,
            key: &client.to_wire(),
            node: node.map(KeyId::to_string),
        };
        let mut json = serde_json::to_vec_pretty(&profile)?;
        json.push(b'\n');
        self.folder.write("admin.json", &json)?;
        self.folder.remove("unfinished")?;
        Ok(Bootstrap {
            root_key: self.folder.path("root.key"),
            profile: self.folder.path("admin.json"),
        })
    }
}

fn read_root(folder: &Folder) -> Result<SecretKey, BootstrapError> {
    let text = folder.read("root.key")?;
    let path = folder.path("root.key");
    SecretKey::parse(text.trim_end()).map_err(|_| BootstrapError::RootKey(path.display().to_string()))
}

fn random<const N: usize>() -> Result<[u8; N], BootstrapError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| BootstrapError::Random)?;
    Ok(bytes)
}
