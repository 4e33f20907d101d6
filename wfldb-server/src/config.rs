//! Configuration: a flag goes before the environment, that before the file, that before the default.

use std::io::IsTerminal as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

use clap::Parser;
use serde::Deserialize;
use wfldb_core::id::{KeyId, PublicKey, Role};
use wfldb_core::limits::{SKEW_FUTURE_MS, SKEW_PAST_MS};
use wfldb_core::name::Realm;
use wfldb_core::request::Window;
use wfldb_engine::Prober;

use crate::clock::Wall;
use crate::listen::CONNECTIONS_MAX;
use crate::mirror::MirrorPlace;
use crate::tls::TlsFiles;

/// Largest configuration file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Free bytes of the file system below which nothing is stored: 1 GiB.
const MIN_FREE_BYTES: u64 = 1 << 30;

/// Bytes of the storage's block cache: 128 MiB.
const BLOCK_CACHE_BYTES: u64 = 128 << 20;
const SCRUB_DAYS: u64 = 7;
/// Requests of one key at once: as many as jobs run or wait in all, so that it bounds downloads that stand open.
const REQUESTS_IN_FLIGHT_PER_KEY: NonZeroU32 = NonZeroU32::MIN.saturating_add(1023);
/// Connections that one address may have: an eighth of all.
const CONNECTIONS_PER_ADDRESS: NonZeroU32 = NonZeroU32::MIN.saturating_add(511);
/// Bytes of newest versions that are kept in memory: 64 MiB.
const OBJECT_CACHE_BYTES: u64 = 64 << 20;

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogForm {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Something that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// As it should be.
    On,
    /// Not; what is there already stays.
    Off,
}

/// What the server runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The store's directory.
    pub data: PathBuf,
    /// Where requests are served; port 0 picks one.
    pub listen: SocketAddr,
    /// Where Prometheus is served; port 0 picks one.
    pub metrics_listen: SocketAddr,
    /// The realm of a new store; an existing one must have it.
    pub realm: Option<Realm>,
    /// Free bytes of the file system below which nothing is stored.
    pub min_free_bytes: u64,
    /// Bytes of the storage's block cache.
    pub block_cache_bytes: u64,
    /// Bytes of newest versions that are kept in memory; 0 keeps none.
    pub object_cache_bytes: u64,
    /// Whether large bodies are compressed on disk where that pays.
    pub compression: Switch,
    /// Whether a new store has bloom filters.
    pub bloom_filters: Switch,
    /// Days from one scrub to the next; 0: none.
    pub scrub_days: u64,
    /// The directory below which callers may put backups; `None`: nowhere.
    pub backup_dir: Option<PathBuf>,
    /// Where the mirror is kept.
    pub mirror: MirrorPlace,
    /// The git remote that callers may have the store brought together with others through; `None`: there is none.
    pub mirror_remote: Option<String>,
    /// Node keys of stores that are believed then.
    pub mirror_trust: Vec<PublicKey>,
    /// Root keys that are trusted beside the store's own.
    pub trust: Vec<KeyId>,
    /// Certificates to serve TLS with; `None`: everything is in the clear.
    pub tls: Option<TlsFiles>,
    /// Connections that one address may have at the same time.
    pub connections_per_address: NonZeroU32,
    /// Requests per second of one public key; `None`: any number.
    pub requests_per_key: Option<NonZeroU64>,
    /// Requests of one public key at the same time.
    pub requests_in_flight_per_key: NonZeroU32,
    /// Serve without TLS on an address that is not loopback.
    pub danger_plaintext: bool,
    /// Serve metrics on an address that is not loopback.
    pub danger_metrics: bool,
    /// End the process when the storage failed, for a supervisor to start it again.
    pub exit_on_storage_failure: bool,
    /// The form of the log.
    pub log: LogForm,
    /// How far timestamps may be from the server's time.
    pub window: Window,
    /// How a copy of the store is opened before the store itself.
    pub prober: Prober,
    /// Where time comes from; no flag changes it.
    pub wall: Wall,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The file is too large.
    #[error("the configuration file {0} is larger than 1 MiB")]
    TooLarge(String),
    /// The file is not what is expected.
    #[error("the configuration file {path}: {source}")]
    Parse {
        /// The file.
        path: String,
        /// The reason.
        source: toml::de::Error,
    },
    /// A value is not valid.
    #[error("{name}: {reason}")]
    Value {
        /// The flag.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Some of the files of TLS are named, but not those that it needs.
    #[error("TLS needs both --tls-cert and --tls-key")]
    Tls,
}

