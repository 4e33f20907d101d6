//! Links: URLs that carry the right to one method on one key, or to read below one prefix. Form and claims.
//!
//! A link is a JWS of another type than a packet, so that neither is ever taken for the other. It is one more link of
//! the chain that it carries (`prf`), signed by the holder, and says less than a packet can: there is nobody that it is
//! made out to. Not here: whether it may be believed (`url_link_verify`), and which request it comes with (`request`).

use serde::Serialize;

use super::json::{self, Object};
use super::parse::parse_header;
use super::{Packet, PacketError};
use crate::auth::{Method, Op, Target};
use crate::encoding::base64url;
use crate::id::{KeyId, SecretKey, SignatureBytes};
use crate::limits::{LINK_SECONDS_MAX, LINK_USES_MAX, PATH_BYTES_MAX};
use crate::name::{Audience, BucketName, KeyPrefix, ObjectKey};

const TYPE: &str = "wfldb-link+jwt";

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlLinkMethod {
    /// `GET` and `HEAD`.
    Get,
    /// `PUT`.
    Put,
}

impl UrlLinkMethod {
    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
        }
    }

    /// The one operation that it gives.
    pub const fn op(self) -> Op {
        match self {
            Self::Get => Op::Get,
            Self::Put => Op::Put,
        }
    }

    /// Whether a request may have this method.
    const fn covers(self, method: Method) -> bool {
        match method {
            Method::Get | Method::Head => matches!(self, Self::Get),
            Method::Put => matches!(self, Self::Put),
            Method::Post | Method::Delete | Method::Patch => false,
        }
    }
}

/// Which keys a link is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlLinkKeys {
    /// One.
    Key(ObjectKey),
    /// All that begin with this; of links to read only.
    Prefix(KeyPrefix),
}

/// The claims of a link. [`UrlLinkClaims::check`] holds for all that were parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlLinkClaims {
    /// Who signs: the holder of the packet.
    pub iss: KeyId,
    /// The store it is for.
    pub aud: Audience,
    /// From when it is valid, in seconds since 1970.
    pub iat: u64,
    /// Until when, in seconds since 1970; at most seven days after `iat`.
    pub exp: u64,
    /// 22 characters of base64url: 16 random bytes.
    pub jti: String,
    /// What it is for.
    pub method: UrlLinkMethod,
    /// In which bucket.
    pub bucket: BucketName,
    /// For which keys.
    pub keys: UrlLinkKeys,
    /// How often it may be used.
    pub uses: Option<u64>,
    /// The longest body, of a link to write.
    pub max_bytes: Option<u64>,
}

impl UrlLinkClaims {
    /// The claims, and the packet beside them.
    fn from_object(mut object: Object) -> Result<(Self, String), PacketError> {
        let claim = PacketError::Claim;
        let key = optional(&mut object, "k", |text| ObjectKey::parse(text).ok())?;
        let prefix = optional(&mut object, "p", |text| KeyPrefix::parse(text).ok())?;
        let keys = match (key, prefix) {
            (Some(key), None) => UrlLinkKeys::Key(key),
            (None, Some(prefix)) => UrlLinkKeys::Prefix(prefix),
            _ => return Err(claim("k")),
        };
        let claims = Self {
            iss: required(&mut object, "iss", |text| KeyId::parse(text).ok())?,
            aud: required(&mut object, "aud", |text| Audience::parse(text).ok())?,
            iat: object.number("iat").ok_or(claim("iat"))?,
            exp: object.number("exp").ok_or(claim("exp"))?,
            jti: object.text("jti").ok_or(claim("jti"))?,
            method: required(&mut object, "m", |text| match text {
                "GET" => Some(UrlLinkMethod::Get),
                "PUT" => Some(UrlLinkMethod::Put),
                _ => None,
            })?,
            bucket: required(&mut object, "b", |text| BucketName::parse(text).ok())?,
            keys,
            uses: optional_number(&mut object, "uses")?,
            max_bytes: optional_number(&mut object, "max_bytes")?,
        };
        let packet = object.text("prf").ok_or(claim("prf"))?;
        object.finish().ok_or(claim("unknown"))?;
        claims.check()?;
        Ok((claims, packet))
    }

    /// Checks the rules between the claims.
    ///
    /// # Errors
    /// [`PacketError::Claim`] with the claim that breaks one.
    pub fn check(&self) -> Result<(), PacketError> {
        let puts = self.method == UrlLinkMethod::Put;
        let keys_fit = match &self.keys {
            UrlLinkKeys::Key(key) => !key.is_reserved(),
            UrlLinkKeys::Prefix(prefix) => !puts && !prefix.is_all(),
        };
        let rules = [
            ("exp", self.iat < self.exp),
            // Not `exp - iat`, which a later edit could bring below zero.
            ("exp", self.exp <= self.iat.saturating_add(LINK_SECONDS_MAX)),
            ("jti", base64url::decode_array::<16>(&self.jti).is_ok()),
            ("k", keys_fit),
            (
                "uses",
                self.uses.is_none_or(|uses| (1..=LINK_USES_MAX).contains(&uses)),
            ),
            ("max_bytes", puts || self.max_bytes.is_none()),
        ];
        match rules.into_iter().find(|(_, holds)| !holds) {
            None => Ok(()),
            Some((name, _)) => Err(PacketError::Claim(name)),
        }
    }

