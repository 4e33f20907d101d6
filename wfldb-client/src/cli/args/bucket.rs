//! The arguments of what is about a bucket or the store.

use std::path::PathBuf;

use clap::Args;
use wfldb_client::WatchFrom;
use wfldb_core::doc::FieldPath;
use wfldb_core::object::BucketKind;

use super::value::{field, limit};
use crate::cli::target::Target;

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
    /// Keep the bucket as plain files in the mirror: of documents [default: true], of objects [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) mirror: Option<bool>,
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
pub(crate) struct Stats {
    /// A bucket; the whole store when left out, which needs `admin`
    pub(crate) bucket: Option<Target>,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    pub(crate) bucket: Target,
    /// Only keys that begin with this
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Option<String>,
    /// Begin behind this seq; 0 for everything that there ever was
    #[arg(long, value_name = "SEQ|now", default_value = "now", value_parser = crate::cli::watch::since)]
    pub(crate) since: WatchFrom,
    /// Print what is there and end
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// End after so many changes
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}
