//! Backups under writers, each restored and compared with the model at exactly its log position.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use wfldb_core::id::VersionId;

use super::*;
use crate::{RestoreOptions, restore};

const WRITERS: u8 = 4;
const BACKUPS: usize = 8;

/// A change that was answered. The bucket is the only one, so its seq is the log position.
#[derive(Debug, Clone)]
enum Done {
    Put(String, VersionId, Vec<u8>),
    Delete(String, VersionId),
    Erase(String, VersionId),
}

type Record = Mutex<BTreeMap<u64, Done>>;
/// The versions of each key; `None` is a tombstone.
type Model = BTreeMap<String, BTreeMap<VersionId, Option<Vec<u8>>>>;

fn write(engine: &Engine, writer: u8, record: &Record, stop: &AtomicBool) {
    let mut own: Vec<(String, VersionId)> = Vec::new();
    for n in 0u32.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let key = format!("w{writer}/k{}", n % 6);
        let (seq, done) = match n % 10 {
            3 | 7 => match delete(engine, "aaa", &key).unwrap() {
                Some(deleted) => (deleted.seq, Done::Delete(key, deleted.version)),
                None => continue,
            },
            5 | 9 if !own.is_empty() => {
                let (key, version) = own.remove(0);
                let proof = object("aaa", &key, Op::Erase);
                let erased = engine.erase(&proof, version, Preconditions::default()).wait();
                (erased.unwrap().unwrap().seq, Done::Erase(key, version))
            }
            kind => {
                // Few different large ones, so that their chunks come, are shared, and go.
                let body = if kind % 2 == 0 {
                    large(u8::try_from(n % 3).unwrap())
                } else {
                    format!("{writer} {n} ").repeat(300).into_bytes()
                };
                let stored = put(engine, "aaa", &key, &body).unwrap();
                own.push((key.clone(), stored.version));
                (stored.seq, Done::Put(key, stored.version, body))
            }
        };
        record.lock().unwrap().insert(seq.get(), done);
    }
}

fn model_at(record: &Record, position: u64) -> Model {
    let mut model = Model::new();
    let record = record.lock().unwrap();
    let mut expected = 2;
    for (seq, done) in record.range(..=position) {
        assert_eq!(*seq, expected, "every change is recorded");
        expected += 1;
        match done.clone() {
            Done::Put(key, version, body) => {
                model.entry(key).or_default().insert(version, Some(body));
            }
            Done::Delete(key, version) => {
                model.entry(key).or_default().insert(version, None);
            }
            Done::Erase(key, version) => {
                model.entry(key).or_default().remove(&version);
            }
        }
    }
    assert_eq!(expected, position + 1, "the record reaches the position");
    model.retain(|_, versions| !versions.is_empty());
    model
}

fn state_of(engine: &Engine) -> Model {
    let mut model = Model::new();
    for key in (0..WRITERS).flat_map(|writer| (0..6).map(move |k| format!("w{writer}/k{k}"))) {
        let page = match engine.versions(&object("aaa", &key, Op::Get), None, 1000) {
            Ok(page) => page,
            Err(EngineError::NoSuchKey) => continue,
            Err(error) => panic!("{error}"),
        };
        for item in page.items {
            let body =
                (!item.deleted).then(|| read(engine, "aaa", &key, Which::Version(item.version)).unwrap());
            model.entry(key.clone()).or_default().insert(item.version, body);
        }
    }
    model
}

/// Seeded: journals copied whole, with what was committed after the cut.
#[test]
fn a_backup_under_writers_is_the_state_at_its_position() {
    let dir = tempfile::tempdir().unwrap();
    let series = tempfile::tempdir().unwrap();
    let (engine, storage) = engine_that_flushes(dir.path());
    make_bucket(&engine, "aaa");
    let record = Record::default();
    let stop = AtomicBool::new(false);
    let mut reports = Vec::new();
    std::thread::scope(|threads| {
        for writer in 0..WRITERS {
            let (engine, record, stop) = (engine.clone(), &record, &stop);
            threads.spawn(move || write(&engine, writer, record, stop));
        }
        threads.spawn(|| {
            // Flushes and compactions all the time: manifests, tables and journals change under the backup.
            while !stop.load(Ordering::SeqCst) {
                storage.rest().unwrap();
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        let mut answered = 0;
        while reports.len() < BACKUPS {
            if record.lock().unwrap().len() >= answered + 40 {
                answered = record.lock().unwrap().len();
                reports.push(backup(&engine, series.path()));
            }
            std::thread::yield_now();
        }
        stop.store(true, Ordering::SeqCst);
    });
    let mut tables = 0;
    for report in &reports {
        must_be_sound(&report.path);
        let restored = tempfile::tempdir().unwrap();
        let to = restored.path().join("store");
        restore(&report.path, &to, &RestoreOptions::new(engine.inner.now())).unwrap();
        let again = open(&to);
        assert_eq!(again.health().writable, Ok(()));
        assert_eq!(again.stats().log_position, report.position);
        assert!(
            state_of(&again) == model_at(&record, report.position),
            "{report:?}"
        );
        // It takes writes, on the same chain.
        put(&again, "aaa", "after", &large(9)).unwrap();
        tables += laws::files(&report.path.join("db"))
            .iter()
            .filter(|file| file.contains("/tables/"))
            .count();
    }
    assert!(tables > BACKUPS * 8, "only {tables} tables: nothing was flushed");
    let positions: Vec<u64> = reports.iter().map(|report| report.position).collect();
    assert!(
        positions.is_sorted_by(|left, right| left < right),
        "{positions:?}"
    );
    let pauses: Vec<_> = reports.iter().map(|report| report.pause).collect();
    eprintln!("pauses {pauses:?}, positions {positions:?}, {tables} tables");
}