/// The flags. Each is also an environment variable and a member of the file.
#[derive(Debug, Default, Parser)]
#[command(
    name = "wfldb-server",
    version,
    about = "The wflDB server: a permissioned object store in one directory."
)]
struct Flags {
    /// Directory of the store; made when it is not there [default: ./wfldb-data]
    #[arg(long, env = "WFLDB_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address to serve requests on; port 0 picks one [default: 127.0.0.1:7070]
    #[arg(long, env = "WFLDB_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Address to serve Prometheus metrics on; port 0 picks one [default: 127.0.0.1:9464]
    #[arg(long, env = "WFLDB_METRICS_LISTEN", value_name = "ADDR")]
    metrics_listen: Option<SocketAddr>,
    /// Realm of a new store; an existing store must have it [default: made up]
    #[arg(long, env = "WFLDB_REALM", value_name = "NAME")]
    realm: Option<String>,
    /// Free bytes of the file system below which nothing is stored [default: 1 GiB]
    #[arg(long, env = "WFLDB_MIN_FREE", value_name = "BYTES")]
    min_free: Option<u64>,
    /// Bytes of the storage's block cache [default: 128 MiB]
    #[arg(long, env = "WFLDB_BLOCK_CACHE", value_name = "BYTES")]
    block_cache: Option<u64>,
    /// Bytes of newest versions of small objects that are kept in memory; 0 keeps none [default: 64 MiB]
    #[arg(long, env = "WFLDB_OBJECT_CACHE", value_name = "BYTES")]
    object_cache: Option<u64>,
    /// Compress bodies above 64 KiB on disk where that saves an eighth [default: on]
    #[arg(long, env = "WFLDB_COMPRESSION", value_name = "ON OR OFF")]
    compression: Option<Switch>,
    /// Bloom filters of a new store; off only for comparison [default: on]
    #[arg(long, env = "WFLDB_BLOOM_FILTERS", value_name = "ON OR OFF")]
    bloom_filters: Option<Switch>,
    /// Days from one check of all stored bytes to the next; 0 for none [default: 7]
    #[arg(long, env = "WFLDB_SCRUB_DAYS", value_name = "DAYS")]
    scrub_days: Option<u64>,
    /// Directory below which backups may be taken through the server [default: none may]
    #[arg(long, env = "WFLDB_BACKUP_DIR", value_name = "DIR")]
    backup_dir: Option<PathBuf>,
    /// Directory of the mirror: documents as plain files [default: DIR/mirror]
    #[arg(long, env = "WFLDB_MIRROR", value_name = "DIR")]
    mirror: Option<PathBuf>,
    /// Keep no mirror; one that is there stays as it is
    #[arg(long, env = "WFLDB_NO_MIRROR", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    no_mirror: Option<bool>,
    /// Git remote through which the store is brought together with others, as `wfldb-admin mirror sync` asks
    #[arg(long, env = "WFLDB_MIRROR_REMOTE", value_name = "REMOTE")]
    mirror_remote: Option<String>,
    /// Key of a store (wn1…) that is believed then; may be repeated
    #[arg(
        long,
        env = "WFLDB_MIRROR_TRUST",
        value_name = "KEY ID",
        value_delimiter = ','
    )]
    mirror_trust: Option<Vec<String>>,
    /// Root key (wr1…) to trust beside the store's own; may be repeated
    #[arg(long, env = "WFLDB_TRUST", value_name = "KEY ID", value_delimiter = ',')]
    trust: Option<Vec<String>>,
    /// TOML file with the same names as these flags
    #[arg(long, env = "WFLDB_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Serve TLS with this certificate chain (PEM, the server's own first); read again when it changes
    #[arg(long, env = "WFLDB_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key of that certificate (PEM, not readable by others)
    #[arg(long, env = "WFLDB_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Turn away clients without a certificate of these authorities (PEM) [default: signatures of requests are enough]
    #[arg(long, env = "WFLDB_TLS_CLIENT_CA", value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,
    /// Connections that one address may have at the same time, of 4096 in all [default: 512]
    #[arg(long, env = "WFLDB_CONNECTIONS_PER_ADDRESS", value_name = "NUMBER")]
    connections_per_address: Option<u32>,
    /// Requests per second that one key may make, refused ones included; 0 for any number [default: 0]
    #[arg(long, env = "WFLDB_REQUESTS_PER_KEY", value_name = "NUMBER")]
    requests_per_key: Option<u64>,
    /// Requests that one key may have in flight, open downloads included [default: 1024]
    #[arg(long, env = "WFLDB_REQUESTS_IN_FLIGHT_PER_KEY", value_name = "NUMBER")]
    requests_in_flight_per_key: Option<u32>,
    /// Serve without TLS on an address that is not loopback: everybody on the way can read everything
    #[arg(long, env = "WFLDB_DANGER_PLAINTEXT", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    danger_plaintext: Option<bool>,
    /// Serve metrics on an address that is not loopback
    #[arg(long, env = "WFLDB_DANGER_METRICS", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    danger_metrics: Option<bool>,
    /// End the process when the storage failed, for a supervisor to start it again
    #[arg(long, env = "WFLDB_EXIT_ON_STORAGE_FAILURE", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    exit_on_storage_failure: Option<bool>,
    /// Form of the log [default: text on a terminal, else json]
    #[arg(long, env = "WFLDB_LOG", value_name = "FORM")]
    log: Option<LogForm>,
    /// Seconds that a request's timestamp may lie in the past, at most 300 [default: 60]
    #[arg(long, env = "WFLDB_SKEW_PAST", value_name = "SECONDS")]
    skew_past: Option<u64>,
    /// Seconds that a request's timestamp may lie in the future, at most 300 [default: 5]
    #[arg(long, env = "WFLDB_SKEW_FUTURE", value_name = "SECONDS")]
    skew_future: Option<u64>,
}

