//! The configuration of a bucket.

use serde::{Deserialize, Deserializer, Serialize};

use super::ObjectError;
use crate::encoding::JsonObject;
use crate::limits::BUCKET_CONFIG_BYTES_MAX;
use crate::time::UnixMillis;

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

impl Retention {
    /// How many of the newest versions stay whatever their age; `None` when all do. The newest always stays.
    pub fn newest_kept(&self) -> Option<u64> {
        match (self.keep, self.days) {
            (None, None) => None,
            (keep, _) => Some(keep.unwrap_or(1).max(1)),
        }
    }

    /// A version beyond the newest that are kept goes when it was written before this; `None`: whatever its age.
    pub fn goes_before(&self, now: UnixMillis) -> Option<UnixMillis> {
        const DAY_MS: u64 = 24 * 3600 * 1000;
        let days = self.days?;
        Some(UnixMillis::new(
            now.get().saturating_sub(days.saturating_mul(DAY_MS)),
        ))
    }

    /// Whether something that `self` keeps would go under `other`.
    pub fn is_lowered_by(&self, other: &Self) -> bool {
        let newest = |retention: &Self| retention.newest_kept().unwrap_or(u64::MAX);
        let days = |retention: &Self| match (retention.keep, retention.days) {
            (None, None) => u64::MAX,
            (_, days) => days.unwrap_or(0),
        };
        newest(other) < newest(self) || days(other) < days(self)
    }
}

fn retention<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Retention>, D::Error> {
    let retention = Option::<JsonObject<Retention>>::deserialize(deserializer)?;
    Ok(retention.map(|JsonObject(retention)| retention))
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
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "retention")]
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
    /// Most requests per second, of all callers together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// Whether the bucket is mirrored as plain files.
    pub mirror: bool,
    /// Whether each read and refusal is an entry of the audit log. Sessions cannot read it then: they leave no evidence.
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
        let config = serde_json::from_slice::<JsonObject<Self>>(json);
        let JsonObject(config) = config.map_err(|_| ObjectError::BucketConfig)?;
        // The newest version always stays, so none kept is a mistake; so is a bucket that nobody may ask.
        if config.rate == Some(0) || config.versions.is_some_and(|versions| versions.keep == Some(0)) {
            return Err(ObjectError::BucketConfig);
        }
        Ok(config)
    }

    /// The first member that asks for something this release does not carry out yet.
    pub fn unsupported(&self) -> Option<&'static str> {
        if self.kind == BucketKind::Documents {
            Some("kind")
        } else if self.mirror {
            Some("mirror")
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

#[cfg(test)]
mod tests {
    use super::*;

    fn retention(keep: Option<u64>, days: Option<u64>) -> Retention {
        Retention { keep, days }
    }

    #[test]
    fn keeping_less_is_lowering_and_keeping_more_is_not() {
        let all = retention(None, None);
        let (one, five) = (retention(Some(1), None), retention(Some(5), None));
        let week = retention(None, Some(7));
        let both = retention(Some(5), Some(7));
        for (before, after, lowered) in [
            (all, one, true),
            (one, all, false),
            (five, one, true),
            (one, five, false),
            (five, both, false),
            (both, five, true),
            (both, week, true),
            (week, both, false),
            // Neither keeps all that the other does.
            (five, week, true),
            (week, five, true),
            (all, all, false),
        ] {
            assert_eq!(before.is_lowered_by(&after), lowered, "{before:?} {after:?}");
        }
    }

    #[test]
    fn to_keep_no_version_and_to_serve_nobody_is_refused() {
        assert!(BucketConfig::parse_json(br#"{"versions":{"keep":0}}"#).is_err());
        assert!(BucketConfig::parse_json(br#"{"versions":[3,10]}"#).is_err());
        assert!(BucketConfig::parse_json(br#"{"rate":0}"#).is_err());
        assert_eq!(BucketConfig::parse_json(br#"{"rate":7}"#).unwrap().rate, Some(7));
    }
}
