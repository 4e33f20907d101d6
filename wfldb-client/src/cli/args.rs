//! The arguments. Names and flags are a contract, like the wire.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use wfldb_core::id::VersionId;

use super::exit::EXIT_CODES;
use super::target::Target;

/// What the program's long help begins with.
const ABOUT: &str = "\
Stores, lists and reads objects in a wflDB server.

A TARGET is BUCKET or BUCKET/KEY. In `cp`, remote places are spelled wfldb://BUCKET/KEY, since everything else is a \
local path; the other commands take that spelling too.

The profile says where the server is and holds key and packet: --profile FILE, else the environment variable \
WFLDB_PROFILE, else $XDG_CONFIG_HOME/wfldb/profile.json, else ~/.config/wfldb/profile.json. The file must be readable \
by its owner only (mode 0600).";

/// The command line of `wfldb`.
#[derive(Debug, Parser)]
#[command(name = "wfldb", version, about = "Stores, lists and reads objects in a wflDB server", long_about = ABOUT)]
#[command(after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// Key, packet and server to use
    #[arg(long, global = true, value_name = "FILE", env = "WFLDB_PROFILE")]
    pub(crate) profile: Option<PathBuf>,
    /// Write JSON: one object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a bucket, or configure one
    Mb(Mb),
    /// Remove a bucket
    Rb(Rb),
    /// List buckets, or one level of a bucket as if keys were paths
    Ls(Ls),
    /// List keys in order, across levels
    Scan(ScanArgs),
    /// Store a file, or standard input, as an object
    Put(Put),
    /// Read an object into a file
    Get(Get),
    /// Write objects to standard output
    Cat(Cat),
    /// Copy files up, down, or from key to key; with -r whole directory trees
    #[command(long_about = COPY_RULES)]
    Cp(Cp),
    /// Delete objects; their versions stay and can be restored
    Rm(Rm),
    /// Show what is known about an object or a bucket
    Stat(Stat),
    /// List the versions of an object, newest first
    Versions(Versions),
    /// Bring back a deleted object, or make an old version the newest
    Restore(Restore),
}

#[derive(Debug, Args)]
pub(crate) struct Mb {
    pub(crate) bucket: Target,
    /// Most bytes of all versions
    #[arg(long, value_name = "BYTES")]
    pub(crate) quota_bytes: Option<u64>,
    /// Most objects
    #[arg(long, value_name = "N")]
    pub(crate) quota_objects: Option<u64>,
    /// Largest object
    #[arg(long, value_name = "BYTES")]
    pub(crate) object_bytes_max: Option<u64>,
    /// Only full signatures, no sessions
    #[arg(long)]
    pub(crate) require_signature: bool,
    /// If the bucket exists, replace its whole configuration by this one
    #[arg(long)]
    pub(crate) configure: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rb {
    pub(crate) bucket: Target,
    /// With everything in it, all versions included
    #[arg(long)]
    pub(crate) force: bool,
}

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
    /// A tag
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) tag: Vec<(String, String)>,
    /// Seconds to live
    #[arg(long, value_name = "SECONDS")]
    pub(crate) ttl: Option<u64>,
    #[command(flatten)]
    pub(crate) conditions: Conditions,
    /// Only if nothing is there
    #[arg(long, visible_alias = "create-only")]
    pub(crate) if_none_match: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    #[arg(value_name = "BUCKET/KEY")]
    pub(crate) target: Target,
    /// File or directory to write to; - is standard output. The key's last name when left out
    pub(crate) file: Option<PathBuf>,
    /// This version instead of the newest
    #[arg(long, value_parser = version)]
    pub(crate) version: Option<VersionId>,
}

#[derive(Debug, Args)]
pub(crate) struct Cat {
    #[arg(value_name = "BUCKET/KEY", required = true)]
    pub(crate) targets: Vec<Target>,
    /// This version instead of the newest
    #[arg(long, value_parser = version)]
    pub(crate) version: Option<VersionId>,
}

/// The rules of `cp`, as its long help states them.
const COPY_RULES: &str = "\
Copy files up, down, or from key to key; with -r whole directory trees.

  wfldb cp FILE wfldb://BUCKET/KEY       up; the file's name is added to a KEY that ends with /
  wfldb cp wfldb://BUCKET/KEY FILE       down; into FILE, or into it if it is a directory
  wfldb cp wfldb://A/KEY wfldb://B/KEY   from key to key, through this machine
  wfldb cp -r DIR wfldb://BUCKET/PREFIX  what is in DIR goes below PREFIX/
  wfldb cp -r wfldb://BUCKET/PREFIX DIR  what is below PREFIX/ goes into DIR

Interrupted? Run the same command again. What is there already with the same size and the same BLAKE3 hash is \
skipped, so a second run only moves what is missing. Skipping compares contents only, not times and modes. A file that \
comes down is written as `.NAME.wfldb-part` and renamed when it is whole and its hash is right; what is left of a \
file over 8 MiB is gone on with, a smaller one is started over. Such names are not copied in either direction.

Symbolic links are not followed: they are skipped with a warning. With --follow they are copied as what they point \
at, unless that lies outside of DIR, or is a directory above the link, or is not there: then they are skipped.

Empty directories are kept as objects of zero bytes whose key ends with `/`. Other directories exist through their \
files; their own times and modes are not kept.

Times and modes: the modification time and the nine permission bits travel as x-wfldb-meta-mtime \
(SECONDS.NANOSECONDS) and x-wfldb-meta-mode (four octal digits), and are set again on the way down unless \
--no-preserve is given. Set-user-id and similar bits, owners, access lists and extended attributes do not travel.

Names: bytes that are not valid UTF-8 and control characters are written %XX in the key (upper-case hexadecimal); a % \
before two upper-case hexadecimal digits is written %25; where the whole key would be reserved (`scan`, `batch`, a \
first segment like `_find`), its first byte is written %XX. On the way down the rule is undone, and only where it gives \
that very key again: other keys with a % are taken literally. A name too long for a key (1024 bytes) is reported.

On the way down nothing is written outside of DIR: keys with empty, `.` or `..` segments are reported, symbolic \
links inside DIR are neither followed nor replaced, and of keys that cannot all be files (`a` and `a/b`) one is \
reported, not overwritten. Existing files with other contents are replaced.

Special files (sockets, pipes, devices) are skipped with a warning. The content-type is guessed from the name's \
ending, or left out.

Warnings do not change the exit code. Failures of single files are listed at the end, with exit code 1; when the server \
goes away for longer than about 10 seconds the copy stops, with exit code 6.";

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
    /// Small files in flight; of files over 8 MiB a quarter of it
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
    #[command(flatten)]
    pub(crate) conditions: Conditions,
}

#[derive(Debug, Args)]
pub(crate) struct Stat {
    pub(crate) target: Target,
    /// This version instead of the newest
    #[arg(long, value_parser = version)]
    pub(crate) version: Option<VersionId>,
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
}

fn version(text: &str) -> Result<VersionId, String> {
    VersionId::parse(text).map_err(|error| error.to_string())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
