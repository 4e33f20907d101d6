//! Following the log: whatever happens to documents, process and files, the index comes to what the documents are.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::{BucketId, Seq};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{BucketConfig, ContentDigest, ObjectHeaders, Preconditions};
use wfldb_core::text::{SearchRequest, TextConfig};
use wfldb_core::time::UnixMillis;
use wfldb_engine::{Engine, EngineOptions, Which};

use super::config;
use crate::error::TextViewError;
use crate::views::{TextState, TextViews};

pub(super) fn bucket() -> BucketName {
    BucketName::parse("notes").unwrap()
}

pub(super) fn query() -> Authorized {
    proof(Op::Query)
}

fn proof(op: Op) -> Authorized {
    Authorized::local("test", op, Target::Listing(bucket()))
}

fn of_key(op: Op, key: &str) -> Authorized {
    Authorized::local("test", op, Target::Key(bucket(), ObjectKey::parse(key).unwrap()))
}

/// A store with one bucket that has an index.
pub(super) struct Store {
    dir: tempfile::TempDir,
    engine: Option<Engine>,
    views: Option<TextViews>,
    clock: Arc<AtomicU64>,
}

impl Store {
    pub(super) fn new(text: &str) -> Self {
        let mut store = Self {
            dir: tempfile::tempdir().unwrap(),
            engine: None,
            views: None,
            clock: Arc::new(AtomicU64::new(1_767_323_045_006)),
        };
        store.open();
        store.configure(Some(config(text)));
        store
    }

    fn open(&mut self) {
        let clock = Arc::clone(&self.clock);
        let options = EngineOptions {
            clock: Arc::new(move || UnixMillis::new(clock.fetch_add(1, Ordering::SeqCst))),
            ..EngineOptions::default()
        };
        let engine = Engine::open(self.dir.path(), options.without_floor()).unwrap();
        self.views = Some(TextViews::start(&engine).unwrap());
        self.engine = Some(engine);
    }

    /// Ends everything, as the end of a process does: nothing is settled before.
    fn close(&mut self) {
        self.views = None;
        self.engine = None;
    }

    pub(super) fn views(&self) -> &TextViews {
        self.views.as_ref().unwrap()
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn configure(&self, text: Option<TextConfig>) {
        let config = BucketConfig {
            text,
            ..BucketConfig::default()
        };
        let proof = Authorized::local("test", Op::Manage, Target::Bucket(bucket()));
        self.engine().put_bucket(&proof, config).wait().unwrap();
        if let Some(views) = &self.views {
            views.look();
        }
    }

    pub(super) fn put(&mut self, key: &str, document: Value) {
        self.put_with(key, document, &[]);
    }

    #[expect(clippy::needless_pass_by_value, reason = "so the tests read better")]
    fn put_with(&self, key: &str, document: Value, headers: &[(&str, &str)]) {
        let body = serde_json::to_vec(&document).unwrap();
        let proof = of_key(Op::Put, key);
        let mut upload = self
            .engine()
            .begin_upload(&proof, ContentDigest::of(&body))
            .unwrap();
        upload.write(&body).unwrap();
        let headers = ObjectHeaders::parse(headers.iter().copied()).unwrap();
        let upload = upload.finish().unwrap();
        self.engine()
            .put(&proof, upload, headers, Preconditions::default())
            .wait()
            .unwrap();
    }

    pub(super) fn delete(&mut self, key: &str) {
        let proof = of_key(Op::Delete, key);
        self.engine()
            .delete(&proof, Preconditions::default())
            .wait()
            .unwrap();
    }

    fn restore(&self, key: &str) {
        self.engine().undelete(&of_key(Op::Put, key)).wait().unwrap();
    }

    pub(super) fn erase_newest(&mut self, key: &str) {
        let meta = self
            .engine()
            .object(&of_key(Op::Get, key), Which::Newest)
            .unwrap()
            .meta()
            .version;
        self.engine()
            .erase(&of_key(Op::Erase, key), meta, Preconditions::default())
            .wait()
            .unwrap();
    }

    /// The newest `seq` of the bucket.
    pub(super) fn seq(&self) -> u64 {
        let query = wfldb_engine::ChangesQuery {
            since: wfldb_engine::Since::Now,
            ..wfldb_engine::ChangesQuery::default()
        };
        self.engine()
            .changes(&proof(Op::Watch), &query)
            .unwrap()
            .last
            .get()
    }

    /// Waits until the index has everything.
    pub(super) fn settle(&self) {
        let seq = Seq::new(self.seq());
        until(|| match self.views().until(&query(), seq) {
            Ok(mut until) => until.wait(Duration::from_secs(30)).is_ok(),
            Err(TextViewError::Building) => false,
            Err(error) => panic!("{error}"),
        });
    }

    /// Keeps the index as it is, however the documents change.
    pub(super) fn hold(&self) {
        self.views().shared.held.store(true, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(300));
    }

    pub(super) fn let_go(&self) {
        self.views().shared.held.store(false, Ordering::SeqCst);
        self.views().look();
    }

    fn found(&self, text: &str) -> Vec<String> {
        let request = SearchRequest {
            limit: 1000,
            ..SearchRequest::new(text)
        };
        let page = self.views().search(&query(), &request).unwrap();
        let mut keys: Vec<String> = page.hits.iter().map(|hit| hit.key.as_str().to_owned()).collect();
        keys.sort();
        keys
    }

    /// What the index itself says, without the documents.
    fn indexed(&self) -> u64 {
        self.views().progress(&query()).unwrap().documents
    }

    fn index_dir(&self) -> PathBuf {
        let mut found = fs::read_dir(self.dir.path().join("views/text")).unwrap();
        found.next().unwrap().unwrap().path()
    }

    fn made(&self) -> u64 {
        self.views().progress(&query()).unwrap().made
    }
}

fn until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_mins(1), "it did not come about");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Defects it catches: an effect of the log that is not followed (an erasure, an expiry, an undelete).
#[test]
fn whatever_changes_a_document_changes_what_is_found() {
    let mut store = Store::new("{}");
    for key in ["a", "b", "c", "d"] {
        store.put(key, json!({"t": "fox"}));
    }
    store.put_with("e", json!({"t": "fox"}), &[("x-wfldb-ttl", "100")]);
    store.settle();
    assert_eq!(store.found("fox"), ["a", "b", "c", "d", "e"]);
    store.delete("a");
    store.put("b", json!({"t": "hen"}));
    store.put("b", json!({"t": "den"}));
    store.put("c", json!({"t": "hen"}));
    store.erase_newest("c");
    store.put("d", json!(["fox", "in no object"]));
    store.erase_newest("d");
    store.erase_newest("d");
    store.settle();
    assert_eq!(store.found("fox"), ["c", "e"]);
    assert_eq!(
        (store.found("den"), store.found("hen")),
        (vec!["b".to_owned()], vec![])
    );
    assert_eq!(store.indexed(), 3);
    store.restore("a");
    store.settle();
    assert_eq!(store.found("fox"), ["a", "c", "e"]);
    // At its end it is gone at once, and out of the index when the end was carried out.
    store.clock.fetch_add(200_000, Ordering::SeqCst);
    assert_eq!(store.found("fox"), ["a", "c"]);
    until(|| store.indexed() == 3);
    assert_eq!(store.made(), 1);
}

