//! Routes: from method and raw path to a kind of route, a target and typed parameters, and back.
//!
//! Parsing has two halves because of the order of checks: [`parse`] is syntax and needs no caller; parameters
//! are looked at by [`Route::parameters`] only after the caller was found to be allowed.
//! Not here: which operation a route needs (`wfldb_core::auth::required`).

use std::time::Duration;

use wfldb_core::Kind;
use wfldb_core::audit::Resource;
use wfldb_core::auth::{AuditPart, Method, RouteKind, Service, Target, required};
use wfldb_core::encoding::percent::{self, Literal};
use wfldb_core::id::{BucketId, LeafIndex, Seq, UploadId, VersionId};
use wfldb_core::index::IndexName;
use wfldb_core::limits::{
    AUDIT_LEAVES_MAX, CHANGES_LIMIT_MAX, FEED_MS_MAX, HEARTBEAT_MS_MAX, HEARTBEAT_MS_MIN, KEY_BYTES_MAX,
    LONGPOLL_MS_MAX, PARTS_MAX, PATH_BYTES_MAX, SCAN_LIMIT_MAX,
};
use wfldb_core::name::{BucketName, KeyPrefix, NameError, ObjectKey};
use wfldb_core::object::Tags;
use wfldb_core::request::LINK_PARAMETER;
use wfldb_core::revocation::Revoked;
use wfldb_core::time::UnixMillis;

use crate::changes::{ChangesQuery, FeedKind, HEARTBEAT, SinceQuery};

/// Longest cursor, in characters: a key, its tag, in base64url.
const CURSOR_BYTES_MAX: usize = 2048;

/// The word under which a bucket is searched.
const SEARCH: &str = "_search";

/// The word under which the audit log stands.
const AUDIT: &str = "_audit";

/// Why a request has no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Longer than 8 KiB.
    #[error("the path with its query is longer than 8192 bytes")]
    TooLong,
    /// Not under `/v1`.
    #[error("there is no such route")]
    NoSuchRoute,
    /// Path or query is not in its one spelling.
    #[error("path or query is not in canonical form")]
    NotCanonical,
    /// Bucket or key is not a name, or the key is reserved.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The route is there, the method is not; these are.
    #[error("this method is not served here")]
    Method(Vec<Method>),
    /// The protocol reserves it, this release does not serve it.
    #[error("this part of the protocol is not served yet")]
    NotSupportedYet,
    /// A parameter that the route does not have, out of its range, or not with the others.
    #[error("parameter `{0}` is unknown here, out of range, or cannot stand with the others")]
    BadParameter(Parameter),
}

/// The name of a parameter of the protocol, or a word for any other: what a caller made up is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter(&'static str);

impl std::fmt::Display for Parameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl Parameter {
    fn named(name: &str) -> Self {
        const KNOWN: [&str; 33] = [
            "after",
            "at",
            "bucket",
            "copy",
            "copy_version",
            "cursor",
            "delimiter",
            "feed",
            "force",
            "from",
            "heartbeat",
            "history",
            "key",
            "leaf",
            "limit",
            "link",
            "multipart",
            "name",
            "part",
            "part_bytes",
            "prefix",
            "rebuild",
            "reverse",
            "since",
            "size",
            "tag",
            "timeout",
            "to",
            "undelete",
            "verify",
            "version",
            "versions",
            "wait",
        ];
        let known = KNOWN.iter().find(|known| **known == name);
        Self(known.copied().unwrap_or("(unknown)"))
    }
}

impl RouteError {
    /// A parameter that does not fit the rest of the request.
    pub fn bad_parameter(name: &str) -> Self {
        Self::BadParameter(Parameter::named(name))
    }

    /// The stable error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "UriTooLong",
            Self::NoSuchRoute => "NoSuchRoute",
            Self::NotCanonical => "NotCanonical",
            Self::Name(error) => error.code(),
            Self::Method(_) => "MethodNotAllowed",
            Self::NotSupportedYet => "NotSupportedYet",
            Self::BadParameter(_) => "BadParameter",
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::TooLong => Kind::UriTooLong,
            Self::NoSuchRoute => Kind::NotFound,
            Self::NotCanonical | Self::BadParameter(_) => Kind::Invalid,
            Self::Name(error) => error.kind(),
            Self::Method(_) | Self::NotSupportedYet => Kind::NotAllowed,
        }
    }
}

