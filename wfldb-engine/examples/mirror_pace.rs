//! How a mirror keeps pace: `cargo run --release -p wfldb-engine --example mirror_pace -- [documents] [per second] [seconds]`.
//!
//! Fills a store, has its mirror made, then changes documents at a fixed rate, their keys drawn from a Zipf distribution,
//! first without a mirror and then with one. Prints times of commits and how far the mirror was behind.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::ByteLen;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{BucketConfig, ObjectHeaders, Preconditions};
use wfldb_engine::{Engine, EngineOptions, Mirror, MirrorOptions};

type Failure = Box<dyn std::error::Error>;

const WRITERS: u64 = 8;

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

/// Changes documents at a rate; answers the times of commits in order.
fn drive(engine: &Engine, bucket: &BucketName, keys: u32, rate: u64, time: Duration) -> Vec<Duration> {
    let began = Instant::now();
    let writers = std::thread::scope(|scope| {
        let writer = |writer: u64| {
            let mut zipf = Zipf::new(keys, 0x9876_5432 + writer * 77);
            let mut times = Vec::new();
            let gap = Duration::from_secs(1) * u32::try_from(WRITERS).unwrap_or(1)
                / u32::try_from(rate).unwrap_or(1);
            let mut due =
                began + gap * u32::try_from(writer).unwrap_or(0) / u32::try_from(WRITERS).unwrap_or(1);
            while began.elapsed() < time {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                // From when it was due, so that a pause counts for all that it held up.
                if put(engine, bucket, zipf.next(), times.len() as u64).is_ok() {
                    times.push(due.elapsed());
                }
                due += gap;
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
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let mut next = |default| arguments.next().unwrap_or(Ok(default));
    let (documents, rate, seconds) = (next(100_000)?, next(1000)?, next(30)?);
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
    let number = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                loop {
                    let number = number.fetch_add(1, Ordering::SeqCst);
                    if number >= documents || put(&engine, &bucket, number, 0).is_err() {
                        return;
                    }
                }
            });
        }
    });
    println!("{documents} documents stored in {:.1?}", began.elapsed());

    let keys = u32::try_from(documents)?;
    let time = Duration::from_secs(seconds);
    let without = drive(&engine, &bucket, keys, rate, time);
    println!(
        "without: {} commits, p50 {:.2?}, p99 {:.2?}",
        without.len(),
        part(&without, 500),
        part(&without, 990)
    );

    let began = Instant::now();
    let mirror = Mirror::start(&engine, MirrorOptions::default())?;
    if !mirror.caught_up(Duration::from_mins(10)) {
        return Err("the mirror was not made in ten minutes".into());
    }
    let files = mirror.status().files;
    println!("made: {files} files in {:.1?}", began.elapsed());

    let end = AtomicBool::new(false);
    let (with, mut lags) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut lags = Vec::new();
            while !end.load(Ordering::SeqCst) {
                lags.push(mirror.status().lag);
                std::thread::sleep(Duration::from_millis(20));
            }
            lags
        });
        let with = drive(&engine, &bucket, keys, rate, time);
        end.store(true, Ordering::SeqCst);
        (with, watch.join().unwrap_or_default())
    });
    lags.sort_unstable();
    println!(
        "with:    {} commits, p50 {:.2?}, p99 {:.2?}",
        with.len(),
        part(&with, 500),
        part(&with, 990)
    );
    let written = mirror.status().files - files;
    println!(
        "lag:     p50 {:.2?}, p99 {:.2?}, at most {:.2?}; {written} files written, {} rest points",
        part(&lags, 500),
        part(&lags, 990),
        lags.last().copied().unwrap_or_default(),
        mirror.status().rests
    );
    Ok(())
}
