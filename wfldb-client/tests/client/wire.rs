//! What is sent again and what is not, what is believed and what is not.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test helpers fail by panicking"
)]

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use tempfile::TempDir;
use wfldb_client::{Error, GetOptions, Prepared, PutOptions};
use wfldb_core::id::ContentHash;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::Preconditions;

use crate::fake::{Fake, Reply, Seen, answer, problem};

pub(crate) const VERSION: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

pub(crate) fn place() -> (BucketName, ObjectKey) {
    (
        BucketName::parse("photos").unwrap(),
        ObjectKey::parse("a b/cat.jpg").unwrap(),
    )
}

fn object(status: u16, body: &[u8], of: &[u8], length: Option<usize>) -> Reply {
    let etag = format!("\"{}\"", ContentHash::of(of));
    let length = length.unwrap_or(body.len()).to_string();
    let headers = [
        ("etag", etag.as_str()),
        ("x-wfldb-version", VERSION),
        ("x-wfldb-seq", "7"),
        ("content-length", &length),
    ];
    answer(status, &headers, Bytes::copy_from_slice(body))
}

/// A PUT's answer has no body but names what was stored.
pub(crate) fn stored(seen: &Seen) -> Reply {
    let etag = format!("\"{}\"", ContentHash::of(&seen.body));
    answer(
        201,
        &[
            ("etag", &etag),
            ("x-wfldb-version", VERSION),
            ("x-wfldb-seq", "7"),
        ],
        "",
    )
}

fn create_only() -> PutOptions {
    let preconditions = Preconditions {
        if_none_match_any: true,
        ..Preconditions::default()
    };
    PutOptions {
        preconditions,
        ..PutOptions::default()
    }
}

pub(crate) fn nonces(seen: &[Seen]) -> HashSet<String> {
    seen.iter()
        .map(|seen| seen.headers["x-wfldb-nonce"].clone())
        .collect()
}

#[tokio::test]
async fn a_skewed_clock_is_set_by_the_servers_answer_and_the_request_signed_anew() {
    let fake = Fake::start(|number, seen| match number {
        0 => problem(
            401,
            "Unauthenticated",
            Some("ClockSkew"),
            &[("x-wfldb-time", &in_an_hour())],
        ),
        _ => stored(seen),
    })
    .await;
    let (bucket, key) = place();
    let put = fake
        .client()
        .put(&bucket, &key, "cat", PutOptions::default())
        .await
        .unwrap();
    assert!(put.created);
    let seen = fake.seen();
    assert_eq!(
        (seen.len(), nonces(&seen).len()),
        (2, 2),
        "a nonce is never used twice"
    );
    let stamp = |at: usize| seen[at].headers["x-wfldb-timestamp"].clone();
    assert!(
        stamp(1) > stamp(0) && stamp(1).as_str() >= &in_an_hour()[..16],
        "{} {}",
        stamp(0),
        stamp(1)
    );
    assert_eq!(seen[1].body, "cat");
    assert_eq!(
        seen[1].headers["x-wfldb-content"],
        format!("b3 3 {}", ContentHash::of(b"cat"))
    );
}

fn in_an_hour() -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let ms = u64::try_from(now.as_millis()).unwrap();
    wfldb_core::time::UnixMillis::new(ms + 3_600_000).to_string()
}

#[tokio::test]
async fn a_clock_a_year_away_is_not_believed() {
    let far = "2099-01-01T00:00:00.000Z";
    let fake = Fake::start(move |_, _| {
        problem(
            401,
            "Unauthenticated",
            Some("ClockSkew"),
            &[("x-wfldb-time", far)],
        )
    });
    let fake = fake.await;
    let (bucket, key) = place();
    let error = fake
        .client()
        .put(&bucket, &key, "x", PutOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Local(_)), "{error:?}");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn busy_is_tried_again_and_a_refusal_is_not() {
    let fake = Fake::start(|number, seen| match number {
        0 => problem(503, "Busy", None, &[("retry-after", "0")]),
        1 => problem(429, "Throttled", None, &[]),
        2 => stored(seen),
        _ => problem(403, "Forbidden", None, &[]),
    })
    .await;
    let (bucket, key) = place();
    fake.client()
        .put(&bucket, &key, "x", PutOptions::default())
        .await
        .unwrap();
    assert_eq!(fake.seen().len(), 3);
    let error = fake
        .client()
        .put(&bucket, &key, "x", PutOptions::default())
        .await
        .unwrap_err();
    let Error::Api(api) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (api.status, api.code.as_str(), api.request_id.as_deref()),
        (403, "Forbidden", Some("r1"))
    );
    assert_eq!(fake.seen().len(), 4);
}

