//! Reading a request and its signature: every check that needs no key, clock or state.

use super::canonical::{check_path, parse_query};
use super::{RequestError, Window, header};
use crate::auth::Method;
use crate::id::{Nonce, SignatureBytes};
use crate::limits::{
    HEADER_FIELD_OVERHEAD_BYTES, HEADER_FIELDS_MAX, HEADER_LIST_BYTES_MAX, PACKET_BYTES_MAX, PATH_BYTES_MAX,
};
use crate::object::{ContentDigest, is_header_name, is_header_text, parse_decimal};
use crate::time::UnixMillis;

/// What a request says, whatever vouches for it. Its form is right.
#[derive(Debug)]
pub struct RequestHead {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    query_pairs: Vec<(String, String)>,
    pub(super) timestamp: UnixMillis,
    pub(super) content: ContentDigest,
    pub(super) signed_names: String,
    signed: Vec<(String, String)>,
}

impl RequestHead {
    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The path as sent, in its one spelling.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query as sent, in its one spelling; empty when there is none.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The parameters of the query, decoded, sorted by name, names unique.
    pub fn query_pairs(&self) -> &[(String, String)] {
        &self.query_pairs
    }

    /// When the client made it; zero for a request by a link, which does not say.
    pub fn timestamp(&self) -> UnixMillis {
        self.timestamp
    }

    /// Length and hash of its body.
    pub fn content(&self) -> &ContentDigest {
        &self.content
    }

    /// The value of a signed header, by its lower-case name. Unsigned ones are not to be had here.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.signed_headers()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// The signed headers beside those of the scheme, sorted by name; of a request by a link, those that it may have.
    pub fn signed_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.signed
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether the timestamp is in the window.
    ///
    /// # Errors
    /// [`RequestError::ClockSkew`] when it is not.
    pub fn check_time(&self, now: UnixMillis, window: Window) -> Result<(), RequestError> {
        if window.contains(self.timestamp, now) {
            Ok(())
        } else {
            Err(RequestError::ClockSkew)
        }
    }
}

/// A request whose form is right, with a signature. Nothing about it is verified.
#[derive(Debug)]
pub struct SignedRequest {
    pub(super) head: RequestHead,
    pub(super) nonce: Nonce,
    pub(super) packet_token: String,
    pub(super) signature: SignatureBytes,
}

impl std::ops::Deref for SignedRequest {
    type Target = RequestHead;

    fn deref(&self) -> &RequestHead {
        &self.head
    }
}

impl SignedRequest {
    /// Reads a request from its method, the raw path with query, and all its headers.
    ///
    /// Header names may be in any case. Not checked here: whether the timestamp is near, whether the
    /// packet is any good, whether there is such a route.
    ///
    /// # Errors
    /// [`RequestError`], sizes first. What is not in its one spelling is refused, never normalised.
    pub fn parse(
        method: &str,
        path_and_query: &str,
        headers: &[(&str, &[u8])],
    ) -> Result<Self, RequestError> {
        let (line, headers) = Line::parse(method, path_and_query, headers)?;
        Self::of(line, &headers)
    }

    pub(super) fn of(line: Line<'_>, headers: &Headers<'_>) -> Result<Self, RequestError> {
        let authorization = headers.one_of_six(header::AUTHORIZATION)?;
        let timestamp = UnixMillis::parse(headers.one_of_six(header::TIMESTAMP)?)
            .map_err(|_| RequestError::NotCanonical(header::TIMESTAMP))?;
        let nonce = Nonce::parse(headers.one_of_six(header::NONCE)?)
            .map_err(|_| RequestError::NotCanonical(header::NONCE))?;
        let content = ContentDigest::parse(headers.one_of_six(header::CONTENT)?)
            .map_err(|_| RequestError::NotCanonical(header::CONTENT))?;
        let signed_names = headers.one_of_six(header::SIGNED_HEADERS)?;
        let signature = SignatureBytes::parse(headers.one_of_six(header::SIGNATURE)?)
            .map_err(|_| RequestError::NotCanonical(header::SIGNATURE))?;
        let head = line.head(headers, timestamp, content, signed_names)?;
        Ok(Self {
            head,
            nonce,
            packet_token: bearer(authorization)?.to_owned(),
            signature,
        })
    }

    /// Its nonce.
    pub fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// The packet as sent.
    pub fn packet_token(&self) -> &str {
        &self.packet_token
    }
}

/// Method, path and query, each in its one spelling.
pub(super) struct Line<'a> {
    method: Method,
    path: &'a str,
    query: &'a str,
    query_pairs: Vec<(String, String)>,
}

