//! The arguments. Names and flags are a contract, like the wire.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use wfldb_client::WatchFrom;
use wfldb_core::auth::Method;
use wfldb_core::doc::FieldPath;
use wfldb_core::id::VersionId;
use wfldb_core::object::BucketKind;
use wfldb_core::time::UnixMillis;

use super::exit::EXIT_CODES;
use super::help::{
    ABOUT, AGENT_RULES, AGGREGATE_RULES, BATCH_RULES, COPY_RULES, DELEGATE_RULES, EXPORT_RULES, IMPORT_RULES,
    LINK_RULES, PATCH_RULES, SEARCH_RULES, TAG_RULES, WATCH_RULES,
};
use super::target::Target;

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
    #[command(flatten)]
    pub(crate) tls: Tls,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Whom to trust where the profile's URL begins with https.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
#[expect(
    clippy::struct_field_names,
    reason = "clap takes the names of flags from fields"
)]
pub(crate) struct Tls {
    /// Authorities (PEM) to trust instead of those of this machine
    #[arg(long, global = true, value_name = "FILE", env = "WFLDB_TLS_CA")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// SHA-256 of the server's public key, in hex; repeatable. Without --tls-ca it is trusted whoever signed it
    #[arg(
        long,
        global = true,
        value_name = "HASH",
        env = "WFLDB_TLS_PIN",
        value_delimiter = ','
    )]
    pub(crate) tls_pin: Vec<String>,
    /// Certificate (PEM) to show to the server
    #[arg(long, global = true, value_name = "FILE", env = "WFLDB_TLS_CLIENT_CERT")]
    pub(crate) tls_client_cert: Option<PathBuf>,
    /// Private key of that certificate (PEM, mode 0600)
    #[arg(long, global = true, value_name = "FILE", env = "WFLDB_TLS_CLIENT_KEY")]
    pub(crate) tls_client_key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    #[command(flatten)]
    Online(Command),
    /// Pass this profile's packet on, narrowed, to another key; offline
    #[command(long_about = DELEGATE_RULES)]
    Delegate(Delegate),
    /// Make a URL that reads or writes without a key; offline
    #[command(long_about = LINK_RULES)]
    Link(LinkArgs),
    /// Sign requests of curl and other programs of this machine
    #[command(long_about = AGENT_RULES)]
    Agent(AgentArgs),
}

