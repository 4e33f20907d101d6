//! Grants as they are written on the command line, `b=photos,p=2024/,ops=get+list`, and as they are told to people.

use std::fmt::Write as _;

use wfldb_core::auth::{Op, OpSet};
use wfldb_core::name::{BucketName, KeyPrefix};
use wfldb_core::packet::{Cidr, Grant, GrantBucket, GrantLimits};

use crate::Error;

/// Parses a grant. Members are separated by commas, lists by `+`; in a value `%2C`, `%2B` and `%25` stand for a comma,
/// a plus and a percent sign.
///
/// - `b=BUCKET` or `b=*`, needed
/// - `p=PREFIX`, all keys when left out
/// - `ops=get+list+…`, needed; `ops=all` is every one (`admin` only with `b=*`)
/// - `max_bytes=N`, `rate=N`, `quota_bytes=N`, `create_only=true`, `cidr=10.0.0.0/8+…`, `content_type=image/png+…`
///
/// # Errors
/// `Local`, naming the member that is wrong, unknown, repeated or missing.
pub fn parse_grant(text: &str) -> Result<Grant, Error> {
    let (mut bucket, mut prefix, mut ops) = (None, None, None);
    let mut limits = GrantLimits::default();
    let mut seen = Vec::new();
    for member in text.split(',') {
        let (name, value) = member
            .split_once('=')
            .ok_or_else(|| wrong(member, "is not NAME=VALUE"))?;
        if seen.contains(&name) {
            return Err(wrong(name, "occurs twice"));
        }
        seen.push(name);
        match name {
            "b" => bucket = Some(parse_bucket(value)?),
            "p" => {
                let decoded = decode(value);
                prefix = Some(KeyPrefix::parse(&decoded).map_err(|error| wrong(name, &error.to_string()))?);
            }
            "ops" => ops = Some(value),
            "max_bytes" => limits.max_bytes = Some(number(name, value)?),
            "rate" => limits.rate = Some(number(name, value)?),
            "quota_bytes" => limits.quota_bytes = Some(number(name, value)?),
            "create_only" => {
                limits.create_only = value.parse().map_err(|_| wrong(name, "is true or false"))?;
            }
            "cidr" => {
                let ranges = list(value)
                    .map(|range| Cidr::parse(&range))
                    .collect::<Option<_>>();
                limits.cidr = Some(ranges.ok_or_else(|| wrong(name, "is a list of ranges like 10.0.0.0/8"))?);
            }
            "content_type" => limits.content_type = Some(list(value).collect()),
            _ => return Err(wrong(name, "is unknown")),
        }
    }
    let bucket = bucket.ok_or_else(|| wrong("b", "is missing"))?;
    let ops = parse_ops(ops.ok_or_else(|| wrong("ops", "is missing"))?, &bucket)?;
    let grant = Grant {
        bucket,
        prefix: prefix.unwrap_or_else(KeyPrefix::all),
        ops,
        limits,
    };
    // The packet's own rules, with their own words, before anything is signed.
    Grant::parse_json(&grant.to_json()).map_err(|error| Error::Local(format!("--grant: {error}")))
}

fn wrong(name: &str, why: &str) -> Error {
    Error::Local(format!("--grant: `{name}` {why}"))
}

fn number(name: &str, value: &str) -> Result<u64, Error> {
    value.parse().map_err(|_| wrong(name, "is a number"))
}

fn parse_bucket(value: &str) -> Result<GrantBucket, Error> {
    match value {
        "*" => Ok(GrantBucket::Any),
        name => BucketName::parse(name)
            .map(GrantBucket::Named)
            .map_err(|error| wrong("b", &error.to_string())),
    }
}

fn parse_ops(value: &str, bucket: &GrantBucket) -> Result<OpSet, Error> {
    if value == "all" {
        let fits = |op: &Op| *op != Op::Admin || *bucket == GrantBucket::Any;
        return Ok(Op::ALL.into_iter().filter(fits).collect());
    }
    let parse = |name| Op::parse(name).ok_or_else(|| wrong(name, "is no operation"));
    value.split('+').map(parse).collect()
}

fn list(value: &str) -> impl Iterator<Item = String> {
    value.split('+').map(decode)
}

fn decode(value: &str) -> String {
    // The percent sign comes last, so that what it makes is not decoded again.
    value.replace("%2C", ",").replace("%2B", "+").replace("%25", "%")
}

/// A grant in words: `get list in photos, 2024/, rate 5`.
pub fn grant_words(grant: &Grant) -> String {
    let ops: Vec<&str> = grant.ops.iter().map(Op::as_str).collect();
    let keys = if grant.prefix.is_all() {
        "all keys"
    } else {
        grant.prefix.as_str()
    };
    let bucket = match grant.bucket.as_str() {
        "*" => "all buckets",
        name => name,
    };
    let mut text = format!("{} in {bucket}, {keys}", ops.join(" "));
    let limits = &grant.limits;
    let numbers = [
        ("max_bytes", limits.max_bytes),
        ("rate", limits.rate),
        ("quota_bytes", limits.quota_bytes),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            let _ = write!(text, ", {name} {value}");
        }
    }
    if limits.create_only {
        text.push_str(", create_only");
    }
    if let Some(ranges) = &limits.cidr {
        let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
        let _ = write!(text, ", from [{}]", ranges.join(" "));
    }
    if let Some(types) = &limits.content_type {
        let _ = write!(text, ", of type [{}]", types.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_parsed_whole_or_refused() {
        for (text, json) in [
            (
                "b=photos,p=2024/,ops=get+list",
                r#"{"b":"photos","p":"2024/","ops":["get","list"]}"#,
            ),
            ("b=*,ops=admin", r#"{"b":"*","p":"","ops":["admin"]}"#),
            (
                "ops=put,b=photos,p=a%2Cb%252C,create_only=true,max_bytes=5,content_type=image/svg%2Bxml",
                r#"{"b":"photos","p":"a,b%2C","ops":["put"],"max_bytes":5,"create_only":true,"content_type":["image/svg+xml"]}"#,
            ),
        ] {
            assert_eq!(parse_grant(text).unwrap().to_json(), json);
        }
        assert!(parse_grant("b=photos,ops=all").is_ok_and(|grant| !grant.ops.contains(Op::Admin)));
        assert!(parse_grant("b=*,ops=all").is_ok_and(|grant| grant.ops == OpSet::all()));
        for text in [
            "",
            "b=photos",
            "ops=get",
            "b=photos,ops=",
            "b=photos,ops=get,ops=put",
            "b=Photos,ops=get",
            "b=photos,ops=fly",
            "b=photos,ops=admin",
            "b=photos,ops=get,p=../x/y",
            "b=photos,ops=get,rate=-1",
            "b=photos,ops=get,cidr=10.0.0.1/8",
            "b=photos,ops=get,x=1",
        ] {
            assert!(parse_grant(text).is_err(), "{text}");
        }
    }
}