impl<'a> Line<'a> {
    /// Reads them, after a look at all sizes.
    pub(super) fn parse<'h>(
        method: &str,
        path_and_query: &'a str,
        headers: &[(&str, &'h [u8])],
    ) -> Result<(Self, Headers<'h>), RequestError> {
        check_sizes(path_and_query, headers)?;
        let headers = Headers::new(headers);
        let method = Method::parse(method).ok_or(RequestError::Method)?;
        let (path, query) = match path_and_query.split_once('?') {
            Some((_, "")) => return Err(RequestError::NotCanonical("query")),
            Some((path, query)) => (path, query),
            None => (path_and_query, ""),
        };
        check_path(path)?;
        let query_pairs = parse_query(query)?;
        let line = Self {
            method,
            path,
            query,
            query_pairs,
        };
        Ok((line, headers))
    }

    pub(super) fn method(&self) -> Method {
        self.method
    }

    /// The value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query_pairs.iter();
        pairs
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The whole head of a request by a link, whose headers nobody signed: those that it takes were picked out.
    pub(super) fn head_of_link(
        self,
        headers: &Headers<'_>,
        content: ContentDigest,
        taken: Vec<(String, String)>,
    ) -> Result<RequestHead, RequestError> {
        headers.check_body(self.method, &content)?;
        Ok(RequestHead {
            method: self.method,
            path: self.path.to_owned(),
            query: self.query.to_owned(),
            query_pairs: self.query_pairs,
            timestamp: UnixMillis::new(0),
            content,
            signed_names: String::new(),
            signed: taken,
        })
    }

    /// The whole head, after a look at the signed headers and what is said of the body.
    pub(super) fn head(
        self,
        headers: &Headers<'_>,
        timestamp: UnixMillis,
        content: ContentDigest,
        signed_names: &str,
    ) -> Result<RequestHead, RequestError> {
        let signed = headers.signed(signed_names)?;
        headers.check_all_signed(&signed)?;
        headers.check_body(self.method, &content)?;
        Ok(RequestHead {
            method: self.method,
            path: self.path.to_owned(),
            query: self.query.to_owned(),
            query_pairs: self.query_pairs,
            timestamp,
            content,
            signed_names: signed_names.to_owned(),
            signed,
        })
    }
}

fn check_sizes(path_and_query: &str, headers: &[(&str, &[u8])]) -> Result<(), RequestError> {
    if path_and_query.len() > PATH_BYTES_MAX {
        return Err(RequestError::UriTooLong);
    }
    let list_bytes: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len() + HEADER_FIELD_OVERHEAD_BYTES)
        .sum();
    if headers.len() > HEADER_FIELDS_MAX || list_bytes > HEADER_LIST_BYTES_MAX {
        return Err(RequestError::HeadersTooLarge);
    }
    Ok(())
}

/// The packet in `Bearer <packet>`.
fn bearer(authorization: &str) -> Result<&str, RequestError> {
    let packet = authorization
        .strip_prefix("Bearer ")
        .ok_or(RequestError::Authorization)?;
    let alphabet_fits = packet
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let size_fits = (1..=PACKET_BYTES_MAX).contains(&packet.len());
    if alphabet_fits && size_fits {
        Ok(packet)
    } else {
        Err(RequestError::Authorization)
    }
}

/// All headers of a request, names in lower case.
pub(super) struct Headers<'a>(Vec<(String, &'a [u8])>);

impl<'a> Headers<'a> {
    fn new(headers: &[(&str, &'a [u8])]) -> Self {
        Self(
            headers
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), *value))
                .collect(),
        )
    }

    /// The one value of a header in its canonical form: `None` when there is none, an error when
    /// there are several or it is not visible ASCII with single spaces.
    pub(super) fn one(&self, name: &str, part: &'static str) -> Result<Option<&'a str>, RequestError> {
        let mut values = self
            .0
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| *value);
        let (Some(value), None) = (values.next(), values.next()) else {
            return if self.has(name) {
                Err(RequestError::NotCanonical(part))
            } else {
                Ok(None)
            };
        };
        let text = std::str::from_utf8(value)
            .ok()
            .filter(|text| is_header_text(text.as_bytes()));
        text.map(Some).ok_or(RequestError::NotCanonical(part))
    }

    pub(super) fn one_of_six(&self, name: &'static str) -> Result<&'a str, RequestError> {
        self.one(name, name)?.ok_or(RequestError::Missing(name))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.any(|known| known == name)
    }

    pub(super) fn any(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        self.0.iter().any(|(known, _)| is_meant(known))
    }

    /// The headers that the signed list names: sorted, unique, each exactly once, none of the six.
    fn signed(&self, names: &str) -> Result<Vec<(String, String)>, RequestError> {
        const LIST: RequestError = RequestError::NotCanonical(header::SIGNED_HEADERS);
        let mut signed: Vec<(String, String)> = Vec::new();
        if names.is_empty() {
            return Ok(signed);
        }
        for name in names.split(';') {
            let in_order = signed.last().is_none_or(|(last, _)| last.as_str() < name);
            if !in_order || !is_header_name(name) || header::ALL.contains(&name) {
                return Err(LIST);
            }
            let value = self.one(name, "signed header")?.ok_or(LIST)?;
            signed.push((name.to_owned(), value.to_owned()));
        }
        Ok(signed)
    }

    /// SECURITY: a header that changes what the request does and is not signed could be added or
    /// changed on the way.
    fn check_all_signed(&self, signed: &[(String, String)]) -> Result<(), RequestError> {
        let must_sign = |name: &str| {
            let own = name.starts_with(header::OWN_PREFIX) && !header::ALL.contains(&name);
            own || header::MUST_SIGN.contains(&name)
        };
        let is_signed = |name: &str| signed.iter().any(|(known, _)| known == name);
        if self.0.iter().all(|(name, _)| !must_sign(name) || is_signed(name)) {
            Ok(())
        } else {
            Err(RequestError::UnsignedHeader)
        }
    }

    fn check_body(&self, method: Method, content: &ContentDigest) -> Result<(), RequestError> {
        if self.has("content-encoding") {
            return Err(RequestError::ContentEncoding);
        }
        let length_fits = match self.one("content-length", "content-length")? {
            None => true,
            Some(length) => parse_decimal(length) == Some(content.len()),
        };
        if !length_fits {
            return Err(RequestError::Length);
        }
        let has_no_body = matches!(method, Method::Get | Method::Head);
        if has_no_body && !content.is_empty() {
            Err(RequestError::Body)
        } else {
            Ok(())
        }
    }
}
