//! Times and modes of files as object metadata: `x-wfldb-meta-mtime: SECONDS.NANOSECONDS` (decimal, nine digits
//! after the point) and `x-wfldb-meta-mode: 0644` (octal, four digits).
//!
//! SECURITY: only the nine permission bits travel. A set-user-id bit from a remote object would be a gift to
//! whoever can write that object.

use std::os::unix::fs::MetadataExt;

/// Name of the modification time, without its `x-wfldb-meta-`.
pub const MTIME: &str = "mtime";
/// Name of the permission bits, without its `x-wfldb-meta-`.
pub const MODE: &str = "mode";

/// When a file was last changed, as the file system counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mtime {
    /// Whole seconds since 1970, rounded down.
    pub seconds: i64,
    /// Nanoseconds within that second.
    pub nanos: u32,
}

impl Mtime {
    /// Parses the header's form.
    pub fn parse(text: &str) -> Option<Self> {
        let (seconds, nanos) = text.split_once('.')?;
        let canonical = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if nanos.len() != 9 || !canonical(nanos) || !canonical(seconds.strip_prefix('-').unwrap_or(seconds)) {
            return None;
        }
        Some(Self {
            seconds: seconds.parse().ok()?,
            nanos: nanos.parse().ok()?,
        })
    }
}

impl std::fmt::Display for Mtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:09}", self.seconds, self.nanos)
    }
}

/// What a copy keeps of a file beside its bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileMeta {
    /// Modification time.
    pub mtime: Option<Mtime>,
    /// Permission bits, at most `0o777`.
    pub mode: Option<u32>,
}

impl FileMeta {
    /// Takes it from a file's own metadata.
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        let nanos = u32::try_from(metadata.mtime_nsec()).unwrap_or(0);
        Self {
            mtime: Some(Mtime {
                seconds: metadata.mtime(),
                nanos,
            }),
            mode: Some(metadata.mode() & 0o777),
        }
    }

    /// Takes it from an object's metadata; what has another form is ignored.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut meta = Self::default();
        for (name, value) in pairs {
            match name {
                MTIME => meta.mtime = Mtime::parse(value),
                MODE => meta.mode = parse_mode(value),
                _ => {}
            }
        }
        meta
    }

    /// The metadata pairs to store.
    pub fn to_pairs(self) -> Vec<(String, String)> {
        let mode = self.mode.map(|mode| (MODE.to_owned(), format!("{mode:04o}")));
        let mtime = self.mtime.map(|mtime| (MTIME.to_owned(), mtime.to_string()));
        mode.into_iter().chain(mtime).collect()
    }
}

fn parse_mode(text: &str) -> Option<u32> {
    let octal = text.len() == 4 && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| octal && *mode <= 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_modes_have_one_form_each() {
        for text in ["0.000000000", "1700000000.123456789", "-1.500000000"] {
            assert_eq!(Mtime::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "1",
            "1.5",
            "1.+00000000",
            "+1.000000000",
            ".000000000",
            "-.000000000",
            "99999999999999999999.000000000",
        ] {
            assert_eq!(Mtime::parse(text), None, "{text}");
        }
        assert_eq!(parse_mode("0644"), Some(0o644));
        for text in ["644", "4755", "1777", "0888", "+644", ""] {
            assert_eq!(parse_mode(text), None, "{text}");
        }
        let meta = FileMeta {
            mtime: Mtime::parse("5.000000001"),
            mode: Some(0o600),
        };
        let pairs = meta.to_pairs();
        let back = FileMeta::from_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        assert_eq!(back, meta);
    }
}
