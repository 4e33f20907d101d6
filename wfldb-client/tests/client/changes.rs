//! Batches, copies, tags and times: what goes out, what is sent again, what a refusal says.
#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use wfldb_client::{
    Batch, BatchEntry, BatchResult, BatchResults, CopyOptions, CopySource, Error, GetOptions, Representation,
    ScanQuery,
};
use wfldb_core::Kind;
use wfldb_core::id::{ContentHash, VersionId};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::{HeaderText, ObjectHeaders, Preconditions, Tags};
use wfldb_core::time::UnixMillis;
use wfldb_net::accept::FLATBUFFERS;
use wfldb_net::batch::{BatchAction, parse_json};
use wfldb_net::codec::{decode_batch, encode_batch_results, encode_problem};
use wfldb_net::problem::Problem;

use crate::fake::{Fake, Reply, Seen, answer, problem};
use crate::wire::{VERSION, place, stored};

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn only_new() -> Preconditions {
    Preconditions {
        if_none_match_any: true,
        ..Preconditions::default()
    }
}

fn results(entries: &[BatchEntry]) -> BatchResults {
    let version = Some(VersionId::parse(VERSION).unwrap());
    let result = |entry: &BatchEntry| match &entry.action {
        BatchAction::Put { body, .. } => BatchResult {
            key: entry.key.clone(),
            version,
            etag: Some(ContentHash::of(body)),
        },
        _ => BatchResult {
            key: entry.key.clone(),
            version: None,
            etag: None,
        },
    };
    BatchResults {
        seq: Some(7),
        results: entries.iter().map(result).collect(),
    }
}

/// Answers a batch in the form that it came in.
fn carried_out(seen: &Seen) -> Reply {
    let form = seen.headers.get("content-type").unwrap();
    assert_eq!(seen.headers.get("accept"), Some(form));
    if form == FLATBUFFERS {
        let entries = decode_batch(&seen.body).unwrap();
        return answer(
            200,
            &[("content-type", form)],
            encode_batch_results(&results(&entries)),
        );
    }
    let entries = parse_json(&seen.body).unwrap();
    answer(
        200,
        &[("content-type", form)],
        serde_json::to_vec(&results(&entries)).unwrap(),
    )
}

fn batch() -> Batch {
    Batch::new()
        .put(key("a"), vec![0, 255])
        .delete(key("b"))
        .check(key("c"))
}

#[tokio::test]
async fn a_batch_says_the_same_in_both_forms() {
    let fake = Fake::start(|_, seen| carried_out(seen)).await;
    let (bucket, _) = place();
    let first = fake.client().batch(&bucket, &batch()).await.unwrap();
    let second = fake
        .client()
        .batch_as(&bucket, &batch(), Representation::Json)
        .await;
    assert_eq!(first, second.unwrap());
    assert_eq!((first.seq, first.results.len()), (Some(7), 3));
    let seen = fake.seen();
    assert!(
        seen.iter()
            .all(|seen| seen.method == "POST" && seen.target == "/v1/photos/batch")
    );
}

#[tokio::test]
async fn a_refused_batch_names_its_entry_in_both_forms() {
    let fake = Fake::start(|number, _| {
        let mut refusal = Problem::new(Kind::Precondition, "PreconditionFailed", "no", "r1");
        refusal.entry = Some(2);
        match number {
            0 => answer(412, &[("content-type", FLATBUFFERS)], encode_problem(&refusal)),
            _ => answer(
                412,
                &[("content-type", "application/problem+json")],
                serde_json::to_vec(&refusal).unwrap(),
            ),
        }
    })
    .await;
    let (bucket, _) = place();
    for _ in 0..2 {
        let error = fake.client().batch(&bucket, &batch()).await.unwrap_err();
        assert_eq!(
            (error.refused_entry(), error.code()),
            (Some(2), Some("PreconditionFailed"))
        );
        assert!(error.is_precondition());
    }
}

#[tokio::test]
async fn a_batch_without_an_answer_is_sent_again_only_when_it_guards_itself() {
    let fake = Fake::start(|_, _| Reply::Hang).await;
    let (bucket, _) = place();
    let error = fake.client().batch(&bucket, &batch()).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error:?}");
    assert_eq!(fake.seen().len(), 1);

    let guarded = batch().put(key("d"), "x").only_if(only_new());
    let fake = Fake::start(|number, seen| {
        if number == 0 {
            Reply::Hang
        } else {
            carried_out(seen)
        }
    })
    .await;
    fake.client().batch(&bucket, &guarded).await.unwrap();
    assert_eq!(fake.seen().len(), 2);

    let fake = Fake::start(|number, _| match number {
        0 => Reply::Hang,
        _ => problem(412, "PreconditionFailed", None, &[]),
    })
    .await;
    let error = fake.client().batch(&bucket, &guarded).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error:?}");

    let fake = Fake::start(|number, seen| match number {
        0 => problem(503, "Busy", None, &[]),
        _ => carried_out(seen),
    })
    .await;
    fake.client().batch(&bucket, &batch()).await.unwrap();
    assert_eq!(fake.seen().len(), 2, "what surely did not happen is sent again");
}

#[tokio::test]
async fn an_answer_about_another_batch_is_not_believed() {
    let fake = Fake::start(|number, _| match number {
        0 => answer(
            200,
            &[("content-type", FLATBUFFERS)],
            encode_batch_results(&results(Batch::new().put(key("a"), "other").entries())),
        ),
        _ => answer(200, &[("content-type", FLATBUFFERS)], "nonsense"),
    })
    .await;
    let (bucket, _) = place();
    let one = Batch::new().put(key("a"), "x");
    let error = fake.client().batch(&bucket, &one).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
    let error = fake.client().batch(&bucket, &one).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error:?}");
}

