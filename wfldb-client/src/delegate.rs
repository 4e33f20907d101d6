//! Passing a packet on, offline: the next link of its chain, never for more than the packet allows.

use wfldb_core::encoding::base64url;
use wfldb_core::id::{KeyId, Role};
use wfldb_core::limits::LINKS_MAX;
use wfldb_core::packet::{self, Claims, Grant, Packet, Widening, effective, widening};
use wfldb_core::time::UnixMillis;

use crate::grant::grant_words;
use crate::{Error, Profile};

/// How long a packet that is passed on is valid where nothing else is said: 30 days, or as long as the one before.
pub const TERM_SECONDS_DEFAULT: u64 = 30 * 24 * 60 * 60;

/// What is passed on, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// Who gets it.
    pub holder: KeyId,
    /// What they may do.
    pub grants: Vec<Grant>,
    /// Until when, in seconds since 1970; [`TERM_SECONDS_DEFAULT`] from now, or the end of the packet before, when left
    /// out.
    pub until: Option<u64>,
    /// How many more links may follow.
    pub dlg: u8,
}

impl Profile {
    /// The profile's packet with one more link.
    ///
    /// # Errors
    /// `Widening` when it would be for more than the packet allows, with what it does allow; `Local` when the profile's
    /// packet and key do not belong together, or the result is too large.
    pub fn delegate(&self, delegation: &Delegation, now: UnixMillis) -> Result<String, Error> {
        let parent = Packet::parse(&self.packet).map_err(local)?;
        let before = parent.claims();
        if before.sub.public_key() != &self.key.public_key() || !parent.signatures_verify() {
            return Err(Error::Local(
                "the profile's packet is for another key, or its signatures do not verify".to_owned(),
            ));
        }
        if !matches!(before.sub.role(), Role::Client | Role::Issuer) {
            return Err(Error::Widening("a node's packet cannot be passed on".to_owned()));
        }
        links_left(&parent, delegation.dlg)?;
        let (from, until) = term(before, delegation.until, now.seconds())?;
        let allowed = effective(parent.links().map(packet::Link::claims));
        for grant in &delegation.grants {
            if let Some(found) = widening(&allowed, grant) {
                return Err(wider(grant, found, &allowed));
            }
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| Error::Local(format!("no random numbers: {error}")))?;
        let claims = Claims {
            iss: before.sub.clone(),
            sub: delegation.holder.clone(),
            aud: before.aud.clone(),
            iat: now.seconds().max(before.iat),
            nbf: from,
            exp: until,
            jti: base64url::encode(&id),
            cap: delegation.grants.clone(),
            dlg: delegation.dlg,
        };
        packet::delegate(&self.key, &parent, &claims).map_err(local)
    }
}

fn local(error: packet::PacketError) -> Error {
    Error::Local(error.to_string())
}

fn links_left(parent: &Packet, dlg: u8) -> Result<(), Error> {
    let left = parent.claims().dlg;
    if left == 0 {
        let why = "this packet may not be passed on: it was issued so (dlg 0)";
        return Err(Error::Widening(why.to_owned()));
    }
    if parent.links().count() >= LINKS_MAX {
        return Err(Error::Widening(format!("a chain has {LINKS_MAX} links at most")));
    }
    if dlg >= left {
        return Err(Error::Widening(format!(
            "this would widen the packet: it may be passed on {left} more times in all, so dlg is {} at most",
            left - 1
        )));
    }
    Ok(())
}

/// From when to when, inside the time of the packet before.
fn term(before: &Claims, until: Option<u64>, now: u64) -> Result<(u64, u64), Error> {
    let words = |seconds: u64| UnixMillis::new(seconds.saturating_mul(1000)).to_string();
    if before.exp <= now {
        let ended = words(before.exp);
        return Err(Error::Widening(format!(
            "this packet has expired: it ended {ended}"
        )));
    }
    let from = now.max(before.nbf);
    let default = from.saturating_add(TERM_SECONDS_DEFAULT).min(before.exp);
    let until = until.unwrap_or(default);
    if until > before.exp {
        return Err(Error::Widening(format!(
            "this would widen the packet: {} is after its end, {}",
            words(until),
            words(before.exp)
        )));
    }
    if until <= from {
        return Err(Error::Local(format!(
            "it would never be valid: it begins {} and ends {}",
            words(from),
            words(until)
        )));
    }
    Ok((from, until))
}

fn wider(grant: &Grant, found: Widening, allowed: &[Grant]) -> Error {
    let allowed: Vec<String> = allowed.iter().map(grant_words).collect();
    let allowed = if allowed.is_empty() {
        "nothing".to_owned()
    } else {
        allowed.join("; ")
    };
    Error::Widening(format!(
        "this would widen the packet, by `{}` for {}: asked for was {}; it allows: {allowed}",
        found.member,
        found.op,
        grant_words(grant)
    ))
}
