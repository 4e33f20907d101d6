//! The commands of `wfldb`.

mod agent;
mod aggregate;
mod args;
mod batch;
mod bucket;
mod commit;
mod copy;
mod delegate;
mod document;
mod dry_run;
mod exit;
mod help;
mod index;
mod link;
mod list;
mod object;
mod output;
mod past;
mod put;
mod query;
mod receipt;
mod restore;
mod revoke;
mod search;
mod show;
mod spool;
mod store;
mod tag;
mod target;
mod transfer;
mod upload;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use wfldb_client::{Client, ClientOptions, Profile, TlsOptions};

use args::{Arguments, Command, Tls, Verb};
use exit::Failure;
use output::Output;

/// Parses the arguments, runs the command, reports its failure, and says how it ended.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.json);
    match start(arguments, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message(output.is_json()) {
                output.remark(&message);
            }
            failure.code().into()
        }
    }
}

fn start(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let profile = load_profile(arguments.profile)?;
    let command = match arguments.verb {
        Verb::Online(command) => command,
        Verb::Delegate(args) => return delegate::delegate(&profile, output, &args),
        Verb::Link(args) => return link::link(&profile, output, &args),
        Verb::Agent(args) => {
            let tls = tls_options(&arguments.tls)?;
            return runtime()?.block_on(agent::agent(profile, tls, output, &args));
        }
    };
    let options = ClientOptions {
        tls: tls_options(&arguments.tls)?,
        ..ClientOptions::default()
    };
    let whose = restore::Whose::of(&profile);
    runtime()?.block_on(async {
        let client = Client::with_options(profile, options);
        match command {
            Command::Mb(args) => bucket::make(&client, output, &args).await,
            Command::Rb(args) => bucket::remove(&client, output, &args).await,
            Command::Ls(args) => list::ls(&client, output, &args).await,
            Command::Scan(args) => list::scan(&client, output, args).await,
            Command::Aggregate(args) => aggregate::aggregate(&client, output, &args).await,
            Command::Put(args) => put::put(&client, output, args).await,
            Command::Get(args) => object::get(&client, output, args).await,
            Command::Cat(args) => object::cat(&client, output, &args).await,
            Command::Cp(args) => copy::copy(&client, output, args).await,
            Command::Rm(args) => object::remove(&client, output, args).await,
            Command::Stat(args) => show::stat(&client, output, &args).await,
            Command::Batch(args) => batch::batch(&client, output, &args).await,
            Command::Tag(args) => tag::tag(&client, output, &args).await,
            Command::Index(args) => index::index(&client, output, &args).await,
            Command::Doc(args) => document::read(&client, output, &args).await,
            Command::Patch(args) => document::patch(&client, output, &args).await,
            Command::History(args) => document::history(&client, output, &args).await,
            Command::Log(args) => past::log(&client, output, &args).await,
            Command::Diff(args) => past::diff(&client, output, &args).await,
            Command::Blame(args) => past::blame(&client, output, &args).await,
            Command::Schema(args) => document::schema(&client, output, &args).await,
            Command::Query(args) => query::query(&client, output, &args).await,
            Command::Stats(args) => store::stats(&client, output, &args).await,
            Command::Search(args) => search::search(&client, output, &args).await,
            Command::Compact => store::compact(&client, output).await,
            Command::DryRun(args) => dry_run::dry_run(&client, output, &args).await,
            Command::Revoke(args) => revoke::revoke(&client, output, &args).await,
            Command::Import(args) => transfer::import(&client, output, &args).await,
            Command::Export(args) => transfer::export(&client, output, &args).await,
            Command::Watch(args) => watch::watch(&client, output, args).await,
            Command::Versions(args) => list::versions(&client, output, &args).await,
            Command::Restore(args) => restore::restore(&client, output, &args, &whose).await,
        }
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Usage(format!("cannot start: {error}")))
}

fn tls_options(tls: &Tls) -> Result<TlsOptions, Failure> {
    let identity = match (&tls.tls_client_cert, &tls.tls_client_key) {
        (Some(cert), Some(key)) => Some((cert.as_path(), key.as_path())),
        (None, None) => None,
        _ => {
            let why = "--tls-client-cert and --tls-client-key go together";
            return Err(Failure::Usage(why.to_owned()));
        }
    };
    TlsOptions::from_files(tls.tls_ca.as_deref(), &tls.tls_pin, identity)
        .map_err(|error| Failure::Usage(error.to_string()))
}

fn load_profile(named: Option<PathBuf>) -> Result<Profile, Failure> {
    let default = || {
        let variable = |name| std::env::var_os(name);
        wfldb_client::profile::default_path(
            variable("XDG_CONFIG_HOME").as_deref(),
            variable("HOME").as_deref(),
        )
    };
    let path = named
        .filter(|path| !path.as_os_str().is_empty())
        .or_else(|| default().filter(|path| path.exists()));
    let path = path.ok_or_else(|| {
        let why = "no profile: give --profile FILE or set WFLDB_PROFILE; a server that starts on an empty directory \
                   writes one to bootstrap/admin.json in it";
        Failure::Usage(why.to_owned())
    })?;
    Profile::load(&path).map_err(|error| Failure::Usage(error.to_string()))
}
