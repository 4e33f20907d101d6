//! The profile: where the store is, and by what key and packet one may use it. A file
//! `{"url","realm","packet","key"}`, with `node` where the server's own key is known, readable by its owner only.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wfldb_core::id::{KeyId, Role, SecretKey};
use wfldb_core::name::Realm;
use zeroize::Zeroizing;

use crate::Error;
use crate::endpoint::Endpoint;

/// A packet is at most 12 KiB, so a whole profile is far below this.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Everything a client needs. Its `Debug` shows neither key nor packet.
pub struct Profile {
    /// The server.
    pub endpoint: Endpoint,
    /// The store's realm; it is part of every signature.
    pub realm: Realm,
    /// The key packet, a compact JWS.
    pub packet: String,
    /// The key that the packet's `sub` names.
    pub key: SecretKey,
    /// The server's own key (`wn1…`), where it is known: what another key signed in its place is refused.
    pub node: Option<KeyId>,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile")
            .field("endpoint", &self.endpoint)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    url: String,
    realm: String,
    packet: String,
    key: String,
    #[serde(default)]
    node: Option<String>,
}

#[derive(Serialize)]
struct FileFormRef<'a> {
    url: &'a str,
    realm: &'a str,
    packet: &'a str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
}

impl Profile {
    /// Parses a profile's text.
    ///
    /// # Errors
    /// `Local`, naming the member that is missing or wrong, never its value.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |member: &str| Error::Local(format!("profile: `{member}` is missing or wrong"));
        // The library's message could quote the text, and the text holds a key.
        let form: FileForm = serde_json::from_str(text).map_err(|error| {
            Error::Local(format!(
                "profile: line {} column {}: not the object with the members url, realm, packet, key and perhaps node",
                error.line(),
                error.column()
            ))
        })?;
        let key = Zeroizing::new(form.key);
        let key = SecretKey::parse(&key).map_err(|_| wrong("key"))?;
        let three_parts = form.packet.split('.').count() == 3;
        let visible = form.packet.bytes().all(|byte| byte.is_ascii_graphic());
        if !three_parts || !visible || form.packet.len() > wfldb_core::limits::PACKET_BYTES_MAX {
            return Err(wrong("packet"));
        }
        let node = form.node.as_deref().map(KeyId::parse).transpose();
        let node = node.map_err(|_| wrong("node"))?;
        if node.as_ref().is_some_and(|node| node.role() != Role::Node) {
            return Err(wrong("node"));
        }
        Ok(Self {
            endpoint: Endpoint::parse(&form.url)?,
            realm: Realm::parse(&form.realm).map_err(|_| wrong("realm"))?,
            packet: form.packet,
            key,
            node,
        })
    }

    /// Reads a profile's file.
    ///
    /// # Errors
    /// `Local` when it cannot be read, holds something else, or others may read it.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = read_secret_file(path)?;
        Self::parse(&text).map_err(|error| match error {
            Error::Local(why) => Error::Local(format!("{}: {why}", path.display())),
            other => other,
        })
    }

    /// The file's text.
    ///
    /// # Errors
    /// `Local` when it cannot be encoded; a profile that was parsed can.
    pub fn to_text(&self) -> Result<Zeroizing<String>, Error> {
        let key = self.key.to_wire();
        let (url, realm) = (self.endpoint.to_string(), self.realm.to_string());
        let form = FileFormRef {
            url: &url,
            realm: &realm,
            packet: &self.packet,
            key: &key,
            node: self.node.as_ref().map(KeyId::to_string),
        };
        let text = serde_json::to_string_pretty(&form).map_err(|error| Error::Local(error.to_string()))?;
        let mut text = Zeroizing::new(text);
        text.push('\n');
        Ok(text)
    }

    /// Writes the profile, readable by its owner only, by rename.
    ///
    /// # Errors
    /// `Local` when the disk refuses.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        replace_secret_file(path, &self.to_text()?)
    }
}

/// Makes a key from the operating system's random numbers.
///
/// # Errors
/// `Local` when it gives none.
pub fn new_key() -> Result<SecretKey, Error> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice())
        .map_err(|error| Error::Local(format!("no random numbers: {error}")))?;
    Ok(SecretKey::from_seed(*seed))
}