/// The members of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    data: Option<PathBuf>,
    listen: Option<SocketAddr>,
    metrics_listen: Option<SocketAddr>,
    realm: Option<String>,
    min_free: Option<u64>,
    block_cache: Option<u64>,
    object_cache: Option<u64>,
    compression: Option<Switch>,
    bloom_filters: Option<Switch>,
    scrub_days: Option<u64>,
    backup_dir: Option<PathBuf>,
    mirror: Option<PathBuf>,
    no_mirror: Option<bool>,
    mirror_remote: Option<String>,
    mirror_trust: Option<Vec<String>>,
    trust: Option<Vec<String>>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    tls_client_ca: Option<PathBuf>,
    connections_per_address: Option<u32>,
    requests_per_key: Option<u64>,
    requests_in_flight_per_key: Option<u32>,
    danger_plaintext: Option<bool>,
    danger_metrics: Option<bool>,
    exit_on_storage_failure: Option<bool>,
    log: Option<LogForm>,
    skew_past: Option<u64>,
    skew_future: Option<u64>,
}

impl Config {
    /// A configuration of defaults with the store in `data`, in-process probing, and both ports picked.
    pub fn new(data: &Path) -> Self {
        let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self {
            data: data.to_path_buf(),
            listen: loopback,
            metrics_listen: loopback,
            realm: None,
            min_free_bytes: MIN_FREE_BYTES,
            block_cache_bytes: BLOCK_CACHE_BYTES,
            object_cache_bytes: OBJECT_CACHE_BYTES,
            compression: Switch::On,
            bloom_filters: Switch::On,
            scrub_days: SCRUB_DAYS,
            backup_dir: None,
            mirror: MirrorPlace::default(),
            mirror_remote: None,
            mirror_trust: Vec::new(),
            trust: Vec::new(),
            tls: None,
            connections_per_address: CONNECTIONS_PER_ADDRESS,
            requests_per_key: None,
            requests_in_flight_per_key: REQUESTS_IN_FLIGHT_PER_KEY,
            danger_plaintext: false,
            danger_metrics: false,
            exit_on_storage_failure: false,
            log: LogForm::Text,
            window: Window::default(),
            prober: Prober::default(),
            wall: Wall::default(),
        }
    }

