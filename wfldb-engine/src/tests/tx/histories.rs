//! Generated histories: few keys, ranges and buckets, many transactions beside each other and beside plain writes, by
//! threads and, so that a failure can be had again, by steps of one thread. What each saw goes to the checker.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use super::serial::{Orders, Ran, Writer, circle};
use super::*;

const BUCKETS: [&str; 2] = ["aaa", "bbb"];
const KEYS: [&str; 4] = ["a1", "a2", "a3", "b1"];
const RANGES: [(&str, &str); 3] = [("a", "b"), ("a2", "a9"), ("", "c")];

/// Small, fast and the same everywhere: splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }
}

fn named(bucket: &str, key: &str) -> String {
    format!("{bucket}/{key}")
}

fn writer_of(body: &[u8]) -> Writer {
    std::str::from_utf8(body).unwrap().parse().unwrap()
}

/// Who wrote which tombstone, by bucket and version.
type Deleted = BTreeMap<(String, wfldb_core::id::VersionId), Writer>;

/// A transaction that is under way, with what it has seen so far.
struct Running {
    tx: Transaction,
    ran: Ran,
}

impl Running {
    fn new(engine: &Engine, id: Writer) -> Self {
        Self {
            tx: begin(engine),
            ran: Ran { id, ..Ran::default() },
        }
    }

    fn has_written(&self, name: &str) -> bool {
        self.ran.writes.iter().any(|(written, _)| written == name)
    }

    fn note_write(&mut self, name: String, put: bool) {
        self.ran.writes.retain(|(written, _)| *written != name);
        self.ran.writes.push((name, put));
    }

    fn step(&mut self, dice: &mut Dice) {
        let (bucket, key) = (dice.one_of(&BUCKETS), dice.one_of(&KEYS));
        let name = named(bucket, key);
        match dice.roll(8) {
            0..=2 => {
                let found = get(&mut self.tx, bucket, key).unwrap();
                if !self.has_written(&name) {
                    let seen = found.map(|body| writer_of(&body));
                    self.ran.reads.push((name, seen));
                } else if let Some(body) = found {
                    assert_eq!(writer_of(&body), self.ran.id, "its own write");
                }
            }
            3 | 4 => self.range(bucket, dice.one_of(&RANGES)),
            5 | 6 => {
                set(&mut self.tx, bucket, key, self.ran.id.to_string().as_bytes()).unwrap();
                self.note_write(name, true);
            }
            _ => {
                // Whether something is there is read, so that the order of the key is known.
                self.tx.savepoint("s").unwrap();
                set(&mut self.tx, bucket, key, b"taken back").unwrap();
                self.tx.roll_back_to("s").unwrap();
                let found = get(&mut self.tx, bucket, key).unwrap();
                if !self.has_written(&name) {
                    let seen = found.map(|body| writer_of(&body));
                    self.ran.reads.push((name.clone(), seen));
                }
                unset(&mut self.tx, bucket, key).unwrap();
                self.note_write(name, false);
            }
        }
    }

    /// Reads a range, and of each key in it the value: so the keys' values are read as points, their presence as a range.
    fn range(&mut self, bucket: &str, (from, to): (&str, &str)) {
        let range = TxRange {
            // It is exclusive; the smallest key behind it that can occur is `from` itself.
            after: (!from.is_empty()).then(|| just_before(from)),
            before: Some(to.to_owned()),
            ..TxRange::default()
        };
        let found = page(&mut self.tx, bucket, &range).unwrap();
        let mut seen = Vec::new();
        for item in found.items {
            let name = named(bucket, item.key.as_str());
            if self.has_written(&name) {
                continue;
            }
            // The point is in the snapshot that the range is of, so it is there.
            let body = get(&mut self.tx, bucket, item.key.as_str()).unwrap().unwrap();
            seen.push((name, writer_of(&body)));
        }
        let bounds = (named(bucket, from), named(bucket, to));
        let own = self.ran.writes.iter().map(|(name, _)| name.clone());
        let own: Vec<String> = own.filter(|name| *name >= bounds.0 && *name < bounds.1).collect();
        if own.is_empty() {
            self.ran.ranges.push((bounds.0, bounds.1, seen));
        } else {
            // Beside what it is to write itself, what it saw are points.
            for (name, writer) in seen {
                self.ran.reads.push((name, Some(writer)));
            }
        }
    }

