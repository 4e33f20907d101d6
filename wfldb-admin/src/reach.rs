//! How a store is reached: a running server through the client, a stopped store on its files.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use wfldb_admin::Error;
use wfldb_client::{Client, ClientOptions, Profile, TlsOptions};
use wfldb_engine::Prober;

/// First argument of the child that opens a copy of a store. Not for people.
const PROBE: &str = "__probe-store";

/// How a running server is reached.
#[derive(Debug, Args)]
pub(crate) struct Reach {
    /// Profile with the op `admin`; else `WFLDB_PROFILE`, else the user's configuration directory
    #[arg(long, value_name = "FILE", env = "WFLDB_PROFILE")]
    profile: Option<PathBuf>,
    /// Where the profile's URL is https: authorities (PEM) to trust instead of those of this machine
    #[arg(long, value_name = "FILE", env = "WFLDB_TLS_CA")]
    tls_ca: Option<PathBuf>,
    /// SHA-256 of the server's public key, in hex; repeatable. Without --tls-ca it is trusted whoever signed it
    #[arg(long, value_name = "HASH", env = "WFLDB_TLS_PIN", value_delimiter = ',')]
    tls_pin: Vec<String>,
    /// Certificate (PEM) to show to the server
    #[arg(long, value_name = "FILE", env = "WFLDB_TLS_CLIENT_CERT")]
    tls_client_cert: Option<PathBuf>,
    /// Private key of that certificate (PEM, mode 0600)
    #[arg(long, value_name = "FILE", env = "WFLDB_TLS_CLIENT_KEY")]
    tls_client_key: Option<PathBuf>,
}

impl Reach {
    fn options(&self) -> Result<ClientOptions, Error> {
        let identity = match (&self.tls_client_cert, &self.tls_client_key) {
            (Some(cert), Some(key)) => Some((cert.as_path(), key.as_path())),
            (None, None) => None,
            _ => {
                return Err(Error::Usage(
                    "--tls-client-cert and --tls-client-key go together".to_owned(),
                ));
            }
        };
        Ok(ClientOptions {
            tls: TlsOptions::from_files(self.tls_ca.as_deref(), &self.tls_pin, identity)?,
            ..ClientOptions::default()
        })
    }
}

/// The child's side of opening a copy, when this process is one.
pub(crate) fn probe() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let (first, dir) = (arguments.next()?, arguments.next()?);
    (first == OsStr::new(PROBE)).then(|| wfldb_engine::probe_main(Path::new(&dir)))
}

/// Damage can end whoever opens a store: a child of ours opens it first.
pub(crate) fn prober() -> Prober {
    std::env::current_exe().map_or(Prober::InProcess, |program| {
        Prober::Child(program, vec![OsString::from(PROBE)])
    })
}

/// Asks a running server, with the profile of `file`, of `WFLDB_PROFILE` or of the user's configuration directory.
pub(crate) fn connected<T>(
    reach: Reach,
    ask: impl AsyncFnOnce(&Client) -> Result<T, wfldb_client::Error>,
) -> Result<T, Error> {
    let client = client(reach)?;
    Ok(runtime()?.block_on(ask(&client))?)
}

/// What a command waits with.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Error::Usage(format!("cannot start: {error}")))
}

/// Whoever asks a running server, as [`connected`] finds its profile.
pub(crate) fn client(reach: Reach) -> Result<Client, Error> {
    let options = reach.options()?;
    let file = reach.profile.or_else(|| {
        wfldb_client::profile::default_path(
            std::env::var_os("XDG_CONFIG_HOME").as_deref(),
            std::env::var_os("HOME").as_deref(),
        )
    });
    let file = file.ok_or_else(|| Error::Usage("no profile: give --profile FILE".to_owned()))?;
    Ok(Client::with_options(Profile::load(&file)?, options))
}
