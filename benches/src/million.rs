//! Many small objects: how long one listing of all of them takes, and what the server's memory does meanwhile, after a
//! rest, and after a restart with the same listing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use wfldb_client::{Client, ClientOptions, PutOptions, ScanQuery};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::BucketConfig;

use crate::Failure;
use crate::options::Options;
use crate::peer::Peer;
use crate::process::{Meter, resident_bytes};
use crate::report::{Ratio, Wanted};

/// Writers at once.
const WRITERS: u64 = 64;
const LISTING_SECONDS_MAX: f64 = 5.0;
const PEAK_BYTES_MAX: u64 = 512 << 20;
const IDLE_OVER_RESTARTED_MAX: f64 = 1.2;

/// What the run found. Memory is the server's resident memory unless it says otherwise.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    objects: u64,
    object_bytes: u64,
    writers: u64,
    put_seconds: f64,
    puts_per_s: f64,
    put_peak_bytes: Option<u64>,
    listing: Listing,
    restarted_listing: Listing,
    idle_seconds: u64,
    /// After the rest that follows the first listing.
    idle_bytes: u64,
    /// Right after its own listing, and after the same rest.
    restarted_bytes: u64,
    restarted_idle_bytes: u64,
    ratios: Vec<Ratio>,
}

/// One listing of everything.
#[derive(Debug, Serialize)]
struct Listing {
    seconds: f64,
    keys: u64,
    pages: u64,
    server_peak_bytes: Option<u64>,
    server_cpu_seconds: f64,
    /// Memory of this program after the first page, and its highest after any page.
    client_first_bytes: u64,
    client_most_bytes: u64,
}

fn client(peer: &Peer, connections: usize) -> Result<Client, Failure> {
    let options = ClientOptions {
        connections,
        ..ClientOptions::default()
    };
    Ok(Client::with_options(peer.profile()?, options))
}

