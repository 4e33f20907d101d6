//! Tests of the index against a naive evaluator, of following the log through crashes and damage, and of what callers
//! are told.

mod agreement;
mod follow;
mod naive;
mod rights;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use wfldb_core::doc::Object;
use wfldb_core::id::{BucketId, VersionId};
use wfldb_core::name::KeyPrefix;
use wfldb_core::text::{Operator, Query, TextConfig};
use wfldb_core::time::UnixMillis;

use crate::compile::compile;
use crate::error::TextViewError;
use crate::index::{BucketIndex, Cursor, Entry};
use crate::search::{Hit, hits};

const BUCKET: BucketId = BucketId::from_bytes([7; 16]);

type Corpus = BTreeMap<String, Object>;

fn config(json: &str) -> TextConfig {
    serde_json::from_str(json).unwrap()
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("no object: {other}"),
    }
}

fn version(number: u8) -> VersionId {
    VersionId::from_parts(UnixMillis::new(1_000), [number; 10])
}

/// An index without a store.
fn open(dir: &Path, config: &TextConfig) -> BucketIndex {
    BucketIndex::open(dir, BUCKET, config, 0).unwrap()
}

/// Writes one step.
fn write(index: &mut BucketIndex, step: Vec<(&str, Option<Object>)>) {
    let entries = step.into_iter().map(|(key, document)| Entry {
        key: key.to_owned(),
        document: document.map(|document| (version(1), document)),
    });
    let cursor = Cursor {
        making: None,
        seq: index.cursor.seq + 1,
        ..index.cursor.clone()
    };
    index.write(entries.collect(), cursor).unwrap();
}

fn filled(dir: &Path, config: &TextConfig, corpus: &Corpus) -> BucketIndex {
    let mut index = open(dir, config);
    // In two steps, so that there are two segments.
    let middle = corpus.len() / 2;
    let entry = |(key, document): (&'_ String, &Object)| (key.clone(), document.clone());
    let all: Vec<(String, Object)> = corpus.iter().map(entry).collect();
    for part in [&all[..middle], &all[middle..]] {
        let step = part
            .iter()
            .map(|(key, document)| (key.as_str(), Some(document.clone())));
        write(&mut index, step.collect());
    }
    index
}

fn search(index: &BucketIndex, text: &str, prefixes: Option<&[&str]>) -> Result<Vec<Hit>, TextViewError> {
    let searchable = &index.searchable;
    let query = Query::parse(text, Operator::Or, &searchable.layout.config)?;
    let searcher = searchable.searcher();
    let plan = compile(&query, &searchable.layout, &searchable.analysis, &searcher)?;
    let prefixes: Option<Vec<KeyPrefix>> =
        prefixes.map(|all| all.iter().map(|text| KeyPrefix::parse(text).unwrap()).collect());
    hits(searchable, &searcher, &plan, prefixes.as_deref(), 100)
}

fn keys(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.key.as_str()).collect()
}
