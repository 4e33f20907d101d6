//! The realm of a store, and the audience that packets and requests name.

use std::sync::Arc;

use super::{NameError, text_newtype};
use crate::limits::REALM_BYTES_MAX;

const AUDIENCE_PREFIX: &str = "wfldb:";

/// The realm of a store: 1 to 63 of `a-z 0-9 -`, fixed when the store is created.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Realm(Arc<str>);

text_newtype!(Realm);

impl Realm {
    /// Reads a realm.
    ///
    /// # Errors
    /// [`NameError::Realm`] when the text is not one.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let length_fits = (1..=REALM_BYTES_MAX).contains(&text.len());
        let alphabet_fits = text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if length_fits && alphabet_fits {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Realm)
        }
    }

    /// The audience of this realm: `wfldb:<realm>`.
    pub fn audience(&self) -> Audience {
        Audience(format!("{AUDIENCE_PREFIX}{}", self.0).into())
    }
}

/// Whom a packet or request is meant for: `wfldb:<realm>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Audience(Arc<str>);

text_newtype!(Audience);

impl Audience {
    /// Reads an audience.
    ///
    /// # Errors
    /// [`NameError::Audience`] when the text is not `wfldb:` and a realm.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let realm = text.strip_prefix(AUDIENCE_PREFIX).ok_or(NameError::Audience)?;
        Realm::parse(realm)
            .map(|realm| realm.audience())
            .map_err(|_| NameError::Audience)
    }

    /// The realm in it.
    pub fn realm(&self) -> Realm {
        Realm(self.0.strip_prefix(AUDIENCE_PREFIX).unwrap_or_default().into())
    }
}
