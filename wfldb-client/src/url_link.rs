//! Making links: URLs that read or write without a key, never for more than the profile's packet allows.

use wfldb_core::auth::Target;
use wfldb_core::encoding::{base64url, percent};
use wfldb_core::limits::{LINK_SECONDS_MAX, PATH_BYTES_MAX};
use wfldb_core::name::{BucketName, KeyPrefix};
use wfldb_core::packet::{
    Grant, GrantBucket, GrantLimits, Link, Packet, UrlLinkClaims, UrlLinkKeys, UrlLinkMethod, effective,
    issue_url_link,
};
use wfldb_core::time::UnixMillis;

use crate::call::random;
use crate::grant::grant_words;
use crate::{Error, Profile};

/// What a link is to be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRequest {
    /// To read or to write.
    pub method: UrlLinkMethod,
    /// In which bucket.
    pub bucket: BucketName,
    /// For which keys.
    pub keys: UrlLinkKeys,
    /// For how long, in seconds from now; at most seven days.
    pub seconds: u64,
    /// How often.
    pub uses: Option<u64>,
    /// The longest body, of a link to write.
    pub max_bytes: Option<u64>,
}

/// A link that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeLink {
    /// The whole URL. Of a link for a prefix the rest of the key goes before the `?`.
    pub url: String,
    /// When it is over.
    pub expires: UnixMillis,
}

impl Profile {
    /// Makes a link with the profile's packet and key. Nothing is asked of the server.
    ///
    /// # Errors
    /// `Widening` when the packet may not be passed on, does not allow it, or ends before; `Local` when the profile's
    /// packet and key do not belong together, or the URL would be too long.
    pub fn link(&self, asked: &LinkRequest, now: UnixMillis) -> Result<MadeLink, Error> {
        let packet = Packet::parse(&self.packet).map_err(|error| Error::Local(error.to_string()))?;
        let holder = packet.claims();
        if holder.sub.public_key() != &self.key.public_key() || !packet.signatures_verify() {
            let why = "the profile's packet is for another key, or its signatures do not verify";
            return Err(Error::Local(why.to_owned()));
        }
        if holder.dlg == 0 {
            let why =
                "this packet may not be passed on, so no link can be made of it: it was issued so (dlg 0)";
            return Err(Error::Widening(why.to_owned()));
        }
        if !(1..=LINK_SECONDS_MAX).contains(&asked.seconds) {
            return Err(Error::Local("a link is valid for seven days at most".to_owned()));
        }
        let begins = now.seconds().max(holder.iat);
        let ends = begins.saturating_add(asked.seconds);
        if ends > holder.exp {
            let until = UnixMillis::new(holder.exp.saturating_mul(1000));
            let why =
                format!("this packet ends {until}, before the link would: give --expires a shorter time");
            return Err(Error::Widening(why));
        }
        check_allowed(&packet, asked)?;
        let claims = UrlLinkClaims {
            iss: holder.sub.clone(),
            aud: holder.aud.clone(),
            iat: begins,
            exp: ends,
            jti: base64url::encode(&random::<16>()?),
            method: asked.method,
            bucket: asked.bucket.clone(),
            keys: asked.keys.clone(),
            uses: asked.uses,
            max_bytes: asked.max_bytes,
        };
        let too_long = "the link is longer than a URL may be (8 KiB): the packet's chain is too long for one";
        let token = issue_url_link(&self.key, &packet, &claims).map_err(|error| match error {
            wfldb_core::packet::PacketError::TooLarge => Error::Local(too_long.to_owned()),
            error => Error::Local(error.to_string()),
        })?;
        let path = match &asked.keys {
            UrlLinkKeys::Key(key) => Target::Key(asked.bucket.clone(), key.clone()).path(),
            UrlLinkKeys::Prefix(prefix) => {
                let prefix = percent::encode_path_segmentwise(prefix.as_str());
                format!("/v1/{}/{prefix}", asked.bucket)
            }
        };
        let target = format!("{path}?link={token}");
        if target.len() > PATH_BYTES_MAX {
            return Err(Error::Local(too_long.to_owned()));
        }
        Ok(MadeLink {
            url: format!("{}{target}", self.endpoint),
            expires: claims.ends(),
        })
    }
}

/// A link that would never work is not made: some grant that the whole chain comes to covers what it is for.
fn check_allowed(packet: &Packet, asked: &LinkRequest) -> Result<(), Error> {
    let prefix = |text: &str| KeyPrefix::parse(text).map_err(|error| Error::Local(error.to_string()));
    let wanted = Grant {
        bucket: GrantBucket::Named(asked.bucket.clone()),
        prefix: match &asked.keys {
            UrlLinkKeys::Key(key) => prefix(key.as_str())?,
            UrlLinkKeys::Prefix(prefix) => prefix.clone(),
        },
        ops: [asked.method.op()].into_iter().collect(),
        limits: GrantLimits::default(),
    };
    let allowed = effective(packet.links().map(Link::claims));
    if covers(&allowed, &wanted) {
        return Ok(());
    }
    let allowed: Vec<String> = allowed.iter().map(grant_words).collect();
    Err(Error::Widening(format!(
        "this packet does not allow what the link would be for; it allows: {}",
        if allowed.is_empty() {
            "nothing".to_owned()
        } else {
            allowed.join("; ")
        }
    )))
}

fn covers(allowed: &[Grant], wanted: &Grant) -> bool {
    allowed.iter().any(|grant| {
        let bucket = match (&grant.bucket, &wanted.bucket) {
            (GrantBucket::Any, _) => true,
            (held, asked) => held == asked,
        };
        bucket
            && grant.prefix.covers_prefix(&wanted.prefix)
            && wanted.ops.iter().all(|op| grant.ops.contains(op))
    })
}
