//! `verify`, `stats` and `compact`: of a running server through the client; `verify` also of a stopped store on its files.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use wfldb_admin::Error;
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_engine::{Engine, EngineOptions};

use crate::Done;
use crate::reach::{Reach, connected, prober};

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    reach: Reach,
    /// Offline: the directory of a store that no server has open. It is only read; a profile is not used
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(crate) fn verify(args: Verify) -> Result<Done, Error> {
    let verdict = match args.data {
        Some(data) => offline(&data)?,
        None => connected(args.reach, async |client| client.verify().await)?,
    };
    let sound = verdict.get("sound") == Some(&Value::Bool(true));
    Ok(Done {
        human: in_words(&verdict, sound),
        json: verdict,
        code: u8::from(!sound),
    })
}

fn offline(data: &Path) -> Result<Value, Error> {
    let options = EngineOptions {
        read_only: true,
        prober: prober(),
        ..EngineOptions::default()
    };
    let engine = Engine::open(data, options)?;
    let proof = Authorized::local("wfldb-admin verify", Op::Admin, Target::Store);
    let mut verdict = json!(engine.verify(&proof)?);
    // What the start of a server would say is a part of the verdict.
    if let Some(reason) = engine.damage()
        && let Some(verdict) = verdict.as_object_mut()
    {
        verdict.insert("sound".to_owned(), Value::Bool(false));
        verdict.insert("damage".to_owned(), Value::String(reason));
    }
    Ok(verdict)
}

fn in_words(verdict: &Value, sound: bool) -> String {
    let number = |name: &str| verdict.get(name).and_then(Value::as_u64).unwrap_or(0);
    let mut text = format!(
        "{} at position {}: {} changes, {} buckets, {} versions, {} bytes, {} chunks",
        if sound { "sound" } else { "NOT SOUND" },
        number("position"),
        number("changes"),
        number("buckets"),
        number("versions"),
        number("bytes"),
        number("chunks"),
    );
    if let Some(damage) = verdict.get("damage").and_then(Value::as_str) {
        let _ = write!(text, "\n{damage}");
    }
    for finding in verdict
        .get("findings")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let part = |name: &str| finding.get(name).and_then(Value::as_str);
        let _ = write!(text, "\n{}:", part("kind").unwrap_or("?"));
        for place in ["bucket", "key", "name"].into_iter().filter_map(part) {
            let _ = write!(text, " {place}");
        }
        let _ = write!(text, " {}", part("detail").unwrap_or_default());
    }
    if number("findings_omitted") > 0 {
        let _ = write!(text, "\nand {} more", number("findings_omitted"));
    }
    for view in verdict
        .get("views")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let part = |name: &str| view.get(name).and_then(Value::as_str).unwrap_or("?");
        let behind = view.get("behind").and_then(Value::as_u64).unwrap_or(0);
        let (name, bucket, state) = (part("view"), part("bucket"), part("state"));
        let _ = write!(
            text,
            "\nview {name} of bucket {bucket}: {state}, {behind} changes behind"
        );
    }
    text
}

pub(crate) fn stats(args: Reach) -> Result<Done, Error> {
    let stats = connected(args, async |client| client.stats().await)?;
    Ok(lines(&json!(stats)))
}

pub(crate) fn compact(args: Reach) -> Result<Done, Error> {
    let compacted = connected(args, async |client| client.compact().await)?;
    Ok(lines(&json!(compacted)))
}

/// One line for each figure.
fn lines(figures: &Value) -> Done {
    let members = figures.as_object().into_iter().flatten();
    let lines = members.map(|(name, value)| format!("{name} {value}"));
    Done {
        human: lines.collect::<Vec<_>>().join("\n"),
        json: figures.clone(),
        code: 0,
    }
}
