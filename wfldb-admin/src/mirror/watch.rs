//! `mirror watch`: what differs between a mirror and its store, as it appears and as it goes.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use wfldb_admin::Error;
use wfldb_client::Client;
use wfldb_core::auth::Authorized;
use wfldb_engine::{Engine, MirrorWatch};

use super::verify::{findings, parts, stopped};
use crate::Done;
use crate::reach::{Reach, client, runtime};

#[derive(Debug, Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    reach: Reach,
    /// Between two looks at what changed
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    every: u64,
    /// Between two comparisons of everything, the history included
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    whole_every: u64,
    /// Offline: the directory of a store that no server has open. It is only read; a profile is not used
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Offline: the mirror, or several; `mirror` in the store's directory when left out
    #[arg(long, value_name = "DIR", requires = "data")]
    mirror: Vec<PathBuf>,
}

/// Whoever is asked; of a server, looks go on beside the comparison of everything.
enum Asked {
    Server(Client, Option<JoinHandle<Result<Value, wfldb_client::Error>>>),
    Stopped(Vec<(String, MirrorWatch)>),
}

/// What differs, by the kind and the path of it, with what was said of it.
type Open = BTreeMap<(String, String), String>;

pub(crate) fn watch(args: Watch, json: bool) -> Result<Done, Error> {
    let mut kept = None;
    let asked = match &args.data {
        None => Asked::Server(client(args.reach)?, None),
        Some(data) => {
            let (engine, proof) = kept.insert(stopped(data, "wfldb-admin mirror watch")?);
            Asked::Stopped(watches(engine, proof, &args.mirror)?)
        }
    };
    let watching = Watching {
        asked,
        every: Duration::from_secs(args.every),
        whole_every: Duration::from_secs(args.whole_every),
        json,
        open: Open::new(),
    };
    runtime()?.block_on(watching.run())
}

fn watches(
    engine: &Engine,
    proof: &Authorized,
    mirrors: &[PathBuf],
) -> Result<Vec<(String, MirrorWatch)>, Error> {
    if mirrors.is_empty() {
        return Ok(vec![(String::new(), engine.watch_mirror(proof, None)?)]);
    }
    let mut watches = Vec::new();
    for dir in mirrors {
        // Which of several a path is in has to be said.
        let name = match mirrors {
            [_] => String::new(),
            _ => format!("{}/", dir.display()),
        };
        watches.push((name, engine.watch_mirror(proof, Some(dir))?));
    }
    Ok(watches)
}

struct Watching {
    asked: Asked,
    every: Duration,
    whole_every: Duration,
    json: bool,
    open: Open,
}

impl Watching {
    async fn run(mut self) -> Result<Done, Error> {
        let no_signals = |error| Error::Usage(format!("cannot wait for signals: {error}"));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        let mut whole_at = Instant::now();
        let mut first = true;
        loop {
            let whole = Instant::now() >= whole_at && !self.asked.is_comparing();
            let answer = tokio::select! {
                answer = self.asked.look(whole, first) => answer,
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
            };
            match answer {
                Ok(report) => {
                    if whole {
                        whole_at = Instant::now() + self.whole_every;
                    }
                    if std::mem::take(&mut first) {
                        self.begin(&report)?;
                    }
                    self.told(&report)?;
                }
                // Before anything was seen it is for whoever began this.
                Err(error) if first || !may_pass(&error) => return Err(error),
                Err(error) => {
                    self.failed(&error);
                    whole_at = Instant::now();
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.every) => {}
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
            }
        }
        let open = self.open.len();
        Ok(Done {
            human: format!("{open} differences"),
            json: json!({"event": "end", "open": open}),
            code: u8::from(open > 0),
        })
    }

    fn begin(&self, report: &Value) -> Result<(), Error> {
        let (files, position) = (&report["files"], &report["position"]);
        let human = format!("watching {files} files, at position {position}");
        self.line(
            &human,
            &json!({"event": "watching", "files": files, "position": position}),
        )
    }

