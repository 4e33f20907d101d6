//! Regular expressions in selectors. They match in time linear in the text: no pattern can hang a server.

use std::fmt;

use regex::{Regex, RegexBuilder};

use crate::limits::{PATTERN_BYTES_MAX, PATTERN_COMPILED_BYTES_MAX, PATTERN_DEPTH_MAX};

/// A compiled regular expression of bounded size: the syntax of Rust's `regex`, which has neither back references nor
/// look-around.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles one; `None` when it is none, or is too large.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > PATTERN_BYTES_MAX {
            return None;
        }
        RegexBuilder::new(text)
            .size_limit(PATTERN_COMPILED_BYTES_MAX)
            .dfa_size_limit(PATTERN_COMPILED_BYTES_MAX)
            .nest_limit(PATTERN_DEPTH_MAX)
            .build()
            .ok()
            .map(Self)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it matches anywhere in the text.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.as_str()).finish()
    }
}
