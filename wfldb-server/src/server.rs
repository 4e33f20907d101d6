//! Starting and stopping: the store, the sockets, and the tasks beside them.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU64;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wfldb_core::id::{ByteLen, Role, SecretKey};
use wfldb_core::name::Realm;
use wfldb_core::packet::TrustedRoots;
use wfldb_core::time::UnixMillis;
use wfldb_engine::{Engine, EngineError, EngineOptions, MirrorError, NodeKeyError, OpenError, load_node_key};

use crate::app::App;
use crate::auth::{Gate, Rates, Replay, Sessions};
use crate::backups::BackupRoot;
use crate::bootstrap::{self, Bootstrap, BootstrapError};
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::{Config, Switch};
use crate::listen::Port;
use crate::mirror::{Mirroring, SyncPlace};
use crate::tls::{Tls, TlsError, TlsFiles};
use crate::{listen, metrics, tls, watchdog};

/// How long a stop waits for requests that run.
const DRAIN: Duration = Duration::from_secs(30);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Plaintext on an address that others can reach.
    #[error(
        "{0} is not a loopback address, and there is no TLS: give --tls-cert and --tls-key, or --danger-plaintext to \
         serve it all the same"
    )]
    Plaintext(SocketAddr),
    /// Metrics on an address that others can reach.
    #[error("{0} is not a loopback address: give --danger-metrics to serve metrics there all the same")]
    OpenMetrics(SocketAddr),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The first start failed.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The store did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The server's own key cannot be used.
    #[error(transparent)]
    NodeKey(#[from] NodeKeyError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
    /// The directory cannot be used.
    #[error("{path}: {source}")]
    Directory {
        /// The directory or file.
        path: String,
        /// The reason.
        source: io::Error,
    },
    /// There can be no mirror in the directory that is named for it.
    #[error("the mirror: {0}; give --mirror or --no-mirror")]
    Mirror(#[from] MirrorError),
    /// A task ended that must not.
    #[error("the start was cut off")]
    CutOff,
}

/// Why a stop was not clean. What was answered is on stable storage all the same.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// Requests still ran when time was up.
    #[error("requests still ran after 30 s")]
    StillRunning,
    /// The store did not close.
    #[error(transparent)]
    Close(#[from] EngineError),
    /// The replay mark could not be settled.
    #[error("the replay mark: {0}")]
    Mark(#[source] io::Error),
    /// A task ended that must not.
    #[error("the stop was cut off")]
    CutOff,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    data: PathBuf,
    listen: SocketAddr,
    metrics: SocketAddr,
    bootstrap: Option<Bootstrap>,
    tls: Option<Arc<Tls>>,
    stopping: watch::Sender<bool>,
    stopped: watch::Sender<bool>,
    failed: watch::Receiver<bool>,
    listening: JoinHandle<()>,
    beside: Vec<JoinHandle<()>>,
}

/// `server.json`: where the server is, for tools beside it.
#[derive(Serialize)]
struct Card<'a> {
    listen: SocketAddr,
    metrics: SocketAddr,
    realm: &'a str,
    pid: u32,
    /// What checkpoints of the audit log are verified with.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_key: Option<String>,
}

impl Server {
    /// Opens the store, binds both addresses and begins to serve.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if !config.listen.ip().is_loopback() && config.tls.is_none() && !config.danger_plaintext {
            return Err(StartError::Plaintext(config.listen));
        }
        if !config.metrics_listen.ip().is_loopback() && !config.danger_metrics {
            return Err(StartError::OpenMetrics(config.metrics_listen));
        }
        if let Some(dir) = config.backup_dir.as_ref().filter(|dir| !dir.is_dir()) {
            return Err(StartError::Directory {
                path: dir.display().to_string(),
                source: io::ErrorKind::NotADirectory.into(),
            });
        }
        let tls = open_tls(config.tls.clone()).await?;
        let clock = Arc::new(Clock::new(config.wall.clone()));
        let opening = (config.clone(), Arc::clone(&clock));
        let opened = tokio::task::spawn_blocking(move || open(&opening.0, opening.1));
        let (engine, unfinished, node) = opened.await.map_err(|_| StartError::CutOff)??;

        let (listener, listen) = bind(config.listen).await?;
        let (metrics_listener, metrics) = bind(config.metrics_listen).await?;
        let replay = Replay::new(engine.replay_mark(), config.window);
        clock.never_below(replay.at_start());

        let realm = engine.realm().clone();
        let bootstrap = match unfinished {
            Some(unfinished) => {
                let node = node.as_ref().map(|node| node.key_id(Role::Node));
                let url = url(listen, tls.is_some());
                Some(unfinished.finish(&realm, &url, node.as_ref(), clock.now())?)
            }
            None => None,
        };
        let trusted: Vec<_> = engine.trust().iter().chain(&config.trust).cloned().collect();
        let trust = TrustedRoots::new(trusted);
        tracing::info!(%listen, tls = tls.is_some(), %metrics, realm = %realm, "wflDB is listening");
        if trust.is_empty() {
            tracing::warn!("no root key is trusted: every request will be refused; give --trust");
        }
        if let Err(unready) = engine.health().writable {
            tracing::error!(reason = %unready, "the store takes no writes; reads are served");
        }
        sign_audit_log(&engine, node.as_ref());
        let mirror = mirrored(&engine, &config).await?;
        let revocations = engine.revocation_view();
        let rates = Rates::new(config.requests_per_key.map(NonZeroU64::get));
        let sessions = Sessions::new(node, Arc::clone(&revocations));
        let gate = Gate::new(trust, realm.audience(), replay, sessions, revocations, rates);
        let app = Arc::new(App::new(
            engine,
            gate,
            clock,
            BackupRoot::new(config.backup_dir.clone()),
            Budget::new(config.requests_in_flight_per_key),
            mirror,
        ));
        let (stopping, stop) = watch::channel(false);
        let (stopped, end) = watch::channel(false);
        let (failure, failed) = watch::channel(false);
        let card = write_card(
            config.data.clone(),
            Arc::clone(&app),
            listen,
            metrics,
            realm,
            stop.clone(),
        );
        let mut beside = vec![
            tokio::spawn(metrics::serve(Arc::clone(&app), metrics_listener, end.clone())),
            tokio::spawn(watchdog::replay_mark(Arc::clone(&app), end.clone())),
            tokio::spawn(watchdog::sessions(Arc::clone(&app), end.clone())),
            tokio::spawn(watchdog::transactions(Arc::clone(&app), end.clone())),
            tokio::spawn(watchdog::storage(Arc::clone(&app), failure, end.clone())),
            tokio::spawn(card),
        ];
        beside.extend(
            tls.clone()
                .map(|tls| tokio::spawn(tls::watch(Arc::clone(&app), tls, end))),
        );
        let port = Port {
            app: Arc::clone(&app),
            tls: tls.clone(),
            connections_per_address: config.connections_per_address,
        };
        let listening = tokio::spawn(listen::serve(port, listener, stop));
        let data = config.data;
        Ok(Self {
            app,
            data,
            listen,
            metrics,
            bootstrap,
            tls,
            stopping,
            stopped,
            failed,
            listening,
            beside,
        })
    }

    /// Where requests are served.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where metrics are served.
    pub fn metrics(&self) -> SocketAddr {
        self.metrics
    }

    /// The store's realm.
    pub fn realm(&self) -> &Realm {
        self.app.engine.realm()
    }

    /// What this start left for the operator, when it was the first.
    pub fn bootstrap(&self) -> Option<&Bootstrap> {
        self.bootstrap.as_ref()
    }

    /// Has the files of TLS looked at now rather than within seconds.
    pub fn reload_certificates(&self) {
        if let Some(tls) = &self.tls {
            tls.look_now();
        }
    }

    /// Returns when the storage failed, so that only a restart helps.
    pub async fn storage_failed(&self) {
        let mut failed = self.failed.clone();
        if failed.wait_for(|failed| *failed).await.is_err() {
            // Its watchdog is gone, which happens at a stop only.
            std::future::pending::<()>().await;
        }
    }

    /// Stops: new connections are refused, running requests finish (30 s at most), the store is closed.
    ///
    /// # Errors
    /// [`StopError`] when something was cut off; the process should end all the same.
    pub async fn stop(self) -> Result<(), StopError> {
        let Self {
            app,
            data,
            stopping,
            stopped,
            listening,
            beside,
            ..
        } = self;
        let deadline = Instant::now() + DRAIN;
        app.start_draining();
        let _ = stopping.send(true);
        let abort = listening.abort_handle();
        let drained = tokio::time::timeout_at(deadline, async {
            let _ = listening.await;
            // Jobs whose connection went away run on without it.
            app.budget.drain().await;
        });
        let drained = drained.await.is_ok();
        abort.abort();
        let _ = stopped.send(true);
        for task in beside {
            let _ = task.await;
        }
        let closing = tokio::task::spawn_blocking(move || {
            // ORDER: the mark is settled only when no request can be accepted any more.
            let settled = if drained {
                app.gate.replay().settle().map_err(StopError::Mark)
            } else {
                Ok(())
            };
            // ORDER: the views hold the store open.
            app.text.stop();
            app.mirror.stop();
            app.engine.clone().close()?;
            // A card that cannot be removed names a process that is gone.
            let _ = fs::remove_file(data.join("server.json"));
            settled
        });
        closing.await.map_err(|_| StopError::CutOff)??;
        if drained {
            Ok(())
        } else {
            Err(StopError::StillRunning)
        }
    }
}

