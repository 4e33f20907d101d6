//! `mirror rebuild`: a new store made of a mirror.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use wfldb_admin::Error;
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::{KeyId, PublicKey, Role};
use wfldb_engine::{Engine, EngineOptions};

use super::{node_key, open, refused, refused_json};
use crate::Done;
use crate::reach::prober;

#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    /// The mirror's directory
    #[arg(long, value_name = "DIR")]
    mirror: PathBuf,
    /// Where the store goes: a directory that is not there or empty, or one of an earlier run
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Root key (wr1…) that the new store trusts: the one of the store that was, then its profiles are good here too (but for
    /// the member `node`), or another one of yours. Repeatable; a store that is there keeps those that it has
    #[arg(long, value_name = "ID", required = true, value_parser = root_key)]
    root: Vec<KeyId>,
    /// Key of a store (wn1…) whose signatures of documents are believed; repeatable. Without it, the keys that the mirror
    /// names are shown and nothing is done
    #[arg(long, value_name = "ID", value_parser = node_key)]
    trust: Vec<PublicKey>,
    /// Take the files only, not the versions that the mirror's history in git has
    #[arg(long)]
    no_history: bool,
}

fn root_key(text: &str) -> Result<KeyId, String> {
    let id = KeyId::parse(text).map_err(|error| error.to_string())?;
    let is_root = id.role() == Role::Root;
    is_root
        .then_some(id)
        .ok_or_else(|| "is a root key, wr1…".to_owned())
}

pub(crate) fn rebuild(args: &Rebuild) -> Result<Done, Error> {
    let mirror = open(&args.mirror)?;
    if args.trust.is_empty() {
        let keys = mirror.keys().iter();
        let keys: Vec<String> = keys
            .map(|key| KeyId::new(Role::Node, key.clone()).to_string())
            .collect();
        let why = format!(
            "whose signatures count is for you to say, not for the directory: --trust ID. It names {}",
            keys.join(", ")
        );
        return Err(Error::Usage(why));
    }
    let options = EngineOptions {
        realm: Some(mirror.realm().clone()),
        create_trust: args.root.clone(),
        prober: prober(),
        ..EngineOptions::default()
    };
    let engine = Engine::open(&args.data, options)?;
    let trusted: Arc<[PublicKey]> = args.trust.as_slice().into();
    let proof = Authorized::local("wfldb-admin mirror rebuild", Op::Admin, Target::Store);
    let done = engine.rebuild_from(&proof, &mirror, &trusted, !args.no_history)?;
    let mut human = format!(
        "{} buckets, {} keys and {} deleted ones, of which {} were there before; {} refused",
        done.buckets,
        done.keys,
        done.deleted,
        done.present,
        done.refused.len()
    );
    if !args.no_history {
        let _ = write!(
            human,
            "\nhistory: {} commits, of which {} older versions",
            done.commits, done.versions
        );
        if done.too_large > 0 {
            let _ = write!(human, "; {} more are above 16 MiB and not in it", done.too_large);
        }
    }
    refused(&mut human, &done.refused);
    Ok(Done {
        human,
        json: json!({
            "buckets": done.buckets, "keys": done.keys, "deleted": done.deleted, "present": done.present,
            "commits": done.commits, "versions": done.versions, "too_large": done.too_large,
            "refused": refused_json(&done.refused),
        }),
        code: u8::from(!done.refused.is_empty()),
    })
}
