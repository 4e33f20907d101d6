//! Requests by a link: no header of ours, all that vouches for them is in the URL.

use super::parse::{Headers, Line};
use super::{FreshError, FreshRequest, RequestError, RequestHead, header};
use crate::auth::Method;
use crate::object::{ContentDigest, parse_decimal};
use crate::packet::VerifiedUrlLink;
use crate::time::UnixMillis;

/// The parameter of the query that a link stands in.
pub const LINK_PARAMETER: &str = "link";

/// Headers that a read takes.
const READ: [&str; 6] = [
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
];
/// Headers that a put takes.
const PUT: [&str; 3] = ["content-type", "if-match", "if-none-match"];

/// A request with a link whose form is right but for the link itself, which was not looked at.
#[derive(Debug)]
pub struct LinkRequest {
    head: RequestHead,
    token: String,
}

impl std::ops::Deref for LinkRequest {
    type Target = RequestHead;

    fn deref(&self) -> &RequestHead {
        &self.head
    }
}

impl LinkRequest {
    pub(super) fn of(line: Line<'_>, headers: &Headers<'_>, token: String) -> Result<Self, RequestError> {
        // SECURITY: what the other schemes need has no meaning here, so it must not be there to be believed.
        for name in header::ALL {
            if headers.has(name) {
                return Err(RequestError::NotCanonical(name));
            }
        }
        if headers.any(|name| name.starts_with(header::OWN_PREFIX)) {
            return Err(RequestError::UnsignedHeader);
        }
        let names: &[&str] = match line.method() {
            Method::Get | Method::Head => &READ,
            Method::Put => &PUT,
            Method::Post | Method::Delete | Method::Patch => &[],
        };
        let mut known = Vec::new();
        for name in names {
            if let Some(value) = headers.one(name, "header")? {
                known.push(((*name).to_owned(), value.to_owned()));
            }
        }
        let content = match line.method() {
            Method::Put => {
                let len = headers.one("content-length", "content-length")?;
                let len = len.and_then(parse_decimal).ok_or(RequestError::LengthRequired)?;
                ContentDigest::unhashed(len)
            }
            Method::Get | Method::Head | Method::Post | Method::Delete | Method::Patch => ContentDigest::None,
        };
        let head = line.head_of_link(headers, content, known)?;
        Ok(Self { head, token })
    }

    /// The link as sent.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Goes on with the link when it is the one that came with the request and is valid now, its packet too. Nothing is
    /// spent: a link can be used again.
    ///
    /// # Errors
    /// [`FreshError::Packet`].
    pub fn fresh(self, link: VerifiedUrlLink, now: UnixMillis) -> Result<FreshRequest, FreshError> {
        if link.hash() != crate::id::PacketHash::of(self.token.as_bytes()) {
            return Err(FreshError::Packet(crate::packet::PacketError::Signature));
        }
        link.check_time(now)?;
        Ok(FreshRequest {
            request: self.head,
            packet: link.packet().clone(),
            evidence: Some(link.evidence().clone()),
            link: Some(link),
        })
    }
}
