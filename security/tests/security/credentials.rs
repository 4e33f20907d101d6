//! Fabricated credentials: on every route, over both versions of HTTP, in every way that a request can carry them.

use http::StatusCode;
use wfldb_core::auth::{Method, RouteKind};
use wfldb_core::encoding::base64url;
use wfldb_core::id::{PacketHash, Role, SecretKey};
use wfldb_core::request::{RequestToTag, tag};
use wfldb_core::session::{ExchangeSecret, SessionKey, accept};
use wfldb_net::session::{decode_offer, encode_asked};
use wfldb_security::{claims, count, header, packet_of};

use crate::harness::{Ask, BOTH, Holder, Http, Store, now};
use crate::routes::{all, ask};

type Headers = Vec<(String, String)>;

/// Every way to carry credentials, so that a new one does not compile without its forgeries below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    /// The six headers.
    SignedHeaders,
    /// The tag of a session.
    SessionTag,
    /// What other systems take: none of it is anything here.
    Foreign,
}

/// A forgery of one request: its name, how it is carried, the headers.
struct Forgery {
    name: &'static str,
    carrier: Carrier,
    headers: Headers,
}

/// What a stranger has who saw the administrator's packet, a session's id, and every public key.
struct Stranger<'a> {
    admin: &'a Holder,
    session: String,
    guess: SessionKey,
}

fn set(headers: &[(String, String)], name: &str, value: &str) -> Headers {
    let mut headers = headers.to_vec();
    let found = headers.iter_mut().find(|(known, _)| known == name).unwrap();
    assert_ne!(found.1, value, "the forgery changes nothing");
    value.clone_into(&mut found.1);
    headers
}

fn flipped(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    let first = if first == "A" { "B" } else { "A" };
    format!("{first}{rest}")
}

impl Stranger<'_> {
    fn forgeries(&self, ask: &Ask) -> Vec<Forgery> {
        let stranger = SecretKey::from_seed([0x5a; 32]);
        let honest = ask.sign(self.admin);
        let value = |name: &str| honest.iter().find(|(known, _)| known == name).unwrap().1.clone();
        let as_stranger = |packet: &str| {
            ask.sign(&Holder {
                key: stranger.clone(),
                packet: packet.to_owned(),
                audience: self.admin.audience.clone(),
            })
        };
        let own_root = SecretKey::from_seed([0x5b; 32]);
        let audience = self.admin.audience.as_str();
        let own_claims = claims(&own_root, &stranger, audience, now().seconds()).to_string();
        let own_packet = packet_of(
            &header(&own_root.key_id(Role::Root)).to_string(),
            &own_claims,
            &own_root,
        );
        // The administrator's claims with the stranger as their holder, under the signature that was there.
        let parts: Vec<&str> = self.admin.packet.split('.').collect();
        let text = String::from_utf8(base64url::decode(parts[1]).unwrap()).unwrap();
        let (old, new) = (self.admin.key.key_id(Role::Client), stranger.key_id(Role::Client));
        let edited = text.replace(&old.to_string(), &new.to_string());
        assert_ne!(text, edited);
        let edited = format!(
            "{}.{}.{}",
            parts[0],
            base64url::encode(edited.as_bytes()),
            parts[2]
        );

        let signed = |name, headers| Forgery {
            name,
            carrier: Carrier::SignedHeaders,
            headers,
        };
        let foreign = |name, headers: &[(&str, &str)]| Forgery {
            name,
            carrier: Carrier::Foreign,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let bearer = value("authorization");
        let mut all = vec![
            signed("another key", as_stranger(&self.admin.packet)),
            signed(
                "no signature",
                honest
                    .iter()
                    .filter(|(name, _)| name != "x-wfldb-signature")
                    .cloned()
                    .collect(),
            ),
            signed("packet alone", vec![("authorization".to_owned(), bearer.clone())]),
            signed(
                "signature of zeros",
                set(&honest, "x-wfldb-signature", &"A".repeat(86)),
            ),
            signed(
                "a flipped signature",
                set(
                    &honest,
                    "x-wfldb-signature",
                    &flipped(&value("x-wfldb-signature")),
                ),
            ),
            signed("an own root", as_stranger(&own_packet)),
            signed("an edited packet", as_stranger(&edited)),
            signed(
                "lower-case bearer",
                set(&honest, "authorization", &bearer.replace("Bearer", "bearer")),
            ),
            signed(
                "another scheme",
                set(&honest, "authorization", &bearer.replace("Bearer", "Basic")),
            ),
            foreign("nothing", &[]),
            foreign("basic", &[("authorization", "Basic YWRtaW46YWRtaW4=")]),
            foreign("bearer of nothing", &[("authorization", "Bearer ")]),
            foreign("cookie", &[("cookie", &format!("authorization={bearer}"))]),
            foreign(
                "proxy",
                &[("proxy-authorization", &bearer), ("x-forwarded-user", "admin")],
            ),
            foreign(
                "aws",
                &[(
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=x/20260101/a/s3/aws4_request",
                )],
            ),
        ];
        let request = RequestToTag {
            method: Method::parse(&ask.method).unwrap(),
            path: &ask.path,
            query: &ask.query,
            timestamp: ask.timestamp,
            counter: 1,
            content: wfldb_core::object::ContentDigest::of(&ask.body),
            headers: &[],
        };
        let id = wfldb_core::id::SessionId::parse(&self.session).unwrap();
        let tagged = tag(&request, id, &self.admin.audience, &self.guess).unwrap();
        let tagged: Headers = tagged
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let credential = tagged[0].1.clone();
        let (front, _) = credential.rsplit_once('.').unwrap();
        let unknown = credential.replace(&self.session, "AAECAwQFBgcICQoLDA0ODw");
        let of = |name, headers| Forgery {
            name,
            carrier: Carrier::SessionTag,
            headers,
        };
        all.extend([
            of("a key that the session has not", tagged.clone()),
            of(
                "a tag of zeros",
                set(&tagged, "authorization", &format!("{front}.{}", "A".repeat(22))),
            ),
            of("no tag", set(&tagged, "authorization", front)),
            of("an unknown session", set(&tagged, "authorization", &unknown)),
            of(
                "a session as bearer",
                set(
                    &tagged,
                    "authorization",
                    &credential.replace("WFLDB-B3MAC-1", "Bearer"),
                ),
            ),
            of("a tag beside a signature", {
                let mut both = honest.clone();
                both.retain(|(name, _)| name != "authorization");
                both.extend(tagged);
                both
            }),
        ]);
        for carrier in [Carrier::SignedHeaders, Carrier::SessionTag, Carrier::Foreign] {
            // A link is in the URL, without a header: `wfldb-server/tests/server/links.rs` forges those.
            let tried = match carrier {
                Carrier::SignedHeaders | Carrier::Foreign => 6,
                Carrier::SessionTag => 5,
            };
            assert!(all.iter().filter(|forgery| forgery.carrier == carrier).count() >= tried);
        }
        all
    }
}

