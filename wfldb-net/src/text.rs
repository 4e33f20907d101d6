//! serde for core's newtypes in their wire form: written with `Display`, read with their one parser.

use std::borrow::Cow;
use std::fmt::Display;

use serde::{Deserialize, Deserializer, Serializer};
use wfldb_core::id::{BucketId, ContentHash, TxId, UploadId, VersionId};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::time::UnixMillis;

/// A value that has one wire form.
pub(crate) trait Wire: Sized {
    /// Reads the wire form; `None` for anything else.
    fn from_wire(text: &str) -> Option<Self>;
}

macro_rules! wire {
    ($($name:ty),*) => {
        $(impl Wire for $name {
            fn from_wire(text: &str) -> Option<Self> {
                Self::parse(text).ok()
            }
        })*
    };
}
wire!(
    BucketId,
    BucketName,
    ContentHash,
    ObjectKey,
    TxId,
    UnixMillis,
    UploadId,
    VersionId
);

pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(crate) fn deserialize<'de, T: Wire, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    T::from_wire(&text).ok_or_else(|| serde::de::Error::custom("not in its wire form"))
}

/// The same for a member that may be absent.
pub(crate) mod option {
    use super::{Cow, Deserialize, Deserializer, Display, Serializer, Wire};

    #[expect(clippy::ref_option, reason = "serde's `with` calls it with this type")]
    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T: Wire, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let Some(text) = Option::<Cow<'de, str>>::deserialize(deserializer)? else {
            return Ok(None);
        };
        T::from_wire(&text)
            .map(Some)
            .ok_or_else(|| serde::de::Error::custom("not in its wire form"))
    }
}