/// Stores, lists, rests, restarts, lists again.
pub(crate) fn run(options: &Options, runtime: &Runtime, scratch: &Path) -> Result<Report, Failure> {
    let bucket = BucketName::parse("many")?;
    let data = scratch.join("data");
    let rest = Duration::from_secs(options.idle_seconds);
    let server = Peer::server(&data, None)?;
    let putting = Meter::of_tree(server.pid())?;
    let start = Instant::now();
    runtime.block_on(put_all(&client(&server, options.connections)?, &bucket, options))?;
    let put_seconds = start.elapsed().as_secs_f64();
    let put_peak_bytes = putting.spent()?.rss_peak_bytes;
    eprintln!(
        "{} objects of {} B stored in {put_seconds:.1} s",
        options.objects, options.object_bytes.0
    );
    let listing = runtime.block_on(list_all(&server, &bucket))?;
    listing.print("listed", options.objects)?;
    std::thread::sleep(rest);
    let idle_bytes = resident_bytes(server.pid())?;
    drop(server);
    let server = Peer::server(&data, None)?;
    let restarted_listing = runtime.block_on(list_all(&server, &bucket))?;
    restarted_listing.print("restarted, listed", options.objects)?;
    let restarted_bytes = resident_bytes(server.pid())?;
    std::thread::sleep(rest);
    let restarted_idle_bytes = resident_bytes(server.pid())?;
    drop(server);
    let peak = put_peak_bytes.max(listing.server_peak_bytes);
    let ratios = ratios(&listing, peak, idle_bytes, restarted_bytes, restarted_idle_bytes);
    ratios.iter().for_each(Ratio::print);
    eprintln!(
        "server's memory in MiB: peak {}, after {} s of rest {}, restarted and listed {}, after the same rest {}",
        peak.unwrap_or(0) >> 20,
        options.idle_seconds,
        idle_bytes >> 20,
        restarted_bytes >> 20,
        restarted_idle_bytes >> 20
    );
    Ok(Report {
        objects: options.objects,
        object_bytes: options.object_bytes.0,
        writers: WRITERS,
        put_seconds,
        puts_per_s: per_second(options.objects, put_seconds),
        put_peak_bytes,
        listing,
        restarted_listing,
        idle_seconds: options.idle_seconds,
        idle_bytes,
        restarted_bytes,
        restarted_idle_bytes,
        ratios,
    })
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds.max(1e-9)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn ratios(
    listing: &Listing,
    peak: Option<u64>,
    idle: u64,
    restarted: u64,
    restarted_idle: u64,
) -> Vec<Ratio> {
    let ratio = |of: &str, to, value, wanted| Ratio {
        of: of.to_owned(),
        to,
        value,
        wanted,
    };
    let most = |most| Some(Wanted::AtMost(most));
    let over = |base: u64| Some(idle as f64 / base.max(1) as f64);
    vec![
        ratio(
            "seconds of the listing",
            "1 s",
            Some(listing.seconds),
            most(LISTING_SECONDS_MAX),
        ),
        ratio(
            "the server's peak memory",
            "512 MiB",
            peak.map(|peak| peak as f64 / PEAK_BYTES_MAX as f64),
            most(1.0),
        ),
        ratio(
            "memory after a rest",
            "memory of a restarted server after its listing",
            over(restarted),
            most(IDLE_OVER_RESTARTED_MAX),
        ),
        ratio(
            "memory after a rest",
            "memory of a restarted server after its listing and the same rest",
            over(restarted_idle),
            None,
        ),
    ]
}

async fn put_all(client: &Client, bucket: &BucketName, options: &Options) -> Result<(), Failure> {
    client.create_bucket(bucket, &BucketConfig::default()).await?;
    let next = Arc::new(AtomicU64::new(0));
    let (objects, size) = (options.objects, usize::try_from(options.object_bytes.0)?);
    let mut tasks = JoinSet::new();
    for _ in 0..WRITERS {
        let (client, bucket, next) = (client.clone(), bucket.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= objects {
                    return Ok::<(), Failure>(());
                }
                let mut body = number.to_be_bytes().repeat(size.div_ceil(8));
                body.truncate(size);
                // An odd factor: each number has another key, in no order.
                let key = format!("{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                let key = ObjectKey::parse(&key)?;
                client.put(&bucket, &key, body, PutOptions::default()).await?;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

async fn list_all(server: &Peer, bucket: &BucketName) -> Result<Listing, Failure> {
    let own = std::process::id();
    let client = client(server, 1)?;
    let meter = Meter::of_tree(server.pid())?;
    let start = Instant::now();
    let mut scan = client.scan(bucket, &ScanQuery::default());
    let (mut keys, mut pages, mut client_first_bytes, mut client_most_bytes) = (0, 0, 0, 0);
    while let Some(page) = scan.next_page().await? {
        keys += page.items.len() as u64;
        pages += 1;
        if pages % 50 == 1 {
            let bytes = resident_bytes(own)?;
            if pages == 1 {
                client_first_bytes = bytes;
            }
            client_most_bytes = bytes.max(client_most_bytes);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let spent = meter.spent()?;
    Ok(Listing {
        seconds,
        keys,
        pages,
        server_peak_bytes: spent.rss_peak_bytes,
        server_cpu_seconds: spent.cpu.as_secs_f64(),
        client_first_bytes,
        client_most_bytes,
    })
}

impl Listing {
    /// Prints what was found. A listing that misses keys is a failure.
    fn print(&self, what: &str, objects: u64) -> Result<(), Failure> {
        eprintln!(
            "{what}: {} keys on {} pages in {:.2} s; server's peak {} MiB and {:.2} s of CPU; client {} MiB, at most {} MiB",
            self.keys,
            self.pages,
            self.seconds,
            self.server_peak_bytes.unwrap_or(0) >> 20,
            self.server_cpu_seconds,
            self.client_first_bytes >> 20,
            self.client_most_bytes >> 20
        );
        if self.keys == objects {
            return Ok(());
        }
        Err(format!("{objects} keys were stored, {} were listed", self.keys).into())
    }
}
