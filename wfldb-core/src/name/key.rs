//! Object keys and their prefixes.

use std::sync::Arc;

use super::{NameError, text_newtype};
use crate::limits::KEY_BYTES_MAX;

/// First segments that belong to routes, present and planned, below a bucket and below `/v1/`.
const RESERVED_FIRST_SEGMENTS: &[&str] = &[
    "_find",
    "_explain",
    "_aggregate",
    "_search",
    "_index",
    "_bulk",
    "_changes",
    "_schema",
    "_session",
    "_keys",
    "_audit",
    "_backup",
    "_admin",
    "_stats",
    "_tx",
];
/// Whole keys that belong to routes.
const RESERVED_KEYS: &[&str] = &["scan", "batch"];

/// The key of an object: 1 to 1024 bytes of UTF-8 without control characters and without a segment
/// `.` or `..`. Empty segments and a trailing `/` are allowed. Ordered bytewise, cheap to clone.
///
/// ```
/// use wfldb_core::name::ObjectKey;
///
/// assert!(ObjectKey::parse("a//b/")?.as_str().ends_with('/'));
/// assert!(ObjectKey::parse("_find/x")?.is_reserved());
/// assert!(!ObjectKey::parse("_static/x")?.is_reserved());
/// # Ok::<(), wfldb_core::name::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Arc<str>);

text_newtype!(ObjectKey);

impl ObjectKey {
    /// Reads a key. A reserved one is a key too; only writing it is refused ([`Self::check_writable`]).
    ///
    /// # Errors
    /// [`NameError::Key`] when the text is not one.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let length_fits = (1..=KEY_BYTES_MAX).contains(&text.len());
        let segments_fit = text.split('/').all(|segment| segment != "." && segment != "..");
        if length_fits && segments_fit && !has_control(text) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Key)
        }
    }

    /// Whether the key belongs to a route, present or planned, and so must not be written.
    pub fn is_reserved(&self) -> bool {
        let first_segment = self.0.split('/').next().unwrap_or_default();
        RESERVED_KEYS.contains(&&*self.0) || RESERVED_FIRST_SEGMENTS.contains(&first_segment)
    }

    /// Asserts that an object may be written under this key.
    ///
    /// # Errors
    /// [`NameError::Reserved`] when the key is reserved.
    pub fn check_writable(&self) -> Result<(), NameError> {
        if self.is_reserved() {
            Err(NameError::Reserved)
        } else {
            Ok(())
        }
    }
}

/// The beginning of a key, or the empty text, which is the beginning of all.
///
/// It is a byte prefix: `a` covers `ab` as well as `a/b`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPrefix(Arc<str>);

text_newtype!(KeyPrefix);

impl KeyPrefix {
    /// Reads a prefix.
    ///
    /// # Errors
    /// [`NameError::Prefix`] when no key begins so.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        // The last segment is not complete, so it may be `.` or `..`: `..x` begins with it.
        let complete_segments_fit = text.rsplit_once('/').is_none_or(|(complete, _)| {
            complete
                .split('/')
                .all(|segment| segment != "." && segment != "..")
        });
        // A last segment `.` or `..` needs room for the character that makes it legal.
        let last_segment = text.rsplit('/').next().unwrap_or_default();
        let room_fits = text.len() <= KEY_BYTES_MAX - usize::from(matches!(last_segment, "." | ".."));
        if complete_segments_fit && room_fits && !has_control(text) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Prefix)
        }
    }

    /// The prefix of all keys.
    pub fn all() -> Self {
        Self("".into())
    }

    /// Whether this is the prefix of all keys.
    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the key begins with this prefix.
    pub fn covers(&self, key: &ObjectKey) -> bool {
        key.as_str().starts_with(&*self.0)
    }

    /// Whether every key that begins with `other` begins with this prefix too.
    pub fn covers_prefix(&self, other: &Self) -> bool {
        other.0.starts_with(&*self.0)
    }
}

fn has_control(text: &str) -> bool {
    text.bytes().any(|byte| byte < 0x20 || byte == 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_valid_exactly_when_a_key_begins_with_it() {
        let long = "k".repeat(KEY_BYTES_MAX);
        let dots = format!("{}/..", "k".repeat(KEY_BYTES_MAX - 3));
        for (prefix, valid) in [
            ("", true),
            ("a", true),
            ("a/", true),
            ("a/..", true),
            ("a/../", false),
            ("./", false),
            (".", true),
            ("\u{1f}", false),
            ("a\u{7f}", false),
            (long.as_str(), true),
            (dots.as_str(), false),
        ] {
            assert_eq!(KeyPrefix::parse(prefix).is_ok(), valid, "{prefix:?}");
        }
    }

    #[test]
    fn byte_prefixes_cover_across_segments() {
        let prefix = KeyPrefix::parse("a").unwrap();
        assert!(prefix.covers(&ObjectKey::parse("ab").unwrap()));
        assert!(prefix.covers(&ObjectKey::parse("a/b").unwrap()));
        assert!(!prefix.covers(&ObjectKey::parse("b").unwrap()));
    }
}
