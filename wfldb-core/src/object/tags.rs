//! An object's tags.

use std::collections::BTreeMap;
use std::fmt;

use super::ObjectError;
use crate::encoding::percent;
use crate::limits::{TAG_NAME_BYTES_MAX, TAG_VALUE_BYTES_MAX, TAGS_MAX};

/// At most 16 tags, each a unique name with a value; spelled as a canonical query.
///
/// ```
/// use wfldb_core::object::Tags;
///
/// let tags = Tags::parse("colour=red&size=5%2F6")?;
/// assert_eq!(tags.iter().next(), Some(("colour", "red")));
/// assert_eq!(tags.to_string(), "colour=red&size=5%2F6");
/// assert!(Tags::parse("size=5&colour=red").is_err());
/// # Ok::<(), wfldb_core::object::ObjectError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// Reads the canonical query form; the empty text has no tags.
    ///
    /// # Errors
    /// [`ObjectError::Tags`] for another spelling, too many or too long tags, or control characters.
    pub fn parse(text: &str) -> Result<Self, ObjectError> {
        Self::from_pairs(percent::parse_query(text).map_err(|_| ObjectError::Tags)?)
    }

    /// Tags from (name, value) pairs in any order.
    ///
    /// # Errors
    /// [`ObjectError::Tags`] for a repeated or empty name, too many or too long tags, or control characters.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, ObjectError> {
        let mut tags = BTreeMap::new();
        for (name, value) in pairs {
            let name_fits = (1..=TAG_NAME_BYTES_MAX).contains(&name.len());
            let value_fits = value.len() <= TAG_VALUE_BYTES_MAX;
            let printable = !name.chars().chain(value.chars()).any(|c| c.is_ascii_control());
            let valid = name_fits && value_fits && printable && tags.len() < TAGS_MAX;
            if !valid || tags.insert(name, value).is_some() {
                return Err(ObjectError::Tags);
            }
        }
        Ok(Self(tags))
    }

    /// The tags in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether every tag of `wanted` is here with the same value.
    pub fn contains_all(&self, wanted: &Self) -> bool {
        wanted
            .0
            .iter()
            .all(|(name, value)| self.0.get(name) == Some(value))
    }
}

impl fmt::Display for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<_> = self.iter().collect();
        f.write_str(&percent::encode_query(&pairs))
    }
}
