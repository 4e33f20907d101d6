//! What goes to standard output: lines for people or one JSON object per line for programs.

use std::borrow::Cow;
use std::io::{self, Write};

use indicatif::ProgressBar;

/// Where a command writes to.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    json: bool,
    /// The bar that has to step aside while a line is written.
    bar: Option<ProgressBar>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, bar: None }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn beside(&self, bar: ProgressBar) -> Self {
        Self {
            json: self.json,
            bar: Some(bar),
        }
    }

    /// One fact, in the form that was asked for.
    pub(crate) fn line(
        &self,
        human: impl FnOnce() -> String,
        json: impl FnOnce() -> serde_json::Value,
    ) -> io::Result<()> {
        let mut line = if self.json { json().to_string() } else { human() };
        line.push('\n');
        self.aside(|| io::stdout().lock().write_all(line.as_bytes()))
    }

    /// A remark on standard error.
    pub(crate) fn remark(&self, text: &str) {
        // Standard error is where one would complain that standard error is closed.
        let _ = self.aside(|| writeln!(io::stderr().lock(), "{text}"));
    }

    fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// Text from elsewhere as it may appear on a terminal: control characters and those that turn the direction of
/// writing are spelled out, so that a name cannot move the cursor or pose as another.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let mut spelled = String::with_capacity(text.len());
    for c in text.chars() {
        if harmful(c) {
            spelled.extend(c.escape_unicode());
        } else {
            spelled.push(c);
        }
    }
    Cow::Owned(spelled)
}

/// A number with an s where needed.
pub(crate) fn counted(number: u64, singular: &str, plural: &str) -> String {
    format!("{number} {}", if number == 1 { singular } else { plural })
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_name_cannot_write_to_the_terminal() {
        assert_eq!(shown("größe/日本 %41"), "größe/日本 %41");
        assert_eq!(shown("a\u{9b}31mb\u{202e}\u{1b}"), "a\\u{9b}31mb\\u{202e}\\u{1b}");
    }
}
