//! Where an agent listens: a socket in a directory that only its user can enter, or a port of this machine with a secret
//! in such a directory. Both go with the agent.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};
use wfldb_core::encoding::base64url;
use zeroize::Zeroizing;

use super::rules::{Door, TOKEN_HEADER};
use crate::Error;
use crate::call::random;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// On a socket; in a new directory of its own when no path is given.
    Socket(Option<PathBuf>),
    /// On a port of 127.0.0.1; 0 picks one.
    Port(u16),
}

pub(super) enum Listener {
    Socket(UnixListener),
    Port(TcpListener),
}

/// A place that is listened at. Dropping it removes what was made for it.
pub struct Place {
    pub(super) listener: Listener,
    pub(super) door: Arc<Door>,
    socket: Option<PathBuf>,
    token: Option<PathBuf>,
    port: u16,
    /// A directory that was made for it.
    made: Option<PathBuf>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place")
            .field("socket", &self.socket)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Place {
    /// Makes the place and listens. Needs a tokio runtime.
    ///
    /// # Errors
    /// `Local` when it cannot be made: something is there already, or a given directory is not the user's alone.
    pub async fn open(listen: &Listen) -> Result<Self, Error> {
        match listen {
            Listen::Socket(Some(path)) => Self::socket(path, None),
            Listen::Socket(None) => {
                let made = make_directory()?;
                Self::socket(&made.join("agent.sock"), Some(made))
            }
            Listen::Port(port) => Self::port(*port).await,
        }
    }

    fn socket(path: &Path, made: Option<PathBuf>) -> Result<Self, Error> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        check_directory(directory.unwrap_or(Path::new(".")))?;
        let failed = |error: std::io::Error| Error::io("cannot listen on", path, &error);
        let listener = UnixListener::bind(path).map_err(failed)?;
        let place = Self {
            listener: Listener::Socket(listener),
            door: Arc::new(Door {
                hosts: vec!["wfldb".to_owned(), "localhost".to_owned()],
                token: None,
            }),
            socket: Some(path.to_owned()),
            token: None,
            port: 0,
            made,
        };
        // The directory keeps others away already; this is the second lock.
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
        Ok(place)
    }

    async fn port(port: u16) -> Result<Self, Error> {
        let failed =
            |error: std::io::Error| Error::Local(format!("cannot listen on 127.0.0.1:{port}: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let token = Zeroizing::new(base64url::encode(&random::<32>()?));
        let made = make_directory()?;
        let file = made.join("header");
        let place = Self {
            listener: Listener::Port(listener),
            door: Arc::new(Door {
                hosts: vec![format!("127.0.0.1:{port}"), format!("localhost:{port}")],
                token: Some(token.clone()),
            }),
            socket: None,
            token: Some(file.clone()),
            port,
            made: Some(made),
        };
        let line = Zeroizing::new(format!("{TOKEN_HEADER}: {}\n", *token));
        let mut options = std::fs::File::options();
        let written = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .and_then(|mut opened| opened.write_all(line.as_bytes()));
        written.map_err(|error| Error::io("cannot write", &file, &error))?;
        Ok(place)
    }

    /// The beginning of a `curl` command that speaks to it; a path that begins with `/v1` follows. The secret is not in
    /// it, since every user of the machine can read the arguments of programs: `curl` reads it from a file.
    pub fn curl(&self) -> String {
        match (&self.socket, &self.token) {
            (Some(socket), _) => format!("curl --path-as-is --unix-socket {} http://wfldb", quoted(socket)),
            (None, Some(file)) => {
                let header = PathBuf::from(format!("@{}", file.display()));
                format!(
                    "curl --path-as-is -H {} http://127.0.0.1:{}",
                    quoted(&header),
                    self.port
                )
            }
            (None, None) => String::new(),
        }
    }

    /// The socket, or the file with the header that every request needs.
    pub fn file(&self) -> Option<&Path> {
        self.socket.as_deref().or(self.token.as_deref())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed is a dead socket, or a secret that opens nothing any more.
        for file in [&self.socket, &self.token].into_iter().flatten() {
            let _ = std::fs::remove_file(file);
        }
        if let Some(made) = &self.made {
            let _ = std::fs::remove_dir(made);
        }
    }
}

/// A new directory, mode 0700, in the user's runtime directory or the one for temporary files.
fn make_directory() -> Result<PathBuf, Error> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|path| path.is_absolute() && path.is_dir());
    let name = format!("wfldb-agent-{:016x}", u64::from_be_bytes(random()?));
    let path = runtime.unwrap_or_else(std::env::temp_dir).join(name);
    // Fails when it is there: nobody can have laid it out for us.
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .map_err(|error| Error::io("cannot make", &path, &error))?;
    Ok(path)
}

/// SECURITY: between the making of a socket and its permissions there is a moment, and on some systems a socket's own
/// permissions are not looked at. The directory's always are.
fn check_directory(path: &Path) -> Result<(), Error> {
    let found = std::fs::metadata(path).map_err(|error| Error::io("cannot use", path, &error))?;
    let others = found.mode() & 0o077;
    if found.uid() == rustix::process::geteuid().as_raw() && others == 0 {
        Ok(())
    } else {
        let path = path.display();
        Err(Error::Local(format!(
            "{path}: must be your own directory, mode 0700"
        )))
    }
}

/// For a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
