//! The `wfldb-server` program: configuration, log, signals, exit codes.
//!
//! Exit codes: 0 after a clean stop, 1 when the server did not start or not stop cleanly, 2 for wrong flags, 3 after
//! `--exit-on-storage-failure`.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use wfldb_engine::Prober;
use wfldb_server::{Bootstrap, Config, Server};

/// Requests allocate on one thread and free on another; this allocator makes that cheap (figures: benches/RESULTS.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads for work that blocks: disk and signatures.
const BLOCKING_THREADS_MAX: usize = 128;
/// First argument of the child that opens a copy of the store. Not for people.
const PROBE: &str = "__probe-store";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if let (Some(first), Some(dir)) = (arguments.next(), arguments.next())
        && first == OsStr::new(PROBE)
    {
        return wfldb_engine::probe_main(Path::new(&dir));
    }
    let mut config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => return failed(&error, 2),
    };
    wfldb_server::start_logging(config.log);
    if let Ok(program) = std::env::current_exe() {
        config.prober = Prober::Child(program, vec![OsString::from(PROBE)]);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, 1),
    };
    let code = runtime.block_on(run(config));
    // What did not end by now is cut off; everything that was answered is on stable storage.
    runtime.shutdown_background();
    code
}

async fn run(config: Config) -> ExitCode {
    // Before the start, so that a signal during it is not lost.
    let signals =
        signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    let (mut terminate, mut interrupt) = match signals {
        Ok(signals) => signals,
        Err(error) => return failed(&error, 1),
    };
    let exit_on_failure = config.exit_on_storage_failure;
    let data = config.data.clone();
    let tls = config.tls.is_some();
    // Without TLS a hangup ends the process, as it does with any other.
    let mut hangup = tls.then(|| signal(SignalKind::hangup()).ok()).flatten();
    let server = match Server::start(config).await {
        Ok(server) => server,
        Err(error) => return failed(&error, 1),
    };
    if let Some(bootstrap) = server.bootstrap() {
        welcome(bootstrap, &data, tls);
    }
    let reloading = async {
        while let Some(hangup) = &mut hangup
            && hangup.recv().await.is_some()
        {
            server.reload_certificates();
        }
        std::future::pending::<Infallible>().await
    };
    let code = tokio::select! {
        never = reloading => match never {},
        () = either(&mut terminate, &mut interrupt) => 0,
        () = server.storage_failed(), if exit_on_failure => 3,
    };
    tracing::info!("stopping");
    tokio::select! {
        stopped = server.stop() => match stopped {
            Ok(()) => {
                tracing::info!("stopped");
                ExitCode::from(code)
            }
            Err(error) => {
                tracing::error!(%error, "the stop was not clean");
                // A signal was obeyed within its time: for a supervisor that is a success.
                ExitCode::from(code)
            }
        },
        () = either(&mut terminate, &mut interrupt) => {
            tracing::warn!("a second signal: ending at once");
            ExitCode::from(1)
        }
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

fn failed(error: &dyn std::error::Error, code: u8) -> ExitCode {
    let mut text = format!("wfldb-server: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(code)
}

/// Tells the operator of a new store what was made, and the next command.
fn welcome(bootstrap: &Bootstrap, data: &Path, tls: bool) {
    let profile = quoted(&bootstrap.profile);
    let root = quoted(&bootstrap.root_key);
    let (client, admin) = commands();
    let authority = if tls {
        "(with `--tls-ca FILE` when this machine does not know who signed the server's certificate)\n"
    } else {
        ""
    };
    let text = format!(
        "\n\
         A new store was made in {data}. Its first profile has every right, for one year:\n\
         \x20   {profile}\n\
         \n\
         Make a bucket with it, from another terminal:\n\
         \x20   $ {client} --profile {profile} mb first\n\
         {authority}\
         \n\
         The root key signs profiles, and the server does not read it again. Move it to a safe place:\n\
         \x20   {root}\n\
         Before the year is over, give the profile a new term with it:\n\
         \x20   $ {admin} renew --key {root} --profile {profile}\n\n",
        data = data.display(),
    );
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// How to run the client and the operator's tool: through cargo when we were, since they need not be on the path.
fn commands() -> (String, String) {
    if std::env::var_os("CARGO").is_some() {
        let release = if cfg!(debug_assertions) { "" } else { "--release " };
        let run = |package| format!("cargo run {release}-q -p {package} --");
        (run("wfldb-client"), run("wfldb-admin"))
    } else {
        ("wfldb".to_owned(), "wfldb-admin".to_owned())
    }
}

/// The path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
    if text.bytes().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
