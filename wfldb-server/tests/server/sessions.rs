//! Sessions: what they may do, every way to misuse them, and how they end.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use wfldb_core::auth::Method;
use wfldb_core::encoding::hex;
use wfldb_core::encoding::percent::encode_query;
use wfldb_core::id::{ContentHash, PacketHash, Role, SecretKey, SessionId};
use wfldb_core::limits::{SESSION_WINDOW, SESSIONS_OF_ONE_KEY};
use wfldb_core::name::Audience;
use wfldb_core::object::ContentDigest;
use wfldb_core::request::{RequestToTag, tag};
use wfldb_core::session::{ExchangeKey, ExchangeSecret, Offer, SessionKey, complete};
use wfldb_net::session::{decode_offer, encode_asked};

use crate::harness::{Answer, Ask, BOTH, Holder, Http, Store, now, text, until};

/// A session as its client has it.
pub(crate) struct Open {
    offer: Offer,
    key: SessionKey,
    audience: Audience,
    next: AtomicU64,
}

fn asking(key: ExchangeKey) -> Ask {
    Ask::new("POST", "/v1/_session").body(encode_asked(key))
}

pub(crate) async fn open(store: &Store, holder: &Holder) -> Open {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).unwrap();
    let secret = ExchangeSecret::from_bytes(secret);
    let answer = store.send_as(holder, asking(secret.public())).await;
    let offer = decode_offer(&answer.ok(StatusCode::OK).body).unwrap();
    let packet = PacketHash::of(holder.packet.as_bytes());
    let key = complete(&offer, secret, &holder.audience, packet).unwrap();
    Open {
        offer,
        key,
        audience: holder.audience.clone(),
        next: AtomicU64::new(1),
    }
}

