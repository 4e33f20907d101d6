//! The client: a profile, its connections, and what can be asked of a store.

use std::sync::{Arc, OnceLock};

use wfldb_core::time::UnixMillis;

use crate::call::Caller;
use crate::clock::Clock;
use crate::pool::Pool;
use crate::profile::Profile;
use crate::retry::RetryPolicy;
use crate::session::Sessions;
use crate::tls::TlsOptions;

/// How a client connects and how long it tries.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// HTTP/2 connections, each opened when first needed. One carries many requests at once; a second one helps
    /// when a single core cannot fill the network.
    pub connections: usize,
    /// Bounds on sending again.
    pub retry: RetryPolicy,
    /// Whether reads use a session, which costs both sides far less than a signature each. A client that reads once
    /// opens none; writes are signed either way.
    pub sessions: bool,
    /// Whom to trust where the profile's URL is `https`.
    pub tls: TlsOptions,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connections: 1,
            retry: RetryPolicy::default(),
            sessions: true,
            tls: TlsOptions::default(),
        }
    }
}

/// A client of one store. Cheap to clone; clones share their connections. Needs a tokio runtime.
///
/// ```no_run
/// # async fn example() -> Result<(), wfldb_client::Error> {
/// use wfldb_client::{Client, GetOptions, Profile, PutOptions};
/// use wfldb_core::name::{BucketName, ObjectKey};
///
/// let client = Client::from_profile(Profile::load("profile.json".as_ref())?);
/// let bucket = BucketName::parse("photos").unwrap();
/// let key = ObjectKey::parse("2026/cat.jpg").unwrap();
/// client.create_bucket(&bucket, &Default::default()).await?;
/// let put = client.put(&bucket, &key, "meow", PutOptions::default()).await?;
/// let cat = client.get(&bucket, &key, GetOptions::default()).await?;
/// assert_eq!(cat.info().etag, put.etag);
/// assert_eq!(cat.bytes(1024).await?, "meow");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) caller: Arc<Caller>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", self.caller.pool.endpoint())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client with the default options. Nothing is connected yet.
    pub fn from_profile(profile: Profile) -> Self {
        Self::with_options(profile, ClientOptions::default())
    }

    /// A client with options of its own.
    pub fn with_options(profile: Profile, options: ClientOptions) -> Self {
        let caller = Caller {
            pool: Pool::new(profile.endpoint, options.connections, options.tls),
            clock: Clock::default(),
            policy: options.retry,
            audience: profile.realm.audience(),
            packet: profile.packet,
            key: profile.key,
            sessions: Sessions::new(options.sessions),
            node: profile.node,
            stranger: OnceLock::new(),
        };
        Self {
            caller: Arc::new(caller),
        }
    }
    /// The server's time as far as this client knows it: this machine's, corrected by what the server said where it
    /// refused a request for its time.
    pub fn server_time(&self) -> UnixMillis {
        self.caller.clock.now()
    }
}
