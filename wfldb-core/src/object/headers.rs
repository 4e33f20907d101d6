//! The headers that are kept with an object and given back with it.

use std::fmt;
use std::sync::Arc;

use super::{ObjectError, Tags, parse_decimal};
use crate::limits::{HEADER_TEXT_BYTES_MAX, META_BYTES_MAX, META_NAMES_MAX, TTL_SECONDS_MAX};

const META_PREFIX: &str = "x-wfldb-meta-";

/// A header value: visible ASCII with single spaces inside, none at either end. May be empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderText(Arc<str>);

impl HeaderText {
    /// Reads a value.
    ///
    /// # Errors
    /// [`ObjectError::Header`] when it is not one, or longer than 8 KiB.
    pub fn parse(text: &str) -> Result<Self, ObjectError> {
        if text.len() <= META_BYTES_MAX && is_header_text(text.as_bytes()) {
            Ok(Self(text.into()))
        } else {
            Err(ObjectError::Header)
        }
    }

    /// The value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the bytes are visible ASCII with single spaces inside, none at either end.
pub fn is_header_text(bytes: &[u8]) -> bool {
    let visible = bytes.iter().all(|byte| (0x20..0x7f).contains(byte));
    let ends_fit = bytes.first() != Some(&b' ') && bytes.last() != Some(&b' ');
    let single = !bytes.windows(2).any(|pair| pair == b"  ");
    visible && ends_fit && single
}

/// Whether the text is a lower-case HTTP field name.
pub(crate) fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9') || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

/// The headers of an object that are stored with it and returned. The default has none.
///
/// ```
/// use wfldb_core::object::ObjectHeaders;
///
/// let headers = ObjectHeaders::parse([
///     ("content-type", "image/jpeg"),
///     ("x-wfldb-meta-camera", "box"),
///     ("x-wfldb-tags", "kind=cat"),
/// ])?;
/// assert_eq!(headers.meta[0].0, "camera");
/// assert_eq!(headers.to_pairs().len(), 3);
/// # Ok::<(), wfldb_core::object::ObjectError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectHeaders {
    /// `content-type`.
    pub content_type: Option<HeaderText>,
    /// `cache-control`.
    pub cache_control: Option<HeaderText>,
    /// `expires`.
    pub expires: Option<HeaderText>,
    /// `x-wfldb-meta-*` without that beginning, sorted by name, names unique.
    pub meta: Vec<(String, HeaderText)>,
    /// `x-wfldb-tags`.
    pub tags: Tags,
    /// `x-wfldb-ttl`, in seconds.
    pub ttl_seconds: Option<u64>,
}

impl ObjectHeaders {
    /// Picks the kept headers out of a request's (lower-case names); others are passed over.
    ///
    /// # Errors
    /// [`ObjectError`] when a kept header is not valid or occurs twice.
    pub fn parse<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ObjectError> {
        let mut kept = Self::default();
        let mut tags = None;
        for (name, value) in headers {
            match name {
                "content-type" => set_once(&mut kept.content_type, short_text(value)?)?,
                "cache-control" => set_once(&mut kept.cache_control, short_text(value)?)?,
                "expires" => set_once(&mut kept.expires, short_text(value)?)?,
                "x-wfldb-tags" => set_once(&mut tags, Tags::parse(value)?)?,
                "x-wfldb-ttl" => set_once(&mut kept.ttl_seconds, parse_ttl(value)?)?,
                _ => {
                    if let Some(meta_name) = name.strip_prefix(META_PREFIX) {
                        kept.meta.push((meta_name.to_owned(), HeaderText::parse(value)?));
                    }
                }
            }
        }
        kept.tags = tags.unwrap_or_default();
        kept.meta.sort_unstable();
        kept.check()?;
        Ok(kept)
    }

    /// Checks what the public fields cannot guarantee by their types: number, size, names and order
    /// of the metadata, and the time to live.
    ///
    /// # Errors
    /// [`ObjectError::Meta`], [`ObjectError::Ttl`] or [`ObjectError::Header`].
    pub fn check(&self) -> Result<(), ObjectError> {
        let meta_bytes: usize = self
            .meta
            .iter()
            .map(|(name, value)| name.len() + value.as_str().len())
            .sum();
        let sorted = self.meta.is_sorted_by(|(left, _), (right, _)| left < right);
        let named = self.meta.iter().all(|(name, _)| is_header_name(name));
        if self.meta.len() > META_NAMES_MAX || meta_bytes > META_BYTES_MAX || !sorted || !named {
            return Err(ObjectError::Meta);
        }
        if self
            .ttl_seconds
            .is_some_and(|ttl| ttl == 0 || ttl > TTL_SECONDS_MAX)
        {
            return Err(ObjectError::Ttl);
        }
        for text in [&self.content_type, &self.cache_control, &self.expires]
            .into_iter()
            .flatten()
        {
            short_text(text.as_str())?;
        }
        Ok(())
    }

    /// The headers as (lower-case name, value) pairs, for a request or an answer.
    pub fn to_pairs(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let fixed = [
            ("content-type", &self.content_type),
            ("cache-control", &self.cache_control),
            ("expires", &self.expires),
        ];
        for (name, value) in fixed {
            if let Some(value) = value {
                pairs.push((name.to_owned(), value.to_string()));
            }
        }
        pairs.extend(
            self.meta
                .iter()
                .map(|(name, value)| (format!("{META_PREFIX}{name}"), value.to_string())),
        );
        if !self.tags.is_empty() {
            pairs.push(("x-wfldb-tags".to_owned(), self.tags.to_string()));
        }
        if let Some(ttl) = self.ttl_seconds {
            pairs.push(("x-wfldb-ttl".to_owned(), ttl.to_string()));
        }
        pairs
    }
}

fn set_once<T>(slot: &mut Option<T>, value: T) -> Result<(), ObjectError> {
    if slot.replace(value).is_some() {
        Err(ObjectError::Header)
    } else {
        Ok(())
    }
}

fn short_text(value: &str) -> Result<HeaderText, ObjectError> {
    let fits = (1..=HEADER_TEXT_BYTES_MAX).contains(&value.len());
    if fits {
        HeaderText::parse(value)
    } else {
        Err(ObjectError::Header)
    }
}

fn parse_ttl(value: &str) -> Result<u64, ObjectError> {
    parse_decimal(value)
        .filter(|ttl| (1..=TTL_SECONDS_MAX).contains(ttl))
        .ok_or(ObjectError::Ttl)
}
