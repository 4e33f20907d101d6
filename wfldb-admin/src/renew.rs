//! Renewing a profile: the same holder, grants and store, a new term.

use wfldb_client::Profile;
use wfldb_core::id::{Role, SecretKey};
use wfldb_core::packet::Packet;
use wfldb_core::time::UnixMillis;

use crate::{Error, Subject, Term, issue};

/// The profile with a packet that is valid from now on, for `days` or for as long as the old one was. An expired
/// packet can be renewed; one that this root key did not sign, or that is not the profile key's, cannot.
///
/// # Errors
/// `Usage` when root key, profile key and packet do not belong together; `Packet`.
pub fn renew(
    root: &SecretKey,
    profile: Profile,
    now: UnixMillis,
    days: Option<u64>,
) -> Result<Profile, Error> {
    let packet = Packet::parse(&profile.packet)?;
    let old = packet.claims();
    if old.iss != root.key_id(Role::Root) {
        let why = format!("the packet was issued by {}, not by this root key", old.iss);
        return Err(Error::Usage(why));
    }
    // SECURITY: grants are taken over from the old packet, so it must be ours, not merely name us.
    if !packet.signatures_verify() {
        return Err(Error::Usage(
            "the packet's signature does not verify: nothing is renewed".to_owned(),
        ));
    }
    if old.aud != profile.realm.audience() {
        return Err(Error::Usage(
            "the packet is for another realm than the profile".to_owned(),
        ));
    }
    if old.sub.public_key() != &profile.key.public_key() {
        return Err(Error::Usage(
            "the packet is for another key than the profile's".to_owned(),
        ));
    }
    let same = Term {
        from: now.seconds(),
        until: now.seconds().saturating_add(old.exp.saturating_sub(old.nbf)),
    };
    let term = days.map_or(Ok(same), |days| Term::days(now, days))?;
    let subject = Subject {
        holder: old.sub.clone(),
        realm: profile.realm.clone(),
        delegation: old.dlg,
    };
    let packet = issue(root, &subject, old.cap.clone(), term)?;
    Ok(Profile { packet, ..profile })
}
