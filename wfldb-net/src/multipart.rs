//! Uploads in parts: the JSON of their requests and answers.

use serde::{Deserialize, Serialize};
use wfldb_core::encoding::JsonObject;
use wfldb_core::id::{ContentHash, UploadId};
use wfldb_core::limits::{PART_LIST_BYTES_MAX, PARTS_MAX};
use wfldb_core::time::UnixMillis;

use crate::text;

/// The answer to `POST ?multipart=start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadStarted {
    /// The new upload.
    #[serde(with = "text")]
    pub upload: UploadId,
}

/// One part that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its number, from 1.
    pub part: u16,
    /// BLAKE3 of its bytes.
    #[serde(with = "text")]
    pub etag: ContentHash,
    /// Its length in bytes.
    pub size: u64,
}

/// The answer to `GET ?multipart={id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The size of every part but the last.
    pub part_bytes: u64,
    /// When the upload is forgotten.
    #[serde(with = "text")]
    pub expires: UnixMillis,
    /// By number.
    pub parts: Vec<Part>,
}

/// One line of the list that completes an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRef {
    /// Its number, from 1.
    pub part: u16,
    /// The etag that the server answered for it.
    #[serde(with = "text")]
    pub etag: ContentHash,
}

/// A list of parts that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of parts from 1 on, without gaps")]
pub struct PartListError;

/// Reads the list that completes an upload: every part from 1 on, ascending and without gaps.
///
/// # Errors
/// [`PartListError`] for anything else.
pub fn parse_list(json: &[u8]) -> Result<Vec<PartRef>, PartListError> {
    if json.len() > PART_LIST_BYTES_MAX {
        return Err(PartListError);
    }
    let list = serde_json::from_slice::<Vec<JsonObject<PartRef>>>(json).map_err(|_| PartListError)?;
    let list: Vec<_> = list.into_iter().map(|JsonObject(part)| part).collect();
    let counted = list.iter().zip(1u16..).all(|(part, number)| part.part == number);
    if list.is_empty() || list.len() > usize::from(PARTS_MAX) || !counted {
        return Err(PartListError);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_parts_counts_from_one_without_gaps() {
        let part = |n: u16| format!(r#"{{"part":{n},"etag":"{}"}}"#, ContentHash::of(b""));
        let list = |numbers: &[u16]| {
            let parts: Vec<_> = numbers.iter().map(|n| part(*n)).collect();
            parse_list(format!("[{}]", parts.join(",")).as_bytes()).is_ok()
        };
        assert!(list(&[1]) && list(&[1, 2, 3]));
        for numbers in [vec![], vec![2], vec![1, 3], vec![2, 1], vec![1, 1], vec![0, 1]] {
            assert!(!list(&numbers), "{numbers:?}");
        }
        assert!(list(&(1..=10_000).collect::<Vec<_>>()));
        assert!(!list(&(1..=10_001).collect::<Vec<_>>()));
        let as_array = format!(r#"[[1,"{}"]]"#, ContentHash::of(b""));
        for json in [
            &as_array,
            "",
            "{}",
            r#"[{"part":1}]"#,
            r#"[{"part":1,"etag":"x"}]"#,
            "[1]",
        ] {
            assert!(parse_list(json.as_bytes()).is_err(), "{json}");
        }
    }
}