/// A request's route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method, which the route has.
    pub method: Method,
    /// Which route, a query mode being one of its own.
    pub kind: RouteKind,
    /// What it is about.
    pub target: Target,
    /// Decoded parameters, sorted by name.
    parameters: Vec<(String, String)>,
}

/// The parameters of a route, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// None at all, or only the mode itself.
    None,
    /// `?version=`.
    Version(VersionId),
    /// `?at=`.
    At(UnixMillis),
    /// `?versions=true`.
    Versions(VersionsQuery),
    /// `?copy=`.
    Copy(CopyQuery),
    /// `?multipart=start&part_bytes=`.
    UploadStart(u64),
    /// `?multipart=`.
    Upload(UploadId),
    /// `?multipart=&part=`.
    UploadPart(UploadId, u16),
    /// `?history=true`.
    History(HistoryQuery),
    /// `scan`.
    Scan(ScanQuery),
    /// `POST …/_index?wait=true`: whether the answer comes when the index is built.
    IndexCreate(bool),
    /// `DELETE …/_index?name=`.
    IndexDrop(IndexName),
    /// `_changes`.
    Changes(ChangesQuery),
    /// `?wait=` of `_search`, and of `_find` and `_explain` with `$text`.
    Search(Option<Seq>),
    /// `_keys`.
    Revocations(RevocationsQuery),
    /// `_audit/proof?leaf=&size=`.
    AuditProof(LeafIndex, Option<u64>),
    /// `_audit/consistency?from=&to=`.
    AuditConsistency(u64, u64),
    /// `_audit/receipt?leaf=`, or `?bucket=&key=&version=`.
    AuditReceipt(ReceiptQuery),
}

/// The parameters of a page of what is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationsQuery {
    /// Most items of the page, 1 to 1000.
    pub limit: usize,
    /// The last one of the page before.
    pub after: Option<Revoked>,
}

/// What a receipt is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptQuery {
    /// The entry with this index.
    Leaf(LeafIndex),
    /// The change that wrote a version.
    Version(ReceiptOfVersion),
}

/// The version whose writing a receipt is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptOfVersion {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version.
    pub version: VersionId,
}

/// What is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyQuery {
    /// Its bucket.
    pub bucket: BucketName,
    /// Its key.
    pub key: ObjectKey,
    /// Which version; `None` for the newest live one.
    pub version: Option<VersionId>,
}

/// The parameters of a page of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionsQuery {
    /// Most items of the page, 1 to 1000.
    pub limit: usize,
    /// Where the last page ended, as the server wrote it; not yet verified.
    pub cursor: Option<String>,
}

/// The parameters of a page of a document's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Most versions of the page, 1 to 1000.
    pub limit: usize,
    /// Whether each version is verified.
    pub verify: bool,
    /// Where the last page ended, as the server wrote it; not yet verified.
    pub cursor: Option<String>,
}

/// The parameters of `scan`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanQuery {
    /// What the keys begin with.
    pub prefix: KeyPrefix,
    /// Keys strictly behind this, in the order of the scan.
    pub after: Option<String>,
    /// Most items and prefixes of the page, 1 to 1000.
    pub limit: usize,
    /// What ends a common prefix; not empty.
    pub delimiter: Option<String>,
    /// From the last key to the first.
    pub reverse: bool,
    /// Tags that the newest version must have, all of them.
    pub tags: Tags,
    /// Where the last page ended, as the server wrote it; not yet verified.
    pub cursor: Option<String>,
}

