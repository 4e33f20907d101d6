//! Figures for Prometheus. Labels are routes, methods, statuses and codes: never a name, a key or a key id.

mod buckets;
mod listener;
mod mirror;
mod process;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use wfldb_core::auth::{Method, RouteKind};
use wfldb_core::id::BucketId;
use wfldb_engine::{Engine, EngineStats, MirrorStatus};

use crate::text::Text;
use buckets::Buckets;
pub(crate) use listener::serve;

/// Upper bounds of the latency histogram, in seconds: 0.5 ms to 8 s, each twice the one before.
fn latency() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 4.0, 8.0,
    ])
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    route: &'static str,
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limit {
    limit: &'static str,
}

/// All figures of the server.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Family<Answered, Counter>,
    seconds: Family<Asked, Histogram, fn() -> Histogram>,
    faults: Family<Refused, Counter>,
    refusals: Family<Outcome, Counter>,
    buckets: Buckets,
    in_flight: Gauge,
    connections: Gauge,
    connections_refused: Family<Limit, Counter>,
    handshakes: Family<Outcome, Counter>,
    certificates: Family<Outcome, Counter>,
    received: Counter,
    sent: Counter,
    changes: Counter,
}

/// A counter of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Counted(Counter);

impl Counted {
    pub(crate) fn add(&self, bytes: u64) {
        self.0.inc_by(bytes);
    }
}

/// Counts something that is there until this is dropped.
#[derive(Debug)]
pub(crate) struct Present(Gauge);

impl Present {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(latency),
            faults: Family::default(),
            refusals: Family::default(),
            buckets: Buckets::new(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            connections_refused: Family::default(),
            handshakes: Family::default(),
            certificates: Family::default(),
            received: Counter::default(),
            sent: Counter::default(),
            changes: Counter::default(),
        }
    }

    pub(crate) fn request_begins(&self) -> Present {
        Present::new(&self.in_flight)
    }

    pub(crate) fn connection_begins(&self) -> Present {
        Present::new(&self.connections)
    }

    /// A connection that was closed at once, by the limit that it was beyond.
    pub(crate) fn connection_refused(&self, limit: &'static str) {
        self.connections_refused.get_or_create(&Limit { limit }).inc();
    }

    pub(crate) fn handshake(&self, outcome: &'static str) {
        self.handshakes.get_or_create(&Outcome { outcome }).inc();
    }

    /// New certificate files, and whether they were taken.
    pub(crate) fn certificates(&self, outcome: &'static str) {
        self.certificates.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn request_ends(
        &self,
        route: &'static str,
        method: &'static str,
        status: u16,
        took: Duration,
    ) {
        self.requests
            .get_or_create(&Answered {
                route,
                method,
                status,
            })
            .inc();
        self.seconds
            .get_or_create(&Asked { route, method })
            .observe(took.as_secs_f64());
    }

    /// The time of a request to a bucket that is there.
    pub(crate) fn of_bucket(&self, bucket: &BucketId, took: Duration) {
        self.buckets.observe(bucket, took);
    }

    pub(crate) fn fault(&self, code: &'static str) {
        self.faults.get_or_create(&Refused { code }).inc();
    }

    /// A refusal in a bucket whose refusals are logged: `logged`, or `beyond` what is logged in a second.
    pub(crate) fn refusal(&self, outcome: &'static str) {
        self.refusals.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn received(&self) -> Counted {
        Counted(self.received.clone())
    }

    pub(crate) fn sent(&self) -> Counted {
        Counted(self.sent.clone())
    }

    /// Changes that were put into answers.
    pub(crate) fn changes(&self, count: usize) {
        self.changes.inc_by(count as u64);
    }

    /// The text of a scrape. Asks the engine and the operating system, so it may block.
    pub(crate) fn text(
        &self,
        engine: &Engine,
        feeds: usize,
        views: &Text,
        mirror: Option<MirrorStatus>,
    ) -> String {
        let mut registry = Registry::default();
        let ours = registry.sub_registry_with_prefix("wfldb");
        ours.register(
            "requests",
            "Requests by route, method and status",
            self.requests.clone(),
        );
        ours.register_with_unit(
            "request",
            "Time from head to answer",
            Unit::Seconds,
            self.seconds.clone(),
        );
        ours.register("faults", "Failed requests by error code", self.faults.clone());
        ours.register(
            "audit_refusals",
            "Refusals in buckets that log them: logged, and beyond what is logged in a second",
            self.refusals.clone(),
        );
        ours.register(
            "requests_in_flight",
            "Requests being worked on",
            self.in_flight.clone(),
        );
        self.register_connections(ours);
        ours.register_with_unit(
            "received",
            "Bytes of request bodies",
            Unit::Bytes,
            self.received.clone(),
        );
        ours.register_with_unit("sent", "Bytes of answers", Unit::Bytes, self.sent.clone());
        ours.register(
            "changes_sent",
            "Changes that were put into answers",
            self.changes.clone(),
        );
        ours.register("feeds", "Feeds that wait for changes", gauge(feeds as u64));
        register_engine(ours, engine);
        self.buckets.register(ours, engine);
        buckets::register_text(ours, &views.figures());
        mirror::register(ours, mirror);
        process::register(&mut registry);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &registry);
        text
    }

    fn register_connections(&self, registry: &mut Registry) {
        registry.register("connections", "Open connections", self.connections.clone());
        registry.register(
            "connections_refused",
            "Connections closed at once, by limit: of all, or of one address",
            self.connections_refused.clone(),
        );
        registry.register(
            "tls_handshakes",
            "TLS handshakes by outcome",
            self.handshakes.clone(),
        );
        registry.register(
            "tls_certificates",
            "New certificate files by outcome",
            self.certificates.clone(),
        );
    }
}

