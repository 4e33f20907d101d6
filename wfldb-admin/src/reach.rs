//! How a store is reached: a running server through the client, a stopped store on its files.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use wfldb_admin::Error;
use wfldb_client::{Client, Profile};
use wfldb_engine::Prober;

/// First argument of the child that opens a copy of a store. Not for people.
const PROBE: &str = "__probe-store";

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
    file: Option<PathBuf>,
    ask: impl AsyncFnOnce(&Client) -> Result<T, wfldb_client::Error>,
) -> Result<T, Error> {
    let file = file.or_else(|| {
        wfldb_client::profile::default_path(
            std::env::var_os("XDG_CONFIG_HOME").as_deref(),
            std::env::var_os("HOME").as_deref(),
        )
    });
    let file = file.ok_or_else(|| Error::Usage("no profile: give --profile FILE".to_owned()))?;
    let client = Client::from_profile(Profile::load(&file)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Usage(format!("cannot start: {error}")))?;
    Ok(runtime.block_on(ask(&client))?)
}
