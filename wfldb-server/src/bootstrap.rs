//! The first start: a root key, and a profile of full rights that it signed.
//!
//! The root key is written once and not read again: the store keeps its public part. Should the first start be cut
//! off, `bootstrap/unfinished` says so, and the next one goes on with the same key.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use wfldb_core::id::{KeyId, Nonce, Role, SecretKey};
use wfldb_core::name::Realm;
use wfldb_core::packet::{self, Claims, Grant, PacketError};
use wfldb_core::time::UnixMillis;

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
    #[error("{path}: {source}")]
    Io {
        /// What was written or read.
        path: String,
        /// The reason.
        source: io::Error,
    },
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
}

/// Makes the root key of a store that is not there yet, or takes the one that a start before left behind.
pub(crate) fn begin(data: &Path) -> Result<Unfinished, BootstrapError> {
    let folder = Folder::of(data);
    folder.create()?;
    folder.write("unfinished", b"")?;
    if !folder.path("root.key").exists() {
        let root = SecretKey::from_seed(random()?);
        let mut text = root.to_wire();
        text.push('\n');
        folder.write("root.key", text.as_bytes())?;
    }
    folder.read_root().map(|root| Unfinished { folder, root })
}

/// The first start that was cut off after it had made this store, if there was one.
pub(crate) fn resume(data: &Path, trusted: &[KeyId]) -> Result<Option<Unfinished>, BootstrapError> {
    let folder = Folder::of(data);
    if !folder.path("unfinished").exists() || !folder.path("root.key").exists() {
        return Ok(None);
    }
    let root = folder.read_root()?;
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

fn random<const N: usize>() -> Result<[u8; N], BootstrapError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| BootstrapError::Random)?;
    Ok(bytes)
}

/// `DIR/bootstrap`, for its owner only.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn of(data: &Path) -> Self {
        Self(data.join("bootstrap"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn create(&self) -> Result<(), BootstrapError> {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
            .map_err(failed(&self.0))
    }

    /// Writes a file for its owner only, whole or not at all.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), BootstrapError> {
        let (path, fresh) = (self.path(name), self.path(&format!("{name}.new")));
        let write = || {
            match fs::remove_file(&fresh) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&fresh)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            self.sync()
        };
        write().map_err(failed(&path))
    }

    fn remove(&self, name: &str) -> Result<(), BootstrapError> {
        let path = self.path(name);
        fs::remove_file(&path)
            .and_then(|()| self.sync())
            .map_err(failed(&path))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    fn read_root(&self) -> Result<SecretKey, BootstrapError> {
        let path = self.path("root.key");
        let text = fs::read_to_string(&path).map_err(failed(&path))?;
        SecretKey::parse(text.trim_end()).map_err(|_| BootstrapError::RootKey(path.display().to_string()))
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> BootstrapError {
    let path = path.display().to_string();
    move |source| BootstrapError::Io { path, source }
}
