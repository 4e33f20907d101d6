//! The configuration of a bucket.

use serde::{Deserialize, Serialize};

use super::ObjectError;
use crate::limits::BUCKET_CONFIG_BYTES_MAX;

/// What a bucket holds; fixed when it is created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BucketKind {
    /// Objects: bytes of any kind.
    #[default]
    Objects,
    /// Documents: JSON objects with queries and signatures.
    Documents,
}

/// Which versions are kept: one goes when it is beyond `keep` and older than `days`, of those given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// How many of the newest versions are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<u64>,
    /// For how many days versions are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u64>,
}

/// The configuration of a bucket. The default is a plain bucket that keeps every version.
///
/// ```
/// use wfldb_core::object::BucketConfig;
///
/// let config = BucketConfig::parse_json(br#"{"quota_bytes": 1000000}"#)?;
/// assert_eq!(config.quota_bytes, Some(1_000_000));
/// assert_eq!(BucketConfig::parse_json(b"{}")?, BucketConfig::default());
/// assert!(BucketConfig::parse_json(br#"{"quota": 1}"#).is_err());
/// # Ok::<(), wfldb_core::object::ObjectError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BucketConfig {
    /// What the bucket holds.
    pub kind: BucketKind,
    /// Which versions are kept; all when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions: Option<Retention>,
    /// Most bytes of all versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// Most objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_objects: Option<u64>,
    /// Largest object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_bytes_max: Option<u64>,
    /// Whether the bucket is mirrored as plain files.
    pub mirror: bool,
    /// Whether reads are logged for audit.
    pub audit_reads: bool,
    /// Whether sessions are refused, so that each request is signed on its own.
    pub require_signature: bool,
}

impl BucketConfig {
    /// Reads the JSON of a request; an empty body is the default.
    ///
    /// # Errors
    /// [`ObjectError::BucketConfig`] when it is too large, not JSON, has an unknown or repeated
    /// member, or a value of a wrong type.
    pub fn parse_json(json: &[u8]) -> Result<Self, ObjectError> {
        if json.len() > BUCKET_CONFIG_BYTES_MAX {
            return Err(ObjectError::BucketConfig);
        }
        if json.is_empty() {
            return Ok(Self::default());
        }
        // A derived struct would read a JSON array too, member by member; only an object is ours.
        if json.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(ObjectError::BucketConfig);
        }
        serde_json::from_slice(json).map_err(|_| ObjectError::BucketConfig)
    }

    /// The first member that asks for something this release does not carry out yet.
    pub fn unsupported(&self) -> Option<&'static str> {
        if self.kind == BucketKind::Documents {
            Some("kind")
        } else if self.versions.is_some() {
            Some("versions")
        } else if self.mirror {
            Some("mirror")
        } else if self.audit_reads {
            Some("audit_reads")
        } else {
            None
        }
    }

    /// Asserts that this release carries out all of the configuration.
    ///
    /// # Errors
    /// [`ObjectError::NotSupportedYet`] with the member's name.
    pub fn check_supported(&self) -> Result<(), ObjectError> {
        self.unsupported()
            .map_or(Ok(()), |member| Err(ObjectError::NotSupportedYet(member)))
    }
}