    /// Whether it is for this operation on this target.
    pub fn covers(&self, op: Op, target: &Target) -> bool {
        let Target::Key(bucket, key) = target else {
            return false;
        };
        let key_fits = match &self.keys {
            UrlLinkKeys::Key(only) => only == key,
            UrlLinkKeys::Prefix(prefix) => prefix.covers(key),
        };
        op == self.method.op() && *bucket == self.bucket && key_fits
    }

    /// Whether it is for this method on this target.
    pub fn covers_request(&self, method: Method, target: &Target) -> bool {
        self.method.covers(method) && self.covers(self.method.op(), target)
    }
}

fn required<T>(
    object: &mut Object,
    name: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, PacketError> {
    optional(object, name, parse)?.ok_or(PacketError::Claim(name))
}

fn optional<T>(
    object: &mut Object,
    name: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, PacketError> {
    match object.take(name) {
        None => Ok(None),
        Some(json::Value::Text(text)) => parse(&text).map(Some).ok_or(PacketError::Claim(name)),
        Some(_) => Err(PacketError::Claim(name)),
    }
}

fn optional_number(object: &mut Object, name: &'static str) -> Result<Option<u64>, PacketError> {
    match object.take(name) {
        None => Ok(None),
        Some(json::Value::Number(number)) => Ok(Some(number)),
        Some(_) => Err(PacketError::Claim(name)),
    }
}

/// A link that was read. It is not verified.
#[derive(Clone, Debug)]
pub struct UrlLink {
    pub(super) token: String,
    pub(super) signed_bytes: usize,
    pub(super) signature: SignatureBytes,
    pub(super) claims: UrlLinkClaims,
    packet: String,
}

impl UrlLink {
    /// Reads a link. The packet in it is not looked at.
    ///
    /// # Errors
    /// [`PacketError`]: size, form, header, claims.
    pub fn parse(token: &str) -> Result<Self, PacketError> {
        if token.len() > PATH_BYTES_MAX {
            return Err(PacketError::TooLarge);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(PacketError::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(PacketError::Form)?;
        let signature = SignatureBytes::parse(signature).map_err(|_| PacketError::Form)?;
        let header = base64url::decode(header).map_err(|_| PacketError::Form)?;
        let claims = base64url::decode(claims).map_err(|_| PacketError::Form)?;
        let kid = parse_header(&header, TYPE)?;
        let (claims, packet) = UrlLinkClaims::from_object(json::parse_object(&claims)?)?;
        if claims.iss != kid {
            return Err(PacketError::Claim("iss"));
        }
        Ok(Self {
            token: token.to_owned(),
            signed_bytes: signed.len(),
            signature,
            claims,
            packet,
        })
    }

    /// What it says.
    pub fn claims(&self) -> &UrlLinkClaims {
        &self.claims
    }

    /// The packet that it carries, as it stands there.
    pub fn packet_token(&self) -> &str {
        &self.packet
    }
}

#[derive(Serialize)]
struct WireHeader<'a> {
    alg: &'a str,
    kid: String,
    typ: &'a str,
}

#[derive(Serialize)]
struct WireClaims<'a> {
    iss: String,
    aud: &'a str,
    iat: u64,
    exp: u64,
    jti: &'a str,
    m: &'a str,
    b: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uses: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
    prf: &'a str,
}

/// Makes a link: signs these claims with the key of the packet's holder. Whether the packet allows what the link is for
/// is not looked at, since each use asks it.
///
/// # Errors
/// [`PacketError::Claim`] when the claims break a rule, [`PacketError::Chain`] when they do not follow those of the
/// packet (which has to have `dlg` of 1 or more), [`PacketError::Issue`] when the signer is not the holder.
pub fn issue_url_link(
    signer: &SecretKey,
    packet: &Packet,
    claims: &UrlLinkClaims,
) -> Result<String, PacketError> {
    claims.check()?;
    claims.check_follows(packet.claims())?;
    if signer.key_id(claims.iss.role()) != claims.iss {
        return Err(PacketError::Issue);
    }
    let header = WireHeader {
        alg: "EdDSA",
        kid: claims.iss.to_string(),
        typ: TYPE,
    };
    let (key, prefix) = match &claims.keys {
        UrlLinkKeys::Key(key) => (Some(key.as_str()), None),
        UrlLinkKeys::Prefix(prefix) => (None, Some(prefix.as_str())),
    };
    let wire = WireClaims {
        iss: claims.iss.to_string(),
        aud: claims.aud.as_str(),
        iat: claims.iat,
        exp: claims.exp,
        jti: &claims.jti,
        m: claims.method.as_str(),
        b: claims.bucket.as_str(),
        k: key,
        p: prefix,
        uses: claims.uses,
        max_bytes: claims.max_bytes,
        prf: packet.token(),
    };
    let part = |json: Result<Vec<u8>, _>| json.map(|json| base64url::encode(&json));
    let header = part(serde_json::to_vec(&header)).map_err(|_: serde_json::Error| PacketError::Issue)?;
    let claimed = part(serde_json::to_vec(&wire)).map_err(|_: serde_json::Error| PacketError::Issue)?;
    let input = format!("{header}.{claimed}");
    let signature = signer.sign(input.as_bytes());
    let token = format!("{input}.{signature}");
    // What we make is what we accept, exactly.
    let link = UrlLink::parse(&token)?;
    if link.claims != *claims || link.packet_token() != &**packet.token() || !link.signature_verifies() {
        return Err(PacketError::Issue);
    }
    Ok(token)
}
