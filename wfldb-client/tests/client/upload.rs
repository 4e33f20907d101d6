//! Uploads in parts against a server that keeps them in memory and fails where the test says.
#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tempfile::TempDir;
use wfldb_client::{Client, Error, PutOptions, UploadOptions, Uploaded};
use wfldb_core::id::ContentHash;
use wfldb_core::object::{HeaderText, ObjectHeaders, Preconditions};

use crate::fake::{Fake, Reply, Seen, answer, problem};
use crate::parts::{PART_BYTES, Shared, Store, fake, object};
use crate::wire::{VERSION, place};

const MIB: usize = 1024 * 1024;
/// Five parts of 5 MiB, the last of them short.
const FILE_BYTES: usize = 21 * MIB + 7;

/// A file and a directory for state.
struct Local {
    dir: TempDir,
    bytes: Vec<u8>,
}

impl Local {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let mut bytes = Vec::with_capacity(FILE_BYTES + 3);
        let mut state = 1_u32;
        while bytes.len() < FILE_BYTES {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bytes.extend_from_slice(&state.to_be_bytes());
        }
        bytes.truncate(FILE_BYTES);
        fs::write(dir.path().join("file"), &bytes).unwrap();
        Self { dir, bytes }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("file")
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn states(&self) -> usize {
        fs::read_dir(self.state()).map_or(0, Iterator::count)
    }

    fn options(&self, resumable: bool) -> UploadOptions {
        UploadOptions {
            part_bytes: Some(PART_BYTES),
            single_bytes_max: MIB as u64,
            state: resumable.then(|| self.state()),
            ..UploadOptions::default()
        }
    }

    fn etag(&self) -> ContentHash {
        ContentHash::of(&self.bytes)
    }
}

async fn upload(client: &Client, path: &Path, options: UploadOptions) -> Result<Uploaded, Error> {
    let (bucket, key) = place();
    client.upload_file(&bucket, &key, path, options).await
}

fn is_part(seen: &Seen, number: u16) -> bool {
    seen.method == "PUT" && seen.target.ends_with(&format!("&part={number}"))
}

fn sorted(store: &Shared) -> Vec<u16> {
    let mut parts = store.lock().unwrap().parts.clone();
    parts.sort_unstable();
    parts
}

#[tokio::test]
async fn a_large_file_is_its_parts_and_a_small_one_is_one_request() {
    let (local, store) = (Local::new(), Shared::default());
    let fake = fake(&store, |_, _| None).await;
    let moved = Arc::new(std::sync::atomic::AtomicI64::new(0));
    let counter = Arc::clone(&moved);
    let mut options = local.options(false);
    options.put.progress = Some(Arc::new(move |delta| {
        counter.fetch_add(delta, std::sync::atomic::Ordering::Relaxed);
    }));
    let uploaded = upload(&fake.client(), &local.path(), options).await.unwrap();
    assert_eq!(
        (uploaded.parts, uploaded.parts_kept, uploaded.bytes),
        (5, 0, FILE_BYTES as u64)
    );
    assert_eq!(uploaded.stored.etag, local.etag());
    assert_eq!(sorted(&store), [1, 2, 3, 4, 5]);
    assert_eq!(
        moved.load(std::sync::atomic::Ordering::Relaxed),
        i64::try_from(FILE_BYTES).unwrap()
    );
    let sent = fake.seen().len();

    fs::write(local.path(), b"small").unwrap();
    let small = Fake::start(|_, seen| object(&ContentHash::of(&seen.body))).await;
    let uploaded = upload(&small.client(), &local.path(), local.options(true))
        .await
        .unwrap();
    assert_eq!((uploaded.parts, small.seen().len(), sent), (0, 1, 7));
}

