//! How a mirror keeps pace: `cargo run --release -p wfldb-engine --example mirror_pace -- [name=value]…`, with `documents`,
//! `rate` (changes a second), `seconds` (of a turn), `turns` (at the rate), `saturated` (turns as fast as it goes), `history`
//! (`git` or `files`), `place` (the mirror's directory).
//!
//! Fills a store, has its mirror made, then changes documents, their keys drawn from a Zipf distribution: at a fixed rate in
//! turns without a mirror and with one, and as fast as it goes in the same way. Prints times of commits, how far the mirror
//! was behind, and how fast it caught up.

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

#[expect(clippy::print_stdout, reason = "it is what the program is for")]
fn main() -> Result<(), Failure> {
    let mut arguments = std::collections::BTreeMap::new();
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').ok_or("it takes name=value")?;
        arguments.insert(name.to_owned(), value.to_owned());
    }
    let mut take = |name: &str| arguments.remove(name);
    let mut number = |name: &str, default: u64| take(name).map_or(Ok(default), |text| text.parse());
    let (documents, rate) = (number("documents", 100_000)?, number("rate", 1000)?);
    let (seconds, turns, saturated) = (
        number("seconds", 5)?,
        number("turns", 12)?,
        number("saturated", 3)?,
    );
    let git = take("history").is_none_or(|word| word == "git");
    let place = take("place").map(std::path::PathBuf::from);
    if let Some(name) = arguments.keys().next() {
        return Err(format!("{name} is nothing that it takes").into());
    }
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
    fill(&engine, &bucket, documents);
    println!("{documents} documents stored in {:.1?}", began.elapsed());

    let keys = u32::try_from(documents)?;
    let time = Duration::from_secs(seconds);
    // What the load left behind is over by then.
    drive(&engine, &bucket, keys, rate, time);

    let start = || {
        Mirror::start(
            &engine,
            MirrorOptions {
                dir: place.clone(),
                git,
                ..MirrorOptions::default()
            },
        )
    };
    let began = Instant::now();
    let mirror = start()?;
    if !mirror.caught_up(LONG) {
        return Err("the mirror was not made in ten minutes".into());
    }
    let files = mirror.status().files;
    println!(
        "made: {files} files in {:.1?}, {}",
        began.elapsed(),
        if git { "with git" } else { "without git" }
    );
    drop(mirror);

    for (what, rate, turns) in [("at a rate", rate, turns), ("as fast as it goes", 0, saturated)] {
        let (mut without, mut with, mut lags) = (Vec::new(), Vec::new(), Vec::new());
        let (mut behind, mut caught_up) = (0, Duration::ZERO);
        for _ in 0..turns {
            without.push(drive(&engine, &bucket, keys, rate, time));
            let mirror = start()?;
            if !mirror.caught_up(LONG) {
                return Err("the mirror did not catch up in ten minutes".into());
            }
            let end = AtomicBool::new(false);
            let seen = std::thread::scope(|scope| {
                let watch = scope.spawn(|| {
                    let mut lags = Vec::new();
                    while !end.load(Ordering::SeqCst) {
                        lags.push(mirror.status().lag);
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    lags
                });
                with.push(drive(&engine, &bucket, keys, rate, time));
                end.store(true, Ordering::SeqCst);
                watch.join().unwrap_or_default()
            });
            lags.extend(seen);
            let (began, left) = (Instant::now(), mirror.status().behind);
            if mirror.caught_up(LONG) {
                behind += left;
                caught_up += began.elapsed();
            }
        }
        lags.sort_unstable();
        for (name, turns) in [("without", without), ("with", with)] {
            let mut tails: Vec<Duration> = turns.iter().map(|times| part(times, 990)).collect();
            tails.sort_unstable();
            let mut all = turns.concat();
            all.sort_unstable();
            println!(
                "{what}, {name}: {} commits, p50 {:.2?}, p99 {:.2?}, at most {:.2?}; p99 of a turn: median {:.2?}, of each {tails:.1?}",
                all.len(),
                part(&all, 500),
                part(&all, 990),
                all.last().copied().unwrap_or_default(),
                part(&tails, 500),
            );
        }
        println!(
            "{what}, lag: p50 {:.2?}, p99 {:.2?}, at most {:.2?}; {behind} changes were caught up with in {caught_up:.1?}",
            part(&lags, 500),
            part(&lags, 990),
            lags.last().copied().unwrap_or_default(),
        );
    }
    Ok(())
}