#[tokio::test]
async fn a_write_without_an_answer_is_unknown_and_sent_once() {
    let fake = Fake::start(|_, _| Reply::Hang).await;
    let (bucket, key) = place();
    let client = fake.client();
    let error = client
        .put(&bucket, &key, "x", PutOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error:?}");
    assert_eq!(fake.seen().len(), 1);
    let error = client
        .delete(&bucket, &key, &Preconditions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error:?}");
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn a_guarded_write_is_sent_again_and_its_own_precondition_is_not_taken_for_an_answer() {
    let fake = Fake::start(|number, seen| if number == 0 { Reply::Hang } else { stored(seen) }).await;
    let (bucket, key) = place();
    fake.client()
        .put(&bucket, &key, "x", create_only())
        .await
        .unwrap();
    assert_eq!((fake.seen().len(), nonces(&fake.seen()).len()), (2, 2));

    let fake = Fake::start(|number, _| match number {
        0 => Reply::Hang,
        _ => problem(412, "PreconditionFailed", None, &[]),
    })
    .await;
    let error = fake
        .client()
        .put(&bucket, &key, "x", create_only())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::OutcomeUnknown(_)),
        "the first may have been carried out: {error:?}"
    );

    let fake = Fake::start(|_, _| problem(412, "PreconditionFailed", None, &[])).await;
    let error = fake
        .client()
        .put(&bucket, &key, "x", create_only())
        .await
        .unwrap_err();
    assert!(error.is_precondition(), "{error:?}");
}