#[tokio::test]
async fn a_batch_beyond_the_limits_does_not_leave() {
    let fake = Fake::start(|_, seen| carried_out(seen)).await;
    let (bucket, _) = place();
    let client = fake.client();
    let many = (0..1001).fold(Batch::new(), |batch, n| batch.delete(key(&format!("k{n}"))));
    let large = Batch::new().put(key("a"), vec![0; 8 * 1024 * 1024]);
    for batch in [Batch::new(), many, large] {
        let error = client.batch(&bucket, &batch).await.unwrap_err();
        assert!(matches!(error, Error::Local(_)), "{error:?}");
    }
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn copies_times_and_tags_are_spelled_canonically() {
    let fake = Fake::start(|_, seen| match seen.target.as_str() {
        target if target.contains("/scan") => answer(200, &[], r#"{"items":[]}"#),
        _ => stored(seen),
    })
    .await;
    let (bucket, cat) = place();
    let client = fake.client();
    let version = VersionId::parse(VERSION).unwrap();
    let source = CopySource {
        bucket: bucket.clone(),
        key: cat.clone(),
        version: Some(version),
    };
    let options = CopyOptions {
        headers: ObjectHeaders {
            content_type: Some(HeaderText::parse("image/jpeg").unwrap()),
            tags: Tags::parse("a=b").unwrap(),
            ttl_seconds: Some(60),
            ..ObjectHeaders::default()
        },
        preconditions: Preconditions {
            if_version: Some(version),
            ..Preconditions::default()
        },
    };
    client.copy(&source, &bucket, &key("b"), options).await.unwrap();
    let at = UnixMillis::parse("2026-01-02T03:04:05.006Z").unwrap();
    client.head_at(&bucket, &cat, at).await.unwrap_err();
    client.get_at(&bucket, &cat, at).await.unwrap_err();
    let query = ScanQuery::default()
        .tag("size", "5/6")
        .unwrap()
        .tag("a b", "")
        .unwrap();
    client.scan(&bucket, &query).next().await.unwrap();
    client
        .head(&bucket, &cat, GetOptions::version(version))
        .await
        .unwrap_err();

    let seen = fake.seen();
    let targets: Vec<_> = seen
        .iter()
        .map(|seen| (seen.method.as_str(), seen.target.as_str()))
        .collect();
    let version_of = |mode: &str| format!("/v1/photos/a%20b/cat.jpg?{mode}");
    let at = version_of("at=2026-01-02T03%3A04%3A05.006Z");
    let expected = [
        (
            "POST",
            format!("/v1/photos/b?copy=%2Fphotos%2Fa%20b%2Fcat.jpg&copy_version={VERSION}"),
        ),
        ("HEAD", at.clone()),
        ("GET", at),
        (
            "GET",
            "/v1/photos/scan?limit=1000&tag=a%2520b%3D%26size%3D5%252F6".to_owned(),
        ),
        ("HEAD", version_of(&format!("version={VERSION}"))),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(method, target)| (*method, target.as_str()))
        .collect();
    assert_eq!(targets, expected);
    for (name, value) in [
        ("content-type", "image/jpeg"),
        ("x-wfldb-tags", "a=b"),
        ("x-wfldb-ttl", "60"),
        ("x-wfldb-if-version", VERSION),
        ("x-wfldb-content", "none 0 -"),
    ] {
        assert_eq!(
            seen.first().unwrap().headers.get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
    for target in targets {
        let route = wfldb_net::route::parse(target.0, target.1).unwrap();
        route.parameters().unwrap();
    }
}

#[tokio::test]
async fn a_copy_is_sent_again_only_when_it_is_guarded() {
    let fake = Fake::start(|_, _| Reply::Hang).await;
    let (bucket, cat) = place();
    let source = CopySource {
        bucket: bucket.clone(),
        key: cat,
        version: None,
    };
    let copy = fake
        .client()
        .copy(&source, &bucket, &key("b"), CopyOptions::default())
        .await;
    assert!(matches!(copy, Err(Error::OutcomeUnknown(_))), "{copy:?}");
    assert_eq!(fake.seen().len(), 1);
    let guarded = CopyOptions {
        preconditions: only_new(),
        ..CopyOptions::default()
    };
    let fake = Fake::start(|number, seen| if number == 0 { Reply::Hang } else { stored(seen) }).await;
    fake.client()
        .copy(&source, &bucket, &key("b"), guarded)
        .await
        .unwrap();
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn figures_keep_members_that_this_release_does_not_name() {
    let fake = Fake::start(|_, seen| match seen.method.as_str() {
        "GET" => answer(200, &[], r#"{"commits":3,"colour":7}"#),
        _ => answer(200, &[], r#"{"storage_bytes_before":9,"storage_bytes":4}"#),
    })
    .await;
    let stats = fake.client().stats().await.unwrap();
    assert_eq!((stats.commits, stats.more.get("colour")), (3, Some(&7.into())));
    let compacted = fake.client().compact().await.unwrap();
    assert_eq!((compacted.storage_bytes_before, compacted.storage_bytes), (9, 4));
    let seen = fake.seen();
    let last = seen.last().unwrap();
    assert_eq!(
        (last.target.as_str(), last.body.as_ref()),
        ("/v1/_admin", br#"{"do":"compact"}"#.as_slice())
    );
}
