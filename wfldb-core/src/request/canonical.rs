//! The canonical string: what is signed, byte for byte. Client and server both come here.

use super::RequestError;
use crate::auth::Method;
use crate::encoding::percent::{self, Literal};
use crate::name::Audience;

/// What vouches for a request. The first line of the string names it, so that nothing made for one scheme is anything
/// in the other.
#[derive(Clone, Copy)]
pub(super) enum Scheme {
    /// An Ed25519 signature; the credential is the packet's hash.
    Signature,
    /// A tag of a session; the credential is the session's id.
    Session,
}

impl Scheme {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Signature => "WFLDB-ED25519-1",
            Self::Session => "WFLDB-B3MAC-1",
        }
    }
}

/// Everything that a request's signature or tag covers, in wire form.
pub(super) struct Canonical<'a> {
    pub(super) scheme: Scheme,
    pub(super) audience: &'a Audience,
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) timestamp: &'a str,
    pub(super) nonce: &'a str,
    pub(super) credential: &'a str,
    pub(super) content: &'a str,
    pub(super) signed_names: &'a str,
}

impl Canonical<'_> {
    /// The bytes that are signed: one line for each part and each signed header, each ended by LF.
    ///
    /// INVARIANT: no part holds a LF, so that no two requests have the same bytes. The callers
    /// have checked every part against an alphabet without control characters.
    pub(super) fn bytes<'h>(&self, signed: impl IntoIterator<Item = (&'h str, &'h str)>) -> Vec<u8> {
        let lines = [
            self.scheme.name(),
            self.audience.as_str(),
            self.method.as_str(),
            self.path,
            self.query,
            self.timestamp,
            self.nonce,
            self.credential,
            self.content,
            self.signed_names,
        ];
        let mut text = String::with_capacity(512);
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        for (name, value) in signed {
            text.push_str(name);
            text.push(':');
            text.push_str(value);
            text.push('\n');
        }
        text.into_bytes()
    }
}

/// Checks that a path is in its one spelling. Which route it is, net decides.
pub(super) fn check_path(path: &str) -> Result<(), RequestError> {
    const REFUSED: RequestError = RequestError::NotCanonical("path");
    let decoded = percent::decode_canonical(path, Literal::Path).map_err(|_| REFUSED)?;
    let rooted = decoded.starts_with('/');
    // `/v1/bucket/` is neither the bucket nor a key; `/v1/bucket//` is the key `/`.
    let names_nothing = decoded
        .strip_prefix("/v1/")
        .and_then(|rest| rest.strip_suffix('/'))
        .is_some_and(|bucket| !bucket.contains('/'));
    if rooted && !names_nothing {
        Ok(())
    } else {
        Err(REFUSED)
    }
}

/// Reads a query that is in its one spelling.
pub(super) fn parse_query(query: &str) -> Result<Vec<(String, String)>, RequestError> {
    percent::parse_query(query).map_err(|_| RequestError::NotCanonical("query"))
}
