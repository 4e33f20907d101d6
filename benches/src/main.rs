//! The bench suite: wflDB through its SDK and other stores through clients of the same quality, with the same bodies,
//! beside what the machine can do at all in the same run.
//!
//! `cargo build --release --workspace && target/release/wfldb-bench --help`; benches/README.md says what is measured
//! and how. Compare ratios within one run, not figures between runs.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program whose output is its purpose"
)]

mod body;
mod case;
mod documents;
mod handler;
mod histogram;
mod http_client;
mod limits;
mod measure;
mod million;
mod options;
mod peer;
mod process;
mod ratios;
mod report;
mod scrape;
mod sigv4;
mod suite;
mod target;
mod walls;

use std::error::Error;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use crate::options::{Options, Size};

/// Whatever went wrong: this program's reader is a person.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The load generator shares the cores with what it measures, so it should cost little itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn runtime() -> Result<Runtime, Failure> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    if let Some(Size(size)) = options.empty_handler {
        return runtime()?.block_on(handler::serve_empty(size));
    }
    if let Some(dir) = &options.open_handler {
        return runtime()?.block_on(handler::serve_open(dir));
    }
    let scratch = match &options.scratch {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let out = match &options.out {
        Some(out) => out.clone(),
        None => default_out()?,
    };
    if options.walls {
        // Before any thread begins: the load is pinned to a core.
        return report::publish(&walls::run(&options, scratch.path())?, &out);
    }
    let runtime = runtime()?;
    if options.million {
        return report::publish(&million::run(&options, &runtime, scratch.path())?, &out);
    }
    if options.documents {
        return report::publish(&documents::run(&options, &runtime, scratch.path())?, &out);
    }
    report::publish(&suite::run(&options, &runtime, scratch.path(), &out)?, &out)
}

fn default_out() -> Result<PathBuf, Failure> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(std::env::current_exe()?.with_file_name(format!("wfldb-bench-{time}.json")))
}