/// `$XDG_CONFIG_HOME/wfldb/profile.json`, else `~/.config/wfldb/profile.json`; `None` without a home directory.
pub fn default_path(
    xdg_config_home: Option<&std::ffi::OsStr>,
    home: Option<&std::ffi::OsStr>,
) -> Option<PathBuf> {
    let absolute = |text: &std::ffi::OsStr| Some(PathBuf::from(text)).filter(|path| path.is_absolute());
    let configuration = xdg_config_home
        .and_then(absolute)
        .or_else(|| Some(home.and_then(absolute)?.join(".config")))?;
    Some(configuration.join("wfldb").join("profile.json"))
}

/// Reads a small file that holds a secret.
///
/// # Errors
/// `Local` when group or others may read or write it, as ssh does: a key that others can read is not a key.
pub fn read_secret_file(path: &Path) -> Result<Zeroizing<String>, Error> {
    let failed = |error: std::io::Error| Error::io("cannot read", path, &error);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_file() && metadata.mode() & 0o077 != 0 {
        return Err(Error::Local(format!(
            "{}: others may read this file, and it holds a secret key; run `chmod 600` on it",
            path.display()
        )));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(Error::Local(format!("{}: is too large", path.display())));
    }
    Ok(text)
}

/// Writes a file that holds a secret: mode 0600 from its first byte, on disk, then renamed into place.
///
/// # Errors
/// `Local` when the disk refuses.
pub fn replace_secret_file(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::io("cannot write", path, &error);
    let name = path
        .file_name()
        .ok_or_else(|| Error::Local(format!("{}: does not name a file", path.display())))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(temporary);
    // A temporary file that an earlier process with our number left would have an unknown mode.
    let _ = std::fs::remove_file(&temporary);
    let write = || {
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        // DURABILITY: a renewed profile replaces one that may have expired; the rename must outlive a crash.
        File::open(parent)?.sync_all()
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        failed(error)
    })
}

/// Writes a new file that holds a secret, mode 0600, and refuses to replace one.
///
/// # Errors
/// `Local` when it is there already or the disk refuses.
pub fn create_secret_file(path: &Path, text: &str) -> Result<(), Error> {
    let write = || {
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| Error::io("cannot write", path, &error))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    const KEY: &str = "wsk1tvq3dhpp7vngbouejl2jf3bmyrcetrljpmzgsglqhowaghfop5qjcgq";

    fn text(key: &str) -> String {
        format!(r#"{{"url":"http://127.0.0.1:7070","realm":"local","packet":"a.b.c","key":"{key}"}}"#)
    }

    #[test]
    fn a_profile_is_read_whole_or_not_at_all() {
        let profile = Profile::parse(&text(KEY)).unwrap();
        assert_eq!(profile.endpoint.authority(), "127.0.0.1:7070");
        let again = Profile::parse(&profile.to_text().unwrap()).unwrap();
        assert_eq!(*again.key.to_wire(), *profile.key.to_wire());
        for (from, to) in [
            ("wsk1", "wsk2"),
            ("http:", "ftp:"),
            ("local", "Local"),
            ("a.b.c", "a.b"),
            ("a.b.c", "a.b.c\\n"),
            ("\"url\"", "\"uri\""),
            ("{", "{\"more\":1,"),
            ("{", "{\"node\":\"wn1\","),
            (
                "{",
                "{\"node\":\"wc125njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkencm4a\",",
            ),
            ("}", ""),
        ] {
            let broken = text(KEY).replacen(from, to, 1);
            let error = Profile::parse(&broken).unwrap_err().to_string();
            assert!(!error.contains("tvq3dhpp"), "the key leaked: {error}");
        }
        let node = SecretKey::from_seed([4; 32]).key_id(Role::Node);
        let pinned = text(KEY).replacen('{', &format!("{{\"node\":\"{node}\","), 1);
        let pinned = Profile::parse(&pinned).unwrap().to_text().unwrap();
        assert_eq!(Profile::parse(&pinned).unwrap().node, Some(node));
        assert!(!format!("{profile:?}").contains("tvq3dhpp"));
        assert!(!format!("{profile:?}").contains("a.b.c"));
    }

    #[test]
    fn the_default_place_follows_xdg() {
        let path =
            |xdg: Option<&str>, home: Option<&str>| default_path(xdg.map(OsStr::new), home.map(OsStr::new));
        assert_eq!(path(Some("/x"), Some("/h")), Some("/x/wfldb/profile.json".into()));
        assert_eq!(
            path(Some("relative"), Some("/h")),
            Some("/h/.config/wfldb/profile.json".into())
        );
        assert_eq!(
            path(Some(""), Some("/h")),
            Some("/h/.config/wfldb/profile.json".into())
        );
        assert_eq!(path(None, None), None);
    }
}