/// Parses method and raw path (with query) of a request.
///
/// # Errors
/// Every [`RouteError`] but the one about parameters.
pub fn parse(method: &str, path_and_query: &str) -> Result<Route, RouteError> {
    if path_and_query.len() > PATH_BYTES_MAX {
        return Err(RouteError::TooLong);
    }
    let (path, query) = match path_and_query.split_once('?') {
        Some((_, "")) => return Err(RouteError::NotCanonical),
        Some((path, query)) => (path, query),
        None => (path_and_query, ""),
    };
    let rest = path.strip_prefix("/v1").ok_or(RouteError::NoSuchRoute)?;
    let parameters = percent::parse_query(query).map_err(|_| RouteError::NotCanonical)?;
    let has = |name: &str| parameters.iter().any(|(known, _)| known == name);
    let method = Method::parse(method);

    let (kind, target) = if rest.is_empty() {
        (RouteKind::Buckets, Target::Store)
    } else {
        let rest = rest.strip_prefix('/').ok_or(RouteError::NoSuchRoute)?;
        let decoded = percent::decode_canonical(rest, Literal::Path).map_err(|_| RouteError::NotCanonical)?;
        match decoded.split_once('/') {
            None if service(&decoded).is_some() => {
                let service = service(&decoded).ok_or(RouteError::NoSuchRoute)?;
                let kind = match service {
                    Service::Stats => RouteKind::Stats,
                    Service::Admin => RouteKind::Admin,
                    Service::Backup => RouteKind::Backup,
                    Service::DryRun => RouteKind::DryRun,
                    Service::Session => RouteKind::Session,
                    Service::Keys => RouteKind::Keys,
                    Service::Tx => RouteKind::Tx,
                };
                (kind, Target::Service(service))
            }
            Some((AUDIT, part)) => {
                let part = audit_part(part).ok_or(RouteError::NoSuchRoute)?;
                (audit_kind(part), Target::Audit(part))
            }
            None if decoded == AUDIT => return Err(RouteError::NoSuchRoute),
            None => {
                let kind = if has("force") {
                    RouteKind::BucketForce
                } else {
                    RouteKind::Bucket
                };
                (kind, Target::Bucket(bucket(&decoded)?))
            }
            Some((name, key)) => object(method, bucket(name)?, key, has)?,
        }
    };
    match method {
        Some(method) if required(method, kind).is_some() => Ok(Route {
            method,
            kind,
            target,
            parameters,
        }),
        _ => Err(RouteError::Method(allowed(kind))),
    }
}

/// Whether a raw path with query, canonical or not, has a link in it: then nobody but its holder may see it, and its
/// answer goes to a browser.
pub fn carries_link(path_and_query: &str) -> bool {
    let query = path_and_query.split_once('?').map_or("", |(_, query)| query);
    query
        .split('&')
        .any(|pair| pair.split_once('=').map_or(pair, |(name, _)| name) == LINK_PARAMETER)
}

/// The service that a word in the place of a bucket stands for.
fn service(word: &str) -> Option<Service> {
    Service::ALL.into_iter().find(|service| service.word() == word)
}

/// The part of the audit log behind `_audit/`, in its one spelling.
fn audit_part(path: &str) -> Option<AuditPart> {
    match path {
        "proof" => Some(AuditPart::Proof),
        "consistency" => Some(AuditPart::Consistency),
        "receipt" => Some(AuditPart::Receipt),
        _ => Resource::parse(path).ok().map(AuditPart::Published),
    }
}

fn audit_kind(part: AuditPart) -> RouteKind {
    match part {
        AuditPart::Published(_) => RouteKind::AuditLog,
        AuditPart::Proof => RouteKind::AuditProof,
        AuditPart::Consistency => RouteKind::AuditConsistency,
        AuditPart::Receipt => RouteKind::AuditReceipt,
    }
}

/// The methods that a route has.
fn allowed(kind: RouteKind) -> Vec<Method> {
    Method::ALL
        .into_iter()
        .filter(|method| required(*method, kind).is_some())
        .collect()
}

fn bucket(name: &str) -> Result<BucketName, RouteError> {
    match name {
        "" => Err(RouteError::NotCanonical),
        // The words that stand in the place of a bucket are keys' reserved words too.
        _ if name.starts_with('_') && ObjectKey::parse(name).is_ok_and(|word| word.is_reserved()) => {
            Err(RouteError::NotSupportedYet)
        }
        _ => Ok(BucketName::parse(name)?),
    }
}

