//! Issuing packets and passing them on. The JWT library builds and signs; our own parser has the last word.

use jwt_simple::prelude::{
    Audiences, Ed25519KeyPair, EdDSAKeyPairLike as _, HeaderOptions, JWTClaims, UnixTimeStamp,
};
use serde::Serialize;

use super::grant::WireGrant;
use super::{Claims, Grant, Packet, PacketError};
use crate::id::{Role, SecretKey};

const TYPE: &str = "wfldb-kp+jwt";

#[derive(Serialize)]
struct OwnClaims<'a> {
    cap: Vec<WireGrant<'a>>,
    dlg: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    prf: Option<&'a str>,
}

/// Issues a packet with these claims, signed by a root key.
///
/// The signature is hedged: the JWT library mixes noise of the operating system into it, so that two
/// packets of the same claims have different bytes.
///
/// ```
/// use wfldb_core::id::{Role, SecretKey};
/// use wfldb_core::name::Realm;
/// use wfldb_core::packet::{self, Claims, Grant, TrustedRoots};
/// use wfldb_core::time::UnixMillis;
///
/// let (root, client) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
/// let audience = Realm::parse("test-cluster")?.audience();
/// let claims = Claims {
///     iss: root.key_id(Role::Root),
///     sub: client.key_id(Role::Client),
///     aud: audience.clone(),
///     iat: 1_767_323_045,
///     nbf: 1_767_323_045,
///     exp: 1_767_326_645,
///     jti: "AAECAwQFBgcICQoLDA0ODw".to_owned(),
///     cap: vec![Grant::parse_json(r#"{"b":"photos","p":"","ops":["get","list"]}"#)?],
///     dlg: 0,
/// };
/// let token = packet::issue(&root, Role::Root, &claims)?;
/// let trust = TrustedRoots::new([root.key_id(Role::Root)]);
/// let packet = packet::verify(&token, &trust, &audience, UnixMillis::new(1_767_323_050_000))?;
/// assert_eq!(packet.subject(), &client.key_id(Role::Client));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`PacketError::Claim`] when the claims break a rule or the signer is not a root, [`PacketError::TooLarge`],
/// [`PacketError::Issue`] when the signer is not the claims' `iss` or the library refuses the key.
pub fn issue(signer: &SecretKey, signer_role: Role, claims: &Claims) -> Result<String, PacketError> {
    sign(signer, signer_role, claims, None)
}

/// Passes a packet on: issues the next link of its chain, signed by its holder. Whether the claims ask for more than
/// the chain allows is not looked at, since every link has to allow each access; see [`widening`](super::widening).
///
/// # Errors
/// As [`issue`]; [`PacketError::Chain`] when the claims do not follow those of the parent, [`PacketError::Links`] when
/// the chain would be too long.
pub fn delegate(signer: &SecretKey, parent: &Packet, claims: &Claims) -> Result<String, PacketError> {
    claims.check_follows(parent.claims())?;
    sign(signer, claims.iss.role(), claims, Some(parent))
}

fn sign(
    signer: &SecretKey,
    signer_role: Role,
    claims: &Claims,
    parent: Option<&Packet>,
) -> Result<String, PacketError> {
    claims.check()?;
    claims.check_parent_is(parent.is_some())?;
    let kid = signer.key_id(signer_role);
    if kid != claims.iss {
        return Err(PacketError::Issue);
    }
    let key_pair = Ed25519KeyPair::from_bytes(signer.to_keypair_bytes().as_slice())
        .map_err(|_| PacketError::Issue)?
        .with_key_id(&kid.to_string());
    let jwt = JWTClaims {
        issued_at: Some(UnixTimeStamp::from_secs(claims.iat)),
        expires_at: Some(UnixTimeStamp::from_secs(claims.exp)),
        invalid_before: Some(UnixTimeStamp::from_secs(claims.nbf)),
        issuer: Some(claims.iss.to_string()),
        subject: Some(claims.sub.to_string()),
        audiences: Some(Audiences::AsString(claims.aud.to_string())),
        jwt_id: Some(claims.jti.clone()),
        nonce: None,
        custom: OwnClaims {
            cap: claims.cap.iter().map(Grant::to_wire).collect(),
            dlg: claims.dlg,
            prf: parent.map(|parent| &**parent.token()),
        },
    };
    let options = HeaderOptions {
        signature_type: Some(TYPE.to_owned()),
        ..HeaderOptions::default()
    };
    let token = key_pair
        .sign_with_options(jwt, &options)
        .map_err(|_| PacketError::Issue)?;
    // What we issue is what we accept, exactly: a pair of assertions around the library.
    let packet = Packet::parse(&token)?;
    if packet.claims() != claims || !packet.signatures_verify() {
        return Err(PacketError::Issue);
    }
    Ok(token)
}
