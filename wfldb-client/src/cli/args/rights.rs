//! The arguments of what passes rights on, ends them, or asks what they allow.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use wfldb_core::auth::Method;
use wfldb_core::time::UnixMillis;

use super::value::{seconds, time};
use crate::cli::target::Target;

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// A file with the packet, or with a profile; the profile in use has signed a link of it
    #[arg(value_name = "FILE", required_unless_present = "link")]
    pub(crate) packet: Option<PathBuf>,
    /// End what this key holds below that link instead, whatever packets it was given before now
    #[arg(long, value_name = "ID")]
    pub(crate) key: Option<String>,
    /// End this one link in a URL: the URL, or what stands in it behind `link=`; the profile in use, or one that it comes
    /// from, has made it
    #[arg(long, value_name = "URL", conflicts_with_all = ["packet", "key"])]
    pub(crate) link: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DryRun {
    #[arg(value_name = "METHOD", value_parser = method)]
    pub(crate) method: Method,
    /// Path and query as they would be sent: /v1/BUCKET/KEY, percent-encoded
    #[arg(value_name = "PATH")]
    pub(crate) target: String,
    /// Bytes that would be written; without it, limits on size and type are not looked at
    #[arg(long, value_name = "N")]
    pub(crate) bytes: Option<u64>,
    /// Type of what would be written
    #[arg(long, value_name = "TYPE", requires = "bytes")]
    pub(crate) content_type: Option<String>,
    /// Where the request would come from; from here when left out
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) peer: Option<IpAddr>,
}

fn method(text: &str) -> Result<Method, String> {
    Method::parse(text).ok_or_else(|| "is GET, HEAD, PUT, POST or DELETE".to_owned())
}

/// What the key of a holder is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HolderRole {
    Client,
    Issuer,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("holder").required(true))]
pub(crate) struct Delegate {
    /// What is allowed: 'b=photos,p=2024/,ops=get+list'. Optional: `max_bytes` `rate` `quota_bytes` `create_only` cidr
    /// `content_type`. Repeatable
    #[arg(long, value_name = "GRANT", required = true)]
    pub(crate) grant: Vec<String>,
    /// Key id of the holder, who has the secret; the packet alone is written
    #[arg(long, value_name = "ID", group = "holder")]
    pub(crate) sub: Option<String>,
    /// Make a key for the holder; a profile is written (needs --out)
    #[arg(long, group = "holder", requires = "out")]
    pub(crate) new_key: bool,
    /// Role of the key that --new-key makes
    #[arg(long, value_enum, default_value = "client", conflicts_with = "sub")]
    pub(crate) role: HolderRole,
    /// How long it is valid: 90s, 15m, 8h, 30d. When left out: 30 days, or until this profile's packet ends
    #[arg(long = "for", value_name = "TERM", value_parser = seconds)]
    pub(crate) term: Option<u64>,
    /// Until when it is valid: 2026-01-02T03:04:05.006Z, or shorter from the end
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "term")]
    pub(crate) until: Option<UnixMillis>,
    /// How often the holder may pass it on, 0 to 2
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) dlg: u8,
    /// Where packet or profile go (mode 0600, never overwritten); a packet goes to standard output when left out
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LinkFor {
    Get,
    Put,
}

#[derive(Debug, Args)]
pub(crate) struct LinkArgs {
    /// To read (get) or to write (put)
    #[arg(value_name = "get|put", value_enum)]
    pub(crate) method: LinkFor,
    #[arg(value_name = "BUCKET/KEY")]
    pub(crate) target: Target,
    /// For how long: 90s, 15m, 8h, 7d; seven days at most
    #[arg(long, value_name = "TERM", value_parser = seconds)]
    pub(crate) expires: u64,
    /// How often it may be used
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) uses: Option<u64>,
    /// The longest body of a put, in bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_size: Option<u64>,
    /// For every key that begins with KEY, of a get; the rest of a key goes before the `?` of the URL
    #[arg(long)]
    pub(crate) prefix: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// Listen on this socket; its directory has to be yours, mode 0700. One in a new directory when left out
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Listen on a port of 127.0.0.1 instead, and ask for a secret of this run; 0 picks one
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "0",
          conflicts_with = "socket")]
    pub(crate) tcp: Option<u16>,
    /// Sign for this bucket only, with a packet that is passed on to a key of this run
    #[arg(long, value_name = "BUCKET")]
    pub(crate) bucket: Option<Target>,
    /// Of that bucket, only keys that begin so
    #[arg(long, value_name = "PREFIX", requires = "bucket")]
    pub(crate) prefix: Option<String>,
    /// What may be done there, joined with +
    #[arg(long, value_name = "OPS", requires = "bucket", default_value = "get+list")]
    pub(crate) ops: String,
    /// How long that packet is valid: 90s, 15m, 8h
    #[arg(long = "for", value_name = "TERM", value_parser = seconds, requires = "bucket", default_value = "1h")]
    pub(crate) term: u64,
    /// The largest body, in bytes: bodies are gathered before they are signed
    #[arg(long, value_name = "BYTES", default_value_t = 5 * 1024 * 1024 * 1024)]
    pub(crate) max_body: u64,
}
