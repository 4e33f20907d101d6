//! The wflDB server: sockets, admission, limits, thin handlers, configuration, observability.
//!
//! The way of a request: `listen::serve` → `service::call` → `net::route::parse` → `auth::admit` → a function in
//! `handlers` → the engine. What is decided on that way is decided in `wfldb-core` and `wfldb-net`; what is stored, in
//! `wfldb-engine`.

mod access;
mod app;
mod auth;
mod backups;
mod body;
mod bootstrap;
mod budget;
mod clock;
mod config;
mod cursor;
mod fault;
mod handlers;
mod link;
mod listen;
mod logging;
mod metrics;
mod mirror;
mod request_id;
mod respond;
mod server;
mod service;
mod text;
mod tls;
mod transactions;
mod watchdog;

pub use bootstrap::{Bootstrap, BootstrapError};
pub use clock::Wall;
pub use config::{Config, ConfigError, LogForm, Switch};
pub use logging::start as start_logging;
pub use mirror::MirrorPlace;
pub use server::{Server, StartError, StopError};
pub use tls::{TlsError, TlsFiles};
