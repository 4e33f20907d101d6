//! Uploads in parts: `?multipart=`.

use http::StatusCode;
use serde_json::json;

use crate::harness::{Answer, Ask, BOTH, Holder, Http, Store, text};

const PART: usize = 5 << 20;
const MADE_UP: &str = "00112233445566778899aabbccddeeff";

fn etag(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn bytes(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(&[seed])
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// An upload in progress, as its owner sees it.
struct Upload<'a> {
    store: &'a Store,
    holder: Holder,
    http: Http,
    target: String,
    id: String,
}

impl<'a> Upload<'a> {
    async fn start(
        store: &'a Store,
        holder: &Holder,
        http: Http,
        key: &str,
        headers: &[(&str, &str)],
    ) -> Self {
        let target = format!("/v1/photos/{key}");
        let mut ask = Ask::new("POST", &format!("{target}?multipart=start&part_bytes={PART}")).over(http);
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        let started = store.send_as(holder, ask).await.ok(StatusCode::OK);
        assert_eq!(started.header("content-type"), "application/json");
        let json = started.json();
        let id = text(&json["upload"]);
        assert_eq!(json, json!({ "upload": id }));
        assert!(id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
        Self {
            store,
            holder: holder.clone(),
            http,
            target,
            id,
        }
    }

    fn ask(&self, method: &str) -> Ask {
        Ask::new(method, &format!("{}?multipart={}", self.target, self.id)).over(self.http)
    }

    async fn part(&self, number: u32, body: &[u8]) -> Answer {
        let mut ask = self.ask("PUT").body(body);
        ask.query = format!("{}&part={number}", ask.query);
        self.store.send_as(&self.holder, ask).await
    }

    async fn send(&self, ask: Ask) -> Answer {
        self.store.send_as(&self.holder, ask).await
    }

    async fn complete(&self, list: &serde_json::Value) -> Answer {
        self.send(self.ask("POST").body(list.to_string())).await
    }
}

async fn usage(store: &Store) -> serde_json::Value {
    store.send(Ask::new("GET", "/v1/photos")).await.json()["usage"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_in_any_order_become_one_object() {
    let store = Store::photos().await;
    let (one, two) = (bytes(1, PART), bytes(2, 70_000));
    for http in BOTH {
        let kept = [
            ("content-type", "video/mp4"),
            ("x-wfldb-meta-camera", "box"),
            ("x-wfldb-tags", "a=b"),
        ];
        let upload = Upload::start(&store, &store.admin, http, &format!("{http:?}"), &kept).await;
        let empty = upload.send(upload.ask("GET")).await.ok(StatusCode::OK).json();
        let expires = text(&empty["expires"]);
        assert_eq!(expires.len(), 24);
        assert_eq!(
            empty,
            json!({"part_bytes": PART, "expires": expires, "parts": []})
        );
        // The last first, a wrong one and its replacement, and one that the list does not name.
        for (number, body) in [(3, &two), (2, &one), (2, &two), (1, &one)] {
            let sent = upload.part(number, body).await.ok(StatusCode::OK);
            assert_eq!(sent.header("etag"), format!("\"{}\"", etag(body)));
            assert!(sent.body.is_empty());
        }
        let listed = upload.send(upload.ask("GET")).await.ok(StatusCode::OK).json();
        assert_eq!(
            listed["parts"],
            json!([
                {"part": 1, "etag": etag(&one), "size": PART},
                {"part": 2, "etag": etag(&two), "size": 70_000},
                {"part": 3, "etag": etag(&two), "size": 70_000},
            ])
        );
        // Nothing is there yet.
        store
            .send(Ask::new("GET", &upload.target).over(http))
            .await
            .is(404, "NoSuchKey");
        let list = json!([{"part": 1, "etag": etag(&one)}, {"part": 2, "etag": etag(&two)}]);
        let whole = [one.as_slice(), &two].concat();
        let done = upload.complete(&list).await.ok(StatusCode::CREATED);
        assert_eq!(done.header("etag"), format!("\"{}\"", etag(&whole)));
        assert!(done.body.is_empty());
        let got = store
            .send(Ask::new("GET", &upload.target).over(http))
            .await
            .ok(StatusCode::OK);
        assert!(got.body == whole, "the parts in order");
        for (name, value) in kept {
            assert_eq!(got.header(name), value);
        }
        for name in ["etag", "x-wfldb-version", "x-wfldb-seq", "last-modified"] {
            assert_eq!(done.header(name), got.header(name), "{name}");
        }
        let across = Ask::new("GET", &upload.target)
            .over(http)
            .header("range", &format!("bytes={}-{}", PART - 3, PART + 2));
        let across = store.send(across).await.ok(StatusCode::PARTIAL_CONTENT);
        assert_eq!(across.body, whole[PART - 3..=PART + 2]);

        // The same list has the same answer, whatever was written since; another one has none.
        store
            .send(Ask::new("PUT", &upload.target).over(http).body("later"))
            .await
            .ok(StatusCode::OK);
        let again = upload.complete(&list).await.ok(StatusCode::CREATED);
        for name in ["etag", "x-wfldb-version", "x-wfldb-seq", "last-modified"] {
            assert_eq!(again.header(name), done.header(name), "{name}");
        }
        let other = json!([{"part": 1, "etag": etag(&one)}]);
        upload.complete(&other).await.is(404, "NoSuchUpload");
        upload.part(1, &two).await.is(404, "NoSuchUpload");
        for method in ["GET", "DELETE"] {
            upload.send(upload.ask(method)).await.is(404, "NoSuchUpload");
        }
        let newest = store.send(Ask::new("GET", &upload.target).over(http)).await;
        assert_eq!(&newest.body[..], b"later");
    }
    let usage = usage(&store).await;
    assert_eq!(
        (usage["objects"].as_u64(), usage["versions"].as_u64()),
        (Some(2), Some(4))
    );
    assert_eq!(usage["bytes"].as_u64().unwrap(), 2 * (PART as u64 + 70_000 + 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_upload_gives_back_its_bytes() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/photos").body(r#"{"quota_bytes":200000}"#))
        .await
        .ok(StatusCode::OK);
    let before = usage(&store).await;
    for http in BOTH {
        let upload = Upload::start(&store, &store.admin, http, "k", &[]).await;
        upload.part(1, &bytes(1, 150_000)).await.ok(StatusCode::OK);
        assert_eq!(usage(&store).await["stored_bytes"], 150_000);
        // Parts count against the bucket's quota, which a replaced part gives back.
        upload.part(2, &bytes(2, 60_000)).await.is(403, "QuotaExceeded");
        let plain = Ask::new("PUT", "/v1/photos/k").over(http).body(bytes(3, 60_000));
        store.send(plain).await.is(403, "QuotaExceeded");
        upload.part(1, &bytes(4, 190_000)).await.ok(StatusCode::OK);
        let aborted = upload.send(upload.ask("DELETE")).await.ok(StatusCode::NO_CONTENT);
        assert!(aborted.body.is_empty());
        assert_eq!(usage(&store).await, before);
        for method in ["GET", "DELETE"] {
            upload.send(upload.ask(method)).await.is(404, "NoSuchUpload");
        }
    }
}

/// PROTOCOL 6: an upload belongs to bucket, key and starter.
/// A defect it catches: the starter's key not compared, so that whoever knows an id can read and end the upload.
#[tokio::test(flavor = "multi_thread")]
async fn the_upload_of_somebody_else_is_not_there() {
    let store = Store::photos().await;
    let all = r#"{"b":"photos","p":"","ops":["get","list","put","delete","erase"]}"#;
    let (owner, other) = (store.holder(&[all]), store.holder(&[all]));
    let upload = Upload::start(&store, &owner, Http::Two, "k", &[]).await;
    let part = bytes(1, 100_000);
    upload.part(1, &part).await.ok(StatusCode::OK);
    let list = json!([{"part": 1, "etag": etag(&part)}]);
    for http in BOTH {
        for (holder, target, id) in [
            (&other, "/v1/photos/k", upload.id.as_str()),
            (&store.admin, "/v1/photos/k", &upload.id),
            (&owner, "/v1/photos/other", &upload.id),
            (&owner, "/v1/photos/k", MADE_UP),
        ] {
            let stranger = Upload {
                store: &store,
                holder: holder.clone(),
                http,
                target: target.to_owned(),
                id: id.to_owned(),
            };
            stranger.part(1, &part).await.is(404, "NoSuchUpload");
            stranger.complete(&list).await.is(404, "NoSuchUpload");
            for method in ["GET", "DELETE"] {
                let answer = stranger.send(stranger.ask(method)).await;
                answer.is(404, "NoSuchUpload");
            }
        }
        // Without `put` of the key it is 403, for the owner's id and a made-up one.
        let reader = store.holder(&[r#"{"b":"photos","p":"","ops":["get","list","delete"]}"#]);
        for id in [upload.id.as_str(), MADE_UP] {
            for (method, more) in [("PUT", "&part=1"), ("GET", ""), ("POST", ""), ("DELETE", "")] {
                let target = format!("/v1/photos/k?multipart={id}{more}");
                let ask = Ask::new(method, &target).over(http);
                store.send_as(&reader, ask).await.is(403, "Forbidden");
            }
        }
    }
    upload.complete(&list).await.ok(StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion_names_every_part_as_it_is() {
    let store = Store::photos().await;
    let (full, short) = (bytes(1, PART), bytes(2, 70_000));
    for http in BOTH {
        let upload = Upload::start(&store, &store.admin, http, "k", &[]).await;
        for (number, body) in [(1, &full), (2, &short), (3, &short), (5, &short)] {
            upload.part(number, body).await.ok(StatusCode::OK);
        }
        let entry = |part: u32, body: &[u8]| json!({"part": part, "etag": etag(body)});
        for list in [
            json!([entry(1, &short)]),
            json!([entry(1, &full), entry(2, &short), entry(3, &short)]),
            json!([entry(1, &full), entry(2, &full)]),
            json!([
                entry(1, &full),
                entry(2, &short),
                entry(3, &short),
                entry(4, &short)
            ]),
        ] {
            upload.complete(&list).await.is(400, "InvalidPart");
        }
        for list in [
            json!([]),
            json!({}),
            json!([[1, etag(&full)]]),
            json!([entry(2, &short)]),
            json!([entry(1, &full), entry(3, &short)]),
            json!([entry(2, &short), entry(1, &full)]),
            json!([entry(1, &full), entry(1, &full)]),
            json!([{"part": 1, "etag": format!("\"{}\"", etag(&full))}]),
            json!([{"part": 1, "etag": etag(&full), "size": PART}]),
        ] {
            upload.complete(&list).await.is(400, "BadPartList");
        }
        let too_long = upload.part(4, &bytes(3, PART + 1)).await;
        too_long.is(400, "InvalidPart");
        upload.part(4, b"").await.is(400, "InvalidPart");
        for part in ["0", "10001", "01", "-1", "x"] {
            let mut ask = upload.ask("PUT").body("x");
            ask.query = format!("{}&part={part}", ask.query);
            upload.send(ask).await.is(400, "BadParameter");
        }
        // Conditions are looked at in the commit; a failed one leaves the upload as it is.
        store.send(Ask::new("PUT", "/v1/photos/k").body("there")).await;
        let list = json!([entry(1, &full), entry(2, &short)]).to_string();
        let refused = upload.ask("POST").body(list.clone()).header("if-none-match", "*");
        upload.send(refused).await.is(412, "PreconditionFailed");
        let good = upload
            .ask("POST")
            .body(list)
            .header("if-match", &format!("\"{}\"", etag(b"there")));
        upload.send(good).await.ok(StatusCode::OK);
        store
            .send(Ask::new("DELETE", "/v1/photos/k"))
            .await
            .ok(StatusCode::NO_CONTENT);
        for part_bytes in ["1048576", "5242881", "1074790400", "0", "05242880"] {
            let start = format!("/v1/photos/k?multipart=start&part_bytes={part_bytes}");
            let refused = store.send(Ask::new("POST", &start).over(http)).await;
            assert_eq!(refused.status, 400, "{part_bytes}");
            assert!(["InvalidPart", "BadParameter"].contains(&refused.code().as_str()));
        }
    }
}

/// PROTOCOL 3: "Limits hold for the final object whatever way it is written."
/// A defect it catches: parts measured one by one, so that an object of many is as large as anyone likes.
#[tokio::test(flavor = "multi_thread")]
async fn limits_of_grants_hold_for_the_object_of_parts() {
    let store = Store::photos().await;
    let grant =
        |limit: &str| store.holder(&[&format!(r#"{{"b":"photos","p":"","ops":["put","get"],{limit}}}"#)]);
    let (full, short) = (bytes(1, PART), bytes(2, 70_000));
    let sized = grant(&format!(r#""max_bytes":{}"#, PART + 60_000));
    let upload = Upload::start(&store, &sized, Http::Two, "sized", &[]).await;
    upload.part(1, &full).await.ok(StatusCode::OK);
    // By its place it would end behind the limit.
    upload.part(2, &short).await.is(403, "Forbidden");
    upload.part(2, &short[..60_000]).await.ok(StatusCode::OK);

    let typed = grant(r#""content_type":["image/png"]"#);
    let start = format!("/v1/photos/typed?multipart=start&part_bytes={PART}");
    for wrong in [None, Some("text/html")] {
        let ask = Ask::new("POST", &start);
        let ask = match wrong {
            Some(wrong) => ask.header("content-type", wrong),
            None => ask,
        };
        store.send_as(&typed, ask).await.is(403, "Forbidden");
    }
    Upload::start(
        &store,
        &typed,
        Http::Two,
        "typed",
        &[("content-type", "image/png")],
    )
    .await;

    let quota = grant(r#""quota_bytes":100000"#);
    let upload = Upload::start(&store, &quota, Http::Two, "quota", &[]).await;
    upload.part(1, &short).await.ok(StatusCode::OK);
    upload.part(2, &short).await.is(403, "QuotaExceeded");
    let list = json!([{"part": 1, "etag": etag(&short)}]);
    // The object is charged in place of its parts, not beside them.
    upload.complete(&list).await.ok(StatusCode::CREATED);

    let new_only = grant(r#""create_only":true"#);
    let upload = Upload::start(&store, &new_only, Http::Two, "new", &[]).await;
    upload.part(1, &short).await.ok(StatusCode::OK);
    store
        .send(Ask::new("PUT", "/v1/photos/new").body("x"))
        .await
        .ok(StatusCode::CREATED);
    store
        .send(Ask::new("DELETE", "/v1/photos/new"))
        .await
        .ok(StatusCode::NO_CONTENT);
    upload.complete(&list).await.is(403, "Forbidden");

    // The bucket's own limit, whatever the grants say.
    store
        .send(Ask::new("PUT", "/v1/photos").body(r#"{"object_bytes_max":60000}"#))
        .await
        .ok(StatusCode::OK);
    let upload = Upload::start(&store, &store.admin, Http::Two, "small", &[]).await;
    upload.part(1, &short).await.is(413, "TooLarge");

    // Who may neither get nor list is always told 200.
    let blind = store.holder(&[r#"{"b":"photos","p":"","ops":["put"]}"#]);
    let upload = Upload::start(&store, &blind, Http::Two, "blind", &[]).await;
    upload.part(1, &short[..50_000]).await.ok(StatusCode::OK);
    let list = json!([{"part": 1, "etag": etag(&short[..50_000])}]).to_string();
    let guess = upload.ask("POST").body(list.clone()).header("if-match", "*");
    upload.send(guess).await.is(403, "Forbidden");
    upload
        .send(upload.ask("POST").body(list).header("if-none-match", "*"))
        .await
        .ok(StatusCode::OK);
}
