//! What one bucket notices of a flood in another: the server on one core, the load on another, requests at fixed rates.
//!
//! A request's latency counts from when it was due, so a server that stalls is not asked less. The probe has a thread
//! of its own beside the flood's, but both share the load's core: how busy that core was is reported too.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use wfldb_client::retry::RetryPolicy;
use wfldb_client::{Client, ClientOptions, GetOptions, Profile, PutOptions};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::BucketConfig;

use crate::Failure;
use crate::histogram::Histogram;
use crate::options::Options;
use crate::peer::Peer;
use crate::process::{Meter, Spent};
use crate::scrape::{self, ServerView};

/// Bytes of each object.
const BODY_BYTES: usize = 4096;
/// Objects that the probe reads.
const PROBE_KEYS: u64 = 1000;
/// Writes of the flood in flight at most; when there are as many, it is late.
const FLOOD_IN_FLIGHT: usize = 512;
/// Connections of the flood: the SDK sends 128 requests at once over one.
const FLOOD_CONNECTIONS: usize = 4;

/// What the run found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    server_core: usize,
    load_core: usize,
    probe_rate: u32,
    flood_rate: u32,
    phases: Vec<Phase>,
    /// p99 of the probe under the flood over the mean of its p99 before and after.
    p99_flooded_over_solo: f64,
}

#[derive(Debug, Serialize)]
struct Phase {
    name: &'static str,
    probe: Probe,
    flood: Option<Flood>,
    /// Share of its core that the server used, and the load of its own.
    server_busy: f64,
    load_busy: f64,
    stolen_share: f64,
    /// Buckets as the server's own histogram has them; empty when it has none for each bucket.
    server_view: Vec<ServerView>,
}

/// The requests to the bucket that is not flooded.
#[derive(Debug, Default, Serialize)]
struct Probe {
    count: u64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
    failed: u64,
    histograms: Histogram,
}

/// The writes to the other one.
#[derive(Debug, Default, Serialize)]
struct Flood {
    stored: u64,
    /// Answered 429 or 503.
    refused: u64,
    failed: u64,
    /// Not sent when they were due, because too many were in flight.
    late: u64,
}

#[derive(Default)]
struct Counts {
    done: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    late: AtomicU64,
}

/// The first and the last of the cores that this process may use.
fn cores() -> Result<(usize, usize), Failure> {
    let allowed = sched_getaffinity(None)?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    let first = cores.next().ok_or("no core is allowed")?;
    let last = cores
        .next_back()
        .ok_or("two cores are needed: one for the server, one for the load")?;
    Ok((first, last))
}

/// Runs the phases: solo, flooded, solo again.
pub(crate) fn run(options: &Options, scratch: &Path) -> Result<Report, Failure> {
    let (server_core, load_core) = cores()?;
    let server = Peer::server(&scratch.join("data"), Some(server_core))?;
    let mut load = CpuSet::new();
    load.set(load_core);
    // Threads that begin later inherit it.
    sched_setaffinity(None, &load)?;
    let profile = || server.profile();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(prepare(profile()?))?;
    let mut phases = Vec::new();
    for name in ["solo", "flooded", "solo again"] {
        let time = options.time();
        let before = runtime.block_on(scrape::buckets(&server.server_fact("metrics")?))?;
        let (meter, own) = (Meter::of_tree(server.pid())?, Meter::of_self()?);
        let start = Instant::now();
        let flood = (name == "flooded").then(|| {
            let (profile, rate) = (profile(), options.flood_rate);
            std::thread::spawn(move || flood(profile?, rate, time))
        });
        let probe = probe(profile()?, options.probe_rate, time)?;
        let flood = match flood {
            Some(thread) => Some(thread.join().map_err(|_| "the flood panicked")??),
            None => None,
        };
        let wall = start.elapsed();
        let (spent, own) = (meter.spent()?, own.spent()?);
        let after = runtime.block_on(scrape::buckets(&server.server_fact("metrics")?))?;
        let busy = |spent: &Spent| spent.cpu.as_secs_f64() / wall.as_secs_f64();
        let phase = Phase {
            name,
            probe,
            flood,
            server_busy: busy(&spent),
            load_busy: busy(&own),
            stolen_share: spent.stolen_share,
            server_view: scrape::between(&before, &after),
        };
        phase.print();
        phases.push(phase);
    }
    let p99 = |name: &str| {
        phases
            .iter()
            .find(|p| p.name == name)
            .map_or(f64::NAN, |p| p.probe.p99_ms)
    };
    let solo = f64::midpoint(p99("solo"), p99("solo again"));
    let p99_flooded_over_solo = p99("flooded") / solo;
    eprintln!("{p99_flooded_over_solo:>7.2} x  p99 of the probe under the flood / its p99 alone");
    Ok(Report {
        server_core,
        load_core,
        probe_rate: options.probe_rate,
        flood_rate: options.flood_rate,
        phases,
        p99_flooded_over_solo,
    })
}

impl Phase {
    fn print(&self) {
        let probe = &self.probe;
        eprintln!(
            "{:<10} probe: {} requests, {} failed, p50 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.2} ms; server's core {:.0} % busy, \
             load's {:.0} %, stolen {:.1} %",
            self.name,
            probe.count,
            probe.failed,
            probe.p50_ms,
            probe.p99_ms,
            probe.p999_ms,
            probe.max_ms,
            self.server_busy * 100.0,
            self.load_busy * 100.0,
            self.stolen_share * 100.0
        );
        if let Some(flood) = &self.flood {
            eprintln!(
                "           flood: {} stored, {} refused, {} failed, {} late",
                flood.stored, flood.refused, flood.failed, flood.late
            );
        }
        if self.server_view.is_empty() {
            eprintln!("           server: no histogram for each bucket at /metrics");
        }
        for view in &self.server_view {
            eprintln!(
                "           server: bucket {}: {} requests, p99 at most {} ms",
                view.bucket,
                view.count,
                view.p99_ms_at_most
                    .map_or_else(|| "more than all of its bounds".to_owned(), |ms| ms.to_string())
            );
        }
    }
}