/// What asks the server.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a bucket, or with --configure change how one is configured
    Mb(Mb),
    /// Remove a bucket
    Rb(Rb),
    /// List buckets, or one level of a bucket as if keys were paths
    Ls(Ls),
    /// List keys in order, across levels
    Scan(ScanArgs),
    /// Group the documents of a bucket and compute over the groups
    #[command(long_about = AGGREGATE_RULES)]
    Aggregate(Aggregate),
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
    /// Change many objects in one commit, or none of them
    #[command(long_about = BATCH_RULES)]
    Batch(Batch),
    /// Show the tags of an object, or set some of them
    #[command(long_about = TAG_RULES)]
    Tag(Tag),
    /// Show what is known about an object or a bucket
    Stat(Stat),
    /// List the versions of an object, newest first
    Versions(Versions),
    /// Print a document, laid out for reading; with --verify only what its signature is good for
    Doc(Doc),
    /// Change a part of a document
    #[command(long_about = PATCH_RULES)]
    Patch(Patch),
    /// Print the versions of a document, newest first, with what each said
    History(HistoryArgs),
    /// Print, set or remove the JSON Schema that a bucket's documents follow; needs `manage`
    Schema(SchemaArgs),
    /// Store the documents of a file: JSON Lines, a JSON array, BSON
    #[command(long_about = IMPORT_RULES)]
    Import(Import),
    /// Write the documents of a bucket to a file, or to standard output
    #[command(long_about = EXPORT_RULES)]
    Export(Export),
    /// Print the changes of a bucket as they come
    #[command(long_about = WATCH_RULES)]
    Watch(Watch),
    /// Bring back a deleted object, or make an old version the newest
    Restore(Restore),
    /// List, make or drop the indexes of a bucket of documents
    Index(IndexArgs),
    /// Print the documents that a selector wants, one line of JSON each
    Query(QueryArgs),
    /// Search the documents of a bucket by their words
    #[command(long_about = SEARCH_RULES)]
    Search(Search),
    /// Show figures of the store, or a bucket's configuration and usage
    Stats(Stats),
    /// Merge what the store keeps on disk, and remove what nothing names; needs `admin`
    Compact,
    /// Say whether the packet allows a request, and which grant of which link decides; exit code 3 when it does not
    DryRun(DryRun),
    /// End a packet that was passed on, and everything that it was passed on as; or a key in what was passed on
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(crate) struct Doc {
    #[arg(value_name = "BUCKET/KEY")]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Refuse a document whose signature is not good for what it says; the key that made it goes to standard error
    #[arg(long)]
    pub(crate) verify: bool,
    /// The key that has to have made it (wn1…): the store's, as you know it from elsewhere
    #[arg(long, value_name = "ID", requires = "verify")]
    pub(crate) signed_by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Patch {
    #[arg(value_name = "BUCKET/KEY")]
    pub(crate) target: Target,
    /// An object (JSON Merge Patch) or a list (JSON Patch); @FILE reads it from a file, - from standard input
    #[arg(value_name = "PATCH|@FILE|-")]
    pub(crate) change: String,
    #[command(flatten)]
    pub(crate) conditions: Conditions,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    #[arg(value_name = "BUCKET/KEY")]
    pub(crate) target: Target,
    /// Have the server say of each version whether it is what was signed, and follows the one below it
    #[arg(long)]
    pub(crate) verify: bool,
    /// So many at most
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    #[arg(value_name = "BUCKET")]
    pub(crate) bucket: Target,
    #[command(subcommand)]
    pub(crate) verb: SchemaVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SchemaVerb {
    /// Print it
    Get,
    /// Set it, for what is written from now on
    Put {
        /// The schema as JSON; @FILE reads it from a file, - from standard input
        #[arg(value_name = "SCHEMA|@FILE|-")]
        schema: String,
    },
    /// Remove it
    Rm,
}

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    #[arg(value_name = "BUCKET")]
    pub(crate) bucket: Target,
    /// Which documents, as JSON: '{}' for all, '{"year": {"$gte": 1980}}'
    #[arg(value_name = "SELECTOR")]
    pub(crate) selector: String,
    /// Only documents that this search of the full text finds too, the best match first without --sort
    #[arg(long, value_name = "QUERY")]
    pub(crate) text: Option<String>,
    /// Have that search wait until the index has the change with this number, 10 s at most
    #[arg(long, value_name = "SEQ", requires = "text")]
    pub(crate) wait: Option<u64>,
    /// Only these members
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',')]
    pub(crate) fields: Vec<String>,
    /// In the order of these fields: NAME or NAME:desc
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',')]
    pub(crate) sort: Vec<String>,
    /// So many at most
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Without the first so many
    #[arg(long, value_name = "N")]
    pub(crate) skip: Option<usize>,
    /// By this index, or not at all
    #[arg(long, value_name = "NAME")]
    pub(crate) use_index: Option<String>,
    /// Only how many there are
    #[arg(long, conflicts_with = "explain")]
    pub(crate) count: bool,
    /// Only how they are found, and what that costs
    #[arg(long)]
    pub(crate) explain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    #[arg(value_name = "BUCKET")]
    pub(crate) bucket: Target,
    #[command(subcommand)]
    pub(crate) verb: IndexVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IndexVerb {
    /// List them, with how far each is
    Ls,
    /// Make one of these fields, in this order: NAME or NAME:desc, names of inner members with dots
    Create(Box<IndexCreate>),
    /// Drop one
    Drop {
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct IndexCreate {
    #[arg(value_name = "FIELD", required = true)]
    pub(crate) fields: Vec<String>,
    /// Its name; without it, one that follows from the rest
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Find equal values only, by a hash of all fields
    #[arg(long)]
    pub(crate) hash: bool,
    /// Refuse a document whose fields have the values of another's
    #[arg(long)]
    pub(crate) unique: bool,
    /// Leave out documents that lack one of the fields
    #[arg(long)]
    pub(crate) sparse: bool,
    /// Only documents that this selector (JSON) selects
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) partial: Option<String>,
    /// Wait until it is built
    #[arg(long)]
    pub(crate) wait: bool,
}

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
#[command(group = ArgGroup::new("what").args(["query", "status", "rebuild"]).required(true))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct Search {
    #[arg(value_name = "BUCKET")]
    pub(crate) bucket: Target,
    /// Words, phrases in quotation marks, `field:word`, `word*`, `word~1`, `+needed`, `-excluded`, AND, OR, NOT, ( )
    #[arg(value_name = "QUERY")]
    pub(crate) query: Option<String>,
    /// Documents with all of the words instead of any
    #[arg(long)]
    pub(crate) all: bool,
    /// The field to search in, for words that name none
    #[arg(long, value_name = "FIELD")]
    pub(crate) field: Option<String>,
    /// Most hits, up to 1,000
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
    /// Hits to pass over, up to 10,000
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) skip: usize,
    /// Show the places that match
    #[arg(long)]
    pub(crate) highlight: bool,
    /// Show the documents
    #[arg(long)]
    pub(crate) documents: bool,
    /// Wait until the index has the change with this number, 10 s at most
    #[arg(long, value_name = "SEQ")]
    pub(crate) wait: Option<u64>,
    /// Show how far the index is instead; needs `manage`
    #[arg(long)]
    pub(crate) status: bool,
    /// Have the index made anew instead; needs `manage`
    #[arg(long)]
    pub(crate) rebuild: bool,
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