    /// Commits; what ran, if it did.
    fn finish(self) -> Option<Ran> {
        let Self { tx, mut ran } = self;
        match commit(tx) {
            Ok(done) => {
                // A delete of what was not there wrote nothing.
                let nothing = done.writes.iter().filter(|write| write.version.is_none());
                let nothing: Vec<_> = nothing
                    .map(|write| named(write.bucket.as_str(), write.key.as_str()))
                    .collect();
                ran.writes.retain(|(name, _)| !nothing.contains(name));
                Some(ran)
            }
            Err(EngineError::TransactionConflict(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The largest text before `key` that no key of these tests equals.
fn just_before(key: &str) -> String {
    let (front, last) = key.split_at(key.len() - 1);
    let last = char::from(last.as_bytes()[0] - 1);
    format!("{front}{last}~")
}

/// The order of each key, from its versions: whoever wrote it stands in its body, whoever deleted it is found by `deleted`.
fn orders(engine: &Engine, history: &[Ran], deleted: &Deleted) -> Orders {
    let mut orders = Orders::new();
    for bucket in BUCKETS {
        for key in KEYS {
            let Ok(page) = engine.versions(&object(bucket, key, Op::Get), None, 1000) else {
                continue;
            };
            assert!(!page.more);
            let order = page.items.iter().rev().map(|item| {
                if item.deleted {
                    (deleted[&(bucket.to_owned(), item.version)], false)
                } else {
                    let which = Which::Version(item.version);
                    (writer_of(&read(engine, bucket, key, which).unwrap()), true)
                }
            });
            orders.insert(named(bucket, key), order.collect());
        }
    }
    assert!(history.iter().all(|ran| ran.id != 0));
    orders
}

/// Steps of one thread: `seed` says whose turn it is and what it does. Nothing else decides, so each failure comes again.
fn interleaved(seed: u64, transactions: usize) -> (Result<Option<Vec<Writer>>, String>, usize) {
    let (_dir, _, engine) = two_buckets();
    for bucket in BUCKETS {
        for key in &KEYS[..2] {
            put(&engine, bucket, key, b"0").unwrap();
        }
    }
    let mut dice = Dice(seed);
    let mut next = 1;
    let mut running: Vec<(Running, usize)> = Vec::new();
    let mut history = Vec::new();
    let mut deleted = Deleted::new();
    while next <= transactions || !running.is_empty() {
        if next <= transactions && (running.len() < 2 || (running.len() < 4 && dice.roll(3) == 0)) {
            let length = 2 + dice.roll(5);
            running.push((Running::new(&engine, next), length));
            next += 1;
            continue;
        }
        let turn = dice.roll(running.len());
        if running[turn].1 > 0 {
            running[turn].1 -= 1;
            running[turn].0.step(&mut dice);
            continue;
        }
        let (done, _) = running.swap_remove(turn);
        let newest = |bucket: &str, key: &str| {
            let page = engine.versions(&object(bucket, key, Op::Get), None, 1).ok()?;
            page.items.first().map(|item| (item.version, item.deleted))
        };
        if let Some(ran) = done.finish() {
            for (name, put) in &ran.writes {
                let (bucket, key) = name.split_once('/').unwrap();
                if let Some((version, true)) = newest(bucket, key).filter(|_| !put) {
                    deleted.insert((bucket.to_owned(), version), ran.id);
                }
            }
            history.push(ran);
        }
    }
    let orders = orders(&engine, &history, &deleted);
    assert_sound(&engine);
    (circle(&history, &orders), history.len())
}

/// Defects it catches, each of which was tried: a commit that does not look at what was read; points only; ranges that
/// are held against the snapshot instead of the overlay; absence that is not noted; what has changed in the bucket is not asked.
#[test]
fn interleaved_histories_are_serialisable() {
    let (mut committed, mut begun) = (0, 0);
    for seed in 0..150 {
        let (found, done) = interleaved(seed, 20);
        assert_eq!(found, Ok(None), "seed {seed}");
        committed += done;
        begun += 20;
    }
    // Neither may everything be refused, nor nothing.
    assert!(
        committed > begun / 5 && committed < begun * 19 / 20,
        "{committed} of {begun}"
    );
}

/// Threads that run into each other for real, plain puts among them: groups are made of whatever comes together.
#[test]
fn histories_of_threads_are_serialisable() {
    for seed in 0..6 {
        let (_dir, _, engine) = two_buckets();
        let ids = AtomicUsize::new(1);
        let history = Mutex::new(Vec::new());
        let deleted = Mutex::new(Deleted::new());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (engine, ids, history, deleted) = (&engine, &ids, &history, &deleted);
                scope.spawn(move || {
                    let mut dice = Dice(seed * 100 + thread);
                    for _ in 0..40 {
                        let id = ids.fetch_add(1, Ordering::SeqCst);
                        if dice.roll(4) == 0 {
                            let (bucket, key) = (dice.one_of(&BUCKETS), dice.one_of(&KEYS));
                            put(engine, bucket, key, id.to_string().as_bytes()).unwrap();
                            history.lock().unwrap().push(Ran {
                                id,
                                writes: vec![(named(bucket, key), true)],
                                ..Ran::default()
                            });
                            continue;
                        }
                        let mut running = Running::new(engine, id);
                        for _ in 0..2 + dice.roll(5) {
                            running.step(&mut dice);
                        }
                        let Running { tx, mut ran } = running;
                        match commit(tx) {
                            Ok(done) => {
                                for write in &done.writes {
                                    let name = named(write.bucket.as_str(), write.key.as_str());
                                    match (write.version, write.etag) {
                                        (None, _) => ran.writes.retain(|(written, _)| *written != name),
                                        (Some(version), None) => {
                                            let at = (write.bucket.to_string(), version);
                                            let before = deleted.lock().unwrap().insert(at, id);
                                            assert_eq!(before, None);
                                        }
                                        (Some(_), Some(_)) => {}
                                    }
                                }
                                history.lock().unwrap().push(ran);
                            }
                            Err(EngineError::TransactionConflict(_)) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
        });
        let history = history.into_inner().unwrap();
        let orders = orders(&engine, &history, &deleted.into_inner().unwrap());
        assert_eq!(circle(&history, &orders), Ok(None), "seed {seed}");
        assert!(history.len() > 20, "{}", history.len());
        assert_sound(&engine);
    }
}