fn client(profile: Profile, connections: usize) -> Client {
    let options = ClientOptions {
        connections,
        // What is refused counts as refused.
        retry: RetryPolicy {
            first_contact: Duration::from_secs(3),
            ..RetryPolicy::never()
        },
        ..ClientOptions::default()
    };
    Client::with_options(profile, options)
}

async fn prepare(profile: Profile) -> Result<(), Failure> {
    let client = client(profile, 1);
    let probe = BucketName::parse("probe")?;
    for bucket in [&probe, &BucketName::parse("flood")?] {
        client.create_bucket(bucket, &BucketConfig::default()).await?;
    }
    for number in 0..PROBE_KEYS {
        let key = ObjectKey::parse(&format!("{number:06}"))?;
        client
            .put(&probe, &key, body(number)?, PutOptions::default())
            .await?;
    }
    Ok(())
}

fn body(number: u64) -> Result<Vec<u8>, Failure> {
    let mut body = vec![0; BODY_BYTES];
    getrandom::fill(&mut body)?;
    if let Some(start) = body.first_chunk_mut() {
        *start = number.to_be_bytes();
    }
    Ok(body)
}

/// Calls `begin` once for each request that is due, with the time at which it was due.
async fn at_rate(rate: u32, time: Duration, mut begin: impl AsyncFnMut(u64, Instant)) {
    let interval = Duration::from_secs(1) / rate.max(1);
    let start = tokio::time::Instant::now();
    let mut due = tokio::time::interval_at(start, interval);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut number = 0;
    while start.elapsed() < time {
        let when = due.tick().await;
        begin(number, when.into_std()).await;
        number += 1;
    }
}

/// Four reads, then one write, and so on.
fn probe(profile: Profile, rate: u32, time: Duration) -> Result<Probe, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, bucket) = (client(profile, 1), BucketName::parse("probe")?);
        let mut tasks = JoinSet::new();
        at_rate(rate, time, async |number, due| {
            let (client, bucket) = (client.clone(), bucket.clone());
            tasks.spawn(async move {
                let done = probe_once(&client, &bucket, number).await;
                (done, due.elapsed())
            });
        })
        .await;
        let mut probe = Probe::default();
        while let Some(done) = tasks.join_next().await {
            let (done, latency) = done?;
            probe.histograms.record(latency);
            probe.failed += u64::from(done.is_err());
        }
        let histogram = &probe.histograms;
        Ok(Probe {
            count: histogram.count(),
            p50_ms: histogram.at_ms(0.5),
            p99_ms: histogram.at_ms(0.99),
            p999_ms: histogram.at_ms(0.999),
            max_ms: histogram.max_ms(),
            ..probe
        })
    })
}

async fn probe_once(client: &Client, bucket: &BucketName, number: u64) -> Result<(), Failure> {
    let key = ObjectKey::parse(&format!("{:06}", number.wrapping_mul(7919) % PROBE_KEYS))?;
    if number % 5 == 4 {
        client
            .put(bucket, &key, body(number)?, PutOptions::default())
            .await?;
    } else {
        let object = client.get(bucket, &key, GetOptions::default()).await?;
        object.bytes(BODY_BYTES as u64).await?;
    }
    Ok(())
}

fn flood(profile: Profile, rate: u32, time: Duration) -> Result<Flood, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, bucket) = (client(profile, FLOOD_CONNECTIONS), BucketName::parse("flood")?);
        let counts = Arc::new(Counts::default());
        let places = Arc::new(Semaphore::new(FLOOD_IN_FLIGHT));
        at_rate(rate, time, async |number, _| {
            let place = if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                place
            } else {
                counts.late.fetch_add(1, Ordering::Relaxed);
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    return;
                };
                place
            };
            let (client, bucket, counts) = (client.clone(), bucket.clone(), Arc::clone(&counts));
            tokio::spawn(async move {
                let _place = place;
                let counter = match flood_once(&client, &bucket, number).await {
                    Ok(()) => &counts.done,
                    Err(error) if is_refusal(&error) => &counts.refused,
                    Err(_) => &counts.failed,
                };
                counter.fetch_add(1, Ordering::Relaxed);
            });
        })
        .await;
        // All places are free when the last write was answered.
        let all = u32::try_from(FLOOD_IN_FLIGHT)?;
        let _all = places.acquire_many(all).await?;
        Ok(Flood {
            stored: counts.done.load(Ordering::Relaxed),
            refused: counts.refused.load(Ordering::Relaxed),
            failed: counts.failed.load(Ordering::Relaxed),
            late: counts.late.load(Ordering::Relaxed),
        })
    })
}

async fn flood_once(client: &Client, bucket: &BucketName, number: u64) -> Result<(), Failure> {
    let key = ObjectKey::parse(&format!("{number:012}"))?;
    client
        .put(bucket, &key, body(number)?, PutOptions::default())
        .await?;
    Ok(())
}

fn is_refusal(error: &Failure) -> bool {
    let status = error
        .downcast_ref::<wfldb_client::Error>()
        .and_then(wfldb_client::Error::status);
    matches!(status, Some(429 | 503))
}