fn kind(text: &str) -> Result<BucketKind, String> {
    match text {
        "objects" => Ok(BucketKind::Objects),
        "documents" => Ok(BucketKind::Documents),
        _ => Err("is `objects` or `documents`".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct Mb {
    pub(crate) bucket: Target,
    /// What a new bucket is for: `objects`, or `documents`
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub(crate) kind: Option<BucketKind>,
    /// Versions of an object that are kept whatever their age; `none` for no such bound
    #[arg(long, value_name = "N|none", value_parser = limit)]
    pub(crate) keep: Option<Limit>,
    /// Days for which versions are kept; `none` for no such bound
    #[arg(long, value_name = "N|none", value_parser = limit)]
    pub(crate) days: Option<Limit>,
    /// Most bytes of all versions; `none` for no quota
    #[arg(long, visible_alias = "quota", value_name = "BYTES|none", value_parser = limit)]
    pub(crate) quota_bytes: Option<Limit>,
    /// Most objects; `none` for no quota
    #[arg(long, value_name = "N|none", value_parser = limit)]
    pub(crate) quota_objects: Option<Limit>,
    /// Largest object; `none` for the protocol's own limit
    #[arg(long, value_name = "BYTES|none", value_parser = limit)]
    pub(crate) object_bytes_max: Option<Limit>,
    /// Most requests per second, of all callers together; `none` for any number
    #[arg(long, value_name = "N|none", value_parser = limit)]
    pub(crate) rate: Option<Limit>,
    /// A new bucket holds documents, and this field has the time of each: RFC 3339, or milliseconds since 1970
    #[arg(long, value_name = "FIELD", value_parser = field)]
    pub(crate) time_field: Option<FieldPath>,
    /// Days after their time for which documents are kept; `none` for no such bound
    #[arg(long, value_name = "N|none", value_parser = limit)]
    pub(crate) time_days: Option<Limit>,
    /// Documents are never changed and never deleted
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) append_only: Option<bool>,
    /// Have indexes made that queries miss, eight at most
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) auto_index: Option<bool>,
    /// Only full signatures, no sessions
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) require_signature: Option<bool>,
    /// Fields of documents that are searched by their words, with commas between them; `*` is all text, `none` no index
    #[arg(long, value_name = "FIELDS|none", value_delimiter = ',')]
    pub(crate) text: Option<Vec<String>>,
    /// Language of that text, whose words are brought to their stems: `english`, … or `none`
    #[arg(long, value_name = "LANGUAGE", requires = "text")]
    pub(crate) language: Option<String>,
    /// Every read and refusal goes into the audit log before it is answered; no sessions
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) audit_reads: Option<bool>,
    /// Ask for the receipt of the change, and write it to this new file
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Option<PathBuf>,
    /// If the bucket exists, change what is given here and leave the rest of its configuration as it is
    #[arg(long)]
    pub(crate) configure: bool,
}

/// A bound, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Option<u64>);

