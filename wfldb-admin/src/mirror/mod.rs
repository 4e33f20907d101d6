//! `mirror`: whether a mirror's files are what the store says, and what they say taken back into one.

mod import;
mod rebuild;
mod verify;

use std::fmt::Write as _;
use std::path::Path;

use clap::Subcommand;
use serde_json::{Value, json};
use wfldb_admin::Error;
use wfldb_engine::MirrorSource;

use crate::Done;

#[derive(Debug, Subcommand)]
pub(crate) enum Mirror {
    /// Compare every file of a mirror with its store: contents, signatures, manifests, the history in git; exit code 1 when
    /// anything differs, and what
    Verify(verify::Verify),
    /// Take edits of files as new versions, through a running server, and name or delete what was removed; exit code 1 when
    /// people have to decide
    Import(import::Import),
    /// Make a store of a mirror, in a new directory: documents as they were signed, objects, settings, indexes
    Rebuild(rebuild::Rebuild),
}

pub(crate) fn run(command: Mirror) -> Result<Done, Error> {
    match command {
        Mirror::Verify(args) => verify::verify(&args),
        Mirror::Import(args) => import::import(args),
        Mirror::Rebuild(args) => rebuild::rebuild(&args),
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
