//! Reads use a session, and none of them fails because of it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test helpers fail by panicking"
)]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wfldb_client::{Client, Error, GetOptions, PutOptions, ScanQuery};
use wfldb_core::id::{ContentHash, PacketHash, Role, SecretKey, SessionId};
use wfldb_core::name::{BucketName, ObjectKey, Realm};
use wfldb_core::session::{ExchangeSecret, accept};
use wfldb_core::time::UnixMillis;
use wfldb_net::session::{OfferForm, decode_asked};

use crate::fake::{Fake, Reply, Seen, answer, problem};
use crate::wire::{VERSION, place, stored};

fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixMillis::new(u64::try_from(since.unwrap().as_millis()).unwrap())
}

/// A proper offer, of a session with this id.
fn offer(seen: &Seen, id: u8) -> Reply {
    let (offer, _) = accept(
        decode_asked(&seen.body).unwrap(),
        ExchangeSecret::from_bytes([6; 32]),
        SessionId::from_bytes([id; 16]),
        now().plus_ms(900_000),
        &Realm::parse("local").unwrap().audience(),
        PacketHash::of(b"a.b.c"),
        &SecretKey::from_seed([4; 32]),
    )
    .unwrap();
    answer(200, &[], serde_json::to_vec(&OfferForm::from(&offer)).unwrap())
}

fn cat() -> Reply {
    let etag = format!("\"{}\"", ContentHash::of(b"cat"));
    let headers = [
        ("etag", etag.as_str()),
        ("x-wfldb-version", VERSION),
        ("x-wfldb-seq", "7"),
        ("content-length", "3"),
    ];
    answer(200, &headers, "cat")
}

fn opens(seen: &Seen) -> bool {
    seen.method == "POST" && seen.target == "/v1/_session"
}

/// The credential of a session's request: id, milliseconds, counter, tag.
fn credential(seen: &Seen) -> Option<Vec<String>> {
    let credential = seen.headers["authorization"].strip_prefix("WFLDB-B3MAC-1 ")?;
    let parts: Vec<String> = credential.split('.').map(str::to_owned).collect();
    assert_eq!(parts.len(), 4);
    Some(parts)
}

async fn read(client: &Client) {
    let (bucket, key) = place();
    let object = client.get(&bucket, &key, GetOptions::default()).await.unwrap();
    assert_eq!(object.bytes(10).await.unwrap(), "cat");
}

/// What was sent, in one letter each: `O`pen, `T`agged, `S`igned.
fn course(fake: &Fake) -> String {
    let letter = |seen: &Seen| match (opens(seen), credential(seen)) {
        (true, None) => 'O',
        (false, Some(_)) => 'T',
        (false, None) => 'S',
        (true, Some(_)) => '?',
    };
    fake.seen().iter().map(letter).collect()
}

/// Defects it catches: a client that goes on signing for whoever answers in the server's place; one that takes the
/// session; one that refuses the right server.
#[tokio::test]
async fn an_offer_of_another_node_than_the_profile_names_stops_everything() {
    let fake = Fake::start(|_, seen| match seen.method.as_str() {
        "POST" => offer(seen, 1),
        _ => cat(),
    })
    .await;
    let (bucket, key) = place();
    let node = |seed| SecretKey::from_seed([seed; 32]).key_id(Role::Node);
    let right = fake.client_of_node(node(4));
    for _ in 0..3 {
        read(&right).await;
    }
    assert_eq!(course(&fake), "SOTT");
    let wrong = fake.client_of_node(node(5));
    read(&wrong).await;
    for _ in 0..2 {
        let error = wrong
            .get(&bucket, &key, GetOptions::default())
            .await
            .map(drop)
            .unwrap_err();
        assert!(matches!(error, Error::OtherNode { .. }), "{error}");
        let told = error.to_string();
        assert!(
            told.contains(&node(4).to_string()) && told.contains(&node(5).to_string()),
            "{told}"
        );
        assert!(told.contains("`node`"), "{told}");
    }
    let write = wrong.put(&bucket, &key, "cat", PutOptions::default()).await;
    assert!(matches!(write, Err(Error::OtherNode { .. })));
    // The first read, which needs no session, and the attempt to open one; nothing after that.
    assert_eq!(course(&fake), "SOTTSO");
}

