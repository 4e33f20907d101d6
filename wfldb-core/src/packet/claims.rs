//! The claims of one link, and what they must be beside those of the link before.

use super::json::{Object, Value};
use super::{Grant, PacketError};
use crate::encoding::base64url;
use crate::id::{KeyId, Role};
use crate::limits::{DELEGATION_MAX, GRANTS_MAX, PACKET_SKEW_SECONDS};
use crate::name::Audience;
use crate::time::UnixMillis;

/// The claims of one link of a packet. [`Claims::check`] holds for all that were parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who signs.
    pub iss: KeyId,
    /// Who may use it: the holder signs requests with this key.
    pub sub: KeyId,
    /// The store it is for.
    pub aud: Audience,
    /// When it was issued, in seconds since 1970.
    pub iat: u64,
    /// From when it is valid, in seconds since 1970.
    pub nbf: u64,
    /// Until when it is valid, in seconds since 1970.
    pub exp: u64,
    /// 22 characters of base64url: 16 random bytes. Informative only.
    pub jti: String,
    /// What it allows; nothing when empty.
    pub cap: Vec<Grant>,
    /// How many more links may follow, 0 to 3; less than the parent's.
    pub dlg: u8,
}

impl Claims {
    /// The claims, and the parent packet beside them (`prf`): there exactly when the signer is not a root key.
    pub(super) fn from_object(mut object: Object) -> Result<(Self, Option<String>), PacketError> {
        let parent = match object.take("prf") {
            None => None,
            Some(Value::Text(token)) => Some(token),
            Some(_) => return Err(PacketError::Claim("prf")),
        };
        let claims = Self {
            iss: key_id(&mut object, "iss")?,
            sub: key_id(&mut object, "sub")?,
            aud: object
                .text("aud")
                .and_then(|aud| Audience::parse(&aud).ok())
                .ok_or(PacketError::Claim("aud"))?,
            iat: object.number("iat").ok_or(PacketError::Claim("iat"))?,
            nbf: object.number("nbf").ok_or(PacketError::Claim("nbf"))?,
            exp: object.number("exp").ok_or(PacketError::Claim("exp"))?,
            jti: object.text("jti").ok_or(PacketError::Claim("jti"))?,
            cap: object
                .list("cap")
                .ok_or(PacketError::Claim("cap"))?
                .into_iter()
                .map(Grant::from_value)
                .collect::<Result<_, _>>()?,
            dlg: object
                .number("dlg")
                .and_then(|dlg| u8::try_from(dlg).ok())
                .ok_or(PacketError::Claim("dlg"))?,
        };
        object.finish().ok_or(PacketError::Claim("unknown"))?;
        claims.check()?;
        claims.check_parent_is(parent.is_some())?;
        Ok((claims, parent))
    }

    /// Checks the rules between the claims.
    ///
    /// # Errors
    /// [`PacketError::Claim`] with the claim that breaks one.
    pub fn check(&self) -> Result<(), PacketError> {
        if self.iss.role() == Role::Node {
            return Err(PacketError::Claim("iss"));
        }
        if self.sub.role() == Role::Root {
            return Err(PacketError::Claim("sub"));
        }
        if self.iat > self.nbf {
            return Err(PacketError::Claim("iat"));
        }
        if self.nbf >= self.exp {
            return Err(PacketError::Claim("exp"));
        }
        if base64url::decode_array::<16>(&self.jti).is_err() {
            return Err(PacketError::Claim("jti"));
        }
        if self.cap.len() > GRANTS_MAX {
            return Err(PacketError::Claim("cap"));
        }
        if self.dlg > DELEGATION_MAX {
            return Err(PacketError::Claim("dlg"));
        }
        self.cap.iter().try_for_each(Grant::check)
    }

    /// Checks that a parent is there exactly when the signer is not a root key.
    ///
    /// SECURITY: so link 0 is always a root's, and nobody but the holder of its parent signs a later one.
    pub(super) fn check_parent_is(&self, there: bool) -> Result<(), PacketError> {
        if there == (self.iss.role() == Role::Root) {
            Err(PacketError::Claim("prf"))
        } else {
            Ok(())
        }
    }

    /// Checks the link against the one before it: signed by its holder, for the same store, inside its times, and
    /// with fewer links to follow. What `cap` says is not compared: every link has to allow each access anyway.
    ///
    /// # Errors
    /// [`PacketError::Chain`] with the claim that does not fit.
    pub fn check_follows(&self, parent: &Self) -> Result<(), PacketError> {
        let rules = [
            ("iss", self.iss == parent.sub),
            ("aud", self.aud == parent.aud),
            ("iat", parent.iat <= self.iat),
            ("nbf", parent.nbf <= self.nbf),
            ("exp", self.exp <= parent.exp),
            ("dlg", self.dlg < parent.dlg),
        ];
        match rules.into_iter().find(|(_, holds)| !holds) {
            None => Ok(()),
            Some((claim, _)) => Err(PacketError::Chain(claim)),
        }
    }

    /// Whether the link is valid now, with 60 s of tolerance either way.
    ///
    /// # Errors
    /// [`PacketError::NotYetValid`] or [`PacketError::Expired`].
    pub fn check_time(&self, now: UnixMillis) -> Result<(), PacketError> {
        let now = now.seconds();
        let soon = now.saturating_add(PACKET_SKEW_SECONDS);
        if self.iat > soon || self.nbf > soon {
            return Err(PacketError::NotYetValid);
        }
        if now >= self.exp.saturating_add(PACKET_SKEW_SECONDS) {
            return Err(PacketError::Expired);
        }
        Ok(())
    }
}

fn key_id(object: &mut Object, name: &'static str) -> Result<KeyId, PacketError> {
    object
        .text(name)
        .and_then(|id| KeyId::parse(&id).ok())
        .ok_or(PacketError::Claim(name))
}
