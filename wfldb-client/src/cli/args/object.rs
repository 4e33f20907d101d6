//! The arguments of what is about objects, or about whatever stands under a key.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use wfldb_core::id::{PublicKey, VersionId};
use wfldb_core::time::UnixMillis;

use super::value::{moment, node_key, pair, time, version};
use crate::cli::target::Target;

#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// A bucket, or BUCKET/PREFIX; end the prefix with / to see inside a directory. All buckets when left out
    pub(crate) target: Option<Target>,
}

#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    pub(crate) bucket: Target,
    /// Only keys that begin so
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// Only keys behind this one (before it with --reverse)
    #[arg(long, value_name = "KEY")]
    pub(crate) after: Option<String>,
    /// At most so many keys and common prefixes
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Fold keys with this text behind the prefix into one line
    #[arg(long, value_name = "TEXT")]
    pub(crate) delimiter: Option<String>,
    /// From the last key to the first
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Only keys whose newest version has this tag; repeatable, all must be there
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) tag: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(crate) struct Conditions {
    /// Only if the object has this etag (64 hex digits), or is there at all (*)
    #[arg(long, value_name = "ETAG")]
    pub(crate) if_match: Option<String>,
    /// Only if its newest version is this one
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub(crate) if_version: Option<VersionId>,
}

/// Which version of an object.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// This version instead of the newest
    #[arg(long, value_parser = version)]
    pub(crate) version: Option<VersionId>,
    /// The version that was current then: 2026-01-02T03:04:05.006Z, or shorter from the end: …05Z, or the date alone (UTC)
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "version")]
    pub(crate) at: Option<UnixMillis>,
}

#[derive(Debug, Args)]
pub(crate) struct Put {
    /// - is standard input
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,
    #[arg(value_name = "BUCKET/KEY")]
    pub(crate) target: Target,
    /// Guessed from the name when left out
    #[arg(long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
    #[arg(long, value_name = "TEXT")]
    pub(crate) cache_control: Option<String>,
    #[arg(long, value_name = "DATE")]
    pub(crate) expires: Option<String>,
    /// Metadata, kept and returned as x-wfldb-meta-NAME
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) meta: Vec<(String, String)>,
    /// A tag; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) tag: Vec<(String, String)>,
    /// Seconds to live: after them the object is gone, as if deleted
    #[arg(long, value_name = "SECONDS")]
    pub(crate) ttl: Option<u64>,
    #[command(flatten)]
    pub(crate) conditions: Conditions,
    /// Only if nothing is there
    #[arg(long, visible_alias = "create-only")]
    pub(crate) if_none_match: bool,
    /// Ask for the receipt from the audit log, and write it to this new file; `wfldb-admin audit receipt` verifies it
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    #[arg(value_name = "BUCKET/KEY")]
    pub(crate) target: Target,
    /// File or directory to write to; - is standard output. The key's last name when left out
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Args)]
pub(crate) struct Cat {
    #[arg(value_name = "BUCKET/KEY", required = true)]
    pub(crate) targets: Vec<Target>,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Cp {
    #[arg(value_name = "FROM")]
    pub(crate) from: OsString,
    #[arg(value_name = "TO")]
    pub(crate) to: OsString,
    /// Whole directory trees
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Small files in flight; of files over 8 MiB a quarter of it, over 64 MiB two
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) parallel: u32,
    /// Copy what symbolic links point at, inside of the tree
    #[arg(long)]
    pub(crate) follow: bool,
    /// Keep times and modes (this is the default)
    #[arg(long, overrides_with = "no_preserve")]
    pub(crate) preserve: bool,
    /// Do not keep times and modes
    #[arg(long)]
    pub(crate) no_preserve: bool,
    /// Name each file
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rm {
    #[arg(value_name = "BUCKET/KEY", required = true)]
    pub(crate) targets: Vec<Target>,
    /// Everything below BUCKET/KEY/ (below BUCKET when there is no key)
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Remove this version for good, with its bytes, instead of deleting the object; needs `erase`
    #[arg(long, value_parser = version, conflicts_with = "recursive")]
    pub(crate) version: Option<VersionId>,
    /// Ask for the receipt of the removal of that version, and write it to this new file
    #[arg(long, value_name = "FILE", requires = "version")]
    pub(crate) receipt: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) conditions: Conditions,
}

#[derive(Debug, Args)]
pub(crate) struct Batch {
    pub(crate) bucket: Target,
    /// Entries as JSON; - or nothing is standard input
    #[arg(value_name = "FILE|-")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Tag {
    #[arg(value_name = "BUCKET/KEY")]
    pub(crate) target: Target,
    /// Tags to set
    #[arg(value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) tags: Vec<(String, String)>,
    /// Set exactly these, and take the object's other tags away
    #[arg(long, requires = "tags")]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Stat {
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Args)]
pub(crate) struct Versions {
    #[arg(value_name = "BUCKET/KEY")]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[arg(value_name = "BUCKET/KEY")]
    pub(crate) target: Target,
    /// Make this version the newest by copying it; refused if the object changes meanwhile. Without it, the newest
    /// deletion is undone
    #[arg(long, value_parser = version)]
    pub(crate) version: Option<VersionId>,
    /// The same with the version that was current then: 2026-01-02T03:04:05.006Z, or shorter from the end. With --mirror a
    /// commit of its history in git, by 7 to 40 of its hexadecimal digits: what it has becomes the newest version, also
    /// where the store has removed it
    #[arg(long, value_name = "TIME|COMMIT", value_parser = moment, conflicts_with = "version")]
    pub(crate) at: Option<Moment>,
    /// The directory of a mirror of the store, whose history is asked by `git`
    #[arg(long, value_name = "DIR", requires = "at")]
    pub(crate) mirror: Option<PathBuf>,
    /// Key of a store (wn1…) whose signatures of commits and documents are believed, beside the one that the profile names
    /// in `node`; repeatable
    #[arg(long, value_name = "ID", value_parser = node_key, requires = "mirror")]
    pub(crate) trust: Vec<PublicKey>,
}

/// When something was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Moment {
    /// At this time.
    Time(UnixMillis),
    /// At the commit whose name begins so.
    Commit(String),
}