async fn session_of_the_administrator(store: &Store) -> (String, SessionKey) {
    let secret = ExchangeSecret::from_bytes([7; 32]);
    let body = encode_asked(secret.public());
    let answer = store.send(Ask::new("POST", "/v1/_session").body(body)).await;
    let offer = decode_offer(&answer.ok(StatusCode::OK).body).unwrap();
    let packet = PacketHash::of(store.admin.packet.as_bytes());
    // Whoever saw the exchange and has neither secret comes to another key.
    let (client, server) = (
        ExchangeSecret::from_bytes([7; 32]).public(),
        ExchangeSecret::from_bytes([8; 32]),
    );
    let (id, node) = (offer.session, SecretKey::from_seed([9; 32]));
    let (_, key) = accept(
        client,
        server,
        id,
        offer.expires,
        &store.admin.audience,
        packet,
        &node,
    )
    .unwrap();
    (id.to_string(), key)
}

/// Defects it catches: a route that is served before its caller is known; a scheme that falls through to another one; an
/// answer to a stranger that differs by what exists.
#[tokio::test(flavor = "multi_thread")]
async fn no_route_takes_a_fabricated_credential() {
    let store = Store::photos().await;
    let put = Ask::new("PUT", "/v1/photos/k").body("honest");
    store.send(put).await.ok(StatusCode::CREATED);
    let before = store.contents().await;
    let (session, guess) = session_of_the_administrator(&store).await;
    let stranger = Stranger {
        admin: &store.admin,
        session,
        guess,
    };
    let mut cases = 0;
    for (method, kind, _) in all() {
        for http in BOTH {
            let ask = ask(method, kind).over(http);
            for Forgery {
                name,
                carrier,
                headers,
            } in stranger.forgeries(&ask)
            {
                let about = format!("{name} ({carrier:?}) on {method} {kind:?} over {http:?}");
                let answer = store.deliver(&ask, headers).await;
                refused(&answer, method, &about);
                cases += 1;
            }
        }
    }
    assert_eq!(store.contents().await, before, "a forgery changed something");
    count("fabricated credentials", cases);
}

fn refused(answer: &crate::harness::Answer, method: Method, about: &str) {
    // What has not the form of a credential may be told so; what has, learns nothing.
    assert!(matches!(answer.status, 400 | 401), "{about}: {answer:?}");
    if method != Method::Head {
        let code = answer.code();
        let known = [
            "Unauthenticated",
            "SessionUnknown",
            "SignatureRequired",
            "NotCanonical",
            "BodyNotAllowed",
        ];
        assert!(known.contains(&code.as_str()), "{about}: {code}");
    }
}

/// Beside forgeries, the same route answers the honest caller: the refusals above are no accident of form.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_requests_are_taken_from_who_may_make_them() {
    let mut cases = 0;
    for (method, kind, _) in all() {
        // One store each: some of the requests remove what the next one needs.
        if !matches!(
            kind,
            RouteKind::Bucket | RouteKind::Object | RouteKind::Scan | RouteKind::Batch | RouteKind::Stats
        ) {
            continue;
        }
        let store = Store::photos().await;
        store
            .send(Ask::new("PUT", "/v1/photos/k").body("x"))
            .await
            .ok(StatusCode::CREATED);
        let answer = store.send(ask(method, kind).over(Http::One)).await;
        // What is changed in place is a document, and here are objects.
        let expected = if method == Method::Patch { 415 } else { 200 };
        let taken = answer.status < 300 || answer.status == 409 || answer.status == expected;
        assert!(taken, "{method} {kind:?}: {answer:?}");
        cases += 1;
    }
    count("honest requests beside them", cases);
}
