//! The order of texts: the Unicode root collation (CLDR, three levels), as CouchDB's.
//!
//! Sort keys are on disk, in the keys of indexes. Another version of the collation's data may make others:
//! `tests/laws/doc.rs` has the bytes of some, so that such a version is noticed before it meets a store.

use std::cmp::Ordering;

use icu_collator::CollatorBorrowed;
use icu_collator::options::CollatorOptions;

static ROOT: CollatorBorrowed<'static> = CollatorBorrowed::new_root(CollatorOptions::default());

/// Stands between the levels of a sort key.
const LEVEL: u8 = 0x01;

/// Compares two texts; different ones can be equal here.
pub(super) fn collate(left: &str, right: &str) -> Ordering {
    plainly(left, right).unwrap_or_else(|| ROOT.compare(left, right))
}

/// The order of most texts: they differ first in two ASCII letters or digits, behind ASCII or nothing, which no neighbour
/// changes the first level of. It spares most of the work of the collation.
fn plainly(left: &str, right: &str) -> Option<Ordering> {
    let mut before = 0;
    for (left, right) in left.bytes().zip(right.bytes()) {
        if left != right {
            let plain = before < 0x80 && left.is_ascii_alphanumeric() && right.is_ascii_alphanumeric();
            let order = left.to_ascii_lowercase().cmp(&right.to_ascii_lowercase());
            return (plain && order.is_ne()).then_some(order);
        }
        before = left;
    }
    None
}

/// Appends bytes that compare as [`collate`] does. None of them is zero.
pub(super) fn write_sort_key(text: &str, key: &mut Vec<u8>) {
    let Ok(()) = ROOT.write_sort_key_to(text, key);
}

/// Appends what the sort keys of all texts begin with that begin with `begin`.
pub(super) fn write_sort_key_of_begin(begin: &str, key: &mut Vec<u8>) {
    // What follows an ASCII character never changes its first level; of other characters it may.
    let ascii = begin.len()
        - begin
            .trim_start_matches(|character: char| character.is_ascii())
            .len();
    let from = key.len();
    write_sort_key(begin.get(..ascii).unwrap_or_default(), key);
    let first_level = key.iter().skip(from).position(|byte| *byte == LEVEL).unwrap_or(0);
    key.truncate(from + first_level);
}