#[tokio::test]
async fn outcome_unknown_is_an_answer_of_its_own() {
    let fake = Fake::start(|_, _| problem(500, "OutcomeUnknown", None, &[])).await;
    let (bucket, key) = place();
    let error = fake
        .client()
        .put(&bucket, &key, "x", create_only())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error:?}");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_read_is_sent_again_over_a_new_connection() {
    let fake = Fake::start(|number, _| {
        if number == 0 {
            Reply::Hang
        } else {
            object(200, b"cat", b"cat", None)
        }
    });
    let fake = fake.await;
    let (bucket, key) = place();
    let cat = fake
        .client()
        .get(&bucket, &key, GetOptions::default())
        .await
        .unwrap();
    assert_eq!(cat.info().headers.meta, vec![]);
    assert_eq!(cat.bytes(100).await.unwrap(), "cat");
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn wrong_bytes_are_corrupt_and_leave_no_file() {
    let fake = Fake::start(|_, _| object(200, b"dog", b"cat", None)).await;
    let (bucket, key) = place();
    let client = fake.client();
    let dog = client.get(&bucket, &key, GetOptions::default()).await.unwrap();
    assert!(matches!(dog.bytes(100).await, Err(Error::Corrupt(_))));
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("cat.jpg");
    let error = client
        .get_to_file(&bucket, &key, &path, GetOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_put_that_stored_something_else_is_corrupt() {
    let fake = Fake::start(|_, _| object(200, b"", b"dog", None)).await;
    let (bucket, key) = place();
    let error = fake
        .client()
        .put(&bucket, &key, "cat", PutOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
}

fn large() -> Vec<u8> {
    (0..12 * 1024 * 1024_u32)
        .map(|at| u8::try_from(at % 241).unwrap())
        .collect()
}

/// Serves ranges of the large object, and breaks the connection where the test says.
fn serve(seen: &Seen, whole: &[u8]) -> Reply {
    let from = seen
        .headers
        .get("range")
        .map(|range| range["bytes=".len()..range.len() - 1].parse().unwrap());
    match from {
        None => object(200, whole, whole, None),
        Some(from) => {
            let etag = format!("\"{}\"", ContentHash::of(whole));
            assert_eq!(seen.headers["if-range"], etag);
            assert!(seen.headers["x-wfldb-signed-headers"].contains("if-range;range"));
            let rest: &[u8] = &whole[from..];
            object(206, rest, whole, None)
        }
    }
}

#[tokio::test]
async fn a_large_download_goes_on_where_an_earlier_one_stopped() {
    let whole = large();
    let copy = whole.clone();
    let fake = Fake::start(move |_, seen| serve(seen, &copy)).await;
    let (bucket, key) = place();
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("cat.jpg");
    let part = dir.path().join(".cat.jpg.wfldb-part");
    let download = || fake.client().get_to_file_owned(&bucket, &key, &path);
    let range_of = |at: usize| fake.seen()[at].headers.get("range").cloned();

    fs::write(&part, &whole[..9_000_000]).unwrap();
    download().await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole);
    assert_eq!(
        (range_of(0), range_of(1)),
        (None, Some("bytes=9000000-".to_owned()))
    );
    assert!(!part.exists());

    // What was kept is of another object: found by the hash, and fetched from the start.
    fs::write(&part, vec![1; 9_000_000]).unwrap();
    download().await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole);
    assert_eq!(fake.seen().len(), 5);

    // Too long, or too short to be worth it: started over.
    for kept in [whole.len() + 1, whole.len(), 1000] {
        fs::write(&part, vec![1; kept]).unwrap();
        download().await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    assert_eq!(fake.seen().len(), 8);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// Shortens the calls above.
trait Download {
    async fn get_to_file_owned(self, bucket: &BucketName, key: &ObjectKey, path: &Path) -> Result<(), Error>;
}

impl Download for wfldb_client::Client {
    async fn get_to_file_owned(self, bucket: &BucketName, key: &ObjectKey, path: &Path) -> Result<(), Error> {
        self.get_to_file(bucket, key, path, GetOptions::default())
            .await
            .map(|_| ())
    }
}

#[tokio::test]
async fn a_file_that_changes_after_it_was_hashed_is_not_stored() {
    let fake = Fake::start(|_, seen| stored(seen)).await;
    let (bucket, key) = place();
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("f");
    for change in [
        |path: &Path| fs::write(path, b"short").unwrap(),
        |path: &Path| {
            let mut bytes = large();
            bytes[5] = 0;
            fs::write(path, bytes).unwrap();
            // The kernel's clock for files may be too coarse to show two writes in a row.
            fs::File::open(path)
                .unwrap()
                .set_modified(std::time::UNIX_EPOCH)
                .unwrap();
        },
    ] {
        fs::write(&path, large()).unwrap();
        let prepared = Prepared::file(&path).await.unwrap();
        change(&path);
        let put = fake
            .client()
            .put_prepared(&bucket, &key, &prepared, PutOptions::default())
            .await;
        assert!(
            matches!(&put, Err(Error::Local(why)) if why.contains("changed")),
            "{put:?}"
        );
    }
    assert!(
        fake.seen().iter().all(|seen| seen.body.len() < large().len()),
        "no whole body left"
    );
}

#[tokio::test]
async fn many_requests_share_one_connection_and_all_are_answered() {
    let fake = Fake::start(|_, seen| stored(seen)).await;
    let (bucket, _) = place();
    let client = fake.client();
    let mut puts = tokio::task::JoinSet::new();
    for number in 0..300 {
        let (client, bucket) = (client.clone(), bucket.clone());
        puts.spawn(async move {
            let key = ObjectKey::parse(&format!("k{number}")).unwrap();
            client
                .put(&bucket, &key, format!("body {number}"), PutOptions::default())
                .await
        });
    }
    while let Some(put) = puts.join_next().await {
        put.unwrap().unwrap();
    }
    let seen = fake.seen();
    assert_eq!((seen.len(), nonces(&seen).len()), (300, 300));
    assert!(seen.iter().all(|seen| seen.method == "PUT"));
}
