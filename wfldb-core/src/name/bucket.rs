//! The name of a bucket.

use std::sync::Arc;

use super::{NameError, text_newtype};
use crate::limits::{BUCKET_BYTES_MAX, BUCKET_BYTES_MIN};

/// The name of a bucket: 3 to 63 characters of `a-z 0-9 -`, first and last a letter or digit.
///
/// Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(Arc<str>);

text_newtype!(BucketName);

impl BucketName {
    /// Reads a bucket name.
    ///
    /// # Errors
    /// [`NameError::Bucket`] when the text is not one.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let length_fits = (BUCKET_BYTES_MIN..=BUCKET_BYTES_MAX).contains(&text.len());
        let alphabet_fits = text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        let ends_fit = !text.starts_with('-') && !text.ends_with('-');
        if length_fits && alphabet_fits && ends_fit {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Bucket)
        }
    }
}