#[tokio::test]
async fn reads_after_the_first_use_a_session_and_writes_do_not() {
    let fake = Fake::start(|_, seen| match seen.method.as_str() {
        "POST" => offer(seen, 1),
        "PUT" => stored(seen),
        _ if seen.target.contains("/scan") => answer(200, &[], r#"{"items":[]}"#),
        _ => cat(),
    })
    .await;
    let client = fake.client_with(true);
    let (bucket, key) = place();
    for _ in 0..3 {
        read(&client).await;
    }
    client
        .put(&bucket, &key, "cat", PutOptions::default())
        .await
        .unwrap();
    client
        .scan(&bucket, &ScanQuery::default())
        .next_page()
        .await
        .unwrap();
    client.head(&bucket, &key, GetOptions::default()).await.unwrap();
    assert_eq!(course(&fake), "SOTTSTT");
    let seen = fake.seen();
    let counters: Vec<String> = seen
        .iter()
        .filter_map(credential)
        .map(|parts| parts[2].clone())
        .collect();
    assert_eq!(counters, ["1", "2", "3", "4"]);
    // One header of ours: that is what makes them cheap.
    let ours = |seen: &&Seen| seen.headers.keys().any(|name| name.starts_with("x-wfldb-"));
    let tagged = seen.iter().filter(|seen| credential(seen).is_some());
    assert_eq!(tagged.filter(ours).count(), 0);
}

#[tokio::test]
async fn a_client_without_sessions_opens_none() {
    let fake = Fake::start(|_, _| cat()).await;
    let client = fake.client();
    for _ in 0..3 {
        read(&client).await;
    }
    assert_eq!(course(&fake), "SSS");
}

/// What a restarted server does. A defect it catches: the 401 handed to the caller; a session that was kept all the same.
#[tokio::test]
async fn an_unknown_session_costs_no_request_and_the_next_read_opens_another() {
    let opened = AtomicU64::new(0);
    let fake = Fake::start(move |_, seen| {
        if opens(seen) {
            return offer(
                seen,
                u8::try_from(opened.fetch_add(1, Ordering::SeqCst)).unwrap() + 1,
            );
        }
        match credential(seen) {
            Some(parts) if parts[0] == SessionId::from_bytes([1; 16]).to_string() => {
                problem(401, "SessionUnknown", None, &[])
            }
            _ => cat(),
        }
    })
    .await;
    let client = fake.client_with(true);
    for _ in 0..4 {
        read(&client).await;
    }
    assert_eq!(course(&fake), "SOTSOTT");
}

/// The answer to `HEAD` has no body, so its challenge says it.
#[tokio::test]
async fn a_head_is_sent_again_signed_too() {
    let opened = AtomicU64::new(0);
    let fake = Fake::start(move |_, seen| {
        if opens(seen) {
            return offer(
                seen,
                u8::try_from(opened.fetch_add(1, Ordering::SeqCst)).unwrap() + 1,
            );
        }
        match credential(seen) {
            Some(parts) if parts[0] == SessionId::from_bytes([1; 16]).to_string() => {
                answer(401, &[("www-authenticate", "WFLDB-B3MAC-1 realm=\"wfldb\"")], "")
            }
            Some(_) => answer(401, &[("www-authenticate", "Bearer realm=\"wfldb\"")], ""),
            None => cat(),
        }
    })
    .await;
    let client = fake.client_with(true);
    let (bucket, key) = place();
    for _ in 0..4 {
        client.head(&bucket, &key, GetOptions::default()).await.unwrap();
    }
    assert_eq!(course(&fake), "SOTSOTSTS");
}

#[tokio::test]
async fn a_server_without_sessions_is_asked_once_in_a_while() {
    for refusal in [
        (405, "NotSupportedYet"),
        (404, "NoSuchRoute"),
        (403, "Forbidden"),
        (200, "no offer"),
    ] {
        let fake = Fake::start(move |_, seen| match (opens(seen), refusal) {
            (true, (200, text)) => answer(200, &[], text),
            (true, (status, code)) => problem(status, code, None, &[]),
            (false, _) => cat(),
        })
        .await;
        let client = fake.client_with(true);
        for _ in 0..4 {
            read(&client).await;
        }
        assert_eq!(course(&fake), "SOSSS", "{refusal:?}");
    }
}

#[tokio::test]
async fn an_offer_that_is_not_signed_for_us_is_not_taken() {
    let fake = Fake::start(|_, seen| {
        if opens(seen) {
            // Of another exchange.
            let mut other = seen.clone();
            other.body =
                wfldb_net::session::encode_asked(ExchangeSecret::from_bytes([9; 32]).public()).into();
            return offer(&other, 1);
        }
        assert!(credential(seen).is_none());
        cat()
    })
    .await;
    let client = fake.client_with(true);
    for _ in 0..3 {
        read(&client).await;
    }
    assert_eq!(course(&fake), "SOSS");
}

#[tokio::test]
async fn a_bucket_that_wants_signatures_gets_them() {
    let fake = Fake::start(|_, seen| {
        if opens(seen) {
            return offer(seen, 1);
        }
        if seen.target.starts_with("/v1/photos/") && credential(seen).is_some() {
            return problem(401, "SignatureRequired", None, &[]);
        }
        cat()
    })
    .await;
    let client = fake.client_with(true);
    for _ in 0..4 {
        read(&client).await;
    }
    let (other, key) = (
        BucketName::parse("others").unwrap(),
        ObjectKey::parse("k").unwrap(),
    );
    client.get(&other, &key, GetOptions::default()).await.unwrap();
    assert_eq!(course(&fake), "SOTSSST");
}

/// A defect it catches: a tag that is refused again and again, with each read sent twice for ever.
#[tokio::test]
async fn a_tag_that_is_not_accepted_is_not_tried_for_ever() {
    let fake = Fake::start(|_, seen| match (opens(seen), credential(seen)) {
        (true, _) => offer(seen, 1),
        (false, Some(_)) => problem(401, "Unauthenticated", None, &[]),
        (false, None) => cat(),
    })
    .await;
    let client = fake.client_with(true);
    for _ in 0..5 {
        read(&client).await;
    }
    assert_eq!(course(&fake), "SOTSSSS");
}

#[tokio::test]
async fn a_read_survives_an_opening_that_breaks_off_and_a_refusal_that_is_its_own() {
    let fake = Fake::start(|number, seen| match number {
        _ if seen.method == "POST" => Reply::Hang,
        3 => problem(403, "Forbidden", None, &[]),
        _ => cat(),
    })
    .await;
    let client = fake.client_with(true);
    read(&client).await;
    read(&client).await;
    let (bucket, key) = place();
    let refused = client
        .get(&bucket, &key, GetOptions::default())
        .await
        .unwrap_err();
    assert_eq!(refused.status(), Some(403));
    assert_eq!(course(&fake), "SOSS");
}

/// A defect it catches: readers that waited for each other's session; one counter for two requests.
#[tokio::test(flavor = "multi_thread")]
async fn many_reads_at_once_open_one_session_and_share_no_counter() {
    let fake = Fake::start(|_, seen| if opens(seen) { offer(seen, 1) } else { cat() }).await;
    let client = Arc::new(fake.client_with(true));
    read(&client).await;
    let reads: Vec<_> = (0..200)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { read(&client).await })
        })
        .collect();
    for read in reads {
        read.await.unwrap();
    }
    let seen = fake.seen();
    assert_eq!(seen.iter().filter(|seen| opens(seen)).count(), 1);
    let counters: Vec<String> = seen
        .iter()
        .filter_map(credential)
        .map(|parts| parts[2].clone())
        .collect();
    assert!(!counters.is_empty());
    assert_eq!(counters.iter().collect::<HashSet<_>>().len(), counters.len());
}
