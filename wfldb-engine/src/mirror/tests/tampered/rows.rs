//! A store and its mirror, for attacks on what a store that no process has open is made of: its rows and chunk files.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::json;
use wfldb_core::auth::Op;
use wfldb_core::index::IndexDefinition;

use super::Case;
use crate::tests::{configure, delete, of_bucket, put};
use crate::{Batch, MemoryStorage, Space as S, Storage as _};

/// A store with documents, an index, an inline object and two in chunks; its mirror, and the copy of its log.
pub(super) fn store() -> Case {
    let case = Case::new();
    configure(&case.engine, "docs", r#"{"kind":"documents"}"#);
    configure(&case.engine, "files", r#"{"mirror":true}"#);
    let index = IndexDefinition::parse(&json!({"name": "n", "index": {"fields": ["n"]}})).unwrap();
    let proof = of_bucket("docs", Op::Manage);
    case.engine.define_index(&proof, index).wait().unwrap();
    for (key, n) in [("a", 1), ("a", 2), ("b", 3), ("gone", 4)] {
        case.put_document("docs", key, &json!({"n": n})).unwrap();
    }
    delete(&case.engine, "docs", "gone").unwrap();
    put(&case.engine, "files", "x", b"the bytes of an object").unwrap();
    for (key, byte) in [("large", 7), ("other", 8)] {
        put(&case.engine, "files", key, &vec![byte; 200_000]).unwrap();
    }
    case.publish();
    case.mirrored();
    case
}

/// A store's rows, closed.
pub(super) struct Rows(pub(super) MemoryStorage);

impl Rows {
    /// Rows whose keys begin like this, in order.
    pub(super) fn of(&self, space: S, prefix: &[u8]) -> Vec<(Bytes, Bytes)> {
        let all = self.0.dump().into_iter();
        all.filter(|(found, key, _)| *found == space && key.starts_with(prefix))
            .map(|(_, key, value)| (key, value))
            .collect()
    }

    /// The rows of a bucket, those whose keys go on like this.
    pub(super) fn in_bucket(&self, space: S, bucket: &str, then: &[u8]) -> Vec<(Bytes, Bytes)> {
        let id = self.of(S::Meta, format!("name/{bucket}").as_bytes()).remove(0).1;
        self.of(space, &[&id, then].concat())
    }

    pub(super) fn set(&self, space: S, key: &Bytes, value: Option<Bytes>) {
        let writes = vec![(space, key.clone(), value)];
        self.0.commit(Batch { writes }).unwrap();
    }

    /// Flips a bit in the middle of a row.
    pub(super) fn flip(&self, space: S, (key, value): &(Bytes, Bytes)) {
        self.set(space, key, Some(flipped(value)));
    }

    pub(super) fn remove(&self, space: S, (key, _): &(Bytes, Bytes)) {
        self.set(space, key, None);
    }

    pub(super) fn swap(&self, space: S, one: &(Bytes, Bytes), other: &(Bytes, Bytes)) {
        self.set(space, &one.0, Some(other.1.clone()));
        self.set(space, &other.0, Some(one.1.clone()));
    }

    /// Says something else in the body that has these bytes in it.
    pub(super) fn say(&self, from: &str, to: &str) {
        for (key, body) in self.of(S::Bodies, b"") {
            let at = body.windows(from.len()).position(|part| part == from.as_bytes());
            if let Some(at) = at {
                let mut body = body.to_vec();
                body.splice(at..at + from.len(), to.bytes());
                return self.set(S::Bodies, &key, Some(body.into()));
            }
        }
        panic!("no body says {from}");
    }

    /// Newest version of `a`, the one before, that of `b`, those of `gone`.
    pub(super) fn versions(&self) -> Vec<(Bytes, Bytes)> {
        self.in_bucket(S::Versions, "docs", b"")
    }

    /// Those of `a` and `b`.
    pub(super) fn heads(&self) -> Vec<(Bytes, Bytes)> {
        self.in_bucket(S::Heads, "docs", b"")
    }

    pub(super) fn indexed(&self) -> (Bytes, Bytes) {
        self.in_bucket(S::Index, "docs", b"i").remove(0)
    }

    pub(super) fn leaves(&self) -> Vec<(Bytes, Bytes)> {
        self.of(S::Log, b"a")
    }
}

pub(super) fn flipped(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes.into()
}

/// The chunk files.
pub(super) fn chunks(data: &Path) -> Vec<PathBuf> {
    let (mut dirs, mut chunks) = (vec![data.join("chunks")], Vec::new());
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                dirs.push(entry.path());
            } else {
                chunks.push(entry.path());
            }
        }
    }
    chunks.sort();
    chunks
}
