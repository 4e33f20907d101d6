//! JSON objects and nothing else where a struct is wanted.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A value that is read from a JSON object only. A derived struct would read an array too, member by member, and then
/// a request has a second spelling that no document names.
///
/// ```
/// use wfldb_core::encoding::JsonObject;
///
/// #[derive(serde::Deserialize)]
/// struct Point {
///     x: u8,
/// }
/// assert_eq!(serde_json::from_str::<JsonObject<Point>>(r#"{"x":1}"#)?.0.x, 1);
/// assert!(serde_json::from_str::<Point>("[1]").is_ok());
/// assert!(serde_json::from_str::<JsonObject<Point>>("[1]").is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonObject<T>(
    /// What was read.
    pub T,
);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for JsonObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = JsonObject<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(JsonObject)
            }
        }

        deserializer.deserialize_map(Object(PhantomData))
    }
}
