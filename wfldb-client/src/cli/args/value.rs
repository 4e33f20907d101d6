//! Values of arguments that several verbs take, each in one spelling.

use wfldb_core::doc::FieldPath;
use wfldb_core::id::{KeyId, PublicKey, Role, VersionId};
use wfldb_core::time::UnixMillis;

use super::bucket::Limit;
use super::document::Point;
use super::object::Moment;

/// A length of time in seconds: a number with `s`, `m`, `h` or `d`.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "is a number with s, m, h or d, such as 8h".to_owned();
    let number = text.trim_end_matches(['s', 'm', 'h', 'd']);
    let unit = match text.strip_prefix(number) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 60 * 60,
        Some("d") => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = number.parse().ok().filter(|_| digits);
    let seconds = seconds.and_then(|number: u64| number.checked_mul(unit));
    seconds.filter(|seconds| *seconds > 0).ok_or_else(wrong)
}

pub(super) fn version(text: &str) -> Result<VersionId, String> {
    VersionId::parse(text).map_err(|error| error.to_string())
}

/// A version, or a time.
pub(super) fn point(text: &str) -> Result<Point, String> {
    if let Ok(version) = VersionId::parse(text) {
        return Ok(Point::Version(version));
    }
    let wrong = |_| "is a version, or a time such as 2026-01-02T03:04:05Z".to_owned();
    time(text).map(Point::Time).map_err(wrong)
}

pub(super) fn field(text: &str) -> Result<FieldPath, String> {
    FieldPath::parse(text).map_err(|error| error.to_string())
}

/// A number, or `none`.
pub(super) fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        number => match number.parse() {
            Ok(number) => Ok(Limit(Some(number))),
            Err(_) => Err("is a number or `none`".to_owned()),
        },
    }
}

/// The protocol's form of a time, or a beginning of it that names a second or a day.
pub(super) fn time(text: &str) -> Result<UnixMillis, String> {
    let whole = match text.len() {
        10 => format!("{text}T00:00:00.000Z"),
        20 => format!("{}.000Z", text.trim_end_matches('Z')),
        _ => text.to_owned(),
    };
    UnixMillis::parse(&whole).map_err(|error| error.to_string())
}

/// A time, or the beginning of the name of a commit, which has no dashes.
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if digits && (7..=40).contains(&text.len()) {
        return Ok(Moment::Commit(text.to_owned()));
    }
    let wrong = |_| "is a time such as 2026-01-02T03:04:05Z, or 7 to 40 digits of a commit".to_owned();
    time(text).map(Moment::Time).map_err(wrong)
}

/// The key that a store signs with.
pub(super) fn node_key(text: &str) -> Result<PublicKey, String> {
    let id = KeyId::parse(text).map_err(|error| error.to_string())?;
    if id.role() == Role::Node {
        Ok(id.public_key().clone())
    } else {
        Err("is the key of a store, wn1…".to_owned())
    }
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Moment, moment};

    #[test]
    fn a_moment_is_a_time_or_a_commit() {
        let commit = |text: &str| moment(text) == Ok(Moment::Commit(text.to_owned()));
        assert!(commit("0123abc") && commit(&"f".repeat(40)) && commit("20260102"));
        assert!(matches!(moment("2026-01-02"), Ok(Moment::Time(_))));
        for wrong in ["0123ab", "0123ABC", "main", "", "HEAD~1", &"f".repeat(41)] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_may_be_cut_short_and_is_never_guessed() {
        let time = |text: &str| super::time(text).map(|time| time.to_string());
        let whole = "2026-01-02T03:04:05.006Z";
        assert_eq!(time(whole).as_deref(), Ok(whole));
        assert_eq!(
            time("2026-01-02T03:04:05Z").as_deref(),
            Ok("2026-01-02T03:04:05.000Z")
        );
        assert_eq!(time("2026-01-02").as_deref(), Ok("2026-01-02T00:00:00.000Z"));
        for wrong in [
            "",
            "now",
            "2026-13-02",
            "2026-01-02T03:04:05",
            "2026-01-02 03:04:05Z",
            "2026-01-02T03:04:0500",
        ] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_term_has_a_unit() {
        for (text, expected) in [("90s", 90), ("15m", 900), ("8h", 28_800), ("30d", 2_592_000)] {
            assert_eq!(super::seconds(text), Ok(expected));
        }
        for wrong in [
            "",
            "8",
            "h",
            "0d",
            "-1h",
            "+1h",
            "1.5h",
            "1hh",
            "1w",
            "99999999999999999999d",
            "9999999999999999d",
        ] {
            assert!(super::seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_is_a_number_or_none() {
        assert_eq!(super::limit("7"), Ok(super::Limit(Some(7))));
        assert_eq!(super::limit("none"), Ok(super::Limit(None)));
        for wrong in ["", "-1", "1G", "None"] {
            assert!(super::limit(wrong).is_err(), "{wrong}");
        }
    }
}
