//! `mirror`: whether a mirror's files are what the store says, and what they say taken back into one.

mod import;
mod rebuild;
mod sync;
mod verify;
mod watch;

use std::fmt::Write as _;
use std::path::Path;

use clap::Subcommand;
use serde_json::{Value, json};
use wfldb_admin::Error;
use wfldb_core::id::{KeyId, PublicKey, Role};
use wfldb_core::mirror::Strategy;
use wfldb_engine::MirrorSource;

use crate::Done;

#[derive(Debug, Subcommand)]
pub(crate) enum Mirror {
    /// Compare every file of a mirror with its store: contents, signatures, manifests, the history in git; of a running
    /// server, while it writes, or of a stopped store. Exit code 1 when anything differs, and what
    Verify(verify::Verify),
    /// Do so continuously: name each difference once when it appears and once when it is gone, one line each, until SIGINT
    /// or SIGTERM. Exit code 1 when anything differs then
    Watch(watch::Watch),
    /// Take edits of files as new versions, through a running server, and name or delete what was removed; exit code 1 when
    /// people have to decide
    Import(import::Import),
    /// Make a store of a mirror, in a new directory: documents as they were signed, objects, settings, indexes
    Rebuild(rebuild::Rebuild),
    /// Bring a store together with others through a git remote: fetch, settle what both changed, push. Through a running
    /// server, which names the remote, or of a stopped store. Exit code 1 when people have to decide; then nothing is pushed
    Sync(sync::Sync),
}

pub(crate) fn run(command: Mirror, json: bool) -> Result<Done, Error> {
    match command {
        Mirror::Verify(args) => verify::verify(args),
        Mirror::Watch(args) => watch::watch(args, json),
        Mirror::Import(args) => import::import(args),
        Mirror::Rebuild(args) => rebuild::rebuild(&args),
        Mirror::Sync(args) => sync::sync(args),
    }
}

fn open(mirror: &Path) -> Result<MirrorSource, Error> {
    MirrorSource::open(mirror).map_err(|error| Error::Usage(format!("{}: {error}", mirror.display())))
}

fn refused(human: &mut String, refused: &[(String, String)]) {
    for (path, why) in refused {
        let _ = write!(human, "\nrefused: {path}: {why}");
    }
}

fn refused_json(refused: &[(String, String)]) -> Vec<Value> {
    let one = |(path, why): &(String, String)| json!({"path": path, "why": why});
    refused.iter().map(one).collect()
}

fn strategy(text: &str) -> Result<Strategy, String> {
    let names = || Strategy::ALL.map(Strategy::name).join(", ");
    Strategy::parse(text).ok_or_else(|| format!("is one of {}", names()))
}

fn node_key(text: &str) -> Result<PublicKey, String> {
    let id = KeyId::parse(text).map_err(|error| error.to_string())?;
    if id.role() == Role::Node {
        Ok(id.public_key().clone())
    } else {
        Err("is the key of a store, wn1…".to_owned())
    }
}