#[tokio::test]
async fn one_part_without_an_answer_is_sent_again_alone() {
    let (local, store) = (Local::new(), Shared::default());
    let failed = Mutex::new(false);
    let fake = fake(&store, move |seen, _| {
        let first = is_part(seen, 3) && !std::mem::replace(&mut failed.lock().unwrap(), true);
        first.then(|| problem(503, "Busy", None, &[]))
    })
    .await;
    let uploaded = upload(&fake.client(), &local.path(), local.options(false))
        .await
        .unwrap();
    assert_eq!(uploaded.stored.etag, local.etag());
    assert_eq!(fake.seen().iter().filter(|seen| is_part(seen, 3)).count(), 2);
    assert_eq!(sorted(&store), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn an_upload_that_stops_early_is_gone_on_with_and_no_part_is_believed_by_its_number() {
    let (local, store) = (Local::new(), Shared::default());
    let stopped = fake(&store, |seen, _| {
        is_part(seen, 5).then(|| problem(503, "Busy", None, &[]))
    })
    .await;
    let mut options = local.options(true);
    options.parallel = 1;
    let client = stopped.client();
    let error = upload(&client, &local.path(), options.clone()).await.unwrap_err();
    assert_eq!(error.status(), Some(503), "{error:?}");
    assert_eq!((local.states(), sorted(&store)), (1, vec![1, 2, 3, 4]));
    assert!(store.lock().unwrap().aborted.is_empty());

    // Part 2 there is not what is here.
    let id = format!("{:032x}", 1);
    store
        .lock()
        .unwrap()
        .uploads
        .get_mut(&id)
        .unwrap()
        .insert(2, Bytes::from_static(b"other"));
    store.lock().unwrap().parts.clear();
    let error = upload(&client, &local.path(), options.clone()).await.unwrap_err();
    assert_eq!(error.status(), Some(503), "{error:?}");
    assert_eq!(sorted(&store), [2], "1, 3 and 4 are kept, 5 fails again");
    assert_eq!(store.lock().unwrap().started, 1);
}

#[tokio::test]
async fn a_state_that_outlived_its_upload_or_is_broken_costs_a_new_upload_and_nothing_else() {
    let (local, store) = (Local::new(), Shared::default());
    let stop = Arc::new(Mutex::new(true));
    let stopping = Arc::clone(&stop);
    let fake = fake(&store, move |seen, _| {
        (is_part(seen, 5) && *stopping.lock().unwrap()).then(|| problem(503, "Busy", None, &[]))
    })
    .await;
    let client = fake.client();
    upload(&client, &local.path(), local.options(true))
        .await
        .unwrap_err();
    assert_eq!(local.states(), 1);
    store.lock().unwrap().uploads.clear();
    upload(&client, &local.path(), local.options(true))
        .await
        .unwrap_err();
    assert_eq!(
        store.lock().unwrap().started,
        2,
        "the first is not there any more"
    );

    for entry in fs::read_dir(local.state()).unwrap() {
        fs::write(entry.unwrap().path(), b"{\"what\":").unwrap();
    }
    *stop.lock().unwrap() = false;
    let uploaded = upload(&client, &local.path(), local.options(true)).await.unwrap();
    assert_eq!((uploaded.parts_kept, uploaded.stored.etag), (0, local.etag()));
    assert_eq!((store.lock().unwrap().started, local.states()), (3, 0));
}

#[tokio::test]
async fn another_state_of_the_file_or_of_its_headers_ends_the_old_upload() {
    let (local, store) = (Local::new(), Shared::default());
    let fake = fake(&store, |seen, _| {
        is_part(seen, 5).then(|| problem(503, "Busy", None, &[]))
    })
    .await;
    let client = fake.client();
    upload(&client, &local.path(), local.options(true))
        .await
        .unwrap_err();
    let mut other = local.options(true);
    other.put.headers = ObjectHeaders {
        content_type: Some(HeaderText::parse("image/jpeg").unwrap()),
        ..ObjectHeaders::default()
    };
    upload(&client, &local.path(), other.clone()).await.unwrap_err();
    assert_eq!(store.lock().unwrap().aborted, [format!("{:032x}", 1)]);
    fs::File::open(local.path())
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    upload(&client, &local.path(), other).await.unwrap_err();
    let store = store.lock().unwrap();
    assert_eq!((store.aborted.len(), store.started, local.states()), (2, 3, 1));
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_is_asked_for_again_and_made_once() {
    let (local, store) = (Local::new(), Shared::default());
    let fails = Arc::new(Mutex::new(4_u32));
    let failing = Arc::clone(&fails);
    let fake = fake(&store, move |seen, store| {
        if seen.method != "POST" || seen.target.contains("part_bytes") {
            return None;
        }
        let mut left = failing.lock().unwrap();
        if *left == 0 {
            return None;
        }
        *left -= 1;
        store.answer(seen);
        Some(Reply::Hang)
    })
    .await;
    let client = fake.client();
    let error = upload(&client, &local.path(), local.options(true))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error:?}");
    assert_eq!((local.states(), *fails.lock().unwrap()), (1, 0));
    store.lock().unwrap().parts.clear();

    let mut create_only = local.options(true);
    create_only.put.preconditions = Preconditions {
        if_none_match_any: true,
        ..Preconditions::default()
    };
    let uploaded = upload(&client, &local.path(), create_only).await.unwrap();
    assert_eq!(uploaded.stored.etag, local.etag());
    let store = store.lock().unwrap();
    assert_eq!(
        (store.parts.len(), store.started, store.completed.len()),
        (0, 1, 1)
    );
    assert_eq!(local.states(), 0);
}

#[tokio::test]
async fn what_is_refused_for_good_is_aborted_and_what_is_not_resumable_too() {
    for (status, resumable, aborted) in [(403, true, 1), (413, true, 1), (503, true, 0), (503, false, 1)] {
        let (local, store) = (Local::new(), Shared::default());
        let refuse =
            move |seen: &Seen, _: &mut Store| is_part(seen, 2).then(|| problem(status, "Refused", None, &[]));
        let fake = fake(&store, refuse).await;
        let error = upload(&fake.client(), &local.path(), local.options(resumable))
            .await
            .unwrap_err();
        assert_eq!(error.status(), Some(status));
        let states = usize::from(aborted == 0);
        assert_eq!(
            (store.lock().unwrap().aborted.len(), local.states()),
            (aborted, states),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_file_that_changes_on_the_way_never_becomes_an_object() {
    let (local, store) = (Local::new(), Shared::default());
    let path = local.path();
    let fake = fake(&store, move |seen, _| {
        if is_part(seen, 1) {
            // The kernel's clock for files may be too coarse to show two writes in a row.
            fs::File::open(&path)
                .unwrap()
                .set_modified(std::time::UNIX_EPOCH)
                .unwrap();
        }
        None
    })
    .await;
    let mut options = local.options(true);
    options.parallel = 1;
    let error = upload(&fake.client(), &local.path(), options).await.unwrap_err();
    assert!(
        matches!(&error, Error::Local(why) if why.contains("changed")),
        "{error:?}"
    );
    let store = store.lock().unwrap();
    assert_eq!(
        (store.completed.len(), store.aborted.len(), local.states()),
        (0, 1, 0)
    );
}

#[tokio::test]
async fn an_object_that_is_not_the_file_is_corrupt() {
    let (local, store) = (Local::new(), Shared::default());
    let fake = fake(&store, |seen, _| {
        let completes = seen.method == "POST" && !seen.target.contains("part_bytes");
        completes.then(|| object(&ContentHash::of(b"other")))
    })
    .await;
    let error = upload(&fake.client(), &local.path(), local.options(false))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
}

#[tokio::test]
async fn a_condition_that_does_not_hold_stops_an_upload_before_it_begins() {
    let (local, store) = (Local::new(), Shared::default());
    let fake = fake(&store, |seen, _| {
        let etag = format!("\"{}\"", ContentHash::of(b"there"));
        let headers = [
            ("etag", etag.as_str()),
            ("x-wfldb-version", VERSION),
            ("x-wfldb-seq", "7"),
            ("content-length", "5"),
        ];
        (seen.method == "HEAD").then(|| answer(200, &headers, ""))
    })
    .await;
    let mut options = local.options(true);
    options.put = PutOptions {
        preconditions: Preconditions {
            if_none_match_any: true,
            ..Preconditions::default()
        },
        ..PutOptions::default()
    };
    let error = upload(&fake.client(), &local.path(), options).await.unwrap_err();
    assert!(error.is_precondition(), "{error:?}");
    assert_eq!((store.lock().unwrap().started, fake.seen().len()), (0, 1));
}
