//! Running an agent.

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use wfldb_client::agent::{Agent, AgentOptions, Listen, Place};
use wfldb_client::profile::new_key;
use wfldb_client::{Client, ClientOptions, Delegation, Error, Profile, TlsOptions, parse_grant};
use wfldb_core::id::Role;

use super::args::AgentArgs;
use super::delegate::now;
use super::exit::Failure;
use super::output::Output;

pub(crate) async fn agent(
    profile: Profile,
    tls: TlsOptions,
    output: &Output,
    args: &AgentArgs,
) -> Result<(), Failure> {
    let signs_for = format!("{}", profile.endpoint);
    let profile = match &args.bucket {
        None => profile,
        Some(bucket) if !bucket.rest.is_empty() => {
            let why = "--bucket is a bucket's name; what keys begin with is given by --prefix";
            return Err(Failure::Usage(why.to_owned()));
        }
        Some(bucket) => narrowed(&profile, bucket.bucket.as_str(), args)?,
    };
    // ORDER: what ends it is listened for before it says where it is.
    let failed = |error: std::io::Error| Error::Local(format!("cannot wait for signals: {error}"));
    let mut term = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let listen = match args.tcp {
        Some(port) => Listen::Port(port),
        None => Listen::Socket(args.socket.clone()),
    };
    let place = Place::open(&listen).await?;
    let curl = place.curl();
    let file = place.file().map(|file| file.to_string_lossy().into_owned());
    output.line(
        || format!("signing for {signs_for}; use it as\n    {curl}/v1"),
        || json!({"curl": curl, "file": file, "server": signs_for}),
    )?;
    let options = ClientOptions {
        tls,
        sessions: false,
        ..ClientOptions::default()
    };
    let options_of_agent = AgentOptions {
        body_bytes_max: args.max_body,
    };
    let agent = Agent::new(Client::with_options(profile, options), options_of_agent);
    let stop = async {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    agent.serve(place, stop).await;
    Ok(())
}

/// The profile with its packet passed on to a key that is in memory only.
fn narrowed(profile: &Profile, bucket: &str, args: &AgentArgs) -> Result<Profile, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
    let mut grant = parse_grant(&format!("b={bucket},ops={}", args.ops)).map_err(|error| usage(&error))?;
    if let Some(prefix) = &args.prefix {
        grant.prefix = wfldb_core::name::KeyPrefix::parse(prefix).map_err(|error| usage(&error))?;
    }
    let key = new_key()?;
    let now = now();
    let delegation = Delegation {
        holder: key.key_id(Role::Client),
        grants: vec![grant],
        until: Some(now.seconds().saturating_add(args.term)),
        dlg: 0,
    };
    Ok(Profile {
        endpoint: profile.endpoint.clone(),
        realm: profile.realm.clone(),
        packet: profile.delegate(&delegation, now)?,
        key,
        node: profile.node.clone(),
    })
}
