//! AWS Signature Version 4 in headers, as S3 wants it: one chunk, the payload's SHA-256 in the signature.
//! Source: "Authenticating Requests: Using the Authorization Header", Amazon S3 API reference.
//!
//! Not here: presigned URLs, chunked uploads, session tokens, escaping of keys (ours need none).

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use wfldb_core::time::UnixMillis;

use crate::Failure;

/// Who signs, and for which region.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) region: String,
}

/// The parts of a request that are signed. Path and query are in their canonical form already.
pub(crate) struct ToSign<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    /// Lower-case names in order, `host`, `x-amz-content-sha256` and `x-amz-date` among them.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) payload_sha256: &'a str,
}

/// `20260102T030405Z`.
pub(crate) fn amz_date(time: UnixMillis) -> String {
    let mut date: String = time
        .to_string()
        .chars()
        .take_while(|c| *c != '.')
        .filter(|c| !matches!(c, '-' | ':'))
        .collect();
    date.push('Z');
    date
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hmac(key: &[u8], text: &str) -> Result<Vec<u8>, Failure> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key)?;
    mac.update(text.as_bytes());
    Ok(mac.finalize().into_bytes().to_vec())
}

/// The key of one day, region and service: derived once and kept, as the usual clients do.
pub(crate) struct SigningKey {
    credentials: Credentials,
    day: String,
    key: Vec<u8>,
}

impl SigningKey {
    /// The key for the day of `date`.
    pub(crate) fn derive(credentials: &Credentials, date: &str) -> Result<Self, Failure> {
        let day = date.get(..8).ok_or("not a date")?.to_owned();
        let mut key = format!("AWS4{}", credentials.secret_key).into_bytes();
        for text in [&day, &credentials.region, "s3", "aws4_request"] {
            key = hmac(&key, text)?;
        }
        Ok(Self {
            credentials: credentials.clone(),
            day,
            key,
        })
    }

    /// Whether `date` is of the key's day.
    pub(crate) fn is_for(&self, date: &str) -> bool {
        date.starts_with(&self.day)
    }

    /// The value of the `authorization` header.
    pub(crate) fn authorization(&self, request: &ToSign<'_>, date: &str) -> Result<String, Failure> {
        let mut canonical = format!("{}\n{}\n{}\n", request.method, request.path, request.query);
        let mut names = String::new();
        for (name, value) in request.headers {
            writeln!(canonical, "{name}:{}", value.trim())?;
            if !names.is_empty() {
                names.push(';');
            }
            names.push_str(name);
        }
        write!(canonical, "\n{names}\n{}", request.payload_sha256)?;
        let scope = format!("{}/{}/s3/aws4_request", self.day, self.credentials.region);
        let hash = sha256_hex(canonical.as_bytes());
        let signature = hmac(&self.key, &format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hash}"))?;
        Ok(format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={}",
            self.credentials.access_key,
            hex(&signature)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const DATE: &str = "20130524T000000Z";
    const HOST: (&str, &str) = ("host", "examplebucket.s3.amazonaws.com");

    /// The example keys of the S3 API reference.
    fn signature(request: &ToSign<'_>) -> String {
        let credentials = Credentials {
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            region: "us-east-1".to_owned(),
        };
        let key = SigningKey::derive(&credentials, DATE).unwrap();
        assert!(key.is_for(DATE) && !key.is_for("20130525T000000Z"));
        let header = key.authorization(request, DATE).unwrap();
        assert!(header.starts_with(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        ));
        header.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    #[test]
    fn get_with_a_range_is_signed_as_in_the_reference() {
        let request = ToSign {
            method: "GET",
            path: "/test.txt",
            query: "",
            headers: &[
                HOST,
                ("range", "bytes=0-9"),
                ("x-amz-content-sha256", EMPTY),
                ("x-amz-date", DATE),
            ],
            payload_sha256: EMPTY,
        };
        assert_eq!(
            signature(&request),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
    }

    #[test]
    fn put_is_signed_as_in_the_reference() {
        let payload = sha256_hex(b"Welcome to Amazon S3.");
        let request = ToSign {
            method: "PUT",
            path: "/test%24file.text",
            query: "",
            headers: &[
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                HOST,
                ("x-amz-content-sha256", &payload),
                ("x-amz-date", DATE),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ],
            payload_sha256: &payload,
        };
        assert_eq!(
            signature(&request),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
    }

    #[test]
    fn a_listing_is_signed_as_in_the_reference() {
        let request = ToSign {
            method: "GET",
            path: "/",
            query: "max-keys=2&prefix=J",
            headers: &[HOST, ("x-amz-content-sha256", EMPTY), ("x-amz-date", DATE)],
            payload_sha256: EMPTY,
        };
        assert_eq!(
            signature(&request),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[test]
    fn dates_have_the_short_form() {
        assert_eq!(amz_date(UnixMillis::new(1_767_323_045_006)), "20260102T030405Z");
        assert_eq!(sha256_hex(b""), EMPTY);
    }
}