impl Open {
    pub(crate) fn counter(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn tag_with(&self, ask: &Ask, counter: u64) -> Vec<(String, String)> {
        self.tag_for(ask, counter, self.offer.session, &self.audience)
    }

    fn tag_for(&self, ask: &Ask, counter: u64, id: SessionId, aud: &Audience) -> Vec<(String, String)> {
        let headers: Vec<(&str, &str)> = ask
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let request = RequestToTag {
            method: Method::parse(&ask.method).unwrap(),
            path: &ask.path,
            query: &ask.query,
            timestamp: ask.timestamp,
            counter,
            content: ask.content.unwrap_or_else(|| ContentDigest::of(&ask.body)),
            headers: &headers,
        };
        let ours = tag(&request, id, aud, &self.key).unwrap();
        let ours = ours.into_iter().map(|(name, value)| (name.to_owned(), value));
        ours.chain(ask.headers.iter().cloned()).collect()
    }

    pub(crate) async fn send(&self, store: &Store, ask: Ask) -> Answer {
        let headers = self.tag_with(&ask, self.counter());
        store.deliver(&ask, headers).await
    }
}

const KEY: &str = "/v1/photos/k";

async fn with_object() -> Store {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", KEY).body("hello"))
        .await
        .ok(StatusCode::CREATED);
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_reads_what_its_packet_allows() {
    let store = with_object().await;
    let admin = open(&store, &store.admin).await;
    assert!(admin.offer.expires > now().plus_ms(800_000) && admin.offer.expires <= now().plus_ms(900_000));
    let node = std::fs::read_to_string(store.dir().join("keys/node.key")).unwrap();
    let node = SecretKey::parse(node.trim()).unwrap();
    assert_eq!(admin.offer.node, node.key_id(Role::Node));
    for http in BOTH {
        let ask = |method: &str, target: &str| Ask::new(method, target).over(http);
        let get = admin.send(&store, ask("GET", KEY)).await.ok(StatusCode::OK);
        assert_eq!(get.body, "hello");
        let part = ask("GET", KEY).header("range", "bytes=1-2");
        let part = admin.send(&store, part).await.ok(StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.body, "el");
        let etag = format!("\"{}\"", ContentHash::of(b"hello"));
        let same = ask("GET", KEY).header("if-none-match", &etag);
        admin.send(&store, same).await.ok(StatusCode::NOT_MODIFIED);
        admin.send(&store, ask("HEAD", KEY)).await.ok(StatusCode::OK);
        let versions = format!("{KEY}?versions=true");
        for target in ["/v1", "/v1/photos/scan?limit=5&prefix=k", versions.as_str()] {
            let answer = admin.send(&store, ask("GET", target)).await.ok(StatusCode::OK);
            assert!(answer.json().is_object(), "{target}");
        }
        let missing = admin.send(&store, ask("GET", "/v1/photos/none")).await;
        missing.is(404, "NoSuchKey");
    }
    let narrow = store.holder(&[r#"{"b":"photos","p":"a/","ops":["get"]}"#]);
    let narrow = open(&store, &narrow).await;
    narrow
        .send(&store, Ask::new("GET", KEY))
        .await
        .is(403, "Forbidden");
    narrow
        .send(&store, Ask::new("GET", "/v1/photos/a/none"))
        .await
        .is(404, "NoSuchKey");
    // Rates are counted as for signed requests.
    let slow = store.holder(&[
        r#"{"b":"other","p":"","ops":["list"]}"#,
        r#"{"b":"photos","p":"","ops":["get"],"rate":1}"#,
    ]);
    let slow = open(&store, &slow).await;
    slow.send(&store, Ask::new("GET", KEY)).await.ok(StatusCode::OK);
    slow.send(&store, Ask::new("GET", KEY))
        .await
        .is(429, "RateExceeded");
    let nothing = store.holder(&[]);
    let refused = store
        .send_as(&nothing, asking(ExchangeKey::from_bytes([9; 32])))
        .await;
    refused.is(403, "Forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_opens_a_session() {
    let store = Store::photos().await;
    let good = ExchangeSecret::from_bytes([5; 32]).public();
    for body in [
        "{}".to_owned(),
        "x".to_owned(),
        format!("[\"{good}\"]"),
        format!(r#"{{"key":"{good}","more":1}}"#),
        r#"{"key":"AAAA"}"#.to_owned(),
        // A point of small order.
        format!(r#"{{"key":"{}"}}"#, ExchangeKey::from_bytes([0; 32])),
    ] {
        let refused = store
            .send(Ask::new("POST", "/v1/_session").body(body.clone()))
            .await;
        refused.is(400, "BadBody");
    }
    let large = Ask::new("POST", "/v1/_session").body(vec![b' '; 1025]);
    store.send(large).await.is(413, "TooLarge");
    store
        .send(Ask::new("GET", "/v1/_session"))
        .await
        .is(405, "MethodNotAllowed");
    let mut query = asking(good);
    query.query = "x=1".to_owned();
    store.send(query).await.is(400, "BadParameter");
    // The request that opens one is carried out once, like any other.
    let ask = asking(good);
    store.send(ask.clone()).await.ok(StatusCode::OK);
    assert_eq!(store.send(ask).await.json()["hint"], "Replayed");
}

type Change = (&'static str, fn(&mut Ask, &mut Vec<(String, String)>), u16);

fn credential(headers: &mut [(String, String)], part: usize, value: &str) {
    let mut parts: Vec<&str> = headers[0].1.split('.').collect();
    assert_ne!(parts[part], value, "the change changes nothing");
    parts[part] = value;
    headers[0].1 = parts.join(".");
}

const CHANGES: &[Change] = &[
    ("method", |ask, _| ask.method = "HEAD".to_owned(), 401),
    ("bucket", |ask, _| ask.path = "/v1/others/k".to_owned(), 401),
    ("key", |ask, _| ask.path = "/v1/photos/kk".to_owned(), 401),
    ("query", |ask, _| ask.query = "versions=true".to_owned(), 401),
    (
        "timestamp",
        |ask, headers| credential(headers, 1, &ask.timestamp.plus_ms(1).get().to_string()),
        401,
    ),
    ("counter", |_, headers| credential(headers, 2, "99"), 401),
    ("tag", |_, headers| credential(headers, 3, &"A".repeat(22)), 401),
    (
        "header",
        |_, headers| headers.last_mut().unwrap().1 = "bytes=0-1".to_owned(),
        401,
    ),
    (
        "header gone",
        |_, headers| {
            headers.pop();
        },
        400,
    ),
    ("headers and list gone", |_, headers| headers.truncate(1), 401),
    (
        "header more",
        |_, headers| headers.push(("if-match".to_owned(), "*".to_owned())),
        400,
    ),
    (
        "header more, in the list",
        |_, headers| {
            headers.push(("if-match".to_owned(), "*".to_owned()));
            headers[1].1 = "if-match;range".to_owned();
        },
        401,
    ),
    (
        "a body",
        |_, headers| {
            let content = ContentDigest::of(b"x").to_string();
            headers.push(("x-wfldb-content".to_owned(), content));
        },
        400,
    ),
    (
        "a packet beside it",
        |_, headers| headers.push(("authorization".to_owned(), "Bearer a.b.c".to_owned())),
        400,
    ),
];

/// A defect it catches: each line of the canonical string left out in turn; the list of names not looked at.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_request_is_refused_and_uses_up_nothing() {
    let store = with_object().await;
    let session = open(&store, &store.admin).await;
    for http in BOTH {
        let ask = Ask::new("GET", KEY).over(http).header("range", "bytes=1-2");
        let counter = session.counter();
        for (what, change, status) in CHANGES {
            let (mut changed, mut headers) = (ask.clone(), session.tag_with(&ask, counter));
            change(&mut changed, &mut headers);
            let answer = store.deliver(&changed, headers).await;
            assert_eq!(answer.status, *status, "{what}: {answer:?}");
            if *status == 401 && changed.method != "HEAD" {
                answer.is(401, "Unauthenticated");
                assert!(answer.json().get("hint").is_none(), "{what}");
            }
        }
        let aud = Audience::parse("wfldb:other").unwrap();
        let other = session.tag_for(&ask, counter, session.offer.session, &aud);
        store.deliver(&ask, other).await.is(401, "Unauthenticated");
        let headers = session.tag_with(&ask, counter);
        store.deliver(&ask, headers).await.ok(StatusCode::PARTIAL_CONTENT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_of_another_key_is_not_ours() {
    let store = with_object().await;
    let poor = store.holder(&[r#"{"b":"photos","p":"none/","ops":["get"]}"#]);
    let (admin, poor) = (open(&store, &store.admin).await, open(&store, &poor).await);
    let ask = Ask::new("GET", KEY);
    // Our key under the other's id, and the other way round.
    for (key, id) in [(&poor, admin.offer.session), (&admin, poor.offer.session)] {
        let headers = key.tag_for(&ask, 1, id, &key.audience);
        store.deliver(&ask, headers).await.is(401, "Unauthenticated");
    }
    // A tag for the other's id, sent under ours.
    let mut headers = poor.tag_for(&ask, 1, admin.offer.session, &poor.audience);
    let own = poor.offer.session.to_string();
    headers[0].1 = headers[0].1.replace(&admin.offer.session.to_string(), &own);
    store.deliver(&ask, headers).await.is(401, "Unauthenticated");
    let headers = admin.tag_with(&ask, 1);
    store.deliver(&ask, headers).await.ok(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_is_used_once_and_not_below_the_window() {
    let store = with_object().await;
    let session = open(&store, &store.admin).await;
    let ask = Ask::new("GET", KEY);
    let with = async |counter: u64, ask: &Ask| {
        let headers = session.tag_with(ask, counter);
        store.deliver(ask, headers).await
    };
    let is_replayed = |answer: Answer| {
        answer.is(401, "Unauthenticated");
        assert_eq!(answer.json()["hint"], "Replayed");
    };
    is_replayed(with(0, &ask).await);
    with(SESSION_WINDOW, &ask).await.ok(StatusCode::OK);
    with(1, &ask).await.ok(StatusCode::OK);
    for http in BOTH {
        is_replayed(with(1, &ask.clone().over(http)).await);
    }
    // A counter is spent whatever follows.
    with(5, &Ask::new("GET", "/v1/photos/none"))
        .await
        .is(404, "NoSuchKey");
    is_replayed(with(5, &ask).await);
    with(SESSION_WINDOW + 3, &ask).await.ok(StatusCode::OK);
    is_replayed(with(3, &ask).await);
    with(4, &ask).await.ok(StatusCode::OK);
    // Time is looked at as for signed requests.
    for timestamp in [now().minus_ms(61_000), now().plus_ms(10_000)] {
        let refused = with(7, &ask.clone().at(timestamp)).await;
        refused.is(401, "Unauthenticated");
        assert_eq!(refused.json()["hint"], "ClockSkew");
    }
    with(7, &ask).await.ok(StatusCode::OK);
}

fn is_unknown(answer: &Answer) {
    answer.is(401, "SessionUnknown");
    assert_eq!(answer.header("www-authenticate"), "WFLDB-B3MAC-1 realm=\"wfldb\"");
    assert_eq!(answer.header("x-wfldb-time").len(), 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_over_is_unknown() {
    let store = with_object().await;
    let session = open(&store, &store.admin).await;
    let ask = Ask::new("GET", KEY);
    let made_up = session.tag_for(&ask, 1, SessionId::from_bytes([7; 16]), &session.audience);
    is_unknown(&store.deliver(&ask, made_up).await);
    // A restart ends all; requests from before it are refused.
    let before = session.tag_with(&ask, 1);
    store.deliver(&ask, before.clone()).await.ok(StatusCode::OK);
    let store = store.restart().await;
    assert_eq!(store.deliver(&ask, before).await.status, 401);
    is_unknown(&session.send(&store, Ask::new("GET", KEY)).await);
    // The answer to HEAD has no body, so its challenge says it.
    let head = session.send(&store, Ask::new("HEAD", KEY)).await;
    assert_eq!(
        (head.status, head.header("www-authenticate")),
        (401, "WFLDB-B3MAC-1 realm=\"wfldb\"")
    );
    // The node's key is the same as before.
    let again = open(&store, &store.admin).await;
    assert_eq!(again.offer.node, session.offer.node);
}

/// A defect it catches: a session that outlives its packet.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_packet() {
    let store = with_object().await;
    // Eight seconds of the tolerance are left.
    let short = store.holder_with(&[r#"{"b":"*","p":"","ops":["get"]}"#], |claims| {
        claims.iat -= 100;
        claims.nbf -= 100;
        claims.exp = now().seconds() - 52;
    });
    let session = open(&store, &short).await;
    assert!(session.offer.expires <= now().plus_ms(8_000));
    session
        .send(&store, Ask::new("GET", KEY))
        .await
        .ok(StatusCode::OK);
    until("the session to end", async || {
        session.send(&store, Ask::new("GET", KEY)).await.status == 401
    })
    .await;
    is_unknown(&session.send(&store, Ask::new("GET", KEY)).await);
    let refused = store.send_as(&short, Ask::new("GET", KEY)).await;
    assert_eq!(refused.json()["hint"], "Expired");
    let key = ExchangeSecret::from_bytes([5; 32]).public();
    let refused = store.send_as(&short, asking(key)).await;
    assert_eq!(refused.json()["hint"], "Expired");
}

/// A defect it catches: one first line for both schemes.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_for_one_scheme_is_nothing_in_the_other() {
    let store = with_object().await;
    let session = open(&store, &store.admin).await;
    let ask = Ask::new("GET", KEY);
    let id = session.offer.session;
    let lines = |scheme: &str, timestamp: &str, nonce: &str, credential: &str| {
        let aud = &session.audience;
        format!("{scheme}\n{aud}\nGET\n{KEY}\n\n{timestamp}\n{nonce}\n{credential}\nnone 0 -\n\n")
    };
    let ms = ask.timestamp.get().to_string();
    let (timestamp, nonce) = (ask.timestamp.to_string(), ask.nonce.to_string());
    let hash = PacketHash::of(store.admin.packet.as_bytes()).to_string();

    // A signature over a session's string, sent as a signature and as a tag.
    let signature = store
        .admin
        .key
        .sign(lines("WFLDB-B3MAC-1", &ms, "1", &id.to_string()).as_bytes());
    let short = &signature.to_string()[..22];
    let short = format!("{}A", &short[..21]);
    let as_tag = vec![(
        "authorization".to_owned(),
        format!("WFLDB-B3MAC-1 {id}.{ms}.1.{short}"),
    )];
    let answer = store.deliver(&ask, as_tag).await;
    answer.is(401, "Unauthenticated");
    let strings = [
        lines("WFLDB-B3MAC-1", &timestamp, &nonce, &hash),
        lines("WFLDB-B3MAC-1", &ms, "1", &id.to_string()),
        lines("WFLDB-ED25519-1", &timestamp, &nonce, &id.to_string()),
        lines("WFLDB-SESSION-1", &timestamp, &nonce, &hash),
    ];
    for string in strings {
        let mut headers = ask.sign(&store.admin);
        let signature = store.admin.key.sign(string.as_bytes()).to_string();
        headers
            .iter_mut()
            .find(|(n, _)| n == "x-wfldb-signature")
            .unwrap()
            .1 = signature;
        store.deliver(&ask, headers).await.is(401, "Unauthenticated");
    }
    // A signed request with a session in place of its packet, and with a tag in place of its signature.
    for credential in [id.to_string(), format!("{id}.{ms}.1.{}", "A".repeat(22))] {
        let mut headers = ask.sign(&store.admin);
        headers[0].1 = format!("Bearer {credential}");
        store.deliver(&ask, headers).await.is(401, "Unauthenticated");
        let mut headers = ask.sign(&store.admin);
        headers[0].1 = format!("WFLDB-B3MAC-1 {credential}");
        store.deliver(&ask, headers).await.is(400, "NotCanonical");
    }
    let tagged = session.tag_with(&ask, 1);
    let tag = tagged[0].1.rsplit('.').next().unwrap().to_owned();
    let mut headers = ask.sign(&store.admin);
    headers
        .iter_mut()
        .find(|(n, _)| n == "x-wfldb-signature")
        .unwrap()
        .1 = tag;
    store.deliver(&ask, headers).await.is(400, "NotCanonical");
    // Both at once are neither.
    let mut both = ask.sign(&store.admin);
    both[0].1.clone_from(&tagged[0].1);
    store.deliver(&ask, both).await.is(400, "NotCanonical");
    // The counter of all that is unused still.
    store.deliver(&ask, tagged).await.ok(StatusCode::OK);
}

/// A defect it catches: `fits_session` not asked; the backstop of `authorize` made it 403, and without that the write went through.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_changed_over_a_session() {
    let store = with_object().await;
    let session = open(&store, &store.admin).await;
    let before = store.contents().await;
    let new = Ask::new("PUT", "/v1/photos/new").body("x");
    let batch = Ask::new("POST", "/v1/photos/batch").body(r#"{"ops":[{"op":"delete","key":"k"}]}"#);
    let admin = Ask::new("POST", "/v1/_admin").body(r#"{"do":"compact"}"#);
    for http in BOTH {
        for ask in [
            new.clone(),
            batch.clone(),
            admin.clone(),
            Ask::new("PUT", KEY),
            Ask::new("DELETE", KEY),
            Ask::new("DELETE", &format!("{KEY}?version=01ARZ3NDEKTSV4RRFFQ69G5FAV")),
            Ask::new("POST", &format!("{KEY}?undelete=true")),
            Ask::new("POST", "/v1/photos/copy?copy=%2Fphotos%2Fk"),
            Ask::new("POST", &format!("{KEY}?multipart=start&part_bytes=5242880")),
            Ask::new("GET", &format!("{KEY}?multipart={}", hex::encode(&[0; 16]))),
            Ask::new("PUT", "/v1/others"),
            Ask::new("GET", "/v1/photos"),
            Ask::new("DELETE", "/v1/photos?force=true"),
            Ask::new("GET", "/v1/_stats"),
            asking(ExchangeSecret::from_bytes([5; 32]).public()),
        ] {
            let about = format!("{} {}", ask.method, ask.target());
            let refused = session.send(&store, ask.over(http)).await;
            assert_eq!(refused.status, 401, "{about}");
            refused.is(401, "SignatureRequired");
        }
    }
    assert_eq!(store.contents().await, before);
    session
        .send(&store, Ask::new("GET", KEY))
        .await
        .ok(StatusCode::OK);
}

/// A defect it catches: the check in the read from the storage only, so that what was cached was served.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_can_demand_signatures() {
    let store = with_object().await;
    let session = open(&store, &store.admin).await;
    let reads = [
        KEY.to_owned(),
        format!("{KEY}?versions=true"),
        format!("{KEY}?{}", encode_query(&[("at", &now().to_string())])),
        "/v1/photos/scan".to_owned(),
    ];
    let configure = async |strict: bool| {
        let body = format!(r#"{{"require_signature":{strict}}}"#);
        store
            .send(Ask::new("PUT", "/v1/photos").body(body))
            .await
            .ok(StatusCode::OK);
    };
    for strict in [false, true, false] {
        configure(strict).await;
        for target in &reads {
            for _ in 0..2 {
                let ask = Ask::new("GET", target);
                let over_session = session.send(&store, ask.clone()).await;
                if strict {
                    over_session.is(401, "SignatureRequired");
                } else {
                    assert_eq!(over_session.status, 200, "{over_session:?}");
                }
                store.send(ask).await.ok(StatusCode::OK);
            }
        }
    }
    configure(true).await;
    // Who may not read there is told so, and nothing about the bucket.
    let stranger = store.holder(&[r#"{"b":"others","p":"","ops":["get"]}"#]);
    let stranger = open(&store, &stranger).await;
    stranger
        .send(&store, Ask::new("GET", KEY))
        .await
        .is(403, "Forbidden");
    let buckets = session.send(&store, Ask::new("GET", "/v1")).await.json();
    assert_eq!(text(&buckets["buckets"][0]["name"]), "photos");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_so_many_sessions_and_the_oldest_goes() {
    let store = with_object().await;
    let first = open(&store, &store.admin).await;
    let second = open(&store, &store.admin).await;
    for _ in 2..=SESSIONS_OF_ONE_KEY {
        open(&store, &store.admin).await;
    }
    is_unknown(&first.send(&store, Ask::new("GET", KEY)).await);
    second.send(&store, Ask::new("GET", KEY)).await.ok(StatusCode::OK);
}

async fn connection(store: &Store) -> SendRequest<Empty<Bytes>> {
    let stream = TokioIo::new(store.connect().await);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

/// A defect it catches: a counter that had to be larger than the last; a window that was not locked.
#[tokio::test(flavor = "multi_thread")]
async fn many_requests_in_any_order_are_each_accepted_once() {
    const REQUESTS: u64 = 600;
    let store = with_object().await;
    let session = open(&store, &store.admin).await;
    let mut senders = Vec::new();
    for _ in 0..3 {
        senders.push(connection(&store).await);
    }
    // Each counter twice, far apart: 383 has no divisor in common with 1200.
    let ask = Ask::new("GET", KEY).over(Http::Two);
    let order = (0..2 * REQUESTS).map(|place| place * 383 % (2 * REQUESTS) % REQUESTS + 1);
    let host = store.server.listen().to_string();
    let mut tasks = Vec::new();
    for (place, counter) in order.enumerate() {
        let mut request = Request::get(format!("http://{host}{KEY}"));
        for (name, value) in session.tag_with(&ask, counter) {
            request = request.header(name, value);
        }
        let (mut sender, request) = (senders[place % 3].clone(), request.body(Empty::new()).unwrap());
        tasks.push(tokio::spawn(async move {
            sender.ready().await.unwrap();
            let answer = sender.send_request(request).await.unwrap();
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            (counter, status, body)
        }));
    }
    let mut served = vec![0; usize::try_from(REQUESTS).unwrap() + 1];
    let mut refused = 0;
    for task in tasks {
        let (counter, status, body) = task.await.unwrap();
        if status == 200 {
            assert_eq!(body, "hello");
            served[usize::try_from(counter).unwrap()] += 1;
        } else {
            assert_eq!(status, 401);
            refused += 1;
        }
    }
    assert!(served[1..].iter().all(|times| *times == 1));
    assert_eq!(refused, REQUESTS);
}
