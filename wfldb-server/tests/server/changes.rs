//! The changes of a bucket over HTTP: pages, long polls, lines and events; who sees what, and how a feed ends.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use wfldb_core::limits::FEEDS_OF_ONE_KEY;

use crate::harness::{Ask, BOTH, Holder, Http, Store, alone, now, text, until};
use crate::sessions::open as open_session;

const CHANGES: &str = "/v1/photos/_changes";
const WATCH_ALL: &str = r#"{"b":"photos","p":"","ops":["watch"]}"#;
const WATCH_A: &str = r#"{"b":"photos","p":"a/","ops":["watch"]}"#;

async fn put(store: &Store, key: &str) -> u64 {
    let ask = Ask::new("PUT", &format!("/v1/photos/{key}")).body("x");
    let answer = store.send(ask).await;
    assert!(answer.status < 300, "{answer:?}");
    answer.header("x-wfldb-seq").parse().unwrap()
}

async fn batch(store: &Store, keys: &[&str]) {
    let ops: Vec<_> = keys
        .iter()
        .map(|key| json!({"op": "put", "key": key, "body": "y"}))
        .collect();
    let ask = Ask::new("POST", "/v1/photos/batch").body(json!({"ops": ops}).to_string());
    store.send(ask).await.ok(StatusCode::OK);
}

/// Pages of what is there.
async fn page(store: &Store, holder: &Holder, query: &str) -> Value {
    let ask = Ask::new("GET", &format!("{CHANGES}{query}"));
    store.send_as(holder, ask).await.ok(StatusCode::OK).json()
}

/// `seq op key` of every change.
fn told(changes: &[Value]) -> Vec<String> {
    let of = |change: &Value| {
        let keys = change["changes"].as_array().unwrap().clone();
        let seq = change["seq"].as_u64().unwrap();
        keys.into_iter()
            .map(move |key| format!("{seq} {} {}", text(&key["op"]), text(&key["key"])))
    };
    changes.iter().flat_map(of).collect()
}

fn results(page: &Value) -> Vec<String> {
    told(page["results"].as_array().unwrap())
}

/// A feed under way, cut into lines.
struct Reader {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Reader {
    async fn open(store: &Store, holder: &Holder, http: Http, query: &str) -> Self {
        let ask = Ask::new("GET", &format!("{CHANGES}?{query}")).over(http);
        let headers = ask.sign(holder);
        let answer = store.open(&ask, headers, Empty::<Bytes>::new()).await;
        assert_eq!(answer.status(), 200, "{query}");
        Self {
            body: answer.into_body(),
            buffer: Vec::new(),
        }
    }

