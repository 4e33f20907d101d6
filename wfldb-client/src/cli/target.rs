//! How buckets, keys, places of a copy and JSON are written on the command line.

use std::io::Read;
use std::path::PathBuf;

use wfldb_client::Error;
use wfldb_core::name::{BucketName, ObjectKey};

use super::exit::Failure;

/// How a remote place of `cp` begins.
pub(crate) const SCHEME: &str = "wfldb://";

/// `bucket`, `bucket/` or `bucket/rest`, with or without `wfldb://` before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) bucket: BucketName,
    /// What follows the first `/`: a key or the beginning of keys.
    pub(crate) rest: String,
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix(SCHEME).unwrap_or(text);
        let (bucket, rest) = bare.split_once('/').unwrap_or((bare, ""));
        let bucket = BucketName::parse(bucket).map_err(|error| format!("`{bucket}`: {error}"))?;
        Ok(Self {
            bucket,
            rest: rest.to_owned(),
        })
    }
}

impl Target {
    pub(crate) fn key(&self) -> Result<ObjectKey, Failure> {
        if self.rest.is_empty() {
            return Err(Failure::Usage(format!(
                "`{}` names a bucket; an object is BUCKET/KEY",
                self.bucket
            )));
        }
        ObjectKey::parse(&self.rest).map_err(|error| Failure::Usage(format!("`{}`: {error}", self.rest)))
    }

    /// What follows the bucket, as a directory: empty or ending with `/`.
    pub(crate) fn directory_prefix(&self) -> String {
        let mut prefix = self.rest.clone();
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        prefix
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.bucket, self.rest)
    }
}

/// What an argument says: itself, with `@FILE` what a file holds, with `-` standard input; so many bytes at most.
pub(crate) fn input(argument: &str, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let max = bytes_max as u64 + 1;
    let mut text = Vec::new();
    let read = match argument.strip_prefix('@') {
        Some(path) => std::fs::File::open(path)
            .and_then(|file| file.take(max).read_to_end(&mut text))
            .map_err(|error| Error::Local(format!("cannot read {path}: {error}"))),
        None if argument == "-" => std::io::stdin()
            .lock()
            .take(max)
            .read_to_end(&mut text)
            .map_err(|error| Error::Local(format!("cannot read standard input: {error}"))),
        None => {
            text = argument.as_bytes().to_vec();
            Ok(text.len())
        }
    };
    if read? > bytes_max {
        return Err(Failure::Usage(format!(
            "the JSON is longer than {bytes_max} bytes"
        )));
    }
    Ok(text)
}

/// One side of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Local(PathBuf),
    Remote(Target),
}

impl Place {
    pub(crate) fn parse(text: &std::ffi::OsStr) -> Result<Self, Failure> {
        match text.to_str() {
            Some(text) if text.starts_with(SCHEME) => text.parse().map(Self::Remote).map_err(Failure::Usage),
            _ => Ok(Self::Local(PathBuf::from(text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_bucket_and_what_follows() {
        for (text, bucket, rest) in [
            ("photos", "photos", ""),
            ("photos/", "photos", ""),
            ("photos/a/b", "photos", "a/b"),
            ("wfldb://photos/a b", "photos", "a b"),
            ("photos//", "photos", "/"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(
                (target.bucket.as_str(), target.rest.as_str()),
                (bucket, rest),
                "{text}"
            );
        }
        assert!("Photos/x".parse::<Target>().is_err());
        assert!("/x".parse::<Target>().is_err());
        let place = |text: &str| Place::parse(std::ffi::OsStr::new(text));
        assert!(matches!(place("photos/x"), Ok(Place::Local(_))));
        assert!(matches!(place("wfldb://photos/x"), Ok(Place::Remote(_))));
        assert!(place("wfldb://").is_err());
    }
}
