//! The `STORE` file: what the store is and what must exist. One line of JSON and its BLAKE3.

use serde::{Deserialize, Serialize};
use wfldb_core::id::KeyId;
use wfldb_core::name::Realm;

use super::OpenError;
use super::layout::{Layout, write_synced};

/// The storage format of this release.
pub(crate) const FORMAT: u32 = 4;
/// A longer file is not ours.
const FILE_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    format: u32,
    store: String,
    realm: String,
    trust: Vec<String>,
    keyspaces: Vec<(String, u64)>,
}

/// Only the format, for telling a newer store from a damaged one.
#[derive(Debug, Deserialize)]
struct FormatOnly {
    format: u32,
}

/// The content of `STORE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreFile {
    /// The format that the store has now; opening it for writing brings it to [`FORMAT`].
    pub(crate) format: u32,
    /// Random, 32 hex digits: tells stores apart.
    pub(crate) store: String,
    pub(crate) realm: Realm,
    /// Root keys whose packets the store accepts.
    pub(crate) trust: Vec<KeyId>,
    /// fjall's folder number of each keyspace.
    pub(crate) keyspaces: Vec<(String, u64)>,
}

impl StoreFile {
    pub(crate) fn encode(&self) -> String {
        let fields = Fields {
            format: self.format,
            store: self.store.clone(),
            realm: self.realm.to_string(),
            trust: self.trust.iter().map(KeyId::to_string).collect(),
            keyspaces: self.keyspaces.clone(),
        };
        let json = serde_json::to_string(&fields).unwrap_or_default();
        format!("{json}\nblake3 {}\n", blake3::hash(json.as_bytes()).to_hex())
    }

    pub(crate) fn decode(text: &str) -> Result<Self, DecodeError> {
        let (json, check) = text.split_once('\n').ok_or(DecodeError::Damaged)?;
        if check != format!("blake3 {}\n", blake3::hash(json.as_bytes()).to_hex()) {
            return Err(DecodeError::Damaged);
        }
        // The format is looked at first: what a newer one holds is not for us to judge.
        let FormatOnly { format } = serde_json::from_str(json).map_err(|_| DecodeError::Damaged)?;
        if format > FORMAT {
            return Err(DecodeError::Newer(format));
        }
        let fields: Fields = serde_json::from_str(json).map_err(|_| DecodeError::Damaged)?;
        let trust = fields
            .trust
            .iter()
            .map(|id| KeyId::parse(id))
            .collect::<Result<_, _>>();
        Ok(Self {
            format,
            store: fields.store,
            realm: Realm::parse(&fields.realm).map_err(|_| DecodeError::Damaged)?,
            trust: trust.map_err(|_| DecodeError::Damaged)?,
            keyspaces: fields.keyspaces,
        })
    }

    /// Reads the file; `None` when there is none.
    pub(crate) fn read(layout: &Layout) -> Result<Option<Self>, OpenError> {
        let path = layout.store_file();
        let damaged = || OpenError::StoreFile(layout.dir.display().to_string());
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::io("STORE")(error)),
            Ok(file) if file.len() > FILE_BYTES_MAX => return Err(damaged()),
            Ok(_) => {}
        }
        let bytes = std::fs::read(&path).map_err(OpenError::io("STORE"))?;
        let text = String::from_utf8(bytes).map_err(|_| damaged())?;
        match Self::decode(&text) {
            Ok(file) => Ok(Some(file)),
            Err(DecodeError::Newer(found)) => Err(OpenError::NewerFormat {
                found,
                supported: FORMAT,
            }),
            Err(DecodeError::Damaged) => Err(damaged()),
        }
    }

    pub(crate) fn write(&self, layout: &Layout) -> std::io::Result<()> {
        write_synced(&layout.store_file(), self.encode().as_bytes(), 0o644)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecodeError {
    Damaged,
    Newer(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> StoreFile {
        StoreFile {
            format: FORMAT,
            store: "00112233445566778899aabbccddeeff".to_owned(),
            realm: Realm::parse("local").unwrap(),
            trust: Vec::new(),
            keyspaces: vec![("meta".to_owned(), 1)],
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let text = sample().encode();
        assert_eq!(StoreFile::decode(&text), Ok(sample()));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(text) = String::from_utf8(bytes) {
                assert!(StoreFile::decode(&text).is_err(), "flip at {at}");
            }
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let json = r#"{"format":99,"something":"new"}"#;
        let text = format!("{json}\nblake3 {}\n", blake3::hash(json.as_bytes()).to_hex());
        assert_eq!(StoreFile::decode(&text), Err(DecodeError::Newer(99)));
    }
}
