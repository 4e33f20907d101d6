//! Requests of a session: one header in place of six, a tag in place of a signature.

use super::canonical::{Canonical, Scheme};
use super::link::{LINK_PARAMETER, LinkRequest};
use super::parse::{Headers, Line};
use super::sign::{names, signed_headers};
use super::{FreshError, FreshRequest, RequestError, RequestHead, SignedRequest, header};
use crate::auth::Method;
use crate::id::SessionId;
use crate::name::Audience;
use crate::object::{ContentDigest, parse_decimal};
use crate::packet::VerifiedPacket;
use crate::session::{CounterWindow, Session, SessionKey, SessionTag};
use crate::time::UnixMillis;

/// A request as it arrived, by what vouches for it. Its form is right, nothing else is known.
#[derive(Debug)]
pub enum ArrivedRequest {
    /// Signed, with a packet.
    Signed(SignedRequest),
    /// Tagged, of a session.
    Session(SessionRequest),
    /// By a link in its URL.
    Link(LinkRequest),
}

impl ArrivedRequest {
    /// Reads a request of any scheme; see [`SignedRequest::parse`].
    ///
    /// # Errors
    /// [`RequestError`], sizes first.
    pub fn parse(
        method: &str,
        path_and_query: &str,
        headers: &[(&str, &[u8])],
    ) -> Result<Self, RequestError> {
        let (line, headers) = Line::parse(method, path_and_query, headers)?;
        if let Some(token) = line.parameter(LINK_PARAMETER).map(str::to_owned) {
            return LinkRequest::of(line, &headers, token).map(Self::Link);
        }
        let authorization = headers.one_of_six(header::AUTHORIZATION)?;
        match Credential::scheme_of(authorization) {
            Some(rest) => SessionRequest::of(line, &headers, rest).map(Self::Session),
            None => SignedRequest::of(line, &headers).map(Self::Signed),
        }
    }

    /// What it says.
    pub fn head(&self) -> &RequestHead {
        match self {
            Self::Signed(request) => request,
            Self::Session(request) => request,
            Self::Link(request) => request,
        }
    }
}

/// The parts of `authorization: WFLDB-B3MAC-1 <session>.<milliseconds>.<counter>.<tag>`.
#[derive(Debug)]
struct Credential {
    session: SessionId,
    timestamp: UnixMillis,
    counter: u64,
    tag: SessionTag,
}

impl Credential {
    /// What follows the name of the scheme; `None` for another scheme.
    fn scheme_of(authorization: &str) -> Option<&str> {
        authorization
            .strip_prefix(Scheme::Session.name())?
            .strip_prefix(' ')
    }

    /// Reads the one spelling.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let credential = Self {
            session: SessionId::parse(parts.next()?).ok()?,
            timestamp: UnixMillis::new(parse_decimal(parts.next()?)?),
            counter: parse_decimal(parts.next()?)?,
            tag: SessionTag::parse(parts.next()?)?,
        };
        parts.next().is_none().then_some(credential)
    }
}

/// A request of a session whose form is right. Nothing about it is verified.
#[derive(Debug)]
pub struct SessionRequest {
    head: RequestHead,
    session: SessionId,
    counter: u64,
    tag: SessionTag,
}

impl std::ops::Deref for SessionRequest {
    type Target = RequestHead;

    fn deref(&self) -> &RequestHead {
        &self.head
    }
}

impl SessionRequest {
    fn of(line: Line<'_>, headers: &Headers<'_>, credential: &str) -> Result<Self, RequestError> {
        // SECURITY: what the other scheme needs has no meaning here, so it must not be there to be believed.
        for name in [header::TIMESTAMP, header::NONCE, header::SIGNATURE] {
            if headers.has(name) {
                return Err(RequestError::NotCanonical(name));
            }
        }
        let credential = Credential::parse(credential).ok_or(RequestError::Authorization)?;
        // One spelling: what says nothing is left out.
        let content = match headers.one(header::CONTENT, header::CONTENT)? {
            None => ContentDigest::None,
            Some(text) => ContentDigest::parse(text)
                .ok()
                .filter(|content| *content != ContentDigest::None)
                .ok_or(RequestError::NotCanonical(header::CONTENT))?,
        };
        let signed_names = match headers.one(header::SIGNED_HEADERS, header::SIGNED_HEADERS)? {
            None => "",
            Some("") => return Err(RequestError::NotCanonical(header::SIGNED_HEADERS)),
            Some(names) => names,
        };
        let head = line.head(headers, credential.timestamp, content, signed_names)?;
        Ok(Self {
            head,
            session: credential.session,
            counter: credential.counter,
            tag: credential.tag,
        })
    }

