//! Looking into a packet.

use std::fmt::Write as _;

use serde_json::{Value, json};
use wfldb_core::id::SecretKey;
use wfldb_core::packet::{self, Grant, Packet, PacketError, TrustedRoots};
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
    /// No trusted root was given; the key that the packet names did sign it, and it is valid now.
    SignedByItsIssuer,
    /// A server would refuse it.
    Refused(PacketError),
}

/// What is in a packet.
#[derive(Debug)]
pub struct Report {
    packet: Packet,
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
        None if !packet.signature_verifies() => Verdict::Refused(PacketError::Signature),
        None => claims
            .check_time(now)
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
    if claims.cap.is_empty() {
        warnings.push("grants nothing".to_owned());
    }
    Ok(Report {
        packet,
        verdict,
        warnings,
    })
}

impl Report {
    /// For people.
    pub fn human(&self) -> String {
        let claims = self.packet.claims();
        let mut text = String::new();
        let mut row = |name: &str, value: &str| {
            let _ = writeln!(text, "{name:10} {value}");
        };
        row("issuer", &claims.iss.to_string());
        row("holder", &claims.sub.to_string());
        row("store", claims.aud.as_str());
        row("issued", &seconds(claims.iat));
        row(
            "valid",
            &format!("{} to {}", seconds(claims.nbf), seconds(claims.exp)),
        );
        row("passed on", &format!("{} more times at most", claims.dlg));
        row("hash", &self.packet.hash().to_string());
        for grant in &claims.cap {
            row("grant", &grant_text(grant));
        }
        row("verdict", &self.verdict_text());
        for warning in &self.warnings {
            row("warning", &format!("this packet {warning}"));
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let claims = self.packet.claims();
        let grants: Vec<Value> = claims
            .cap
            .iter()
            .filter_map(|grant| serde_json::from_str(&grant.to_json()).ok())
            .collect();
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
            "cap": grants,
            "hash": self.packet.hash().to_string(),
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
        })
    }

    fn verdict_text(&self) -> String {
        match self.verdict {
            Verdict::Trusted => "trusted: signed by a root given with --trust, and valid now".to_owned(),
            Verdict::SignedByItsIssuer => {
                "signed by its issuer and valid now; whether that is to be trusted, --trust wr1… tells"
                    .to_owned()
            }
            Verdict::Refused(error) => format!("refused: {error}"),
        }
    }
}

fn seconds(seconds: u64) -> String {
    UnixMillis::new(seconds.saturating_mul(1000)).to_string()
}

fn grant_text(grant: &Grant) -> String {
    let ops: Vec<&str> = grant.ops.iter().map(wfldb_core::auth::Op::as_str).collect();
    let keys = if grant.prefix.is_all() {
        "all keys"
    } else {
        grant.prefix.as_str()
    };
    let bucket = match grant.bucket.as_str() {
        "*" => "all buckets",
        name => name,
    };
    let mut text = format!("{} in {bucket}, {keys}", ops.join(" "));
    let limits = &grant.limits;
    let numbers = [
        ("max_bytes", limits.max_bytes),
        ("rate", limits.rate),
        ("quota_bytes", limits.quota_bytes),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            let _ = write!(text, ", {name} {value}");
        }
    }
    if limits.create_only {
        text.push_str(", create_only");
    }
    if let Some(ranges) = &limits.cidr {
        let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
        let _ = write!(text, ", from [{}]", ranges.join(" "));
    }
    if let Some(types) = &limits.content_type {
        let _ = write!(text, ", of type [{}]", types.join(" "));
    }
    text
}
