//! Issuing packets.

use wfldb_core::encoding::base64url;
use wfldb_core::id::{KeyId, Role, SecretKey};
use wfldb_core::name::Realm;
use wfldb_core::packet::{self, Claims, Grant};
use wfldb_core::time::UnixMillis;

use crate::Error;

const DAY_SECONDS: u64 = 24 * 60 * 60;
/// Nobody remembers a packet that was issued ten years ago.
const DAYS_MAX: u64 = 3660;

/// For whom, in which store, and whether it may be passed on.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The holder's key id.
    pub holder: KeyId,
    /// The store's realm.
    pub realm: Realm,
    /// How many more links may follow, 0 to 3.
    pub delegation: u8,
}

/// From when to when a packet is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// First second.
    pub from: u64,
    /// The second after the last.
    pub until: u64,
}

impl Term {
    /// So many days from now on.
    ///
    /// # Errors
    /// `Usage` for none or too many.
    pub fn days(now: UnixMillis, days: u64) -> Result<Self, Error> {
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(Error::Usage(format!("--days is 1 to {DAYS_MAX}")));
        }
        Ok(Self {
            from: now.seconds(),
            until: now.seconds().saturating_add(days * DAY_SECONDS),
        })
    }
}

/// Signs a packet with a root key.
///
/// # Errors
/// `Packet` when the claims break a rule, `Random`.
pub fn issue(root: &SecretKey, subject: &Subject, grants: Vec<Grant>, term: Term) -> Result<String, Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| Error::Random(error.to_string()))?;
    let claims = Claims {
        iss: root.key_id(Role::Root),
        sub: subject.holder.clone(),
        aud: subject.realm.audience(),
        iat: term.from,
        nbf: term.from,
        exp: term.until,
        jti: base64url::encode(&id),
        cap: grants,
        dlg: subject.delegation,
    };
    Ok(packet::issue(root, Role::Root, &claims)?)
}
