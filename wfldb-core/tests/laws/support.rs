//! Keys, packets and requests that the tests share.

use wfldb_core::auth::Method;
use wfldb_core::id::{Nonce, Role, SecretKey};
use wfldb_core::name::Audience;
use wfldb_core::object::ContentDigest;
use wfldb_core::packet::{self, Claims, Grant, TrustedRoots, VerifiedPacket};
use wfldb_core::replay::ReplayMemory;
use wfldb_core::request::{FreshRequest, RequestToSign, SignedRequest, sign};
use wfldb_core::time::UnixMillis;
use wfldb_core::verifier::Verifier;

pub(crate) const NOW: UnixMillis = UnixMillis::new(1_767_323_045_006);

pub(crate) fn root() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

pub(crate) fn client() -> SecretKey {
    SecretKey::from_seed([2; 32])
}

pub(crate) fn audience() -> Audience {
    Audience::parse("wfldb:test-cluster").unwrap()
}

pub(crate) fn trust() -> TrustedRoots {
    TrustedRoots::new([root().key_id(Role::Root)])
}

pub(crate) fn claims(cap: Vec<Grant>) -> Claims {
    Claims {
        iss: root().key_id(Role::Root),
        sub: client().key_id(Role::Client),
        aud: audience(),
        iat: NOW.seconds(),
        nbf: NOW.seconds(),
        exp: NOW.seconds() + 3600,
        jti: "AAECAwQFBgcICQoLDA0ODw".to_owned(),
        cap,
        dlg: 0,
    }
}

pub(crate) fn issue(cap: Vec<Grant>) -> String {
    packet::issue(&root(), Role::Root, &claims(cap)).unwrap()
}

pub(crate) fn verified(token: &str) -> VerifiedPacket {
    packet::verify(token, &trust(), &audience(), NOW).unwrap()
}

/// A request as it goes over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Wire {
    pub(crate) fn parse(&self) -> Result<SignedRequest, wfldb_core::request::RequestError> {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        SignedRequest::parse(&self.method, &self.target, &headers)
    }
}

pub(crate) fn signed(
    method: Method,
    path: &str,
    query: &str,
    content: ContentDigest,
    headers: &[(&str, &str)],
    token: &str,
) -> Wire {
    let request = RequestToSign {
        method,
        path,
        query,
        timestamp: NOW,
        nonce: Nonce::from_bytes([9; 16]),
        content,
        headers,
    };
    let six = sign(&request, token, &audience(), &client()).unwrap();
    let plain = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let target = if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    };
    Wire {
        method: method.to_string(),
        target,
        headers: six
            .into_iter()
            .chain(plain)
            .map(|(name, value)| (name, value.into_bytes()))
            .collect(),
    }
}

/// A fresh request for a method and path, with a packet of these grants.
pub(crate) fn fresh(method: Method, path: &str, cap: Vec<Grant>) -> FreshRequest {
    let token = issue(cap);
    let request = signed(method, path, "", ContentDigest::None, &[], &token)
        .parse()
        .unwrap();
    let request = request
        .verify(&verified(&token), &audience(), &Verifier::default())
        .unwrap();
    request.fresh(&mut ReplayMemory::new(10, 10), NOW).unwrap()
}
