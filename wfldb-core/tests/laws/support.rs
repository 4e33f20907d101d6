//! Keys, packets and requests that the tests share.

use wfldb_core::auth::{Authorized, Method, RouteKind, Target, Written, authorize};
use wfldb_core::id::{Nonce, Role, SecretKey};
use wfldb_core::name::{Audience, BucketName, ObjectKey};
use wfldb_core::object::ContentDigest;
use wfldb_core::packet::{self, Claims, Grant, Packet, TrustedRoots, VerifiedPacket};
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

/// A holder on the way from the root to the client.
pub(crate) fn middle(place: usize) -> SecretKey {
    SecretKey::from_seed([10 + u8::try_from(place).unwrap(); 32])
}

/// The claims of a chain with these grants in its links, from link 0: the root's for the first of the holders between,
/// theirs for the next, and the last one's for the client.
pub(crate) fn chain_claims(caps: &[Vec<Grant>]) -> Vec<Claims> {
    let last = caps.len() - 1;
    let link = |(place, cap): (usize, &Vec<Grant>)| {
        let mut claims = claims(cap.clone());
        if place > 0 {
            claims.iss = middle(place - 1).key_id(Role::Issuer);
        }
        if place < last {
            claims.sub = middle(place).key_id(Role::Issuer);
        }
        claims.dlg = u8::try_from(last - place).unwrap();
        claims
    };
    caps.iter().enumerate().map(link).collect()
}

pub(crate) fn issue_chain(claims: &[Claims]) -> String {
    let (first, later) = claims.split_first().unwrap();
    let mut token = packet::issue(&root(), Role::Root, first).unwrap();
    for (place, claims) in later.iter().enumerate() {
        let parent = Packet::parse(&token).unwrap();
        token = packet::delegate(&middle(place), &parent, claims).unwrap();
    }
    token
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

/// The proof of a `PUT` to a key of `photos` by the holder of a packet.
pub(crate) fn authorized_by(packet: &VerifiedPacket, holder: &SecretKey, path: &str) -> Authorized {
    let request = RequestToSign {
        method: Method::Put,
        path,
        query: "",
        timestamp: NOW,
        nonce: Nonce::from_bytes([9; 16]),
        content: ContentDigest::None,
        headers: &[],
    };
    let headers = sign(&request, packet.token(), &audience(), holder).unwrap();
    let wire = Wire {
        method: "PUT".to_owned(),
        target: path.to_owned(),
        headers: headers
            .into_iter()
            .map(|(name, value)| (name, value.into_bytes()))
            .collect(),
    };
    let request = wire
        .parse()
        .unwrap()
        .verify(packet, &audience(), &Verifier::default())
        .unwrap();
    let request = request.fresh(&mut ReplayMemory::new(10, 10), NOW).unwrap();
    let key = ObjectKey::parse(path.rsplit('/').next().unwrap()).unwrap();
    let target = Target::Key(BucketName::parse("photos").unwrap(), key);
    let peer = "127.0.0.1".parse().unwrap();
    authorize(
        request,
        Method::Put,
        RouteKind::Object,
        target,
        peer,
        Written::Later,
    )
    .unwrap()
}

/// A fresh request for a method and path, with a packet of these grants.
pub(crate) fn fresh(method: Method, path: &str, cap: Vec<Grant>) -> FreshRequest {
    fresh_with(&issue(cap), method, path)
}

/// The same with a packet that is there already.
pub(crate) fn fresh_with(token: &str, method: Method, path: &str) -> FreshRequest {
    let request = signed(method, path, "", ContentDigest::None, &[], token)
        .parse()
        .unwrap();
    let request = request
        .verify(&verified(token), &audience(), &Verifier::default())
        .unwrap();
    request.fresh(&mut ReplayMemory::new(10, 10), NOW).unwrap()
}
