//! The suite: each size with each number of clients, first the limits, then each target in a process and a store of
//! its own for this pair.

use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::body::Bodies;
use crate::case::{self, Bounds, Keys};
use crate::http_client::{HttpClient, Version};
use crate::limits::{self, Limit};
use crate::measure::Measured;
use crate::options::{Chosen, Options, Size};
use crate::peer::{Facts, Peer, Started};
use crate::report::{self, About, Outcome, Report, Row, print_head};
use crate::sigv4::Credentials;
use crate::target::Target;
use crate::target::etcd::Etcd;
use crate::target::handler::Handler;
use crate::target::redis::Redis;
use crate::target::s3::S3;
use crate::target::webdav::WebDav;
use crate::target::wfldb::Wfldb;
use crate::{Failure, ratios};

/// Largest body that rides the commit itself, and so one write of a batch.
const INLINE_BYTES_MAX: u64 = 64 << 10;

/// What all cases of one size and one number of clients share.
struct Pair<'a> {
    options: &'a Options,
    bounds: Bounds,
    runtime: &'a Runtime,
    scratch: &'a Path,
    size: u64,
    clients: usize,
    report: &'a mut Report,
}

/// Runs everything that was chosen. What was found is in the file `out` after each pair, should a long run be ended.
pub(crate) fn run(
    options: &Options,
    runtime: &Runtime,
    scratch: &Path,
    out: &Path,
) -> Result<Report, Failure> {
    let bounds = Bounds {
        time: options.time(),
        bytes_max: options.case_bytes.0,
        keys_max: options.keys(),
    };
    let mut report = Report {
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        connections: options.connections,
        keys: options.keys(),
        seconds: bounds.time.as_secs_f64(),
        verify_strict_us: limits::verify_strict_us(bounds.time)?,
        targets: Vec::new(),
        rows: Vec::new(),
        ratios: Vec::new(),
    };
    eprintln!("verify_strict {:.1} us", report.verify_strict_us);
    print_head();
    for Size(size) in options.sizes() {
        for clients in options.clients() {
            let mut pair = Pair {
                options,
                bounds,
                runtime,
                scratch,
                size,
                clients,
                report: &mut report,
            };
            pair.run()?;
            report::save(&report, out)?;
        }
    }
    report.ratios = ratios::of(&report.rows, &options.clients(), report.verify_strict_us);
    for ratio in &report.ratios {
        ratio.print();
    }
    Ok(report)
}

