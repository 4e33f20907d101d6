//! The configuration of a bucket.

use serde::{Deserialize, Deserializer, Serialize};

use super::ObjectError;
use crate::doc::FieldPath;
use crate::encoding::JsonObject;
use crate::limits::BUCKET_CONFIG_BYTES_MAX;
use crate::text::TextConfig;
use crate::time::UnixMillis;

const DAY_MS: u64 = 24 * 3600 * 1000;

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

/// A field in its written form.
mod written_path {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::doc::FieldPath;

    #[expect(clippy::ref_option, reason = "serde hands out a reference")]
    pub(super) fn serialize<S: Serializer>(
        path: &Option<FieldPath>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match path {
            Some(path) => serializer.collect_str(path),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<FieldPath>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| FieldPath::parse(&text).map_err(D::Error::custom))
            .transpose()
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TextConfig>, D::Error> {
    let text = Option::<JsonObject<TextConfig>>::deserialize(deserializer)?;
    Ok(text.map(|JsonObject(text)| text))
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
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
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
    /// Whether the bucket is mirrored as plain files; when not given, documents are and objects are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<bool>,
    /// Whether each read and refusal is an entry of the audit log. Sessions cannot read it then: they leave no evidence.
    pub audit_reads: bool,
    /// Whether sessions are refused, so that each request is signed on its own.
    pub require_signature: bool,
    /// Whether an index is made when a query would gain from one. Of buckets of documents.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub auto_index: bool,
    /// Of documents: the field that has each one's time.
    #[serde(with = "written_path", skip_serializing_if = "Option::is_none")]
    pub time_field: Option<FieldPath>,
    /// For how many days after their time documents are kept, all versions of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_days: Option<u64>,
    /// Of documents: what was stored is never changed and never deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub append_only: bool,
    /// The full-text index; none when not given.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub text: Option<TextConfig>,
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
        // Objects have no time; and what has no time is never too old.
        let needs_documents = config.time_field.is_some() || config.append_only;
        let days = config.time_days;
        if needs_documents && config.kind != BucketKind::Documents
            || days.is_some_and(|days| days == 0 || config.time_field.is_none())
        {
            return Err(ObjectError::BucketConfig);
        }
        Ok(config)
    }

    /// Documents are too old when their time is before this.
    pub fn too_old_before(&self, now: UnixMillis) -> Option<UnixMillis> {
        let days = self.time_days.filter(|_| self.time_field.is_some())?;
        Some(now.minus_ms(days.saturating_mul(DAY_MS)))
    }

    /// Whether something that `self` keeps would go under `other`, or could be made to go.
    pub fn is_lowered_by(&self, other: &Self) -> bool {
        let kept = |config: &Self| config.time_days.unwrap_or(u64::MAX);
        let versions = self.versions.unwrap_or_default();
        versions.is_lowered_by(&other.versions.unwrap_or_default())
            || kept(other) < kept(self)
            || (self.append_only && !other.append_only)
    }

    /// Whether a mirror has the bucket as plain files.
    pub fn is_mirrored(&self) -> bool {
        self.mirror.unwrap_or(self.kind == BucketKind::Documents)
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

    /// DEFECT: a promise to keep that whoever may configure, but not erase, takes back.
    #[test]
    fn an_append_only_bucket_and_the_age_of_its_documents_are_lowered_knowingly() {
        let config = |json: &str| BucketConfig::parse_json(json.as_bytes()).unwrap();
        let plain = config(r#"{"kind":"documents","time_field":"at.ms"}"#);
        let kept = config(r#"{"kind":"documents","time_field":"at.ms","append_only":true,"time_days":30}"#);
        let shorter = config(r#"{"kind":"documents","time_field":"at.ms","append_only":true,"time_days":7}"#);
        assert!(kept.is_lowered_by(&plain) && kept.is_lowered_by(&shorter) && plain.is_lowered_by(&kept));
        assert!(!shorter.is_lowered_by(&kept) && !kept.is_lowered_by(&kept));
        let json = serde_json::to_string(&kept).unwrap();
        assert!(json.contains(r#""time_field":"at.ms""#), "{json}");
        assert_eq!(config(&json), kept);
        for refused in [
            r#"{"time_field":"at"}"#,
            r#"{"append_only":true}"#,
            r#"{"kind":"documents","time_days":1}"#,
            r#"{"kind":"documents","time_field":"at","time_days":0}"#,
            r#"{"kind":"documents","time_field":"a..b"}"#,
        ] {
            assert!(BucketConfig::parse_json(refused.as_bytes()).is_err(), "{refused}");
        }
    }

    #[test]
    fn to_keep_no_version_and_to_serve_nobody_is_refused() {
        assert!(BucketConfig::parse_json(br#"{"versions":{"keep":0}}"#).is_err());
        assert!(BucketConfig::parse_json(br#"{"versions":[3,10]}"#).is_err());
        assert!(BucketConfig::parse_json(br#"{"rate":0}"#).is_err());
        assert_eq!(BucketConfig::parse_json(br#"{"rate":7}"#).unwrap().rate, Some(7));
    }

    #[test]
    fn a_full_text_index_survives_json() {
        let text = br#"{"kind":"documents","text":{"fields":["title"],"language":"english"}}"#;
        let config = BucketConfig::parse_json(text).unwrap();
        let written = serde_json::to_vec(&config).unwrap();
        assert_eq!(BucketConfig::parse_json(&written).unwrap(), config);
        for bad in [
            r#"{"text":true}"#,
            r#"{"kind":"documents","text":["*"]}"#,
            r#"{"kind":"documents","text":{"fields":[]}}"#,
        ] {
            assert!(BucketConfig::parse_json(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
