//! The arguments of what is about documents.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use wfldb_core::id::VersionId;
use wfldb_core::time::UnixMillis;

use super::object::{Conditions, Which};
use super::value::point;
use crate::cli::target::Target;

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

/// A point in the past of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Point {
    Version(VersionId),
    Time(UnixMillis),
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    #[arg(value_name = "BUCKET/KEY")]
    pub(crate) target: Target,
    /// So many at most
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    #[arg(value_name = "BUCKET/KEY")]
    pub(crate) target: Target,
    /// A version, or a time for the one that was current then; the version below TO when left out
    #[arg(long, value_name = "VERSION|TIME", value_parser = point)]
    pub(crate) from: Option<Point>,
    /// A version, or a time for the one that was current then; the newest when left out
    #[arg(long, value_name = "VERSION|TIME", value_parser = point)]
    pub(crate) to: Option<Point>,
}

#[derive(Debug, Args)]
pub(crate) struct BlameArgs {
    #[arg(value_name = "BUCKET/KEY")]
    pub(crate) target: Target,
    /// The members of this version, or of the one that was current then, instead of the newest
    #[arg(long, value_name = "VERSION|TIME", value_parser = point)]
    pub(crate) at: Option<Point>,
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
pub(crate) struct Aggregate {
    pub(crate) bucket: Target,
    /// The stages as JSON; @FILE reads them from a file, - from standard input
    #[arg(value_name = "PIPELINE|@FILE|-")]
    pub(crate) pipeline: String,
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
