//! Grants: what one entry of a packet's `cap` allows.

use serde::Serialize;

use super::json::{self, Object, Value};
use super::{Cidr, PacketError};
use crate::auth::{GrantId, Op, OpSet};
use crate::id::KeyId;
use crate::limits::{GRANT_LIST_MAX, HEADER_TEXT_BYTES_MAX};
use crate::name::{BucketName, KeyPrefix};

/// Which buckets a grant is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GrantBucket {
    /// `*`: all, those made later included.
    Any,
    /// One.
    Named(BucketName),
}

impl GrantBucket {
    /// Whether the grant is for this bucket.
    pub fn covers(&self, bucket: &BucketName) -> bool {
        match self {
            Self::Any => true,
            Self::Named(name) => name == bucket,
        }
    }

    /// The wire form.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Any => "*",
            Self::Named(name) => name.as_str(),
        }
    }
}

/// The limits of a grant. A list that is empty allows nothing; one that is not given limits nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantLimits {
    /// Largest object, in bytes.
    pub max_bytes: Option<u64>,
    /// Most requests in a second.
    pub rate: Option<u64>,
    /// Most stored bytes of all versions and unfinished parts.
    pub quota_bytes: Option<u64>,
    /// Whether only keys without any version may be written.
    pub create_only: bool,
    /// Where the peer's socket address has to be.
    pub cidr: Option<Vec<Cidr>>,
    /// Content types that may be written, exact, without parameters.
    pub content_type: Option<Vec<String>>,
}

impl GrantLimits {
    fn intersect(&self, other: &Self) -> Self {
        Self {
            max_bytes: tighter(self.max_bytes, other.max_bytes),
            rate: tighter(self.rate, other.rate),
            quota_bytes: tighter(self.quota_bytes, other.quota_bytes),
            create_only: self.create_only || other.create_only,
            cidr: common(self.cidr.as_deref(), other.cidr.as_deref(), Cidr::covers),
            content_type: common(
                self.content_type.as_deref(),
                other.content_type.as_deref(),
                String::eq,
            ),
        }
    }
}

fn tighter(left: Option<u64>, right: Option<u64>) -> Option<u64> {
    left.into_iter().chain(right).min()
}

/// What is in both lists; a list that is not given holds everything.
fn common<T: Clone + PartialEq>(
    left: Option<&[T]>,
    right: Option<&[T]>,
    covers: impl Fn(&T, &T) -> bool,
) -> Option<Vec<T>> {
    let (left, right) = match (left, right) {
        (Some(left), Some(right)) => (left, right),
        (only, None) | (None, only) => return only.map(<[T]>::to_vec),
    };
    let mut both: Vec<T> = Vec::new();
    for (one, others) in left
        .iter()
        .map(|one| (one, right))
        .chain(right.iter().map(|one| (one, left)))
    {
        if others.iter().any(|other| covers(other, one)) && !both.contains(one) {
            both.push(one.clone());
        }
    }
    Some(both)
}

/// A grant: operations on the keys of a bucket that begin with a prefix.
///
/// ```
/// use wfldb_core::packet::Grant;
///
/// let grant = Grant::parse_json(r#"{"b":"photos","p":"2026/","ops":["get","list"]}"#)?;
/// assert_eq!(grant.to_json(), r#"{"b":"photos","p":"2026/","ops":["get","list"]}"#);
/// # Ok::<(), wfldb_core::packet::PacketError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The bucket.
    pub bucket: GrantBucket,
    /// The beginning of the keys.
    pub prefix: KeyPrefix,
    /// The operations.
    pub ops: OpSet,
    /// The limits.
    pub limits: GrantLimits,
}

impl Grant {
    /// All operations on everything, without limits.
    pub fn everything() -> Self {
        Self {
            bucket: GrantBucket::Any,
            prefix: KeyPrefix::all(),
            ops: OpSet::all(),
            limits: GrantLimits::default(),
        }
    }

    /// Reads one grant from its JSON, as it stands in a packet.
    ///
    /// # Errors
    /// [`PacketError::Json`] or [`PacketError::Claim`].
    pub fn parse_json(text: &str) -> Result<Self, PacketError> {
        Self::from_object(json::parse_object(text.as_bytes())?)
    }

    /// The grant as the JSON of a packet.
    pub fn to_json(&self) -> String {
        // The wire form is made of texts and numbers only, which always serialise.
        serde_json::to_string(&self.to_wire()).unwrap_or_default()
    }

    pub(super) fn from_value(value: Value) -> Result<Self, PacketError> {
        match value {
            Value::Object(object) => Self::from_object(object),
            _ => Err(PacketError::Claim("cap")),
        }
    }

    fn from_object(mut object: Object) -> Result<Self, PacketError> {
        let bucket = match object.text("b").ok_or(PacketError::Claim("b"))?.as_str() {
            "*" => GrantBucket::Any,
            name => GrantBucket::Named(BucketName::parse(name).map_err(|_| PacketError::Claim("b"))?),
        };
        let prefix = object.text("p").and_then(|prefix| KeyPrefix::parse(&prefix).ok());
        let grant = Self {
            bucket,
            prefix: prefix.ok_or(PacketError::Claim("p"))?,
            ops: parse_ops(object.list("ops")).ok_or(PacketError::Claim("ops"))?,
            limits: parse_limits(&mut object)?,
        };
        object.finish().ok_or(PacketError::Claim("cap"))?;
        grant.check()?;
        Ok(grant)
    }