impl Pair<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        self.limits()?;
        if let Err(error) = self.empty_handler() {
            self.row("empty handler", "all", Outcome::Failed(error.to_string()));
        }
        for chosen in self.options.targets() {
            // One that does not start, or ends, leaves the others.
            if let Err(error) = self.target(chosen) {
                self.row(chosen.name(), "all", Outcome::Failed(error.to_string()));
            }
        }
        Ok(())
    }

    fn row(&mut self, target: &str, operation: &'static str, outcome: Outcome) {
        let row = Row {
            target: target.to_owned(),
            operation,
            size_bytes: self.size,
            clients: self.clients,
            outcome,
        };
        row.print();
        self.report.rows.push(row);
    }

    fn limit(
        &mut self,
        target: &str,
        operation: &'static str,
        stores: bool,
        run: impl FnOnce(&Path, &Limit) -> Result<Measured, Failure>,
    ) -> Result<(), Failure> {
        let outcome = if let Some(why) = self.bounds.refuses(self.size, self.clients) {
            Outcome::Skipped(why)
        } else {
            let dir = tempfile::tempdir_in(self.scratch)?;
            let limit = Limit {
                of: operation,
                size: self.size,
                clients: self.clients,
                time: self.bounds.time,
                ops_max: (self.bounds.bytes_max / self.size.max(1)).max(1),
                stores,
            };
            match run(dir.path(), &limit) {
                Ok(measured) => Outcome::Measured(Box::new(measured)),
                Err(error) => Outcome::Failed(error.to_string()),
            }
        };
        self.row(target, operation, outcome);
        Ok(())
    }

    fn limits(&mut self) -> Result<(), Failure> {
        if self.size <= INLINE_BYTES_MAX {
            self.limit("fjall merged", "put", true, limits::fjall::merged)?;
        }
        self.limit("file, fsync", "put", true, limits::file::written_and_synced)?;
        self.limit("file", "get", false, limits::file::read)?;
        self.limit("loopback", "copy", false, |_, limit| {
            limits::loopback::copied(limit)
        })
    }

    /// Whether anything but the limits can be run.
    fn refused(&mut self, target: &str) -> bool {
        let Some(why) = self.bounds.refuses(self.size, self.clients) else {
            return false;
        };
        self.row(target, "all", Outcome::Skipped(why));
        true
    }

    /// Every operation in turn; one that fails leaves the others.
    fn operations<T: Target>(&mut self, name: &str, pid: u32, target: T) -> Result<(), Failure> {
        let target = Arc::new(target);
        let bodies = Arc::new(Bodies::new(self.size, self.scratch)?);
        let mut keys = Keys::default();
        for operation in self.options.operations() {
            let outcome = if let Some(why) = target.refuses(operation, self.size) {
                Outcome::Skipped(why.to_owned())
            } else {
                let case = case::run(
                    &target,
                    pid,
                    &bodies,
                    &mut keys,
                    operation,
                    self.clients,
                    &self.bounds,
                );
                match self.runtime.block_on(case) {
                    Ok(measured) => Outcome::Measured(Box::new(measured)),
                    Err(error) => Outcome::Failed(error.to_string()),
                }
            };
            self.row(name, operation.name(), outcome);
        }
        Ok(())
    }

    fn empty_handler(&mut self) -> Result<(), Failure> {
        if self.refused("empty handler") {
            return Ok(());
        }
        let peer = Peer::empty_handler(self.size)?;
        let target = Handler::new(&peer.facts().address, self.options.connections);
        self.operations("empty handler", peer.pid(), target)
    }

    fn target(&mut self, chosen: Chosen) -> Result<(), Failure> {
        let name = chosen.name();
        if self.refused(name) {
            return Ok(());
        }
        if chosen == Chosen::Wfldb {
            return self.wfldb();
        }
        let dir = tempfile::tempdir_in(self.scratch)?;
        let script = self.options.peers.join(format!("{name}.sh"));
        match Peer::script(&script, dir.path())? {
            Started::Skipped(why) => {
                self.row(name, "all", Outcome::Skipped(why));
                Ok(())
            }
            Started::Ready(peer) => {
                self.about(name, peer.facts());
                self.peer(chosen, name, &peer)
            }
        }
    }

    fn peer(&mut self, chosen: Chosen, name: &str, peer: &Peer) -> Result<(), Failure> {
        let (facts, pid, clients) = (peer.facts(), peer.pid(), self.clients);
        let address = facts.address.as_str();
        match chosen {
            Chosen::Redis => self.operations(name, pid, Redis::new(address, clients)),
            Chosen::Etcd => self.operations(name, pid, Etcd::new(address, clients)),
            Chosen::Nginx => {
                self.operations("nginx", pid, WebDav::new(address, Version::Http1, clients))?;
                let http2 = facts.address_http2.as_deref().unwrap_or_default();
                let connections = self.options.connections;
                self.operations("nginx h2", pid, WebDav::new(http2, Version::Http2, connections))
            }
            Chosen::Garage | Chosen::Seaweedfs => {
                let credentials = Credentials {
                    access_key: facts.access_key.clone(),
                    secret_key: facts.secret_key.clone(),
                    region: facts.region.clone(),
                };
                let mut http = HttpClient::new(address, Version::Http1, clients);
                if facts.holds_back {
                    http = http.prompt();
                }
                let s3 = S3::new(http, &facts.bucket, credentials);
                let s3 = self.runtime.block_on(s3)?;
                self.operations(name, pid, s3)
            }
            Chosen::Wfldb | Chosen::All => Ok(()),
        }
    }

    fn wfldb(&mut self) -> Result<(), Failure> {
        let dir = tempfile::tempdir_in(self.scratch)?;
        let peer = Peer::server(&dir.path().join("data"), None)?;
        self.about(
            "wfldb",
            &Facts {
                version: concat!("wfldb ", env!("CARGO_PKG_VERSION")).to_owned(),
                durability: "every write synced before its answer".to_owned(),
                ..Facts::default()
            },
        );
        let connections = self.options.connections;
        let signed = Wfldb::new(peer.profile()?, connections, false);
        let signed = self.runtime.block_on(signed)?;
        self.operations("wfldb", peer.pid(), signed)?;
        if !self.options.sessions {
            return Ok(());
        }
        let tagged = Wfldb::new(peer.profile()?, connections, true);
        let tagged = self.runtime.block_on(tagged)?;
        self.operations("wfldb session", peer.pid(), tagged)?;
        drop(peer);
        let dir = tempfile::tempdir_in(self.scratch)?;
        let open = Peer::open_handler(&dir.path().join("data"))?;
        let target = Handler::new(&open.facts().address, connections);
        self.operations("open handler", open.pid(), target)
    }

    /// Says once what a target is.
    fn about(&mut self, target: &str, facts: &Facts) {
        if self.report.targets.iter().any(|about| about.target == target) {
            return;
        }
        let about = About {
            target: target.to_owned(),
            version: facts.version.clone(),
            durability: facts.durability.clone(),
        };
        eprintln!("# {target}: {}; durability: {}", about.version, about.durability);
        self.report.targets.push(about);
    }
}