fn object(
    method: Option<Method>,
    bucket: BucketName,
    key: &str,
    has: impl Fn(&str) -> bool,
) -> Result<(RouteKind, Target), RouteError> {
    if key.is_empty() {
        return Err(RouteError::NotCanonical);
    }
    let key = ObjectKey::parse(key)?;
    if key.as_str() == "_schema" {
        return Ok((RouteKind::Schema, Target::Schema(bucket)));
    }
    let drops_index = method == Some(Method::Delete) && key.as_str() == "_index";
    if matches!(method, Some(Method::Put | Method::Delete | Method::Patch)) && !drops_index {
        key.check_writable()?;
    }
    match key.as_str() {
        "scan" => return Ok((RouteKind::Scan, Target::Listing(bucket))),
        "batch" => return Ok((RouteKind::Batch, Target::Batch(bucket))),
        "_find" => return Ok((RouteKind::Find, Target::Find(bucket))),
        "_explain" => return Ok((RouteKind::Explain, Target::Explain(bucket))),
        "_index" => return Ok((RouteKind::Indexes, Target::Indexes(bucket))),
        "_aggregate" => return Ok((RouteKind::Aggregate, Target::Aggregate(bucket))),
        "_changes" => return Ok((RouteKind::Changes, Target::Changes(bucket))),
        SEARCH if has("rebuild") => return Ok((RouteKind::SearchRebuild, Target::Search(bucket))),
        SEARCH => return Ok((RouteKind::Search, Target::Search(bucket))),
        "_bulk" => return Ok((RouteKind::Bulk, Target::Bulk(bucket))),
        _ if key.is_reserved() => return Err(RouteError::NotSupportedYet),
        _ => {}
    }
    // One of these selects the mode; a second one is then a parameter that the mode does not have.
    let kind = if has(LINK_PARAMETER) {
        RouteKind::ObjectLink
    } else if has("version") {
        RouteKind::ObjectVersion
    } else if has("versions") {
        RouteKind::ObjectVersions
    } else if has("history") {
        RouteKind::ObjectHistory
    } else if has("undelete") {
        RouteKind::ObjectUndelete
    } else if has("at") {
        RouteKind::ObjectAt
    } else if has("copy") {
        RouteKind::ObjectCopy
    } else if has("multipart") {
        if has("part") {
            RouteKind::UploadPart
        } else if has("part_bytes") {
            RouteKind::UploadStart
        } else {
            RouteKind::Upload
        }
    } else {
        RouteKind::Object
    };
    Ok((kind, Target::Key(bucket, key)))
}

impl Route {
    /// The raw path with query that [`parse`] reads as this route: the one canonical spelling.
    pub fn path_and_query(&self) -> String {
        let pairs: Vec<(&str, &str)> = self
            .parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut path = self.target.path();
        if !pairs.is_empty() {
            path.push('?');
            path.push_str(&percent::encode_query(&pairs));
        }
        path
    }