    /// Checks what the types cannot.
    pub(super) fn check(&self) -> Result<(), PacketError> {
        // SECURITY: `admin` is store-wide. In a grant for one bucket it would read as narrower than it is.
        if self.ops.contains(Op::Admin) && self.bucket != GrantBucket::Any {
            return Err(PacketError::Claim("ops"));
        }
        let types = self.limits.content_type.as_deref().unwrap_or_default();
        if types.len() > GRANT_LIST_MAX || !types.iter().all(|text| is_media_type(text)) {
            return Err(PacketError::Claim("content_type"));
        }
        if self
            .limits
            .cidr
            .as_ref()
            .is_some_and(|list| list.len() > GRANT_LIST_MAX)
        {
            return Err(PacketError::Claim("cidr"));
        }
        Ok(())
    }

    /// What both grants allow; `None` for nothing. Limits are the tighter ones of the two.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        let bucket = match (&self.bucket, &other.bucket) {
            (GrantBucket::Any, narrower) | (narrower, GrantBucket::Any) => narrower.clone(),
            (left, right) => (left == right).then(|| left.clone())?,
        };
        let prefix = if self.prefix.covers_prefix(&other.prefix) {
            &other.prefix
        } else {
            other.prefix.covers_prefix(&self.prefix).then_some(&self.prefix)?
        };
        let both = |op: &Op| self.ops.contains(*op) && other.ops.contains(*op);
        let usable = |op: &Op| prefix.is_all() || !op.needs_whole_bucket();
        let ops: OpSet = Op::ALL.into_iter().filter(both).filter(usable).collect();
        let limits = self.limits.intersect(&other.limits);
        let nowhere = limits.cidr.as_ref().is_some_and(Vec::is_empty);
        (!ops.is_empty() && !nowhere).then(|| Self {
            bucket,
            prefix: prefix.clone(),
            ops,
            limits,
        })
    }

    /// What the counters of this grant in a link are kept under.
    pub fn id(&self, iss: &KeyId, sub: &KeyId) -> GrantId {
        let bucket = self.bucket.as_str().as_bytes();
        let hash = blake3::Hasher::new_derive_key("wflDB 2026 grant counters v1")
            .update(iss.public_key().as_bytes())
            .update(sub.public_key().as_bytes())
            // A bucket name has no zero byte, so the border between the two texts is unambiguous.
            .update(bucket)
            .update(&[0])
            .update(self.prefix.as_str().as_bytes())
            .finalize();
        GrantId::from_bytes(*hash.as_bytes())
    }

    pub(super) fn to_wire(&self) -> WireGrant<'_> {
        WireGrant {
            b: self.bucket.as_str(),
            p: self.prefix.as_str(),
            ops: self.ops.iter().map(Op::as_str).collect(),
            max_bytes: self.limits.max_bytes,
            rate: self.limits.rate,
            quota_bytes: self.limits.quota_bytes,
            create_only: self.limits.create_only.then_some(true),
            cidr: self
                .limits
                .cidr
                .as_ref()
                .map(|list| list.iter().map(Cidr::to_string).collect()),
            content_type: self.limits.content_type.as_deref(),
        }
    }
}

/// The JSON of a grant.
#[derive(Debug, Serialize)]
pub(super) struct WireGrant<'a> {
    b: &'a str,
    p: &'a str,
    ops: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cidr: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a [String]>,
}

fn parse_ops(list: Option<Vec<Value>>) -> Option<OpSet> {
    list?
        .into_iter()
        .try_fold(OpSet::EMPTY, |ops, value| match value {
            // An op named twice is refused like a repeated member.
            Value::Text(text) => Op::parse(&text)
                .filter(|op| !ops.contains(*op))
                .map(|op| ops.with(op)),
            _ => None,
        })
}

fn parse_limits(object: &mut Object) -> Result<GrantLimits, PacketError> {
    Ok(GrantLimits {
        max_bytes: optional_number(object, "max_bytes")?,
        rate: optional_number(object, "rate")?,
        quota_bytes: optional_number(object, "quota_bytes")?,
        create_only: match object.take("create_only") {
            None => false,
            Some(Value::Bool(value)) => value,
            Some(_) => return Err(PacketError::Claim("create_only")),
        },
        cidr: optional_list(object, "cidr", Cidr::parse)?,
        content_type: optional_list(object, "content_type", |text| Some(text.to_owned()))?,
    })
}

fn optional_number(object: &mut Object, name: &'static str) -> Result<Option<u64>, PacketError> {
    match object.take(name) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(Some(number)),
        Some(_) => Err(PacketError::Claim(name)),
    }
}

fn optional_list<T>(
    object: &mut Object,
    name: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<Vec<T>>, PacketError> {
    let list = match object.take(name) {
        None => return Ok(None),
        Some(Value::List(list)) => list,
        Some(_) => return Err(PacketError::Claim(name)),
    };
    let parsed: Option<Vec<T>> = list
        .iter()
        .map(|value| match value {
            Value::Text(text) => parse(text),
            _ => None,
        })
        .collect();
    parsed.map(Some).ok_or(PacketError::Claim(name))
}

/// `type/subtype` of token characters, without parameters.
fn is_media_type(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    text.len() <= HEADER_TEXT_BYTES_MAX
        && text
            .split_once('/')
            .is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}
