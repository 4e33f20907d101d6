//! File names as keys and back. A name that may be a key's segment stays as it is; what may not is written `%XX`.
//!
//! The rule, for the path of a file below the copied directory:
//! - a byte that is not part of valid UTF-8, and the control characters U+0000 to U+001F and U+007F, become `%XX`
//!   (upper-case hexadecimal);
//! - a `%` that stands before two upper-case hexadecimal digits becomes `%25`, so that the rule can be undone;
//! - where the whole key would be reserved (`scan`, `batch`, a first segment such as `_find`), its first byte
//!   becomes `%XX`;
//! - everything else is left alone.
//!
//! On the way down a key is unescaped only if escaping the result gives that very key again; any other key, for
//! example `a%2Fb` written by another program, is taken literally. So what was copied up comes down under its own
//! name, and no key can name something that is not below the target directory.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use wfldb_core::name::ObjectKey;

/// Why a path has no key or a key no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Escaped and with its prefix it is longer than a key may be, or the prefix itself cannot begin a key.
    #[error("the name does not fit into a key")]
    NotAKey,
    /// An empty segment, `.` or `..`: as a path it would be another file's name, or lie outside.
    #[error("the key has a segment that no file can be named after")]
    NotAPath,
}

/// The key of the file at `relative` (a path of normal components) when copied under `prefix`.
/// `prefix` is empty or ends with `/`.
///
/// # Errors
/// `NotAKey` when the result is no key.
pub fn key_of(prefix: &str, relative: &Path) -> Result<ObjectKey, NameError> {
    let mut text = escaped(prefix, relative.as_os_str().as_bytes());
    text.insert_str(0, prefix);
    ObjectKey::parse(&text)
        .ok()
        .filter(|key| !key.is_reserved())
        .ok_or(NameError::NotAKey)
}

/// Like [`key_of`], for the object that stands for an empty directory: the key ends with `/`.
///
/// # Errors
/// `NotAKey` when the result is no key.
pub fn directory_key_of(prefix: &str, relative: &Path) -> Result<ObjectKey, NameError> {
    let mut bytes = relative.as_os_str().as_bytes().to_vec();
    bytes.push(b'/');
    let mut text = escaped(prefix, &bytes);
    text.insert_str(0, prefix);
    ObjectKey::parse(&text)
        .ok()
        .filter(|key| !key.is_reserved())
        .ok_or(NameError::NotAKey)
}

/// What a key stands for below a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalName {
    /// Path of normal components only, never absolute.
    pub path: PathBuf,
    /// The key ends with `/`: an empty directory.
    pub directory: bool,
    /// The name is not the key's own text.
    pub unescaped: bool,
}

/// The path below the target directory for what follows `prefix` in a key.
///
/// # Errors
/// `NotAPath` when the key cannot be a file below a directory.
pub fn path_of(prefix: &str, rest: &str) -> Result<LocalName, NameError> {
    let (body, directory) = match rest.strip_suffix('/') {
        Some(body) => (body, true),
        None => (rest, false),
    };
    let mut bytes = unescaped(body.as_bytes());
    if escaped(prefix, &with_slash(&bytes, directory)) != rest {
        bytes = body.as_bytes().to_vec();
    }
    // SECURITY: this is the one place where remote text becomes a local path. It is checked after unescaping, on
    // the bytes that are handed on.
    for segment in bytes.split(|byte| *byte == b'/') {
        if matches!(segment, b"" | b"." | b"..") || segment.contains(&0) {
            return Err(NameError::NotAPath);
        }
    }
    let unescaped = bytes != body.as_bytes();
    Ok(LocalName {
        path: PathBuf::from(OsString::from_vec(bytes)),
        directory,
        unescaped,
    })
}

fn with_slash(bytes: &[u8], directory: bool) -> Vec<u8> {
    let mut whole = bytes.to_vec();
    if directory {
        whole.push(b'/');
    }
    whole
}

/// The escaped form of one name, for ordering a directory's entries as their keys are ordered.
pub(crate) fn escaped_name(prefix: &str, parent: &Path, name: &OsStr) -> String {
    let outer = if parent.as_os_str().is_empty() {
        prefix
    } else {
        "inside/"
    };
    escaped(outer, name.as_bytes())
}

fn escaped(prefix: &str, bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid().chars();
        while let Some(c) = rest.next() {
            let looks_escaped = c == '%' && {
                let mut ahead = rest.as_str().bytes();
                matches!((ahead.next(), ahead.next()), (Some(high), Some(low)) if is_hex(high) && is_hex(low))
            };
            if looks_escaped || c.is_ascii_control() {
                let mut utf8 = [0; 4];
                c.encode_utf8(&mut utf8)
                    .bytes()
                    .for_each(|byte| push_escape(&mut text, byte));
            } else {
                text.push(c);
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|byte| push_escape(&mut text, *byte));
    }
    if prefix.is_empty() && is_reserved(&text) {
        // A reserved word begins with an ASCII byte, so this is a whole character.
        let first = text.remove(0);
        let mut changed = String::with_capacity(text.len() + 3);
        let mut utf8 = [0; 4];
        first
            .encode_utf8(&mut utf8)
            .bytes()
            .for_each(|byte| push_escape(&mut changed, byte));
        changed.push_str(&text);
        return changed;
    }
    text
}

