//! How a mirror keeps pace: `cargo run --release -p wfldb-engine --example mirror_pace -- [name=value]…`, with `documents`,
//! `rate` (changes a second), `seconds` (of a turn), `turns` (at the rate), `saturated` (turns as fast as it goes), `history`
//! (`git` or `files`), `place` (the mirror's directory).
//!
//! Fills a store, has its mirror made, then changes documents, their keys drawn from a Zipf distribution: at a fixed rate in
//! turns without a mirror and with one, and as fast as it goes in the same way. Prints times of commits, how far the mirror
//! was behind, and how fast it caught up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::ByteLen;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{BucketConfig, ObjectHeaders, Preconditions};
use wfldb_engine::{Engine, EngineOptions, Mirror, MirrorOptions};

// As the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

const WRITERS: u64 = 8;
const LONG: Duration = Duration::from_mins(10);

fn put(engine: &Engine, bucket: &BucketName, number: u64, n: u64) -> Result<(), Failure> {
    let key = ObjectKey::parse(&format!("user-{number:07}"))?;
    let proof = Authorized::local("pace", Op::Put, Target::Key(bucket.clone(), key));
    let text = "words of a document that is about as long as documents are; ".repeat(5);
    let body = format!(r#"{{"n":{n},"name":"user {number}","text":"{text}"}}"#);
    engine.settled(|engine| {
        engine.put_document(
            &proof,
            body.as_bytes(),
            ObjectHeaders::default(),
            Preconditions::default(),
        )
    })?;
    Ok(())
}

/// Numbers below `keys` with the weights 1, 1/2, 1/3 …, from a generator that needs no crate.
struct Zipf {
    weights: Vec<f64>,
    state: u64,
}

impl Zipf {
    fn new(keys: u32, seed: u64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=keys).map(|rank| {
            sum += 1.0 / f64::from(rank);
            sum
        });
        Self {
            weights: weights.collect(),
            state: seed | 1,
        }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let unit = f64::from(u32::try_from(self.state >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        let wanted = unit * self.weights.last().copied().unwrap_or_default();
        let rank = self.weights.partition_point(|sum| *sum < wanted) as u64;
        // Hot keys are not neighbours.
        rank.wrapping_mul(0x9e37_79b9) % self.weights.len() as u64
    }
}

/// Stores the documents.
fn fill(engine: &Engine, bucket: &BucketName, documents: u64) {
    let number = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                loop {
                    let number = number.fetch_add(1, Ordering::SeqCst);
                    if number >= documents || put(engine, bucket, number, 0).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// Changes documents at a rate, 0: as fast as it goes; answers the times of commits in order. At a rate they count from
/// when a change was due, so that a pause counts for all that it held up.
fn drive(engine: &Engine, bucket: &BucketName, keys: u32, rate: u64, time: Duration) -> Vec<Duration> {
    let began = Instant::now();
    let writers = std::thread::scope(|scope| {
        let writer = |writer: u64| {
            let mut zipf = Zipf::new(keys, 0x9876_5432 + writer * 77);
            let mut times = Vec::new();
            let gap = Duration::from_secs(WRITERS).checked_div(u32::try_from(rate).unwrap_or(1));
            let nth = |gap: Duration| {
                gap * u32::try_from(writer).unwrap_or(0) / u32::try_from(WRITERS).unwrap_or(1)
            };
            let mut due = began + gap.map_or(Duration::ZERO, nth);
            while began.elapsed() < time {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if put(engine, bucket, zipf.next(), times.len() as u64).is_ok() {
                    times.push(due.elapsed());
                }
                due = gap.map_or_else(Instant::now, |gap| due + gap);
            }
            times
        };
        let writers: Vec<_> = (0..WRITERS).map(|n| scope.spawn(move || writer(n))).collect();
        writers
            .into_iter()
            .flat_map(|writer| writer.join().unwrap_or_default())
            .collect::<Vec<_>>()
    });
    let mut times = writers;
    times.sort_unstable();
    times
}

fn part(times: &[Duration], of: usize) -> Duration {
    times.get(times.len() * of / 1000).copied().unwrap_or_default()
}

/// What the arguments ask for.
struct Asked {
    documents: u64,
    rate: u64,
    time: Duration,
    turns: u64,
    saturated: u64,
    git: bool,
    place: Option<PathBuf>,
}

impl Asked {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut given = BTreeMap::new();
        for argument in arguments {
            let (name, value) = argument.split_once('=').ok_or("it takes name=value")?;
            given.insert(name.to_owned(), value.to_owned());
        }
        let mut take = |name: &str| given.remove(name);
        let mut number = |name: &str, default: u64| take(name).map_or(Ok(default), |text| text.parse());
        let asked = Self {
            documents: number("documents", 100_000)?,
            rate: number("rate", 1000)?,
            time: Duration::from_secs(number("seconds", 5)?),
            turns: number("turns", 12)?,
            saturated: number("saturated", 3)?,
            git: take("history").is_none_or(|word| word == "git"),
            place: take("place").map(PathBuf::from),
        };
        match given.keys().next() {
            Some(name) => Err(format!("{name} is nothing that it takes").into()),
            None => Ok(asked),
        }
    }
}

/// A store with its documents, and how its mirror is kept.
struct Pace {
    engine: Engine,
    bucket: BucketName,
    keys: u32,
    asked: Asked,
}

impl Pace {
    fn drive(&self, rate: u64) -> Vec<Duration> {
        drive(&self.engine, &self.bucket, self.keys, rate, self.asked.time)
    }

    /// Begins to keep the mirror, and waits until it has caught up.
    fn start(&self) -> Result<Mirror, Failure> {
        let options = MirrorOptions {
            dir: self.asked.place.clone(),
            git: self.asked.git,
            ..MirrorOptions::default()
        };
        let mirror = Mirror::start(&self.engine, options)?;
        if !mirror.caught_up(LONG) {
            return Err("the mirror did not catch up in ten minutes".into());
        }
        Ok(mirror)
    }

    /// Changes documents in turns without a mirror and with one.
    fn compare(&self, rate: u64, turns: u64) -> Result<Compared, Failure> {
        let mut seen = Compared::default();
        for _ in 0..turns {
            seen.without.push(self.drive(rate));
            let mirror = self.start()?;
            let end = AtomicBool::new(false);
            let rests = mirror.status().rests;
            let lags = std::thread::scope(|scope| {
                let watch = scope.spawn(|| {
                    let mut lags = Vec::new();
                    while !end.load(Ordering::SeqCst) {
                        lags.push(mirror.status().lag);
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    lags
                });
                seen.with.push(self.drive(rate));
                end.store(true, Ordering::SeqCst);
                watch.join().unwrap_or_default()
            });
            seen.lags.extend(lags);
            let (began, status) = (Instant::now(), mirror.status());
            seen.rests += status.rests - rests;
            if mirror.caught_up(LONG) {
                seen.behind += status.behind;
                seen.caught_up += began.elapsed();
            }
        }
        seen.lags.sort_unstable();
        Ok(seen)
    }
}

/// What was seen: times of commits by turns, how far the mirror was behind, its rest points in all turns, and what it was
/// behind at their ends.
#[derive(Default)]
struct Compared {
    without: Vec<Vec<Duration>>,
    with: Vec<Vec<Duration>>,
    lags: Vec<Duration>,
    rests: u64,
    behind: u64,
    caught_up: Duration,
}

impl Compared {
    #[expect(clippy::print_stdout, reason = "it is what the program is for")]
    fn print(&self, what: &str) {
        for (name, turns) in [("without", &self.without), ("with", &self.with)] {
            let tails: Vec<Duration> = turns.iter().map(|times| part(times, 990)).collect();
            let mut sorted = tails.clone();
            sorted.sort_unstable();
            let mut all = turns.concat();
            all.sort_unstable();
            println!(
                "{what}, {name}: {} commits, p50 {:.2?}, p99 {:.2?}, at most {:.2?}; p99 of a turn: median {:.2?}, of each {tails:.1?}",
                all.len(),
                part(&all, 500),
                part(&all, 990),
                all.last().copied().unwrap_or_default(),
                part(&sorted, 500),
            );
        }
        println!(
            "{what}, lag: p50 {:.2?}, p99 {:.2?}, at most {:.2?}; {} rest points; {} changes were caught up with in {:.1?}",
            part(&self.lags, 500),
            part(&self.lags, 990),
            self.lags.last().copied().unwrap_or_default(),
            self.rests,
            self.behind,
            self.caught_up,
        );
    }
}

#[expect(clippy::print_stdout, reason = "it is what the program is for")]
fn main() -> Result<(), Failure> {
    let asked = Asked::parse(std::env::args().skip(1))?;
    let dir = tempfile::tempdir()?;
    let options = EngineOptions {
        min_free: ByteLen::new(0),
        ..EngineOptions::default()
    };
    let engine = Engine::open(dir.path(), options)?;
    let bucket = BucketName::parse("users")?;
    let manage = Authorized::local("pace", Op::Manage, Target::Bucket(bucket.clone()));
    let config = BucketConfig::parse_json(br#"{"kind":"documents"}"#)?;
    engine.put_bucket(&manage, config).wait()?;

    let began = Instant::now();
    fill(&engine, &bucket, asked.documents);
    println!("{} documents stored in {:.1?}", asked.documents, began.elapsed());

    let keys = u32::try_from(asked.documents)?;
    let (rate, turns, saturated) = (asked.rate, asked.turns, asked.saturated);
    let pace = Pace {
        engine,
        bucket,
        keys,
        asked,
    };
    // What the load left behind is over by then.
    pace.drive(rate);

    let began = Instant::now();
    let files = pace.start()?.status().files;
    println!("made: {files} files in {:.1?}", began.elapsed());

    pace.compare(rate, turns)?.print("at a rate");
    pace.compare(0, saturated)?.print("as fast as it goes");
    Ok(())
}
