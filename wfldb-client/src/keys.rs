//! Revoking packets and keys, and what is revoked.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use wfldb_core::auth::Method;
use wfldb_net::keys::{RevocationForm, RevocationList, RevokeAsked};

use crate::bucket::parse;
use crate::call::Call;
use crate::outgoing::Source;
use crate::retry::Safety;
use crate::{Client, Error, Profile};

/// A packet or profile is far smaller.
const FILE_BYTES_MAX: u64 = 64 * 1024;

impl Client {
    /// Ends a packet or a key. `admin` ends anything; others a packet in whose chain their own key signed a link, and
    /// keys below that link. It holds from the answer on.
    ///
    /// # Errors
    /// `Api` (403 where the packet does not allow it, 400 where what is shown is no packet of this store), `Transport`.
    pub async fn revoke(&self, asked: &RevokeAsked) -> Result<RevocationForm, Error> {
        let mut call = Call::new(Method::Post, "/v1/_keys".to_owned());
        call.headers
            .push(("content-type".to_owned(), "application/json".to_owned()));
        call.source = Source::of_bytes(asked.encode().into());
        // Twice is as good as once.
        call.safety = Safety::Idempotent;
        parse(&self.caller.send(&call).await?.bytes().await?)
    }

    /// A page of what is revoked, behind the `cursor` of the page before. Needs `admin`.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn revocations(&self, cursor: Option<&str>) -> Result<RevocationList, Error> {
        let mut call = Call::new(Method::Get, "/v1/_keys".to_owned());
        if let Some(cursor) = cursor {
            call = call.query(&[("cursor", cursor)]);
        }
        parse(&self.caller.send(&call).await?.bytes().await?)
    }
}

/// The link in a URL that was made with one, or the text itself.
pub fn link_in(text: &str) -> &str {
    text.rsplit_once("?link=").map_or(text, |(_, link)| link).trim()
}

/// The packet in a file: alone, or in a profile.
///
/// # Errors
/// `Local` when the file cannot be read or holds neither.
pub fn packet_in(path: &Path) -> Result<String, Error> {
    let failed = |error: std::io::Error| Error::Local(format!("{}: {error}", path.display()));
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.trim_start().starts_with('{') {
        Ok(Profile::load(path)?.packet)
    } else {
        Ok(text.trim().to_owned())
    }
}