fn is_reserved(text: &str) -> bool {
    // A name longer than a key is refused elsewhere; its first segment decides here.
    let first = text.split('/').next().unwrap_or_default();
    let probe = if first.len() == text.len() {
        first.to_owned()
    } else {
        format!("{first}/x")
    };
    ObjectKey::parse(&probe).is_ok_and(|key| key.is_reserved())
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        if let (b'%', Some(([high, low], tail))) = (*byte, after.split_at_checked(2).and_then(pair))
            && let Some(value) = hex_value(high)
                .zip(hex_value(low))
                .map(|(high, low)| high * 16 + low)
        {
            bytes.push(value);
            rest = tail;
        } else {
            bytes.push(*byte);
            rest = after;
        }
    }
    bytes
}

fn pair<'a>((two, tail): (&'a [u8], &'a [u8])) -> Option<([u8; 2], &'a [u8])> {
    Some((two.try_into().ok()?, tail))
}

fn is_hex(byte: u8) -> bool {
    hex_value(byte).is_some()
}

fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn push_escape(text: &mut String, byte: u8) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    text.push('%');
    for nibble in [byte >> 4, byte & 15] {
        text.extend(DIGITS.get(usize::from(nibble)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn up(prefix: &str, name: &[u8]) -> String {
        key_of(prefix, Path::new(OsStr::from_bytes(name)))
            .unwrap()
            .as_str()
            .to_owned()
    }

    #[test]
    fn names_become_keys_by_the_stated_rule() {
        for (name, key) in [
            (&b"a/b.txt"[..], "a/b.txt"),
            ("größe/日本.txt".as_bytes(), "größe/日本.txt"),
            (b"100%", "100%"),
            (b"100%zz", "100%zz"),
            (b"a%41", "a%2541"),
            (b"a%4", "a%4"),
            (b"a\xffb", "a%FFb"),
            (b"a\nb", "a%0Ab"),
            (b"\x7f", "%7F"),
            (b"scan", "%73can"),
            (b"scan/x", "scan/x"),
            (b"batch", "%62atch"),
            (b"_find/x", "%5Ffind/x"),
            (b"_find", "%5Ffind"),
            (b"_static/x", "_static/x"),
            (b"x/_find", "x/_find"),
        ] {
            assert_eq!(up("", name), key);
            assert_eq!(path_of("", key).unwrap().path.as_os_str().as_bytes(), name);
        }
        assert_eq!(up("p/", b"_find/x"), "p/_find/x");
        assert_eq!(up("p/", b"scan"), "p/scan");
        assert_eq!(path_of("p/", "scan").unwrap().path, Path::new("scan"));
        assert_eq!(directory_key_of("", Path::new("scan")).unwrap().as_str(), "scan/");
        assert_eq!(
            directory_key_of("", Path::new("_find")).unwrap().as_str(),
            "%5Ffind/"
        );
        assert!(path_of("", "%5Ffind/").unwrap().directory);
    }

    #[test]
    fn a_key_of_another_program_is_taken_literally() {
        for key in ["a%2Fb", "%2E%2E", "a%41", "%2e%2e", "x%C3%A9", "%73can/x", "%%%"] {
            assert_eq!(path_of("", key).unwrap().path, Path::new(key), "{key}");
        }
    }

    #[test]
    fn a_key_never_names_something_outside() {
        for key in [
            "",
            "/",
            "/etc/passwd",
            "a//b",
            "a/../b",
            "..",
            ".",
            "../x",
            "a/..",
            "a//",
            "%00",
            "./a",
        ] {
            assert_eq!(path_of("", key), Err(NameError::NotAPath), "{key:?}");
        }
    }

    #[test]
    fn a_name_too_long_for_a_key_is_refused() {
        assert!(key_of("", Path::new(&"a/".repeat(600))).is_err());
        assert!(key_of("", Path::new(OsStr::from_bytes(&[0xff; 400]))).is_err());
        assert!(key_of("_find/", Path::new("x")).is_err());
    }

    /// Paths of up to 4 names over the bytes where the rule has its corners.
    fn paths() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            Just(b'%'),
            Just(b'4'),
            Just(b'A'),
            Just(b'_'),
            Just(b's'),
            Just(0xffu8),
            Just(0xc3u8),
            Just(0xa9u8),
            1u8..=255,
        ];
        let plain = proptest::collection::vec(byte, 1..12);
        let name = prop_oneof![
            plain,
            prop_oneof![
                Just("scan"),
                Just("batch"),
                Just("_find"),
                Just("%73can"),
                Just("_tx")
            ]
            .prop_map(|word| word.as_bytes().to_vec())
        ];
        proptest::collection::vec(name, 1..4)
            .prop_map(|names| names.join(&b'/'))
            .prop_filter("a path", |path| {
                path.split(|byte| *byte == b'/')
                    .all(|name| !matches!(name, b"" | b"." | b".."))
            })
    }

    proptest! {
        #[test]
        fn escaping_is_reversible_and_so_injective(path in paths(), prefix in prop_oneof![Just(""), Just("p/")]) {
            let key = up(prefix, &path);
            let rest = key.strip_prefix(prefix).unwrap();
            let back = path_of(prefix, rest).unwrap();
            prop_assert_eq!(back.path.as_os_str().as_bytes(), &path[..]);
            prop_assert!(!back.directory);
            let key = directory_key_of(prefix, Path::new(OsStr::from_bytes(&path))).unwrap();
            let back = path_of(prefix, key.as_str().strip_prefix(prefix).unwrap()).unwrap();
            prop_assert_eq!(back.path.as_os_str().as_bytes(), &path[..]);
            prop_assert!(back.directory);
        }

        #[test]
        fn any_text_stays_inside(rest in "[a%./2EF0\u{e9}_]{0,24}") {
            if let Ok(local) = path_of("", &rest) {
                prop_assert!(local.path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
                prop_assert!(local.path.is_relative());
            }
        }
    }
}
