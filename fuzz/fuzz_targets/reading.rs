//! What a read may ask for: range, conditions, dates, accepted forms. The first 8 bytes are the object's length.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_core::id::ContentHash;
use wfldb_core::object::{EtagCondition, Preconditions};
use wfldb_core::time::UnixMillis;
use wfldb_fuzz::text;
use wfldb_net::condition::{Outcome, ReadConditions};
use wfldb_net::range::ByteRange;
use wfldb_net::{accept, date};

fuzz_target!(|input: &[u8]| {
    let Some((whole, rest)) = input.split_first_chunk::<8>() else { return };
    let whole = u64::from_be_bytes(*whole);
    let Some(value) = text(rest) else { return };
    for whole in [whole, whole % 1000] {
        if let Ok(range) = ByteRange::parse(value, whole) {
            let last = range.first().checked_add(range.len() - 1).expect("a range without end");
            assert!(last < whole, "bytes behind the end");
            // A client that reads `content-range` asks for the same bytes again.
            assert_eq!(range.content_range(), format!("bytes {}-{last}/{whole}", range.first()));
            assert_eq!(ByteRange::parse(&format!("bytes={}-{last}", range.first()), whole), Ok(range));
        }
    }
    if let Some(seconds) = date::parse(value) {
        if let Some(millis) = seconds.checked_mul(1000) {
            let written = date::format(UnixMillis::new(millis));
            assert_eq!(date::parse(&written), Some(seconds));
        }
    }
    let _ = accept::negotiate(value.split('\n'));
    let mut lines = value.split('\n');
    let given = [lines.next(), lines.next(), lines.next(), lines.next()];
    let names = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
    let conditions = ReadConditions::parse(|name| {
        names.iter().position(|known| *known == name).and_then(|place| given[place]).filter(|line| !line.is_empty())
    });
    if let Ok(conditions) = conditions {
        let etag = ContentHash::of(b"x");
        let outcome = conditions.evaluate(&etag, UnixMillis::new(whole % 4_000_000_000_000));
        if conditions == ReadConditions::default() {
            assert_eq!(outcome, Outcome::Proceed);
        }
    }
    if let Ok(EtagCondition::Is(etag)) = EtagCondition::parse(value) {
        assert_eq!(value, format!("\"{etag}\""));
    }
    let _ = Preconditions::parse(given[0], given[1], given[2]);
});