    /// Prints what is new and what is gone.
    fn told(&mut self, report: &Value) -> Result<(), Error> {
        let now: Open = findings(report)
            .map(|finding| {
                let [kind, path, detail] = parts(finding).map(str::to_owned);
                ((kind, path), detail)
            })
            .collect();
        // A list that was cut does not say what is gone.
        let is_cut = report["findings_omitted"]
            .as_u64()
            .is_some_and(|omitted| omitted > 0);
        let gone: Vec<_> = self
            .open
            .keys()
            .filter(|known| !is_cut && !now.contains_key(*known))
            .cloned()
            .collect();
        for known in gone {
            self.open.remove(&known);
            let (kind, path) = &known;
            let event = json!({"event": "gone", "kind": kind, "path": path});
            self.line(&format!("gone: {kind}: {path}"), &event)?;
        }
        for ((kind, path), detail) in now {
            if !self.open.contains_key(&(kind.clone(), path.clone())) {
                let event = json!({"event": "differs", "kind": kind, "path": path, "detail": detail});
                self.line(&format!("differs: {kind}: {path}: {detail}"), &event)?;
                self.open.insert((kind, path), detail);
            }
        }
        Ok(())
    }

    fn line(&self, human: &str, event: &Value) -> Result<(), Error> {
        let line = if self.json {
            event.to_string()
        } else {
            human.to_owned()
        };
        let mut out = std::io::stdout().lock();
        let written = writeln!(out, "{line}").and_then(|()| out.flush());
        written.map_err(|error| Error::Usage(format!("standard output: {error}")))
    }

    fn failed(&self, error: &Error) {
        let line = if self.json {
            json!({"error": {"message": error.to_string()}}).to_string()
        } else {
            format!("wfldb-admin: {error}; it is tried again")
        };
        // There is nowhere to complain that standard error is closed.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
}

/// Whether another try may go better: the server is started again, or the mirror comes to rest.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::File(wfldb_client::Error::Api(refused)) => refused.status >= 500,
        Error::File(wfldb_client::Error::Transport(_) | wfldb_client::Error::OutcomeUnknown(_)) => true,
        _ => false,
    }
}

impl Asked {
    fn is_comparing(&self) -> bool {
        matches!(self, Self::Server(_, Some(_)))
    }

    /// What differs by now; `whole`: everything is compared, before this answers the `first` time.
    async fn look(&mut self, whole: bool, first: bool) -> Result<Value, Error> {
        match self {
            Self::Server(client, _) if whole && first => Ok(client.verify_mirror().await?),
            Self::Server(client, comparing) => {
                if whole {
                    let client = client.clone();
                    *comparing = Some(tokio::spawn(async move { client.verify_mirror().await }));
                }
                if let Some(done) = comparing.take_if(|comparing| comparing.is_finished()) {
                    // What it found is a part of the next look.
                    done.await.map_err(|error| Error::Usage(error.to_string()))??;
                }
                Ok(client.look_at_mirror().await?)
            }
            Self::Stopped(watches) => {
                let mut all = json!({"findings": [], "findings_omitted": 0, "files": 0});
                for (name, watch) in watches {
                    let report = if whole { watch.verify()? } else { watch.look()? };
                    add(&mut all, name, &json!(report));
                }
                Ok(all)
            }
        }
    }
}

/// Adds what was found in one of several mirrors.
fn add(all: &mut Value, name: &str, report: &Value) {
    let found = findings(report).map(|finding| {
        let [kind, path, detail] = parts(finding);
        json!({"kind": kind, "path": format!("{name}{path}"), "detail": detail})
    });
    if let Some(all) = all["findings"].as_array_mut() {
        all.extend(found);
    }
    for count in ["files", "findings_omitted"] {
        let sum = all[count].as_u64().unwrap_or(0) + report[count].as_u64().unwrap_or(0);
        all[count] = sum.into();
    }
    all["position"] = report["position"].clone();
}