    /// The session that it claims to be of.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Verifies the tag with the session's key.
    ///
    /// # Errors
    /// [`RequestError::Tag`] when it does not verify, or the session is another one.
    pub fn verify(self, session: &Session, audience: &Audience) -> Result<TaggedRequest, RequestError> {
        let said = RequestToTag {
            method: self.head.method,
            path: &self.head.path,
            query: &self.head.query,
            timestamp: self.head.timestamp,
            counter: self.counter,
            content: self.head.content,
            headers: &[],
        };
        let canonical = canonical(
            &said,
            audience,
            self.session,
            &self.head.signed_names,
            self.head.signed_headers(),
        );
        if self.session != session.id || !session.key.verify(&canonical, &self.tag) {
            return Err(RequestError::Tag);
        }
        Ok(TaggedRequest {
            head: self.head,
            counter: self.counter,
            packet: session.packet.clone(),
            expires: session.expires,
        })
    }
}

/// The canonical string, with the signed headers as listed.
fn canonical<'h>(
    request: &RequestToTag<'_>,
    audience: &Audience,
    session: SessionId,
    signed_names: &str,
    signed: impl IntoIterator<Item = (&'h str, &'h str)>,
) -> Vec<u8> {
    let timestamp = request.timestamp.get().to_string();
    let counter = request.counter.to_string();
    let content = request.content.to_string();
    let credential = session.to_string();
    let canonical = Canonical {
        scheme: Scheme::Session,
        audience,
        method: request.method,
        path: request.path,
        query: request.query,
        timestamp: &timestamp,
        nonce: &counter,
        credential: &credential,
        content: &content,
        signed_names,
    };
    canonical.bytes(signed)
}

/// A request of a session whose tag verified. It may still be a replay, and session or packet may be over.
#[derive(Debug)]
pub struct TaggedRequest {
    head: RequestHead,
    counter: u64,
    packet: VerifiedPacket,
    expires: UnixMillis,
}

impl TaggedRequest {
    /// Checks that packet and session are valid now and takes the counter.
    ///
    /// # Errors
    /// [`FreshError::Packet`] and [`FreshError::SessionEnded`] when they are not; the counter is not taken, since the
    /// request can never succeed again. [`FreshError::Replay`] when the window does not take it.
    pub fn fresh(self, counters: &mut CounterWindow, now: UnixMillis) -> Result<FreshRequest, FreshError> {
        self.packet.check_time(now)?;
        if now >= self.expires {
            return Err(FreshError::SessionEnded);
        }
        counters.take(self.counter)?;
        Ok(FreshRequest {
            request: self.head,
            packet: self.packet,
            evidence: None,
            link: None,
        })
    }
}

/// A request that is to be tagged.
#[derive(Clone, Debug)]
pub struct RequestToTag<'a> {
    /// The method.
    pub method: Method,
    /// The path in its one spelling.
    pub path: &'a str,
    /// The query in its one spelling; empty for none.
    pub query: &'a str,
    /// The time, by the server's clock as well as it is known.
    pub timestamp: UnixMillis,
    /// A counter that was never used before in this session: 1, 2, 3 …
    pub counter: u64,
    /// Length and hash of the body.
    pub content: ContentDigest,
    /// The headers to be signed beside those of the scheme, lower-case, in any order.
    pub headers: &'a [(&'a str, &'a str)],
}

/// Tags a request: gives the headers to send with it, the session's own first.
///
/// # Errors
/// As [`sign`](super::sign).
pub fn tag(
    request: &RequestToTag<'_>,
    session: SessionId,
    audience: &Audience,
    key: &SessionKey,
) -> Result<Vec<(&'static str, String)>, RequestError> {
    let signed = signed_headers(request.path, request.query, request.headers)?;
    let signed_names = names(&signed);
    let canonical = canonical(request, audience, session, &signed_names, signed.iter().copied());
    let (timestamp, counter) = (request.timestamp.get(), request.counter);
    let tag = key.tag(&canonical);
    let scheme = Scheme::Session.name();
    let mut headers = vec![(
        header::AUTHORIZATION,
        format!("{scheme} {session}.{timestamp}.{counter}.{tag}"),
    )];
    if request.content != ContentDigest::None {
        headers.push((header::CONTENT, request.content.to_string()));
    }
    if !signed_names.is_empty() {
        headers.push((header::SIGNED_HEADERS, signed_names));
    }
    Ok(headers)
}