#[derive(Debug, Args)]
pub(crate) struct Rb {
    pub(crate) bucket: Target,
    /// With everything in it, all versions included
    #[arg(long)]
    pub(crate) force: bool,
    /// Ask for the receipt of the removal, and write it to this new file
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Option<PathBuf>,
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
    /// Only keys whose newest version has this tag; repeatable, all must be there
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) tag: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(crate) struct Aggregate {
    pub(crate) bucket: Target,
    /// The stages as JSON; @FILE reads them from a file, - from standard input
    #[arg(value_name = "PIPELINE|@FILE|-")]
    pub(crate) pipeline: String,
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
pub(crate) struct Stats {
    /// A bucket; the whole store when left out, which needs `admin`
    pub(crate) bucket: Option<Target>,
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

/// How documents stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// A JSON object on each line
    Jsonl,
    /// One JSON array of objects
    Json,
    /// One BSON document behind the other
    Bson,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    pub(crate) bucket: Target,
    /// The file; `-` for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Without it, what the file's name ends with tells: .jsonl, .ndjson, .json, .bson
    #[arg(long, value_enum)]
    pub(crate) format: Option<FileFormat>,
    /// The member whose value is the key
    #[arg(long, value_name = "FIELD", default_value = "_id")]
    pub(crate) id: String,
    /// Give a document without that member a key made of what it says
    #[arg(long)]
    pub(crate) make_ids: bool,
    /// Leave documents as they are that are there already
    #[arg(long)]
    pub(crate) new_only: bool,
    /// Go on when a document cannot be stored
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Batches on their way at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) in_flight: u8,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    pub(crate) bucket: Target,
    /// The file; standard output when left out
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Without it, what the file's name ends with tells; else jsonl
    #[arg(long, value_enum)]
    pub(crate) format: Option<FileFormat>,
    /// Only keys that begin with this
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Option<String>,
    /// Without version, time, writer, hash and signature
    #[arg(long)]
    pub(crate) plain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    pub(crate) bucket: Target,
    /// Only keys that begin with this
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Option<String>,
    /// Begin behind this seq; 0 for everything that there ever was
    #[arg(long, value_name = "SEQ|now", default_value = "now", value_parser = super::watch::since)]
    pub(crate) since: WatchFrom,
    /// Print what is there and end
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// End after so many changes
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
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

/// A length of time in seconds: a number with `s`, `m`, `h` or `d`.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "is a number with s, m, h or d, such as 8h".to_owned();
    let number = text.trim_end_matches(['s', 'm', 'h', 'd']);
    let unit = match text.strip_prefix(number) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 60 * 60,
        Some("d") => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = number.parse().ok().filter(|_| digits);
    let seconds = seconds.and_then(|number: u64| number.checked_mul(unit));
    seconds.filter(|seconds| *seconds > 0).ok_or_else(wrong)
}

fn version(text: &str) -> Result<VersionId, String> {
    VersionId::parse(text).map_err(|error| error.to_string())
}

fn field(text: &str) -> Result<FieldPath, String> {
    FieldPath::parse(text).map_err(|error| error.to_string())
}

/// A number, or `none`.
fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        number => match number.parse() {
            Ok(number) => Ok(Limit(Some(number))),
            Err(_) => Err("is a number or `none`".to_owned()),
        },
    }
}

/// The protocol's form of a time, or a beginning of it that names a second or a day.
fn time(text: &str) -> Result<UnixMillis, String> {
    let whole = match text.len() {
        10 => format!("{text}T00:00:00.000Z"),
        20 => format!("{}.000Z", text.trim_end_matches('Z')),
        _ => text.to_owned(),
    };
    UnixMillis::parse(&whole).map_err(|error| error.to_string())
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

    #[test]
    fn a_time_may_be_cut_short_and_is_never_guessed() {
        let time = |text: &str| super::time(text).map(|time| time.to_string());
        let whole = "2026-01-02T03:04:05.006Z";
        assert_eq!(time(whole).as_deref(), Ok(whole));
        assert_eq!(
            time("2026-01-02T03:04:05Z").as_deref(),
            Ok("2026-01-02T03:04:05.000Z")
        );
        assert_eq!(time("2026-01-02").as_deref(), Ok("2026-01-02T00:00:00.000Z"));
        for wrong in [
            "",
            "now",
            "2026-13-02",
            "2026-01-02T03:04:05",
            "2026-01-02 03:04:05Z",
            "2026-01-02T03:04:0500",
        ] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_term_has_a_unit() {
        for (text, expected) in [("90s", 90), ("15m", 900), ("8h", 28_800), ("30d", 2_592_000)] {
            assert_eq!(super::seconds(text), Ok(expected));
        }
        for wrong in [
            "",
            "8",
            "h",
            "0d",
            "-1h",
            "+1h",
            "1.5h",
            "1hh",
            "1w",
            "99999999999999999999d",
            "9999999999999999d",
        ] {
            assert!(super::seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_is_a_number_or_none() {
        assert_eq!(super::limit("7"), Ok(super::Limit(Some(7))));
        assert_eq!(super::limit("none"), Ok(super::Limit(None)));
        for wrong in ["", "-1", "1G", "None"] {
            assert!(super::limit(wrong).is_err(), "{wrong}");
        }
    }
}