    /// Checks the parameters of the route.
    ///
    /// # Errors
    /// [`RouteError::BadParameter`].
    #[expect(clippy::too_many_lines, reason = "one table, in one place")]
    pub fn parameters(&self) -> Result<Parameters, RouteError> {
        let mut rest = Rest::new(&self.parameters);
        let parameters = match self.kind {
            RouteKind::Keys if self.method == Method::Get => Parameters::Revocations(RevocationsQuery {
                limit: rest.limit()?,
                after: rest.parsed("cursor", Revoked::parse)?,
            }),
            RouteKind::Indexes => self.index_parameters(&mut rest)?,
            RouteKind::Search | RouteKind::Find | RouteKind::Explain if self.method == Method::Post => {
                Parameters::Search(rest.parsed("wait", decimal)?.map(Seq::new))
            }
            RouteKind::Buckets
            | RouteKind::Bucket
            | RouteKind::Object
            | RouteKind::Batch
            | RouteKind::Find
            | RouteKind::Explain
            | RouteKind::Aggregate
            | RouteKind::Bulk
            | RouteKind::Schema
            | RouteKind::Stats
            | RouteKind::Admin
            | RouteKind::Backup
            | RouteKind::DryRun
            | RouteKind::Session
            | RouteKind::Keys
            | RouteKind::Tx
            | RouteKind::Search
            | RouteKind::AuditLog => Parameters::None,
            RouteKind::Changes => Parameters::Changes(changes(&mut rest)?),
            RouteKind::AuditProof => Parameters::AuditProof(
                LeafIndex::new(rest.parsed("leaf", leaves)?.ok_or_else(|| bad("leaf"))?),
                rest.parsed("size", leaves)?,
            ),
            RouteKind::AuditConsistency => Parameters::AuditConsistency(
                rest.parsed("from", leaves)?.ok_or_else(|| bad("from"))?,
                rest.parsed("to", leaves)?.ok_or_else(|| bad("to"))?,
            ),
            RouteKind::AuditReceipt => {
                if let Some(leaf) = rest.parsed("leaf", leaves)? {
                    rest.must_be_used_up()?;
                    return Ok(Parameters::AuditReceipt(ReceiptQuery::Leaf(LeafIndex::new(leaf))));
                }
                Parameters::AuditReceipt(ReceiptQuery::Version(ReceiptOfVersion {
                    bucket: rest
                        .parsed("bucket", |text| BucketName::parse(text).ok())?
                        .ok_or_else(|| bad("bucket"))?,
                    key: rest
                        .parsed("key", |text| ObjectKey::parse(text).ok())?
                        .ok_or_else(|| bad("key"))?,
                    version: rest
                        .parsed("version", |text| VersionId::parse(text).ok())?
                        .ok_or_else(|| bad("version"))?,
                }))
            }
            RouteKind::ObjectLink => {
                // What it says was looked at before any handler, whatever led here.
                rest.parsed(LINK_PARAMETER, |_| Some(()))?;
                Parameters::None
            }
            RouteKind::ObjectAt => Parameters::At(
                rest.parsed("at", |text| UnixMillis::parse(text).ok())?
                    .ok_or_else(|| bad("at"))?,
            ),
            RouteKind::ObjectCopy => {
                let (bucket, key) = rest.parsed("copy", copy_source)?.ok_or_else(|| bad("copy"))?;
                Parameters::Copy(CopyQuery {
                    bucket,
                    key,
                    version: rest.parsed("copy_version", |text| VersionId::parse(text).ok())?,
                })
            }
            RouteKind::UploadStart => {
                rest.parsed("multipart", |text| (text == "start").then_some(()))?;
                let part_bytes = rest.parsed("part_bytes", decimal)?;
                Parameters::UploadStart(part_bytes.ok_or_else(|| bad("part_bytes"))?)
            }
            RouteKind::Upload => Parameters::Upload(rest.upload()?),
            RouteKind::UploadPart => {
                let upload = rest.upload()?;
                let number = |text: &str| decimal(text).and_then(|number| u16::try_from(number).ok());
                let part = rest.parsed("part", number)?;
                let part = part.filter(|part| (1..=PARTS_MAX).contains(part));
                Parameters::UploadPart(upload, part.ok_or_else(|| bad("part"))?)
            }
            RouteKind::SearchRebuild => rest.must_be_true("rebuild", Parameters::None)?,
            RouteKind::BucketForce => rest.must_be_true("force", Parameters::None)?,
            RouteKind::ObjectUndelete => rest.must_be_true("undelete", Parameters::None)?,
            RouteKind::ObjectVersion => Parameters::Version(
                rest.parsed("version", |text| VersionId::parse(text).ok())?
                    .ok_or_else(|| bad("version"))?,
            ),
            RouteKind::ObjectVersions => {
                rest.must_be_true("versions", ())?;
                Parameters::Versions(VersionsQuery {
                    limit: rest.limit()?,
                    cursor: rest.cursor()?,
                })
            }
            RouteKind::ObjectHistory => {
                rest.must_be_true("history", ())?;
                Parameters::History(HistoryQuery {
                    limit: rest.limit()?,
                    verify: rest
                        .parsed("verify", |text| (text == "true").then_some(()))?
                        .is_some(),
                    cursor: rest.cursor()?,
                })
            }
            RouteKind::Scan => Parameters::Scan(ScanQuery {
                prefix: rest
                    .parsed("prefix", |text| KeyPrefix::parse(text).ok())?
                    .unwrap_or_else(KeyPrefix::all),
                after: rest.parsed("after", bounded)?,
                limit: rest.limit()?,
                delimiter: rest.parsed("delimiter", |text| bounded(text).filter(|text| !text.is_empty()))?,
                reverse: rest
                    .parsed("reverse", |text| (text == "true").then_some(()))?
                    .is_some(),
                tags: rest
                    .parsed("tag", |text| {
                        Tags::parse(text).ok().filter(|tags| !tags.is_empty())
                    })?
                    .unwrap_or_default(),
                cursor: rest.cursor()?,
            }),
        };
        rest.must_be_used_up()?;
        Ok(parameters)
    }

    fn index_parameters(&self, rest: &mut Rest<'_>) -> Result<Parameters, RouteError> {
        match self.method {
            Method::Post => {
                let wait = rest.parsed("wait", |text| (text == "true").then_some(()))?;
                Ok(Parameters::IndexCreate(wait.is_some()))
            }
            Method::Delete => {
                let name = rest.parsed("name", |text| IndexName::parse(text).ok())?;
                Ok(Parameters::IndexDrop(name.ok_or_else(|| bad("name"))?))
            }
            _ => Ok(Parameters::None),
        }
    }
}

