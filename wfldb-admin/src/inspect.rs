//! Looking into a packet: its links, and what they come to.

use std::fmt::Write as _;

use serde_json::{Value, json};
use wfldb_client::grant_words;
use wfldb_core::id::SecretKey;
use wfldb_core::packet::{self, Claims, Grant, Link, Packet, PacketError, TrustedRoots, effective};
use wfldb_core::time::UnixMillis;

use crate::Error;

const DAY_SECONDS: u64 = 24 * 60 * 60;
/// From here on it is time to renew.
const EXPIRY_WARNING_DAYS: u64 = 30;

/// Whether the packet would be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Signed by one of the trusted roots, and valid now.
    Trusted,
    /// No trusted root was given; the keys that the packet's links name did sign them, and all are valid now.
    SignedByItsIssuer,
    /// A server would refuse it.
    Refused(PacketError),
}

/// What is in a packet.
#[derive(Debug)]
pub struct Report {
    packet: Packet,
    /// What every link allows.
    pub allowed: Vec<Grant>,
    /// Whether it would be believed.
    pub verdict: Verdict,
    /// What its holder should know.
    pub warnings: Vec<String>,
}

/// Reads a packet and judges it. With `trust`, it must be signed by one of these roots; with `key`, it must be that
/// key's.
///
/// # Errors
/// `Packet` when it cannot be read at all.
pub fn inspect(
    token: &str,
    trust: Option<&TrustedRoots>,
    key: Option<&SecretKey>,
    now: UnixMillis,
) -> Result<Report, Error> {
    let packet = Packet::parse(token)?;
    let claims = packet.claims();
    let verdict = match trust {
        Some(trust) => match packet::verify(token, trust, &claims.aud, now) {
            Ok(_) => Verdict::Trusted,
            Err(error) => Verdict::Refused(error),
        },
        None if !packet.signatures_verify() => Verdict::Refused(PacketError::Signature),
        None => packet
            .links()
            .try_for_each(|link| link.claims().check_time(now))
            .map_or_else(Verdict::Refused, |()| Verdict::SignedByItsIssuer),
    };
    let mut warnings = Vec::new();
    let days_left = claims.exp.saturating_sub(now.seconds()) / DAY_SECONDS;
    if claims.exp <= now.seconds() {
        warnings.push("has expired".to_owned());
    } else if days_left < EXPIRY_WARNING_DAYS {
        warnings.push(format!("expires in {days_left} days"));
    }
    if key.is_some_and(|key| &key.public_key() != claims.sub.public_key()) {
        warnings.push("is for another key than the profile's".to_owned());
    }
    let allowed = effective(packet.links().map(Link::claims));
    if allowed.is_empty() {
        warnings.push("grants nothing".to_owned());
    }
    Ok(Report {
        packet,
        allowed,
        verdict,
        warnings,
    })
}

impl Report {
    /// For people.
    pub fn human(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: &str| {
            let _ = writeln!(text, "{name:10} {value}");
        };
        let claims = self.packet.claims();
        row("holder", &claims.sub.to_string());
        row("store", claims.aud.as_str());
        row(
            "valid",
            &format!("{} to {}", seconds(claims.nbf), seconds(claims.exp)),
        );
        row("passed on", &format!("{} more times at most", claims.dlg));
        row("hash", &self.packet.hash().to_string());
        for (number, link) in self.packet.links().enumerate() {
            let claims = link.claims();
            row(
                &format!("link {number}"),
                &format!("{} for {}", claims.iss, claims.sub),
            );
            row("", &format!("issued {}", seconds(claims.iat)));
            if claims != self.packet.claims() {
                let (from, until) = (seconds(claims.nbf), seconds(claims.exp));
                row("", &format!("valid {from} to {until}"));
                row("", &format!("hash {}", link.hash()));
            }
            for (place, grant) in claims.cap.iter().enumerate() {
                row("", &format!("grant {place}: {}", grant_words(grant)));
            }
        }
        for grant in &self.allowed {
            row("allows", &grant_words(grant));
        }
        row("verdict", &self.verdict_text());
        for warning in &self.warnings {
            row("warning", &format!("this packet {warning}"));
        }
        text
    }

    /// For programs: the last link, then all of them, and what they come to.
    pub fn json(&self) -> Value {
        let mut value = link_json(self.packet.claims());
        let links: Vec<Value> = self
            .packet
            .links()
            .map(|link| {
                let mut value = link_json(link.claims());
                merge(&mut value, json!({"hash": link.hash().to_string()}));
                value
            })
            .collect();
        merge(
            &mut value,
            json!({
                "hash": self.packet.hash().to_string(),
                "links": links,
                "allows": grants_json(&self.allowed),
                "verdict": match self.verdict {
                    Verdict::Trusted => "trusted",
                    Verdict::SignedByItsIssuer => "signed",
                    Verdict::Refused(_) => "refused",
                },
                "reason": match self.verdict {
                    Verdict::Refused(error) => Some(error.reason()),
                    _ => None,
                },
                "warnings": self.warnings,
            }),
        );
        value
    }

    fn verdict_text(&self) -> String {
        match self.verdict {
            Verdict::Trusted => "trusted: signed by a root given with --trust, and valid now".to_owned(),
            Verdict::SignedByItsIssuer => {
                "every link is signed as it says and valid now; whether the root is to be trusted, --trust wr1… tells"
                    .to_owned()
            }
            Verdict::Refused(error) => format!("refused: {error}"),
        }
    }
}

fn link_json(claims: &Claims) -> Value {
    json!({
        "iss": claims.iss.to_string(),
        "sub": claims.sub.to_string(),
        "aud": claims.aud.as_str(),
        "iat": claims.iat,
        "nbf": claims.nbf,
        "exp": claims.exp,
        "expires": seconds(claims.exp),
        "jti": claims.jti,
        "dlg": claims.dlg,
        "cap": grants_json(&claims.cap),
    })
}

fn grants_json(grants: &[Grant]) -> Vec<Value> {
    let json = grants.iter().map(Grant::to_json);
    json.filter_map(|text| serde_json::from_str(&text).ok()).collect()
}

/// Adds the members of one object to another.
fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}

fn seconds(seconds: u64) -> String {
    UnixMillis::new(seconds.saturating_mul(1000)).to_string()
}