fn register_engine(registry: &mut Registry, engine: &Engine) {
    let stats = engine.stats();
    register_counters(registry, &stats);
    let writable = u64::from(engine.health().writable.is_ok());
    for (name, help, value) in [
        (
            "plans_waiting",
            "Writes that wait for their commit",
            stats.waiting,
        ),
        (
            "log_position",
            "Last position of the change log",
            stats.log_position,
        ),
        (
            "write_buffer_bytes",
            "Bytes that are not flushed to tables",
            stats.write_buffer_bytes,
        ),
        ("journals", "Journal files", stats.journals),
        (
            "storage_bytes",
            "Bytes on disk without chunk files",
            stats.storage_bytes,
        ),
        (
            "object_cache_bytes",
            "Bytes in the object cache",
            stats.object_cache_bytes,
        ),
        (
            "stale_bytes",
            "Bytes of small bodies on disk that were overwritten or removed",
            stats.stale_bytes,
        ),
        (
            "transactions_open",
            "Transactions that are under way",
            stats.transactions_open,
        ),
        ("writable", "Whether writes succeed", writable),
    ] {
        registry.register(name, help, gauge(value));
    }
}

fn register_counters(registry: &mut Registry, stats: &EngineStats) {
    for (name, help, value) in [
        ("commits", "Storage batches", stats.commits),
        (
            "plans",
            "Writes that were carried out; by commits: the size of a group",
            stats.plans,
        ),
        (
            "plans_refused",
            "Writes that were refused in their commit",
            stats.refused,
        ),
        (
            "throttled_milliseconds",
            "Time that commits waited for the storage to flush",
            stats.throttled_ms,
        ),
        (
            "block_cache_hits",
            "Reads of blocks that the block cache answered",
            stats.block_cache_hits,
        ),
        (
            "block_cache_misses",
            "Reads of blocks that went to the disk or its cache",
            stats.block_cache_misses,
        ),
        (
            "filter_skips",
            "Point reads of tables that the bloom filters answered",
            stats.filter_skips,
        ),
        ("scrub_rounds", "Rounds of the scrub", stats.scrub_rounds),
        ("scrub_read_bytes", "Bytes that the scrub read", stats.scrub_bytes),
        (
            "scrub_damaged",
            "Bodies and chunks that the scrub found damaged",
            stats.scrub_damaged,
        ),
        (
            "object_cache_hits",
            "Reads of a newest version that the object cache answered",
            stats.object_cache_hits,
        ),
        (
            "object_cache_misses",
            "Reads of a newest version that went to the storage",
            stats.object_cache_misses,
        ),
        (
            "chunks_written_raw",
            "Chunk files that were written with plain bytes",
            stats.chunks_written_raw,
        ),
        (
            "chunks_written_compressed",
            "Chunk files that were written compressed",
            stats.chunks_written_compressed,
        ),
        (
            "chunk_bytes_saved",
            "How much smaller the compressed chunk files are than plain ones",
            stats.chunk_bytes_saved,
        ),
        (
            "transactions_committed",
            "Transactions that wrote something and were committed",
            stats.transactions_committed,
        ),
        (
            "transaction_conflicts",
            "Transactions that were refused since something that they had read was overtaken",
            stats.transactions_conflicts,
        ),
        (
            "transaction_deadlocks",
            "Transactions that were ended to resolve a deadlock",
            stats.transactions_deadlocks,
        ),
    ] {
        registry.register(name, help, counter(value));
    }
}

fn counter(value: u64) -> Counter {
    let counter: Counter<u64, AtomicU64> = Counter::default();
    counter.inner().store(value, Ordering::Relaxed);
    counter
}

fn gauge(value: u64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(gauge_of(value));
    gauge
}

fn gauge_of(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The label of a route.
pub(crate) const fn route_label(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::Buckets => "buckets",
        RouteKind::Bucket => "bucket",
        RouteKind::BucketForce => "bucket_force",
        RouteKind::Object => "object",
        RouteKind::ObjectVersion => "object_version",
        RouteKind::ObjectVersions => "object_versions",
        RouteKind::ObjectUndelete => "object_undelete",
        RouteKind::ObjectAt => "object_at",
        RouteKind::ObjectCopy => "object_copy",
        RouteKind::UploadStart => "upload_start",
        RouteKind::Upload => "upload",
        RouteKind::UploadPart => "upload_part",
        RouteKind::Scan => "scan",
        RouteKind::Find => "find",
        RouteKind::Explain => "explain",
        RouteKind::Batch => "batch",
        RouteKind::Aggregate => "aggregate",
        RouteKind::Changes => "changes",
        RouteKind::Search => "search",
        RouteKind::SearchRebuild => "search_rebuild",
        RouteKind::ObjectHistory => "object_history",
        RouteKind::Bulk => "bulk",
        RouteKind::Schema => "schema",
        RouteKind::Stats => "stats",
        RouteKind::DryRun => "dry_run",
        RouteKind::Admin => "admin",
        RouteKind::Backup => "backup",
        RouteKind::Session => "session",
        RouteKind::Keys => "keys",
        RouteKind::Tx => "tx",
        RouteKind::AuditLog => "audit_log",
        RouteKind::AuditProof => "audit_proof",
        RouteKind::AuditConsistency => "audit_consistency",
        RouteKind::AuditReceipt => "audit_receipt",
        RouteKind::Indexes => "indexes",
        RouteKind::ObjectLink => "object_link",
    }
}

/// The label of a method; others than ours share one, since a caller can make up any.
pub(crate) fn method_label(method: &http::Method) -> &'static str {
    Method::parse(method.as_str()).map_or("other", Method::as_str)
}
