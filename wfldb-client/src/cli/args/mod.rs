//! The arguments. Names and flags are a contract, like the wire.

mod bucket;
mod document;
mod object;
mod rights;
mod value;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::bucket::{Limit, Mb, Rb, Stats, Watch};
pub(crate) use self::document::{
    Aggregate, BlameArgs, DiffArgs, Doc, Export, FileFormat, HistoryArgs, Import, IndexArgs, IndexCreate,
    IndexVerb, LogArgs, Patch, Point, QueryArgs, SchemaArgs, SchemaVerb, Search,
};
pub(crate) use self::object::{
    Batch, Cat, Conditions, Cp, Get, Ls, Moment, Put, Restore, Rm, ScanArgs, Stat, Tag, Versions, Which,
};
pub(crate) use self::rights::{AgentArgs, Delegate, DryRun, HolderRole, LinkArgs, LinkFor, Revoke};
use super::exit::EXIT_CODES;
use super::help::{
    ABOUT, AGENT_RULES, AGGREGATE_RULES, BATCH_RULES, COPY_RULES, DELEGATE_RULES, EXPORT_RULES, IMPORT_RULES,
    LINK_RULES, PATCH_RULES, SEARCH_RULES, TAG_RULES, WATCH_RULES,
};

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
    /// Print who changed what in a document, newest first
    Log(LogArgs),
    /// Print what differs between two versions of a document: the newest and the one below it, or others
    Diff(DiffArgs),
    /// Print who gave each member of a document its value, and when; with ^ where older versions are not kept
    Blame(BlameArgs),
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
