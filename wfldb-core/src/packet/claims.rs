//! The claims of one link.

use super::json::Object;
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
    /// How many more links may follow, 0 to 3.
    pub dlg: u8,
}

impl Claims {
    pub(super) fn from_object(mut object: Object) -> Result<Self, PacketError> {
        // A parent is looked for first, so that the caller is told about it and not about `iss`. It is
        // refused whatever its type: a `prf` that is passed over would be a claim nobody checked.
        if object.take("prf").is_some() {
            return Err(PacketError::DelegationNotSupported);
        }
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
        Ok(claims)
    }

    /// Checks the rules between the claims.
    ///
    /// # Errors
    /// [`PacketError::Claim`] with the claim that breaks one, [`PacketError::DelegationNotSupported`]
    /// when the signer is not a root key, which in later releases needs a parent packet.
    pub fn check(&self) -> Result<(), PacketError> {
        match self.iss.role() {
            Role::Root => {}
            Role::Issuer | Role::Client => return Err(PacketError::DelegationNotSupported),
            Role::Node => return Err(PacketError::Claim("iss")),
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