/// Defects it catches: a cursor that is ahead of its documents or behind by more than a step; a lock that the last
/// process left behind.
#[test]
fn an_index_goes_on_where_it_was_after_any_end() {
    let mut store = Store::new("{}");
    let mut expected = Vec::new();
    for round in 0..6 {
        for number in 0..20 {
            let key = format!("k{round}-{number:02}");
            store.put(&key, json!({"t": "fox"}));
            expected.push(key);
        }
        if round % 2 == 0 {
            store.settle();
        }
        store.close();
        store.open();
    }
    store.settle();
    assert_eq!(store.found("fox"), expected);
    assert_eq!(store.indexed(), 120);
    // It was taken up and not made again.
    assert_eq!(store.made(), 0);
}

/// The image that a kill leaves: the files as they are at any moment, of the index and of the store, at different
/// moments. Defects it catches: a cursor that is durable before what it speaks of; an index that is ahead of a store.
#[test]
fn an_older_or_newer_image_of_the_index_catches_up_or_is_made_anew() {
    let mut store = Store::new("{}");
    for number in 0..50 {
        store.put(&format!("k{number:02}"), json!({"t": "fox"}));
    }
    store.settle();
    let old = tempfile::tempdir().unwrap();
    store.close();
    copy(&store.dir.path().join("views"), &old.path().join("views"));
    store.open();
    for number in 0..50 {
        match number % 2 {
            0 => store.delete(&format!("k{number:02}")),
            _ => store.put(&format!("k{number:02}"), json!({"t": "hen"})),
        }
    }
    store.settle();
    store.close();
    remove(&store.dir.path().join("views"));
    copy(&old.path().join("views"), &store.dir.path().join("views"));
    store.open();
    store.settle();
    assert_eq!((store.found("fox").len(), store.found("hen").len()), (0, 25));
    assert_eq!(store.indexed(), 25);
}