/// The parameters of `_changes`.
fn changes(rest: &mut Rest<'_>) -> Result<ChangesQuery, RouteError> {
    let kind = rest.parsed("feed", FeedKind::parse)?.unwrap_or_default();
    let goes_on = matches!(kind, FeedKind::Continuous | FeedKind::EventSource);
    let timeout_max = if goes_on { FEED_MS_MAX } else { LONGPOLL_MS_MAX };
    let timeout = rest.parsed("timeout", |text| {
        let within = |ms: &u64| kind != FeedKind::Normal && (1..=timeout_max).contains(ms);
        decimal(text).filter(within).map(Duration::from_millis)
    })?;
    let heartbeat = rest.parsed("heartbeat", |text| {
        let within = |ms: &u64| goes_on && (HEARTBEAT_MS_MIN..=HEARTBEAT_MS_MAX).contains(ms);
        decimal(text).filter(within).map(Duration::from_millis)
    })?;
    let limit = rest.parsed("limit", |text| {
        let limit = decimal(text).and_then(|limit| usize::try_from(limit).ok());
        limit.filter(|limit| (1..=CHANGES_LIMIT_MAX).contains(limit))
    })?;
    Ok(ChangesQuery {
        since: rest.parsed("since", SinceQuery::parse)?.unwrap_or_default(),
        bucket: rest.parsed("bucket", |text| BucketId::parse(text).ok())?,
        prefix: rest
            .parsed("prefix", |text| KeyPrefix::parse(text).ok())?
            .unwrap_or_else(KeyPrefix::all),
        limit,
        kind,
        timeout,
        heartbeat: heartbeat.unwrap_or(HEARTBEAT),
    })
}

/// A text that a position in a listing can have.
fn bounded(text: &str) -> Option<String> {
    let valid = text.len() <= KEY_BYTES_MAX && !text.bytes().any(|byte| byte < 0x20 || byte == 0x7f);
    valid.then(|| text.to_owned())
}

/// A plain decimal number: no sign, no leading zero.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain)
}

/// A number of leaves, or the index of one.
fn leaves(text: &str) -> Option<u64> {
    let number = if text == "0" { Some(0) } else { decimal(text) };
    number.filter(|number| *number <= AUDIT_LEAVES_MAX)
}

/// `/bucket/key` as it is: the query's own encoding is the only one.
fn copy_source(text: &str) -> Option<(BucketName, ObjectKey)> {
    let (bucket, key) = text.strip_prefix('/')?.split_once('/')?;
    let key = ObjectKey::parse(key).ok().filter(|key| !key.is_reserved())?;
    Some((BucketName::parse(bucket).ok()?, key))
}

fn bad(name: &str) -> RouteError {
    RouteError::bad_parameter(name)
}

/// The parameters that were not asked for yet.
struct Rest<'a> {
    pairs: &'a [(String, String)],
    used: Vec<&'a str>,
}

impl<'a> Rest<'a> {
    fn new(pairs: &'a [(String, String)]) -> Self {
        Self {
            pairs,
            used: Vec::new(),
        }
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.pairs
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, RouteError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        self.used.push(name);
        parse(value).map(Some).ok_or_else(|| bad(name))
    }

    fn must_be_true<T>(&mut self, name: &'static str, then: T) -> Result<T, RouteError> {
        let given = self.parsed(name, |text| (text == "true").then_some(()))?;
        given.map(|()| then).ok_or_else(|| bad(name))
    }

    fn limit(&mut self) -> Result<usize, RouteError> {
        let limit = self.parsed("limit", |text| {
            let limit = decimal(text).and_then(|limit| usize::try_from(limit).ok());
            limit.filter(|limit| (1..=SCAN_LIMIT_MAX).contains(limit))
        })?;
        Ok(limit.unwrap_or(SCAN_LIMIT_MAX))
    }

    fn upload(&mut self) -> Result<UploadId, RouteError> {
        self.parsed("multipart", |text| UploadId::parse(text).ok())?
            .ok_or_else(|| bad("multipart"))
    }

    fn cursor(&mut self) -> Result<Option<String>, RouteError> {
        self.parsed("cursor", |text| {
            (text.len() <= CURSOR_BYTES_MAX).then(|| text.to_owned())
        })
    }

    fn must_be_used_up(&self) -> Result<(), RouteError> {
        match self
            .pairs
            .iter()
            .find(|(name, _)| !self.used.contains(&name.as_str()))
        {
            None => Ok(()),
            Some((name, _)) => Err(bad(name)),
        }
    }
}
