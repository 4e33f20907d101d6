//! HTTP-dates (RFC 9110 §5.6.7), which know whole seconds only. No clock.

use std::time::{Duration, SystemTime};

use wfldb_core::time::UnixMillis;

/// The `IMF-fixdate` form, as in `last-modified`; the milliseconds are cut off.
pub fn format(time: UnixMillis) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(time.seconds()))
}

/// Reads any of the three forms that RFC 9110 makes a recipient read, as whole seconds since 1970. `None` for
/// anything else.
pub fn parse(text: &str) -> Option<u64> {
    let time = httpdate::parse_http_date(text).ok()?;
    Some(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_back_in_every_form() {
        let time = UnixMillis::new(784_111_777_999);
        assert_eq!(format(time), "Sun, 06 Nov 1994 08:49:37 GMT");
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text), Some(time.seconds()), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "1994-11-06T08:49:37Z",
            "Sun, 31 Feb 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
