//! A request is carried out once: within one run, and across restarts.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Full};
use wfldb_core::object::ContentDigest;
use wfldb_core::time::UnixMillis;
use wfldb_server::{Server, Wall};

use crate::harness::{Answer, Ask, BOTH, Store, config, now, until};
use crate::sessions::open;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_use_of_a_nonce_is_refused() {
    let store = Store::photos().await;
    for http in BOTH {
        let put = Ask::new("PUT", "/v1/photos/k").over(http).body("one");
        store.send(put.clone()).await;
        let again = store.send(put.clone()).await;
        again.is(401, "Unauthenticated");
        assert_eq!(again.json()["hint"], "Replayed");
        assert_eq!(again.header("x-wfldb-time").len(), 24);
        // The nonce alone is spent, whatever else the request says.
        let other = Ask {
            method: "GET".to_owned(),
            body: Vec::new(),
            ..put
        };
        assert_eq!(store.send(other).await.json()["hint"], "Replayed");
        // It is the key's nonce: another key may use the same bytes.
        let holder = store.holder(&[r#"{"b":"photos","p":"","ops":["get"]}"#]);
        let same = Ask::new("GET", "/v1/photos/k").over(http);
        store.send(same.clone()).await.ok(StatusCode::OK);
        store.send_as(&holder, same).await.ok(StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_spent_whatever_follows() {
    let store = Store::photos().await;
    let holder = store.holder(&[r#"{"b":"photos","p":"","ops":["get"]}"#]);
    let forbidden = Ask::new("PUT", "/v1/photos/k").body("x");
    store
        .send_as(&holder, forbidden.clone())
        .await
        .is(403, "Forbidden");
    assert_eq!(store.send_as(&holder, forbidden).await.json()["hint"], "Replayed");
    let bad = Ask::new("GET", "/v1/photos/k?colour=red");
    store.send(bad.clone()).await.is(400, "BadParameter");
    assert_eq!(store.send(bad).await.json()["hint"], "Replayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timestamp_is_near_the_servers_time() {
    let store = Store::photos().await;
    for http in BOTH {
        let at = |timestamp| Ask::new("GET", "/v1/photos/scan").over(http).at(timestamp);
        store.send(at(now().minus_ms(50_000))).await.ok(StatusCode::OK);
        store.send(at(now().plus_ms(4_000))).await.ok(StatusCode::OK);
        for skewed in [now().minus_ms(61_000), now().plus_ms(7_000), UnixMillis::new(0)] {
            let refused = store.send(at(skewed)).await;
            refused.is(401, "Unauthenticated");
            assert_eq!(refused.json()["hint"], "ClockSkew");
            let told = UnixMillis::parse(refused.header("x-wfldb-time")).unwrap();
            assert!(told.get().abs_diff(now().get()) < 5_000);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_about_the_packet_need_a_signature_that_verifies() {
    let store = Store::photos().await;
    let grants = [r#"{"b":"*","p":"","ops":["list"]}"#];
    let expired = store.holder_with(&grants, |claims| {
        claims.iat -= 7200;
        claims.nbf -= 7200;
        claims.exp = claims.nbf + 60;
    });
    let ask = Ask::new("GET", "/v1/photos/scan");
    let refused = store.send_as(&expired, ask.clone()).await;
    refused.is(401, "Unauthenticated");
    assert_eq!(refused.json()["hint"], "Expired");
    // Whoever merely found the packet is told nothing.
    let mut thief = store.holder(&[]);
    thief.packet = expired.packet;
    assert!(
        store
            .send_as(&thief, ask.clone())
            .await
            .json()
            .get("hint")
            .is_none()
    );
    let future = store.holder_with(&grants, |claims| {
        claims.nbf += 3600;
        claims.exp += 3600;
    });
    let refused = store.send_as(&future, ask).await;
    refused.is(401, "Unauthenticated");
    assert!(refused.json().get("hint").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_not_carried_out_again_after_a_clean_restart() {
    let store = Store::photos().await;
    let put = Ask::new("PUT", "/v1/photos/k").body("one");
    store.send(put.clone()).await.ok(StatusCode::CREATED);
    let store = store.restart().await;
    let refused = store.send(put).await;
    refused.is(401, "Unauthenticated");
    assert_eq!(refused.json()["hint"], "ClockSkew");
    // A clean stop left an exact mark, so nobody has to wait.
    let ready = store.plain(crate::harness::Http::One, "/readyz").await;
    assert_eq!(ready.status, 200);
    store
        .send(Ask::new("PUT", "/v1/photos/k").body("two"))
        .await
        .ok(StatusCode::OK);
}

/// Connections that one request is sent over at the same time, half of each version of HTTP.
const AT_ONCE: usize = 16;
const ROUNDS: usize = 25;

/// Sends the same request over many connections at once.
async fn race(store: &Store, ask: &Ask, headers: &[(String, String)]) -> Vec<Answer> {
    let mut streams = Vec::new();
    for _ in 0..AT_ONCE {
        streams.push(store.connect().await);
    }
    let sent = streams.into_iter().enumerate().map(async |(place, stream)| {
        let ask = ask.clone().over(BOTH[place % 2]);
        let body = Full::new(Bytes::from(ask.body.clone()));
        let answer = store.open_on(stream, &ask, headers.to_vec(), body).await;
        let (head, body) = answer.into_parts();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    });
    futures_join(sent).await
}

/// Runs all of them at the same time.
async fn futures_join<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = all.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in running.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let Poll::Ready(output) = future.as_mut().poll(context)
            {
                *slot = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// Defects it catches: the nonce looked for and put in under two locks; a nonce that is spent by the
/// handler; one memory for each version of HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_uses_of_a_nonce_exactly_one_wins() {
    let store = Store::photos().await;
    let reader = store.holder(&[r#"{"b":"photos","p":"","ops":["get"]}"#]);
    for round in 0..ROUNDS {
        let put = Ask::new("PUT", "/v1/photos/k").body(format!("{round}"));
        let get = Ask::new("GET", "/v1/photos/k");
        let forbidden = Ask::new("DELETE", "/v1/photos/k");
        for (ask, holder, won) in [
            (put, &store.admin, if round == 0 { 201 } else { 200 }),
            (get, &reader, 200),
            (forbidden, &reader, 403),
        ] {
            let headers = ask.sign(holder);
            let answers = race(&store, &ask, &headers).await;
            let (winners, losers): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == won);
            assert_eq!(
                (winners.len(), losers.len()),
                (1, AT_ONCE - 1),
                "round {round}: {answers:?}"
            );
            for loser in losers {
                loser.is(401, "Unauthenticated");
                assert_eq!(loser.json()["hint"], "Replayed");
            }
        }
    }
    assert_eq!(store.contents().await.1, ROUNDS as u64);
}

/// The counters of sessions likewise.
#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_uses_of_a_counter_exactly_one_wins() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/photos/k").body("x"))
        .await
        .ok(StatusCode::CREATED);
    let session = open(&store, &store.admin).await;
    for round in 0..ROUNDS {
        let ask = Ask::new("GET", "/v1/photos/k");
        let headers = session.tag_with(&ask, session.counter());
        let answers = race(&store, &ask, &headers).await;
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        let replayed = answers.iter().filter(|answer| answer.status == 401);
        let replayed = replayed
            .filter(|answer| answer.json()["hint"] == "Replayed")
            .count();
        assert_eq!((won, replayed), (1, AT_ONCE - 1), "round {round}");
    }
}

/// Whatever the answer is, once the signature verified the nonce is gone, over both versions of HTTP. A defect it catches:
/// a nonce that is given back when the handler refuses.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_answer_spends_its_nonce() {
    let store = Store::photos().await;
    let narrow = store.holder(&[
        r#"{"b":"photos","p":"a/","ops":["get","put"],"max_bytes":3}"#,
        r#"{"b":"photos","p":"rare/","ops":["get"],"rate":0}"#,
    ]);
    for http in BOTH {
        store.send(Ask::new("PUT", "/v1/photos/k").body("x")).await;
        let wrong = Ask {
            content: Some(ContentDigest::of(b"y")),
            ..Ask::new("PUT", "/v1/photos/k").body("x")
        };
        for (ask, holder, status) in [
            (Ask::new("GET", "/v1/photos/k"), &store.admin, 200),
            (Ask::new("HEAD", "/v1/photos/k"), &store.admin, 200),
            (
                Ask::new("GET", "/v1/photos/k").header("if-none-match", "*"),
                &store.admin,
                304,
            ),
            (Ask::new("GET", "/v1/photos/none"), &store.admin, 404),
            (Ask::new("GET", "/v1/none/none"), &store.admin, 404),
            (
                Ask::new("PUT", "/v1/photos/k")
                    .header("if-none-match", "*")
                    .body("z"),
                &store.admin,
                412,
            ),
            (Ask::new("GET", "/v1/photos/k?colour=red"), &store.admin, 400),
            (wrong, &store.admin, 400),
            (
                Ask::new("GET", "/v1/photos/k").header("range", "bytes=9-"),
                &store.admin,
                416,
            ),
            (Ask::new("GET", "/v1/photos/k"), &narrow, 403),
            (Ask::new("PUT", "/v1/photos/a/b").body("long"), &narrow, 403),
            (Ask::new("GET", "/v1/photos/rare/x"), &narrow, 429),
            (Ask::new("POST", "/v1/_keys").body("{}"), &narrow, 400),
        ] {
            let ask = ask.over(http);
            let first = store.send_as(holder, ask.clone()).await;
            assert_eq!(first.status, status, "{ask:?}: {first:?}");
            let again = store.send_as(holder, ask.clone()).await;
            assert_eq!(again.status, 401, "{ask:?}");
            if ask.method != "HEAD" {
                assert_eq!(again.json()["hint"], "Replayed", "{ask:?}");
            }
        }
    }
}

/// A clock that the test steps.
fn stepped() -> (Arc<AtomicU64>, Wall) {
    let ms = Arc::new(AtomicU64::new(now().get()));
    let shown = Arc::clone(&ms);
    (
        ms,
        Wall::new(move || UnixMillis::new(shown.load(Ordering::SeqCst))),
    )
}

/// Whatever the clock does, what was accepted once is not accepted again; when it is right again, so is the server. A
/// defect it catches: a memory of nonces that goes by the clock's time after it was set back, and has forgotten by then.
#[tokio::test(flavor = "multi_thread")]
async fn clock_steps_bring_no_request_back() {
    const MINUTE: u64 = 60_000;
    let (clock, wall) = stepped();
    let start = UnixMillis::new(clock.load(Ordering::SeqCst));
    let shown = wall.clone();
    let store = Store::with(|config| config.wall = shown).await;
    store
        .send(Ask::new("PUT", "/v1/photos").at(start))
        .await
        .ok(StatusCode::CREATED);
    let put = |at: UnixMillis| Ask::new("PUT", "/v1/photos/k").body("x").at(at);
    let set = |at: UnixMillis| clock.store(at.get(), Ordering::SeqCst);
    let refused = async |store: &Store, asks: &[Ask]| {
        for ask in asks {
            for http in BOTH {
                store
                    .send(ask.clone().over(http))
                    .await
                    .is(401, "Unauthenticated");
            }
        }
    };
    let first = put(start);
    store.send(first.clone()).await.ok(StatusCode::CREATED);
    // Ahead: the first one is too old by now.
    let ahead = start.plus_ms(10 * MINUTE);
    set(ahead);
    refused(&store, std::slice::from_ref(&first)).await;
    let second = put(ahead);
    store.send(second.clone()).await.ok(StatusCode::OK);
    // Back: by the clock the first one is fresh, and its nonce is long forgotten.
    set(start.plus_ms(1_000));
    refused(
        &store,
        &[first.clone(), second.clone(), put(start.plus_ms(1_000))],
    )
    .await;
    // A small step back, as of a clock that is being corrected.
    let third = put(ahead.plus_ms(2_000));
    set(ahead.plus_ms(2_000));
    store.send(third.clone()).await.ok(StatusCode::OK);
    set(ahead.minus_ms(20_000));
    refused(&store, &[first.clone(), second.clone(), third.clone()]).await;
    let fourth = put(ahead.minus_ms(20_000));
    store.send(fourth.clone()).await.ok(StatusCode::OK);
    // Back by far, and a restart that has nothing but its mark.
    set(start);
    let store = store.restart_with(|config| config.wall = wall).await;
    refused(
        &store,
        &[
            first.clone(),
            second.clone(),
            third.clone(),
            fourth.clone(),
            put(start),
        ],
    )
    .await;
    set(ahead.plus_ms(3_000));
    store.send(put(ahead.plus_ms(3_000))).await.ok(StatusCode::OK);
    refused(&store, &[first, second, third, fourth]).await;
    assert_eq!(
        store
            .send(Ask::new("GET", "/v1/photos").at(ahead.plus_ms(3_000)))
            .await
            .json()["usage"]["versions"],
        5
    );
}

/// A copy of the directory while the server runs is what a crash leaves (of the marks, which are synced).
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_not_carried_out_again_after_a_crash() {
    let store = Store::photos().await;
    let ahead = Ask::new("PUT", "/v1/photos/ahead")
        .body("one")
        .at(now().plus_ms(3_000));
    store.send(ahead.clone()).await.ok(StatusCode::CREATED);
    let last = Ask::new("DELETE", "/v1/photos/ahead");
    store.send(last.clone()).await.ok(StatusCode::NO_CONTENT);
    let crashed = tempfile::tempdir().unwrap();
    copy(store.dir(), crashed.path());
    std::fs::remove_file(crashed.path().join("server.json")).unwrap();
    store.server.stop().await.unwrap();

    let server = Server::start(config(crashed.path())).await.unwrap();
    let address = server.listen();
    let resend = async |ask: &Ask| {
        let stream = hyper_util::rt::TokioIo::new(tokio::net::TcpStream::connect(address).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::builder()
            .method(ask.method.as_str())
            .uri(ask.target())
            .header("host", "x");
        for (name, value) in ask.sign(&store.admin) {
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::from(ask.body.clone()));
        sender
            .send_request(request.body(body).unwrap())
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    // Until the mark is passed, nothing is served and `/readyz` says so; the card is written when it is.
    let plain = async |path: &str| {
        let stream = hyper_util::rt::TokioIo::new(tokio::net::TcpStream::connect(address).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get(path)
            .header("host", "x")
            .body(http_body_util::Empty::<Bytes>::new());
        sender
            .send_request(request.unwrap())
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(plain("/readyz").await, 503);
    assert!(!crashed.path().join("server.json").exists());
    for ask in [&ahead, &last] {
        assert_eq!(resend(ask).await, 401);
    }
    until("the mark to pass", async || plain("/readyz").await == 200).await;
    until("the card", async || crashed.path().join("server.json").exists()).await;
    for ask in [&ahead, &last] {
        assert_eq!(resend(ask).await, 401);
    }
    assert_eq!(resend(&Ask::new("PUT", "/v1/photos/new").body("x")).await, 201);
    server.stop().await.unwrap();
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