/// A store that is open, what is left of its first start, and the server's own key.
fn sign_audit_log(engine: &Engine, node: Option<&SecretKey>) {
    if let Some(node) = node {
        engine.sign_audit_log(node.clone());
    } else {
        tracing::warn!("there is no node key; no checkpoints of the audit log are signed");
    }
}

async fn mirrored(engine: &Engine, config: &Config) -> Result<Mirroring, StartError> {
    let (engine, place) = (engine.clone(), config.mirror.clone());
    let trusted = config.mirror_trust.clone();
    let meets = config
        .mirror_remote
        .clone()
        .map(|remote| SyncPlace { remote, trusted });
    let started = tokio::task::spawn_blocking(move || Mirroring::start(&engine, place, meets));
    Ok(started.await.map_err(|_| StartError::CutOff)??)
}

type Opened = (Engine, Option<bootstrap::Unfinished>, Option<SecretKey>);

/// Opens the store; on the first start with the root key that is made for it.
fn open(config: &Config, clock: Arc<Clock>) -> Result<Opened, StartError> {
    let data = &config.data;
    let directory = |source| StartError::Directory {
        path: data.display().to_string(),
        source,
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(directory)?;
    let is_new = !data.join("STORE").exists();
    let begun = if is_new && config.trust.is_empty() {
        Some(bootstrap::begin(data)?)
    } else {
        None
    };
    let options = EngineOptions {
        read_only: false,
        bloom_filters: config.bloom_filters == Switch::On,
        scrub_every: (config.scrub_days > 0)
            .then(|| Duration::from_secs(config.scrub_days.saturating_mul(24 * 3600))),
        realm: config.realm.clone(),
        create_trust: begun.iter().map(bootstrap::Unfinished::root).collect(),
        min_free: ByteLen::new(config.min_free_bytes),
        cache_bytes: config.block_cache_bytes,
        object_cache_bytes: config.object_cache_bytes,
        compress: config.compression == Switch::On,
        prober: config.prober.clone(),
        clock: Arc::new(move || clock.now()),
    };
    let engine = Engine::open(data, options)?;
    // Only the holder of the store's lock may touch it.
    let _ = fs::remove_file(data.join("server.json"));
    let unfinished = match begun {
        // Another process may have made the store between the look and the lock.
        Some(begun) if engine.trust().contains(&begun.root()) => Some(begun),
        _ => bootstrap::resume(data, engine.trust())?,
    };
    let node = load_node_key(data)?;
    Ok((engine, unfinished, node))
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn open_tls(files: Option<TlsFiles>) -> Result<Option<Arc<Tls>>, StartError> {
    let Some(files) = files else { return Ok(None) };
    let opened = tokio::task::spawn_blocking(move || Tls::open(files));
    let tls = opened.await.map_err(|_| StartError::CutOff)??;
    Ok(Some(Arc::new(tls)))
}

/// The address under which a client on this machine finds the server.
fn url(listen: SocketAddr, tls: bool) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{}", SocketAddr::new(ip, listen.port()))
}

/// Writes `server.json` once requests can be accepted.
async fn write_card(
    data: PathBuf,
    app: Arc<App>,
    listen: SocketAddr,
    metrics: SocketAddr,
    realm: Realm,
    mut stop: watch::Receiver<bool>,
) {
    while !app.is_past_replay_mark() {
        let pause = wait_for_mark(app.clock.now(), app.gate.replay().at_start());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
    let card = Card {
        listen,
        metrics,
        realm: realm.as_str(),
        pid: std::process::id(),
        audit_key: app.engine.audit_key().map(|key| key.to_string()),
    };
    let Ok(json) = serde_json::to_vec(&card) else {
        return;
    };
    let written = tokio::task::spawn_blocking(move || write_whole(&data.join("server.json"), &json));
    match written.await {
        Ok(Ok(())) => tracing::info!("ready"),
        Ok(Err(error)) => tracing::warn!(%error, "server.json cannot be written"),
        Err(_) => {}
    }
}

fn wait_for_mark(now: UnixMillis, mark: UnixMillis) -> Duration {
    // Time may be pinned to the mark while the system's clock is behind it: look again soon.
    Duration::from_millis(mark.get().saturating_sub(now.get()).clamp(10, 100))
}

fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("json.new");
    fs::write(&fresh, content)?;
    fs::rename(&fresh, path)
}
