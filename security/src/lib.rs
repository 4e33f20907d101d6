//! Tools of the security suite (`tests/security`): a signer that signs anything, and the count of cases.
//!
//! The signer is written from docs/PROTOCOL.md and shares no code with `wfldb_core::request`, which refuses to sign what
//! a server would refuse. docs/SECURITY.md lists the classes that the suite guards.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use wfldb_core::encoding::base64url;
use wfldb_core::id::{KeyId, PacketHash, Role, SecretKey};

/// Says how many cases of a class were tried, and how many in all so far. It goes past the test runner, which keeps what
/// a passing test prints to itself.
///
/// # Panics
/// When nothing was tried.
pub fn count(class: &str, cases: usize) {
    static ALL: AtomicUsize = AtomicUsize::new(0);
    assert!(cases > 0, "{class}: nothing was tried");
    let all = ALL.fetch_add(cases, Ordering::Relaxed) + cases;
    // Who has no standard error misses the count only.
    let _ = writeln!(
        std::io::stderr(),
        "security: {class}: {cases} cases, {all} so far"
    );
}

/// A request of which every part is free.
#[derive(Clone, Debug)]
pub struct AnyRequest {
    /// The method.
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// The time as sent.
    pub timestamp: String,
    /// The nonce as sent.
    pub nonce: String,
    /// `X-WflDB-Content` as sent.
    pub content: String,
    /// The signed headers, in the order of the list.
    pub signed: Vec<(String, String)>,
}

impl AnyRequest {
    /// The six headers and the signed ones, over whatever the parts are.
    #[must_use]
    pub fn sign(&self, packet: &str, audience: &str, key: &SecretKey) -> Vec<(String, String)> {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let names: Vec<&str> = self.signed.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let hash = PacketHash::of(packet.as_bytes());
        let mut text = format!(
            "WFLDB-ED25519-1\n{audience}\n{}\n{path}\n{query}\n{}\n{}\n{hash}\n{}\n{names}\n",
            self.method, self.timestamp, self.nonce, self.content
        );
        for (name, value) in &self.signed {
            text.extend([name.as_str(), ":", value, "\n"]);
        }
        let signature = key.sign(text.as_bytes()).to_string();
        let six = [
            ("authorization", format!("Bearer {packet}")),
            ("x-wfldb-timestamp", self.timestamp.clone()),
            ("x-wfldb-nonce", self.nonce.clone()),
            ("x-wfldb-content", self.content.clone()),
            ("x-wfldb-signed-headers", names),
            ("x-wfldb-signature", signature),
        ];
        let six = six.into_iter().map(|(name, value)| (name.to_owned(), value));
        six.chain(self.signed.iter().cloned()).collect()
    }
}

/// A packet of which every part is free: header and claims are any text.
#[must_use]
pub fn packet_of(header: &str, claims: &str, signer: &SecretKey) -> String {
    let input = signed_part(header, claims);
    let signature = signer.sign(input.as_bytes());
    format!("{input}.{signature}")
}

/// The same with this text in place of the signature.
#[must_use]
pub fn packet_with(header: &str, claims: &str, signature: &str) -> String {
    format!("{}.{signature}", signed_part(header, claims))
}

/// The same with an HMAC-SHA256 under `secret` in place of the signature: what an algorithm confusion would accept.
#[must_use]
pub fn packet_hs256(header: &str, claims: &str, secret: &[u8]) -> String {
    let signed = signed_part(header, claims);
    // HMAC takes keys of any length.
    let mac = Hmac::<sha2::Sha256>::new_from_slice(secret).map(|mut mac| {
        mac.update(signed.as_bytes());
        mac.finalize().into_bytes()
    });
    let mac = mac.unwrap_or_default();
    format!("{signed}.{}", base64url::encode(&mac))
}

fn signed_part(header: &str, claims: &str) -> String {
    format!(
        "{}.{}",
        base64url::encode(header.as_bytes()),
        base64url::encode(claims.as_bytes())
    )
}

/// The header of an honest packet.
#[must_use]
pub fn header(signer: &KeyId) -> Value {
    json!({"alg": "EdDSA", "kid": signer.to_string(), "typ": "wfldb-kp+jwt"})
}

/// The claims of an honest packet of full rights.
#[must_use]
pub fn claims(root: &SecretKey, holder: &SecretKey, audience: &str, seconds: u64) -> Value {
    json!({
        "iss": root.key_id(Role::Root).to_string(),
        "sub": holder.key_id(Role::Client).to_string(),
        "aud": audience,
        "iat": seconds,
        "nbf": seconds,
        "exp": seconds + 3600,
        "jti": "AAECAwQFBgcICQoLDA0ODw",
        "cap": [{"b": "*", "p": "", "ops": ["get", "list", "put", "delete", "erase", "manage", "admin"]}],
        "dlg": 0,
    })
}