    /// The next line; `None` at an orderly end, `Err` when it breaks off.
    async fn line(&mut self) -> Result<Option<String>, ()> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(Some(String::from_utf8(line).unwrap().trim_end().to_owned()));
            }
            let frame = timeout(Duration::from_secs(20), self.body.frame());
            match frame.await.unwrap() {
                None => {
                    assert!(self.buffer.is_empty(), "half a line at the end");
                    return Ok(None);
                }
                Some(Err(_)) => return Err(()),
                Some(Ok(frame)) => self.buffer.extend_from_slice(&frame.into_data().unwrap()),
            }
        }
    }

    /// The next line that is not empty, as JSON.
    async fn json(&mut self) -> Value {
        loop {
            let line = self.line().await.unwrap().unwrap();
            if !line.is_empty() {
                return serde_json::from_str(&line).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_on_where_the_last_one_ended() {
    let store = Store::photos().await;
    for number in 0..5 {
        put(&store, &format!("k{number}")).await;
    }
    let all = page(&store, &store.admin, "").await;
    let expected: Vec<_> = (0..5)
        .map(|number| format!("{} put k{number}", number + 2))
        .collect();
    assert_eq!(results(&all), expected);
    assert_eq!((all["last_seq"].as_u64(), all.get("more")), (Some(6), None));
    let first = &all["results"][0]["changes"][0];
    assert_eq!(first["size"], 1);
    assert_eq!(text(&first["etag"]).len(), 64);
    assert_eq!(first["version"].as_str().unwrap().len(), 26);

    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = page(&store, &store.admin, &query).await;
        seen.extend(results(&page));
        query = format!(
            "?bucket={}&limit=2&since={}",
            text(&page["bucket"]),
            page["last_seq"]
        );
        if page.get("more").is_none() {
            break;
        }
    }
    assert_eq!(seen, expected);
    assert_eq!(results(&page(&store, &store.admin, "?since=now").await), [""; 0]);
    // A session reads them too.
    let session = open_session(&store, &store.admin).await;
    let answer = session
        .send(&store, Ask::new("GET", CHANGES))
        .await
        .ok(StatusCode::OK);
    assert_eq!(results(&answer.json()), expected);
}

/// Defects it catches: a batch that is shown whole to who may see one of its keys; changes of others in a feed; a packet that
/// may read and list, and so watches.
#[tokio::test(flavor = "multi_thread")]
async fn each_caller_sees_its_part() {
    let store = Store::photos().await;
    let narrow = store.holder(&[WATCH_A]);
    batch(&store, &["a/1", "b/1", "a/2", "ab"]).await;
    put(&store, "b/2").await;
    put(&store, "a/3").await;
    store.send(Ask::new("DELETE", "/v1/photos/a/3")).await;
    store.send(Ask::new("DELETE", "/v1/photos/b/2")).await;
    let expected = ["2 put a/1", "2 put a/2", "4 put a/3", "5 delete a/3"];
    let seen = page(&store, &narrow, "").await;
    assert_eq!(results(&seen), expected);
    assert_eq!(seen["last_seq"], 6, "it goes past what is not shown");
    assert_eq!(results(&page(&store, &narrow, "?prefix=b%2F").await), [""; 0]);
    assert_eq!(
        results(&page(&store, &store.admin, "?prefix=b%2F").await).len(),
        3
    );
    for http in BOTH {
        let mut feed = Reader::open(&store, &narrow, http, "feed=continuous&limit=3").await;
        assert_eq!(feed.json().await["last_seq"], 1);
        let changes = [feed.json().await, feed.json().await, feed.json().await];
        assert_eq!(told(&changes), expected);
        assert_eq!(feed.json().await, json!({"last_seq": 5, "end": "limit"}));
        assert_eq!(feed.line().await, Ok(None));
    }
    let blind = store.holder(&[r#"{"b":"photos","p":"","ops":["get","list","put","query"]}"#]);
    let refused = store.send_as(&blind, Ask::new("GET", CHANGES)).await;
    refused.is(403, "Forbidden");
    // A chain shows what every link of it shows.
    let parent = store.holder_with(&[WATCH_A], |claims| claims.dlg = 1);
    let child = Store::delegate(&parent, &[r#"{"b":"photos","p":"a/1","ops":["watch"]}"#]);
    assert_eq!(results(&page(&store, &child, "").await), ["2 put a/1"]);
}

/// A defect it catches: a poll that answers with nothing when somebody else's key changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_answers_when_there_is_something() {
    let store = Store::photos().await;
    let narrow = store.holder(&[WATCH_A]);
    put(&store, "a/1").await;
    let there = page(&store, &narrow, "?feed=longpoll").await;
    assert_eq!(results(&there), ["2 put a/1"]);
    let begun = Instant::now();
    let nothing = page(&store, &narrow, "?feed=longpoll&since=2&timeout=300").await;
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(
        (results(&nothing).len(), nothing["last_seq"].as_u64()),
        (0, Some(2))
    );
    let (answer, ()) = tokio::join!(page(&store, &narrow, "?feed=longpoll&since=2"), async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(30)).await;
            put(&store, "b/1").await;
        }
        put(&store, "a/2").await;
    });
    assert_eq!(results(&answer), ["8 put a/2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_goes_on_with_what_comes_and_shows_that_it_lives() {
    let store = Store::photos().await;
    let narrow = store.holder(&[WATCH_A]);
    put(&store, "a/1").await;
    for http in BOTH {
        let query = "feed=continuous&heartbeat=100&since=now&timeout=60000";
        let mut feed = Reader::open(&store, &narrow, http, query).await;
        let begin = feed.json().await;
        let mut last = begin["last_seq"].as_u64().unwrap();
        assert_eq!(text(&begin["bucket"]).len(), 32);
        assert_eq!(feed.line().await, Ok(Some(String::new())), "a heartbeat");
        // Others' changes move it on.
        put(&store, "b/1").await;
        assert_eq!(feed.json().await, json!({"last_seq": last + 1}));
        for number in 0..20 {
            let seq = put(&store, "a/1").await;
            last = seq;
            let change = feed.json().await;
            assert_eq!(told(&[change]), [format!("{seq} put a/1")], "{number}");
        }
        drop(feed);
        // Who comes back gets the rest.
        let seq = put(&store, "a/2").await;
        let query = format!("feed=continuous&since={last}");
        let mut again = Reader::open(&store, &narrow, http, &query).await;
        again.json().await;
        assert_eq!(told(&[again.json().await]), [format!("{seq} put a/2")]);
    }
}

/// By the parsing rules of server-sent events, with the header that an event source comes back with.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_source_can_follow() {
    let store = Store::photos().await;
    put(&store, "k1").await;
    put(&store, "k2").await;
    for http in BOTH {
        let target = format!("{CHANGES}?feed=eventsource&timeout=200");
        let ask = Ask::new("GET", &target).over(http).header("last-event-id", "2");
        let answer = store.send(ask).await.ok(StatusCode::OK);
        assert_eq!(answer.header("content-type"), "text/event-stream");
        assert_eq!(answer.header("cache-control"), "no-store");
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        let events: Vec<Vec<&str>> = body
            .split("\n\n")
            .filter(|event| !event.is_empty())
            .map(|event| event.lines().collect())
            .collect();
        assert_eq!(events.len(), 3, "{body}");
        assert_eq!(events[0][..2], ["id: 2", "event: begin"]);
        assert_eq!(events[1][0], "id: 3");
        let change: Value = serde_json::from_str(events[1][1].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(told(&[change]), ["3 put k2"]);
        assert_eq!(events[2][..2], ["id: 3", "event: end"]);
        assert_eq!(events[2][2], r#"data: {"last_seq":3,"end":"timeout"}"#);
    }
    // A header that would be passed over elsewhere, and one that is no place.
    for (feed, id) in [("continuous", "2"), ("normal", "2"), ("eventsource", "x")] {
        let ask = Ask::new("GET", &format!("{CHANGES}?feed={feed}")).header("last-event-id", id);
        store.send(ask).await.is(400, "BadHeader");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_make_no_sense_are_refused() {
    let store = Store::photos().await;
    for query in [
        "feed=",
        "feed=forever",
        "since=-1",
        "since=01",
        "since=%2B1",
        "since=latest",
        "since=9007199254740992",
        "since=18446744073709551616",
        "limit=0",
        "limit=1001",
        "limit=18446744073709551615",
        "timeout=100",
        "feed=normal&timeout=100",
        "feed=longpoll&timeout=0",
        "feed=longpoll&timeout=300001",
        "feed=continuous&timeout=86400001",
        "feed=longpoll&heartbeat=1000",
        "feed=continuous&heartbeat=99",
        "feed=continuous&heartbeat=60001",
        "bucket=photos",
        "bucket=00112233445566778899AABBCCDDEEFF",
        "prefix=%01",
        "descending=true",
        "cursor=x",
    ] {
        let refused = store.send(Ask::new("GET", &format!("{CHANGES}?{query}"))).await;
        refused.is(400, "BadParameter");
    }
    for method in ["PUT", "POST", "DELETE", "HEAD"] {
        let refused = store.send(Ask::new(method, CHANGES)).await;
        assert!(
            refused.status == 405 || refused.status == 400,
            "{method} {refused:?}"
        );
    }
    let nowhere = store
        .send(Ask::new("GET", "/v1/nowhere/_changes?feed=continuous"))
        .await;
    nowhere.is(404, "NoSuchBucket");
    store
        .send(Ask::new("GET", &format!("{CHANGES}?feed=continuous&since=99")))
        .await
        .is(410, "SinceUnknown");
}

/// Defects it catches: a feed that goes on with another bucket of the same name; one that hangs when its bucket goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_feed_ends_with_its_bucket() {
    let store = Store::photos().await;
    put(&store, "k").await;
    let mut feed = Reader::open(&store, &store.admin, Http::Two, "feed=continuous&since=now").await;
    let bucket = text(&feed.json().await["bucket"]);
    store
        .send(Ask::new("DELETE", "/v1/photos?force=true"))
        .await
        .ok(StatusCode::NO_CONTENT);
    assert_eq!(text(&feed.json().await["end"]), "gone");
    assert_eq!(feed.line().await, Ok(None));
    store
        .send(Ask::new("PUT", "/v1/photos"))
        .await
        .ok(StatusCode::CREATED);
    for _ in 0..5 {
        put(&store, "other").await;
    }
    let resumed = format!("{CHANGES}?bucket={bucket}&since=2");
    store
        .send(Ask::new("GET", &resumed))
        .await
        .is(410, "SinceUnknown");
}

/// Feeds that wait, and one that does not read. A defect it catches: a chain that is asked when a feed begins only.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_or_expired_packet_ends_its_feeds() {
    let store = Store::photos().await;
    put(&store, "k").await;
    for http in BOTH {
        let revoked = store.holder(&[WATCH_ALL]);
        let kept = store.holder(&[WATCH_ALL]);
        let query = "feed=continuous&heartbeat=100&since=now";
        let mut feed = Reader::open(&store, &revoked, http, query).await;
        let mut other = Reader::open(&store, &kept, http, query).await;
        feed.json().await;
        other.json().await;
        let poll = Ask::new("GET", &format!("{CHANGES}?feed=longpoll&since=now")).over(http);
        let headers = poll.sign(&revoked);
        let (polled, ended) = tokio::join!(store.deliver(&poll, headers), async {
            let hash = wfldb_core::id::PacketHash::of(revoked.packet.as_bytes()).to_string();
            let ask = Ask::new("POST", "/v1/_keys").body(json!({"packet_hash": hash}).to_string());
            store.send(ask).await.ok(StatusCode::OK);
            let at = Instant::now();
            while let Ok(line) = feed.line().await {
                assert!(line.is_some(), "it must not end as if it were whole");
            }
            at.elapsed()
        });
        assert!(ended < Duration::from_secs(2), "{http:?} {ended:?}");
        polled.is(401, "Unauthenticated");
        let seq = put(&store, "k").await;
        assert_eq!(told(&[other.json().await]), [format!("{seq} put k")]);
    }
    // The tolerance of 60 s is over in three.
    let ending = store.holder_with(&[WATCH_ALL], |claims| {
        claims.iat -= 100;
        claims.nbf = claims.iat;
        claims.exp = now().seconds() - 57;
    });
    let mut feed = Reader::open(&store, &ending, Http::Two, "feed=continuous&since=now").await;
    feed.json().await;
    assert_eq!(text(&feed.json().await["end"]), "expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_feeds_and_polls_in_order_and_a_restart_goes_on() {
    let store = Store::photos().await;
    put(&store, "k").await;
    let mut feeds = Vec::new();
    for http in BOTH {
        let mut feed = Reader::open(&store, &store.admin, http, "feed=continuous").await;
        feed.json().await;
        feed.json().await;
        feeds.push(feed);
    }
    // By hand, since it has to outlive the server.
    let poll = Ask::new("GET", &format!("{CHANGES}?feed=longpoll&since=now"));
    let headers = poll.sign(&store.admin);
    let headers = headers.iter().fold(String::new(), |head, (name, value)| {
        head + name + ": " + value + "\r\n"
    });
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n",
        poll.target()
    );
    let mut polling = store.connect().await;
    polling.write_all(head.as_bytes()).await.unwrap();
    let mut answered = String::new();
    let early = timeout(Duration::from_millis(300), polling.read_to_string(&mut answered)).await;
    assert!(early.is_err(), "it waits");
    let begun = Instant::now();
    let answer = tokio::spawn(async move {
        for mut feed in feeds {
            assert_eq!(feed.json().await, json!({"last_seq": 2, "end": "stopping"}));
            assert_eq!(feed.line().await, Ok(None));
        }
    });
    let store = store.restart().await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    answer.await.unwrap();
    polling.read_to_string(&mut answered).await.unwrap();
    assert!(
        answered.starts_with("HTTP/1.1 200") && answered.ends_with("\"last_seq\":2}"),
        "{answered}"
    );
    let seq = put(&store, "k").await;
    let mut feed = Reader::open(&store, &store.admin, Http::Two, "feed=continuous&since=2").await;
    feed.json().await;
    assert_eq!(told(&[feed.json().await]), [format!("{seq} put k")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feeds_of_a_key_are_limited_and_given_back() {
    let store = Store::photos().await;
    let holder = store.holder(&[WATCH_ALL]);
    let mut feeds = Vec::new();
    for _ in 0..FEEDS_OF_ONE_KEY {
        feeds.push(Reader::open(&store, &holder, Http::Two, "feed=continuous").await);
    }
    let one_more = || {
        store.send_as(
            &holder,
            Ask::new("GET", &format!("{CHANGES}?feed=longpoll&timeout=1")),
        )
    };
    one_more().await.is(429, "TooManyRequests");
    // Others have room, and so has a page.
    page(&store, &store.admin, "?feed=longpoll&timeout=1").await;
    page(&store, &holder, "").await;
    feeds.pop();
    until("a feed to be given back", async || one_more().await.status == 200).await;
}

/// Readers that take nothing cost a bounded number of bytes, and hold nobody up, a stop included.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_costs_little() {
    if !alone("changes::a_reader_that_takes_nothing_costs_little") {
        return;
    }
    let store = Store::photos().await;
    let long = "k".repeat(900);
    for number in 0..12 {
        let keys: Vec<_> = (0..900).map(|key| format!("{long}{number}-{key}")).collect();
        batch(&store, &keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    let before = resident_kib();
    let mut held = Vec::new();
    for http in BOTH {
        for _ in 0..8 {
            held.push(Reader::open(&store, &store.admin, http, "feed=continuous").await);
        }
    }
    // Others are served meanwhile, and what is written is told.
    let seq = put(&store, "k").await;
    let query = format!("?since={}", seq - 1);
    assert_eq!(
        results(&page(&store, &store.admin, &query).await),
        [format!("{seq} put k")]
    );
    let grown = resident_kib().saturating_sub(before) / 1024;
    // Of both ends: a page, a piece ahead of it, and what HTTP/2 holds for a reader that does not read.
    assert!(grown < 256, "memory grew by {grown} MiB");
    let begun = Instant::now();
    store.keep().await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    drop(held);
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
