//! The client's side: signing a request.

use super::canonical::{Canonical, Scheme, check_path, parse_query};
use super::{RequestError, header};
use crate::auth::Method;
use crate::id::{Nonce, PacketHash, SecretKey};
use crate::limits::PATH_BYTES_MAX;
use crate::name::Audience;
use crate::object::{ContentDigest, is_header_name, is_header_text};
use crate::time::UnixMillis;

/// A request that is to be signed.
#[derive(Clone, Debug)]
pub struct RequestToSign<'a> {
    /// The method.
    pub method: Method,
    /// The path in its one spelling, such as [`Target::path`](crate::auth::Target::path) makes it.
    pub path: &'a str,
    /// The query in its one spelling, such as
    /// [`encode_query`](crate::encoding::percent::encode_query) makes it; empty for none.
    pub query: &'a str,
    /// The time, by the server's clock as well as it is known.
    pub timestamp: UnixMillis,
    /// A fresh nonce: random, never used before with this key.
    pub nonce: Nonce,
    /// Length and hash of the body.
    pub content: ContentDigest,
    /// The headers to be signed beside the six, lower-case, in any order.
    pub headers: &'a [(&'a str, &'a str)],
}

/// Signs a request: gives the six headers to send with it.
///
/// ```
/// use wfldb_core::auth::Method;
/// use wfldb_core::id::{Nonce, SecretKey};
/// use wfldb_core::name::Audience;
/// use wfldb_core::object::ContentDigest;
/// use wfldb_core::request::{RequestToSign, sign};
/// use wfldb_core::time::UnixMillis;
///
/// let key = SecretKey::from_seed([7; 32]);
/// let request = RequestToSign {
///     method: Method::Put,
///     path: "/v1/photos/cat.jpg",
///     query: "",
///     timestamp: UnixMillis::new(1_767_323_045_006),
///     nonce: Nonce::from_bytes([9; 16]),
///     content: ContentDigest::of(b"hello wflDB"),
///     headers: &[("content-type", "image/jpeg")],
/// };
/// let headers = sign(&request, "the.key.packet", &Audience::parse("wfldb:test-cluster")?, &key)?;
/// assert_eq!(headers.len(), 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`RequestError::NotCanonical`] or [`RequestError::UriTooLong`] for what a server would refuse.
/// SECURITY: signing it all the same could sign the bytes of another request, since a line break in a
/// path or value would begin the next line of the canonical string.
pub fn sign(
    request: &RequestToSign<'_>,
    packet: &str,
    audience: &Audience,
    key: &SecretKey,
) -> Result<Vec<(String, String)>, RequestError> {
    let signed = signed_headers(request.path, request.query, request.headers)?;
    let signed_names = names(&signed);
    let timestamp = request.timestamp.to_string();
    let nonce = request.nonce.to_string();
    let content = request.content.to_string();
    let hash = PacketHash::of(packet.as_bytes()).to_string();
    let canonical = Canonical {
        scheme: Scheme::Signature,
        audience,
        method: request.method,
        path: request.path,
        query: request.query,
        timestamp: &timestamp,
        nonce: &nonce,
        credential: &hash,
        content: &content,
        signed_names: &signed_names,
    };
    let signature = key.sign(&canonical.bytes(signed.iter().copied()));
    Ok(vec![
        (header::AUTHORIZATION.to_owned(), format!("Bearer {packet}")),
        (header::TIMESTAMP.to_owned(), timestamp),
        (header::NONCE.to_owned(), nonce),
        (header::CONTENT.to_owned(), content),
        (header::SIGNED_HEADERS.to_owned(), signed_names),
        (header::SIGNATURE.to_owned(), signature.to_string()),
    ])
}

/// The headers to be signed, sorted, after a look at everything that goes into the canonical string.
pub(super) fn signed_headers<'a>(
    path: &str,
    query: &str,
    headers: &[(&'a str, &'a str)],
) -> Result<Vec<(&'a str, &'a str)>, RequestError> {
    check_path(path)?;
    parse_query(query)?;
    if path.len() + 1 + query.len() > PATH_BYTES_MAX {
        return Err(RequestError::UriTooLong);
    }
    let mut signed = headers.to_vec();
    signed.sort_unstable();
    let unique = signed.is_sorted_by(|(left, _), (right, _)| left < right);
    let valid = signed.iter().all(|(name, value)| {
        is_header_name(name) && is_header_text(value.as_bytes()) && !header::ALL.contains(name)
    });
    if unique && valid {
        Ok(signed)
    } else {
        Err(RequestError::NotCanonical("signed header"))
    }
}

/// The list of their names.
pub(super) fn names(signed: &[(&str, &str)]) -> String {
    let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
    names.join(";")
}
