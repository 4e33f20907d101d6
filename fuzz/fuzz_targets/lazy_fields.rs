//! Values found in the text of a document, against those of the whole document. The first line is a path.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_core::doc::{FieldPath, FieldSet, canonical, instant, parse};

fuzz_target!(|input: &[u8]| {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(text) = std::str::from_utf8(&input[..end]) else { return };
    let Ok(path) = FieldPath::parse(text) else { return };
    let mut fields = FieldSet::default();
    fields.add(&path);
    let raw = &input[end + 1..];
    let mut found = fields.room();
    // Whatever the text is, there is an end.
    fields.find(raw, &mut found);
    if let Some(value) = found[0] {
        let _ = (value.value(), value.string(), value.number(), instant(value));
    }
    let Ok(document) = parse(raw) else { return };
    let text = canonical(&document);
    let mut found = fields.room();
    fields.find(&text, &mut found);
    assert_eq!(found[0].map(|value| value.value()).as_ref(), path.of(&document));
});
