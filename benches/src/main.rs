//! The load generator: PUT, GET and scan through the SDK against the real server, beside the limits of the same run.
//!
//! `cargo build --release --workspace && target/release/wfldb-bench`
//!
//! Prints a table to standard error and JSON to standard output. The limits are what the machine can do at all in
//! the same minute: merged, synced fjall batches from as many producers; an empty hyper handler with the same
//! bodies; one `verify_strict`. Compare ratios within one run, not figures between runs.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program whose output is its purpose"
)]

mod cpu;
mod handler;
mod limits;
mod load;
mod measure;
mod peer;

use std::error::Error;
use std::time::Duration;

use clap::Parser;
use serde::Serialize;

use crate::measure::Measured;

/// The load generator shares the cores with what it measures, so it should cost little itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Options of a run.
#[derive(Debug, Clone, Parser)]
#[command(about, version)]
struct Options {
    /// Requests in flight at once.
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// HTTP/2 connections that they share.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Seconds for each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Bytes of each object.
    #[arg(long, default_value_t = 4096)]
    size: usize,
    /// Distinct objects that are read, over and over.
    #[arg(long, default_value_t = 4096)]
    keys: u64,
    /// Serves an empty handler instead: used by the program itself.
    #[arg(long, hide = true)]
    empty_handler: bool,
}

/// Everything that a run found.
#[derive(Debug, Serialize)]
struct Report {
    clients: usize,
    connections: usize,
    size_bytes: usize,
    keys: u64,
    seconds: u64,
    cores: usize,
    measured: Vec<Measured>,
    verify_strict_us: f64,
    ratios: Vec<Ratio>,
}

/// Server CPU of one operation over the sum of its limits.
#[derive(Debug, Serialize)]
struct Ratio {
    of: &'static str,
    to: &'static str,
    cpu: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    if options.empty_handler {
        return runtime.block_on(handler::serve(options.size));
    }
    let time = Duration::from_secs(options.seconds);
    let dir = tempfile::tempdir()?;
    let mut measured = Vec::new();

    let verify_strict_us = limits::verify_strict_us(time)?;
    measured.push(limits::fjall_merged(
        &dir.path().join("fjall"),
        options.clients,
        options.size,
        time,
    )?);
    {
        let peer = peer::Peer::empty_handler(options.size)?;
        measured.extend(runtime.block_on(load::empty_handler(&peer, &options, time))?);
    }
    {
        let server = peer::Peer::server(&dir.path().join("data"))?;
        measured.extend(runtime.block_on(load::server(&server, &options, time))?);
    }

    let cpu = |name: &str| {
        measured
            .iter()
            .find(|m| m.name == name)
            .map_or(f64::NAN, |m| m.cpu_us_per_op)
    };
    let ratios = vec![
        Ratio {
            of: "get",
            to: "empty handler (get) + verify_strict",
            cpu: cpu("get") / (cpu("empty_get") + verify_strict_us),
        },
        Ratio {
            of: "put",
            to: "empty handler (put) + verify_strict + one write of a merged fjall batch",
            cpu: cpu("put") / (cpu("empty_put") + verify_strict_us + cpu("fjall_merged")),
        },
    ];
    eprintln!(
        "{:<14} {:>10} {:>9} {:>9} {:>9} {:>12} {:>14} {:>8}",
        "", "ops/s", "p50 ms", "p95 ms", "p99 ms", "cpu us/op", "generator's", "stolen"
    );
    for m in &measured {
        eprintln!(
            "{:<14} {:>10.0} {:>9.2} {:>9.2} {:>9.2} {:>12.1} {:>14} {:>7.1}%",
            m.name,
            m.ops_per_s,
            m.p50_ms,
            m.p95_ms,
            m.p99_ms,
            m.cpu_us_per_op,
            m.generator_cpu_us_per_op
                .map_or_else(String::new, |cpu| format!("{cpu:.1}")),
            m.stolen_share * 100.0
        );
    }
    eprintln!("verify_strict {verify_strict_us:.1} us");
    for ratio in &ratios {
        eprintln!("cpu of {} = {:.2} x ({})", ratio.of, ratio.cpu, ratio.to);
    }
    let report = Report {
        clients: options.clients,
        connections: options.connections,
        size_bytes: options.size,
        keys: options.keys,
        seconds: options.seconds,
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        measured,
        verify_strict_us,
        ratios,
    };
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