    /// Reads flags, environment and file. Ends the process for `--help`, `--version` and flags that are not ours.
    ///
    /// # Errors
    /// [`ConfigError`] when the file or a value is not valid.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::merge(Flags::parse())
    }

    fn merge(flags: Flags) -> Result<Self, ConfigError> {
        let file = match &flags.config {
            Some(path) => read(path)?,
            None => File::default(),
        };
        let tls = tls(
            flags.tls_cert.or(file.tls_cert),
            flags.tls_key.or(file.tls_key),
            flags.tls_client_ca.or(file.tls_client_ca),
        )?;
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let realm = flags
            .realm
            .or(file.realm)
            .map(|realm| Realm::parse(&realm))
            .transpose();
        let backup_dir = flags.backup_dir.or(file.backup_dir);
        let backup_dir = backup_dir.map(std::path::absolute).transpose();
        // A flag that names a place goes before the file's wish for none.
        let mirror = match (flags.no_mirror, flags.mirror) {
            (Some(true), _) => MirrorPlace::None,
            (_, Some(dir)) => MirrorPlace::Dir(dir),
            (None, None) if file.no_mirror == Some(true) => MirrorPlace::None,
            (_, None) => file.mirror.map_or(MirrorPlace::Data, MirrorPlace::Dir),
        };
        let trust = flags.trust.or(file.trust).unwrap_or_default();
        let default_log = if std::io::stderr().is_terminal() {
            LogForm::Text
        } else {
            LogForm::Json
        };
        let skew = |seconds: Option<u64>, default_ms| {
            seconds.map_or(default_ms, |seconds| seconds.saturating_mul(1000))
        };
        let past_ms = skew(flags.skew_past.or(file.skew_past), SKEW_PAST_MS);
        let future_ms = skew(flags.skew_future.or(file.skew_future), SKEW_FUTURE_MS);
        let window = Window::new(past_ms, future_ms);
        Ok(Self {
            data: flags
                .data
                .or(file.data)
                .unwrap_or_else(|| PathBuf::from("./wfldb-data")),
            listen: flags.listen.or(file.listen).unwrap_or_else(|| loopback(7070)),
            metrics_listen: flags
                .metrics_listen
                .or(file.metrics_listen)
                .unwrap_or_else(|| loopback(9464)),
            realm: realm.map_err(|error| value("--realm", &error))?,
            min_free_bytes: flags.min_free.or(file.min_free).unwrap_or(MIN_FREE_BYTES),
            block_cache_bytes: flags
                .block_cache
                .or(file.block_cache)
                .unwrap_or(BLOCK_CACHE_BYTES),
            object_cache_bytes: flags
                .object_cache
                .or(file.object_cache)
                .unwrap_or(OBJECT_CACHE_BYTES),
            compression: flags.compression.or(file.compression).unwrap_or(Switch::On),
            bloom_filters: flags.bloom_filters.or(file.bloom_filters).unwrap_or(Switch::On),
            scrub_days: flags.scrub_days.or(file.scrub_days).unwrap_or(SCRUB_DAYS),
            backup_dir: backup_dir.map_err(|error| value("--backup-dir", &error))?,
            mirror,
            mirror_remote: flags.mirror_remote.or(file.mirror_remote),
            mirror_trust: node_keys(&flags.mirror_trust.or(file.mirror_trust).unwrap_or_default())?,
            tls,
            connections_per_address: flags
                .connections_per_address
                .or(file.connections_per_address)
                .map_or(Ok(CONNECTIONS_PER_ADDRESS), per_address)?,
            requests_per_key: flags
                .requests_per_key
                .or(file.requests_per_key)
                .and_then(NonZeroU64::new),
            requests_in_flight_per_key: flags
                .requests_in_flight_per_key
                .or(file.requests_in_flight_per_key)
                .map_or(Some(REQUESTS_IN_FLIGHT_PER_KEY), NonZeroU32::new)
                .ok_or_else(|| value("--requests-in-flight-per-key", &"1 or more"))?,
            trust: trust.iter().map(|id| root(id)).collect::<Result<_, _>>()?,
            danger_plaintext: flags.danger_plaintext.or(file.danger_plaintext).unwrap_or(false),
            danger_metrics: flags.danger_metrics.or(file.danger_metrics).unwrap_or(false),
            exit_on_storage_failure: flags
                .exit_on_storage_failure
                .or(file.exit_on_storage_failure)
                .unwrap_or(false),
            log: flags.log.or(file.log).unwrap_or(default_log),
            window: window.ok_or_else(|| value("--skew-past, --skew-future", &"at most 300 seconds"))?,
            prober: Prober::default(),
            wall: Wall::default(),
        })
    }
}

fn value(name: &'static str, reason: &impl ToString) -> ConfigError {
    ConfigError::Value {
        name,
        reason: reason.to_string(),
    }
}

/// What is given of TLS must be enough for it: a server that was to speak TLS never speaks plaintext instead.
fn tls(
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
) -> Result<Option<TlsFiles>, ConfigError> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key, client_ca })),
        (None, None) if client_ca.is_none() => Ok(None),
        _ => Err(ConfigError::Tls),
    }
}

fn per_address(connections: u32) -> Result<NonZeroU32, ConfigError> {
    NonZeroU32::new(connections)
        .filter(|connections| connections.get() <= CONNECTIONS_MAX)
        .ok_or_else(|| value("--connections-per-address", &"1 to 4096"))
}

fn node_keys(ids: &[String]) -> Result<Vec<PublicKey>, ConfigError> {
    let node = |id: &String| {
        let id = KeyId::parse(id.trim()).map_err(|error| value("--mirror-trust", &error))?;
        if id.role() == Role::Node {
            Ok(id.public_key().clone())
        } else {
            Err(value("--mirror-trust", &"not the key of a store (wn1…)"))
        }
    };
    ids.iter().map(node).collect()
}

fn root(id: &str) -> Result<KeyId, ConfigError> {
    let id = KeyId::parse(id.trim()).map_err(|error| value("--trust", &error))?;
    if id.role() == Role::Root {
        Ok(id)
    } else {
        Err(value("--trust", &"not a root key (wr1…)"))
    }
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let name = path.display().to_string();
    let failed = |source| ConfigError::Read {
        path: name.clone(),
        source,
    };
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge(name));
    }
    let failed = |source| ConfigError::Read {
        path: name.clone(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    toml::from_str(&text).map_err(|source| ConfigError::Parse { path: name, source })
}

#[cfg(test)]
mod tests;
