//! Passing the profile's packet on.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use wfldb_client::profile::{create_secret_file, new_key};
use wfldb_client::{Delegation, Error, Profile, parse_grant};
use wfldb_core::id::{KeyId, Role};
use wfldb_core::packet::{Grant, Packet};
use wfldb_core::time::UnixMillis;

use super::args::{Delegate, HolderRole};
use super::exit::Failure;
use super::output::Output;

pub(crate) fn delegate(profile: &Profile, output: &Output, args: &Delegate) -> Result<(), Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
    let grants: Vec<Grant> = args
        .grant
        .iter()
        .map(|text| parse_grant(text).map_err(|error| usage(&error)))
        .collect::<Result<_, _>>()?;
    let key = args.new_key.then(new_key).transpose()?;
    let role = match args.role {
        HolderRole::Client => Role::Client,
        HolderRole::Issuer => Role::Issuer,
    };
    let holder = match (&key, &args.sub) {
        (Some(key), _) => key.key_id(role),
        (None, Some(id)) => KeyId::parse(id)
            .ok()
            .filter(|id| id.role() != Role::Root)
            .ok_or_else(|| usage(&"--sub: is not the key id of a holder (wc1…, wi1… or wn1…)"))?,
        (None, None) => return Err(usage(&"--sub or --new-key is needed")),
    };
    let now = now();
    let until = args
        .until
        .map(UnixMillis::seconds)
        .or_else(|| args.term.map(|term| now.seconds().saturating_add(term)));
    let delegation = Delegation {
        holder: holder.clone(),
        grants,
        until,
        dlg: args.dlg,
    };
    let packet = profile.delegate(&delegation, now)?;
    let issued = Packet::parse(&packet).map_err(|error| Error::Local(error.to_string()))?;
    let expires = UnixMillis::new(issued.claims().exp.saturating_mul(1000)).to_string();
    let (what, text) = match key {
        Some(key) => {
            let profile = Profile {
                endpoint: profile.endpoint.clone(),
                realm: profile.realm.clone(),
                packet: packet.clone(),
                key,
                node: profile.node.clone(),
            };
            ("profile", profile.to_text()?)
        }
        None => ("packet", format!("{packet}\n").into()),
    };
    match &args.out {
        Some(path) => {
            create_secret_file(path, &text)?;
            let file = path.display();
            output.line(
                || format!("{holder}\nthe {what} is in {file}, valid until {expires}"),
                || json!({"holder": holder.to_string(), "file": path.to_string_lossy(), "expires": expires}),
            )?;
        }
        // Only a packet comes here: a profile needs --out, since it holds a secret.
        None => output.line(
            || packet.clone(),
            || json!({"holder": holder.to_string(), "packet": packet, "expires": expires}),
        )?,
    }
    Ok(())
}

pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
