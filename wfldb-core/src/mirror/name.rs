//! The name of the file of a key: one file name for each key, whatever the key is.
//!
//! A name has no separators, so no key leaves its directory and `a` can stand beside `a/b`. Two keys have two names, also
//! where a file system takes upper case for lower case, composes what is decomposed, or knows names of devices:
//! - Letters and digits of ASCII, `.`, `_` and `-` stand for themselves; every other byte is `%` and two lower-case
//!   hexadecimal digits. So no character is left that could be composed.
//! - A `.` or `-` in front, a `.` at the end, and the first character of what is the name of a device or of a shard are
//!   spelled that way too. What begins with `.` is the mirror's own.
//! - A name with upper-case letters ends with `+` and which letters those are: four to a hexadecimal digit, the first
//!   letter in the lowest bit. In lower case it still differs from that of any other key.
//! - A name that would be long is its beginning, `++`, and SHA-256 of the key in hexadecimal.
//!
//! Whoever takes files back reads no name: a document has its key in `_id`, an object in what stands beside it. Whoever
//! checks them does, to know what a file should be.

use sha2::{Digest as _, Sha256};

use crate::encoding::hex;
use crate::name::{BucketName, ObjectKey};

/// The longest name before it is cut, in bytes; file systems take 255.
const WHOLE_BYTES_MAX: usize = 200;
/// What a cut name begins with, in bytes, at most.
const BEGINNING_BYTES_MAX: usize = 100;
/// Names that are no file on some system, whatever stands behind a dot.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
/// The same, with one digit behind them.
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];
/// Directories of a mirror that are no bucket's: what signatures are verified with, and the copy of the audit log. No
/// bucket's directory has such a name.
pub const BESIDE_BUCKETS: [&str; 2] = ["keys", "log"];

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A document; its name ends with `.json`.
    Document,
    /// The bytes of an object.
    Object,
}

/// The name of the file of a key, without any directory: 1 to 255 bytes of ASCII.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

impl FileName {
    /// The name for a key.
    #[must_use]
    pub fn of(key: &ObjectKey, kind: FileKind) -> Self {
        let text = key.as_str();
        let mut name = escaped(text, kind == FileKind::Object && is_shard(text));
        let case = case_of(text);
        if !case.is_empty() {
            name.push('+');
            name.push_str(&case);
        }
        if name.len() > WHOLE_BYTES_MAX {
            name = cut(&name, text);
        }
        if kind == FileKind::Document {
            name.push_str(".json");
        }
        Self(name)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key whose file has this name; `None` for what is no key's, and for a name that was cut.
    #[must_use]
    pub fn key(name: &str, kind: FileKind) -> Option<ObjectKey> {
        let spelled = stem(name, kind)?.split('+').next().unwrap_or_default();
        let key = String::from_utf8(unescaped(spelled)?).ok()?;
        let key = ObjectKey::parse(&key).ok()?;
        // Each key has one spelling.
        (Self::of(&key, kind).0 == name).then_some(key)
    }

    /// What the key of a name that was cut begins with; `None` for any other name.
    #[must_use]
    pub fn beginning(name: &str, kind: FileKind) -> Option<String> {
        let (beginning, hash) = stem(name, kind)?.split_once("++")?;
        // So much is left of each name that is cut, or three bytes less.
        let fits = (BEGINNING_BYTES_MAX - 2..=BEGINNING_BYTES_MAX).contains(&beginning.len());
        hex::decode_array::<32>(hash).ok().filter(|_| fits)?;
        let bytes = unescaped(beginning)?;
        let whole = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()?,
        };
        Some(whole.to_owned())
    }
}

/// The name without what stands behind it for its kind.
fn stem(name: &str, kind: FileKind) -> Option<&str> {
    match kind {
        FileKind::Document => name.strip_suffix(".json"),
        FileKind::Object => Some(name),
    }
}

/// The bytes that [`escaped`] spelled.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            let [byte] = hex::decode_array::<1>(digits).ok()?;
            bytes.push(byte);
            rest = rest.get(2..)?;
        } else {
            bytes.push(*first);
        }
    }
    Some(bytes)
}

/// One of the 256 directories that the files of a large bucket are spread over: the first byte of SHA-256 of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u8);

impl Shard {
    /// How many there are.
    pub const COUNT: usize = 256;

    /// The one that a key belongs to.
    #[must_use]
    pub fn of(key: &ObjectKey) -> Self {
        let digest: [u8; 32] = Sha256::digest(key.as_str()).into();
        Self(digest.first().copied().unwrap_or_default())
    }

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }

    /// Which of them it is.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The name of its directory: two hexadecimal digits.
    #[must_use]
    pub fn dir(self) -> String {
        hex::encode(&[self.0])
    }
}

/// The name of the directory of a bucket.
#[must_use]
pub fn bucket_dir(bucket: &BucketName) -> String {
    escaped(bucket.as_str(), BESIDE_BUCKETS.contains(&bucket.as_str()))
}

/// `text` in the characters that every file system takes; `first`: the first one is spelled out in any case.
fn escaped(text: &str, first: bool) -> String {
    let first = first || is_device(text);
    let last = text.len() - 1;
    let mut name = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let stands = match byte {
            b'-' => at > 0,
            b'.' => at > 0 && at < last,
            byte => byte.is_ascii_alphanumeric() || byte == b'_',
        };
        if stands && !(first && at == 0) {
            name.push(char::from(byte));
        } else {
            name.push('%');
            name.push_str(&hex::encode(&[byte]));
        }
    }
    name
}

fn is_device(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = |device: &str| {
        let number = stem.strip_prefix(device);
        number.is_some_and(|number| number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    DEVICES.contains(&stem.as_str()) || NUMBERED_DEVICES.iter().any(|device| numbered(device))
}

fn is_shard(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Which of the letters of ASCII are upper case; empty where none is.
fn case_of(text: &str) -> String {
    let letters: Vec<bool> = text
        .bytes()
        .filter(u8::is_ascii_alphabetic)
        .map(|letter| letter.is_ascii_uppercase())
        .collect();
    let nibble = |four: &[bool]| {
        let bits = four
            .iter()
            .rev()
            .fold(0, |bits, upper| bits << 1 | u32::from(*upper));
        char::from_digit(bits, 16).unwrap_or('0')
    };
    let digits: String = letters.chunks(4).map(nibble).collect();
    digits.trim_end_matches('0').to_owned()
}

fn cut(name: &str, text: &str) -> String {
    let mut beginning = name.get(..BEGINNING_BYTES_MAX).unwrap_or(name);
    // Not within the spelling of a byte.
    if let Some(at) = beginning.rfind('%')
        && at + 3 > beginning.len()
    {
        beginning = beginning.get(..at).unwrap_or_default();
    }
    let digest: [u8; 32] = Sha256::digest(text).into();
    format!("{beginning}++{}", hex::encode(&digest))
}