/// Removes a directory. A merge that was begun before its index was closed may write a last file into it meanwhile.
fn remove(dir: &std::path::Path) {
    let mut tries = 0;
    while let Err(error) = fs::remove_dir_all(dir) {
        tries += 1;
        assert!(
            error.kind() == std::io::ErrorKind::DirectoryNotEmpty && tries < 100,
            "{error}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Copies of a running index, at any moment, open or are recognised, and catch up.
#[test]
fn an_image_taken_in_the_midst_of_writing_catches_up() {
    let mut store = Store::new("{}");
    let images = tempfile::tempdir().unwrap();
    for number in 0..200 {
        store.put(&format!("k{number:03}"), json!({"t": "fox"}));
        if number % 40 == 20 {
            // Without the store: the index is what is in question. A file may go while it is copied.
            let to = images.path().join(number.to_string());
            let from = store.dir.path().join("views");
            let _ = std::panic::catch_unwind(|| copy(&from, &to));
        }
    }
    store.settle();
    store.close();
    for image in fs::read_dir(images.path()).unwrap() {
        remove(&store.dir.path().join("views"));
        copy(&image.unwrap().path(), &store.dir.path().join("views"));
        store.open();
        store.settle();
        assert_eq!(store.found("fox").len(), 200);
        assert_eq!(store.indexed(), 200);
        store.close();
    }
}

type Damage = fn(&std::path::Path);

/// Defects it catches: damage that is searched; damage that ends the process, or that holds the index up for ever.
#[test]
fn a_lost_or_damaged_index_is_made_anew() {
    let mut store = Store::new("{}");
    for number in 0..30 {
        store.put(&format!("k{number:02}"), json!({"t": "fox den hen"}));
    }
    store.settle();
    store.close();
    let dir = store.index_dir();
    let damage: [(&str, Damage); 5] = [
        ("removed", |file| fs::remove_file(file).unwrap()),
        ("cut", |file| {
            let half = fs::metadata(file).unwrap().len() / 2;
            fs::OpenOptions::new()
                .write(true)
                .open(file)
                .unwrap()
                .set_len(half)
                .unwrap();
        }),
        ("emptied", |file| fs::write(file, b"").unwrap()),
        ("flipped", |file| {
            let mut bytes = fs::read(file).unwrap();
            let middle = bytes.len() / 3;
            bytes[middle] ^= 0x40;
            fs::write(file, bytes).unwrap();
        }),
        ("replaced", |file| fs::write(file, vec![b'x'; 5000]).unwrap()),
    ];
    let mut files: Vec<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.rsplit('.').next() != Some("lock"))
        .map(|name| name.rsplit('.').next().unwrap().to_owned())
        .collect();
    files.sort();
    files.dedup();
    assert!(files.len() > 4, "{files:?}");
    for ending in files {
        for (what, damage) in damage {
            let mut all = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
            let Some(file) = all.find(|path| path.to_str().unwrap().ends_with(&ending)) else {
                continue;
            };
            damage(&file);
            store.open();
            store.settle();
            assert_eq!(store.found("fox").len(), 30, "{ending} {what}");
            assert_eq!(store.indexed(), 30, "{ending} {what}");
            store.close();
        }
    }
    remove(&store.dir.path().join("views"));
    store.open();
    store.settle();
    assert_eq!(store.found("fox").len(), 30);
    assert_eq!(store.made(), 1);
    // While it is in use.
    fs::remove_dir_all(store.index_dir()).unwrap();
    store.put("new", json!({"t": "fox"}));
    store.settle();
    assert_eq!(store.found("fox").len(), 31);
}

/// Defects it catches: an index of another definition that is searched; one that stays when nobody asks for it.
#[test]
fn another_definition_makes_the_index_anew_and_none_removes_it() {
    let mut store = Store::new(r#"{"fields":["title"]}"#);
    store.put("a", json!({"title": "fox", "body": "running"}));
    store.settle();
    assert_eq!((store.found("fox").len(), store.found("running").len()), (1, 0));
    store.configure(Some(config(
        r#"{"fields":["title","body"],"language":"english"}"#,
    )));
    store.settle();
    assert_eq!(store.found("run"), ["a"]);
    store.configure(None);
    let refused = store.views().search(&query(), &SearchRequest::new("fox"));
    assert!(matches!(refused, Err(TextViewError::NotIndexed)));
    let dir = store.dir.path().join("views/text");
    until(|| fs::read_dir(&dir).unwrap().count() == 0);
    store.configure(Some(config("{}")));
    store.settle();
    assert_eq!(store.found("running"), ["a"]);
    // With its bucket; another one of that name begins without anything.
    let proof = || Authorized::local("test", Op::Manage, Target::Bucket(bucket()));
    store.engine().delete_bucket(&proof(), true).wait().unwrap();
    until(|| fs::read_dir(&dir).unwrap().count() == 0);
    store.configure(Some(config("{}")));
    store.settle();
    assert!(store.found("running").is_empty());
}

#[test]
fn an_index_can_be_made_anew_while_documents_are_written() {
    let mut store = Store::new("{}");
    for number in 0..300 {
        store.put(&format!("k{number:03}"), json!({"t": "fox"}));
        if number % 100 == 50 {
            match store.views().make_anew(&query()) {
                Ok(()) | Err(TextViewError::Building) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    store.settle();
    assert_eq!((store.found("fox").len(), store.indexed()), (300, 300));
    let progress = store.views().progress(&query()).unwrap();
    assert_eq!((progress.state, progress.failures), (TextState::Ready, 0));
    let figures: Vec<(BucketId, u64)> = store
        .views()
        .figures()
        .into_iter()
        .map(|(bucket, progress)| (bucket, progress.seq))
        .collect();
    assert_eq!(figures.len(), 1);
    assert_eq!(figures[0].1, store.seq());
}
