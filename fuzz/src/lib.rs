//! What the fuzz targets share: taking an input apart.

use std::fmt::{Debug, Display};

/// The input as text; `None` when it is none.
#[must_use]
pub fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The input as two texts, divided by the first line break.
#[must_use]
pub fn two_texts(bytes: &[u8]) -> Option<(&str, &str)> {
    text(bytes)?.split_once('\n')
}

/// A request as an input spells it: `METHOD target`, then a line `name: value` for each header.
#[must_use]
pub fn request(bytes: &[u8]) -> Option<(&str, &str, Vec<(&str, &[u8])>)> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let (method, target) = text(lines.next()?)?.split_once(' ')?;
    let mut headers = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = line.windows(2).position(|pair| pair == b": ")?;
        headers.push((text(&line[..colon])?, &line[colon + 2..]));
    }
    Some((method, target, headers))
}

/// Asserts that what is parsed is written back as it came: one spelling.
pub fn one_spelling<T: Display, E>(input: &str, parse: impl Fn(&str) -> Result<T, E>) {
    if let Ok(value) = parse(input) {
        assert_eq!(value.to_string(), input, "another spelling was accepted");
    }
}

/// Asserts that what is written is read back as the same.
#[track_caller]
pub fn reads_back<T: PartialEq + Debug, E: Debug>(value: &T, again: Result<T, E>) {
    match again {
        Ok(again) => assert_eq!(again, *value, "read back as something else"),
        Err(error) => panic!("{value:?} is not read back: {error:?}"),
    }
}
