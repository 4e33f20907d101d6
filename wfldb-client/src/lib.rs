//! The Rust client of wflDB.
//!
//! [`Client`] signs each request with the key of its [`Profile`], sends it over a reused HTTP/2 connection, sends
//! again only what is safe to send again ([`retry`]), and checks the bytes that it reads against their hash.
//! The signing rule itself is in `wfldb-core`; nothing here has a canonical form of its own.
//!
//! Also here, because the `wfldb` program and others need it: the rules for copying directory trees ([`tree`]).
//!
//! Where the profile's URL is `https`, [`TlsOptions`] say whom to trust, and [`TlsFailure`] why there is no connection.
//!
//! Large files go up in parts ([`Client::upload_file`]); many small changes go in one commit ([`Batch`]), and what rests on
//! reads in a transaction ([`Client::transaction`]).
//!
//! The audit log comes as its server publishes it ([`Client::audit_resource`]), and a write can bring its receipt
//! ([`Client::put_with_receipt`]).
//!
//! [`Client::watch`] follows the changes of a bucket, across broken connections and restarts.
//!
//! Reads use a session ([`ClientOptions::sessions`]): a tag in place of a signature each.
//!
//! Not here: documents. They come with later releases.

pub mod agent;
mod aggregate;
mod audit;
mod backup;
mod batch;
mod bucket;
mod call;
mod client;
mod clock;
mod delegate;
mod document;
mod dry_run;
mod edit;
mod endpoint;
mod error;
mod file;
mod forward;
mod grant;
mod index;
mod keys;
mod listing;
mod multipart;
mod object;
mod outgoing;
mod pool;
mod problem;
pub mod profile;
mod query;
pub mod retry;
mod search;
mod session;
mod store;
mod tls;
mod transaction;
mod transfer;
pub mod tree;
mod url_link;
mod watch;

pub use aggregate::Aggregated;
pub use audit::Receipted;
pub use backup::{BackupFiles, TakenBackup};
pub use batch::Batch;
pub use bucket::{BucketInfo, Usage};
pub use client::{Client, ClientOptions};
pub use delegate::{Delegation, TERM_SECONDS_DEFAULT};
pub use document::{Document, PatchForm};
pub use dry_run::DryRunQuestion;
pub use edit::{Edited, ObjectFile};
pub use endpoint::Endpoint;
pub use error::{ApiError, Error};
pub use grant::{grant_words, parse_grant};
pub use keys::{link_in, packet_in};
pub use listing::{Page, Scan, ScanQuery, Versions};
pub use multipart::{SINGLE_PUT_BYTES_MAX, UploadOptions, Uploaded, default_upload_state};
pub use object::{CopyOptions, CopySource, GetOptions, Object, ObjectInfo, Prepared, PutOptions, Stored};
pub use outgoing::Progress;
pub use profile::Profile;
pub use query::{Documents, Query};
pub use store::{Compacted, StoreStats};
pub use tls::{Pin, TlsFailure, TlsOptions};
pub use transaction::{Committed, Steps, Transaction};
pub use transfer::{
    DocumentReader, DocumentWriter, ExportOptions, Exported, Format, Found, ImportError, ImportOptions,
    Imported, ReadError,
};
pub use url_link::{LinkRequest, MadeLink};
pub use watch::{Changes, WatchFrom, WatchOptions};
pub use wfldb_core::text::{Language, Operator, SearchRequest, TextConfig, TextField};
pub use wfldb_net::accept::Representation;
pub use wfldb_net::batch::{BatchAction, BatchEntry, BatchResult, BatchResults};
pub use wfldb_net::changes::{Change, KeyChange};
pub use wfldb_net::document::{BulkEntry, BulkEntryResult, BulkKind, BulkResults, History, HistoryEntry};
pub use wfldb_net::dry_run::{DryRunAnswer, LinkAnswer, Need as DryRunNeed};
pub use wfldb_net::find::{ExecutionStats, ExplainAnswer};
pub use wfldb_net::index::{IndexForm, IndexMade, IndexState};
pub use wfldb_net::keys::{RevocationForm, RevocationList, RevokeAsked, parse_key};
pub use wfldb_net::listing::Item;
pub use wfldb_net::multipart::{Part, PartRef, Parts};
pub use wfldb_net::search::{SearchAnswer, SearchHighlight, SearchItem, SearchStatus};
