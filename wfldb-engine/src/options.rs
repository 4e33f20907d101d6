//! What an engine is opened with.

use std::sync::Arc;
use std::time::Duration;

use wfldb_core::id::{ByteLen, KeyId};
use wfldb_core::name::Realm;
use wfldb_core::time::UnixMillis;

use crate::store::Prober;

/// Where the engine takes its time from.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// Options of an engine; `Default` suits embedded use.
#[derive(Clone)]
pub struct EngineOptions {
    /// The realm of a new store; `None` makes one up. An existing store must have this one.
    pub realm: Option<Realm>,
    /// Root keys that a new store trusts, kept in its `STORE` file.
    pub create_trust: Vec<KeyId>,
    /// Free bytes of the file system below which nothing is stored (507).
    pub min_free: ByteLen,
    /// How long after a scrub the next begins; `None`: stored bytes are checked only when they are read.
    pub scrub_every: Option<Duration>,
    /// Opens an existing store for reading only, from a copy made of links: nothing in it is changed.
    pub read_only: bool,
    /// How a copy of the store is opened before the store itself.
    pub prober: Prober,
    /// The clock.
    pub clock: Clock,
    /// Bytes of fjall's block cache.
    pub cache_bytes: u64,
    /// Whether a new store has bloom filters; an existing one keeps what it was made with. Without is for comparison.
    pub bloom_filters: bool,
    /// Bytes of newest versions that are kept decoded, inline bodies included; 0 keeps none.
    pub object_cache_bytes: u64,
    /// Whether new chunk files are compressed where that pays. Compressed ones are read either way.
    pub compress: bool,
}

impl std::fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineOptions")
            .field("realm", &self.realm)
            .field("min_free", &self.min_free)
            .field("prober", &self.prober)
            .field("cache_bytes", &self.cache_bytes)
            .field("object_cache_bytes", &self.object_cache_bytes)
            .field("compress", &self.compress)
            .finish_non_exhaustive()
    }
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            realm: None,
            create_trust: Vec::new(),
            min_free: ByteLen::new(1 << 30),
            scrub_every: Some(Duration::from_hours(7 * 24)),
            read_only: false,
            prober: Prober::InProcess,
            clock: Arc::new(system_time),
            cache_bytes: 128 << 20,
            bloom_filters: true,
            object_cache_bytes: 64 << 20,
            compress: true,
        }
    }
}

/// The system's clock; a time before 1970 counts as 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the default clock is read"
)]
fn system_time() -> UnixMillis {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
