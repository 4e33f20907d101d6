//! The chunks of one body: synced behind the writer's back, and never named before that.

use std::fs;
use std::sync::Arc;

use super::super::{ChunkWriter, Pins};
use super::{bucket, files, noise, open, until};

const CHUNKS: u8 = 11;

/// Defects it catches: `finish` that does not wait; a chunk that is dropped when more than the bound are under way.
#[test]
fn what_was_written_is_there_under_its_name_when_finish_returns() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false, false);
    let mut writer = ChunkWriter::new(Arc::clone(&store), bucket());
    let bodies: Vec<_> = (0..CHUNKS).map(|seed| noise(100_000, seed)).collect();
    let hashes: Vec<_> = bodies.iter().map(|body| writer.put(body).unwrap()).collect();
    let pins = writer.finish().unwrap();
    for (hash, body) in hashes.iter().zip(&bodies) {
        store.check(&bucket(), hash, body.len()).unwrap();
    }
    assert_eq!(files(dir.path()), usize::from(CHUNKS), "and nothing else");
    drop(pins);
    until(|| files(dir.path()) == 0);
}

/// A defect it catches: a job without a pin of its own, whose file appears after everybody let go of it and stays.
#[test]
fn a_body_that_is_dropped_leaves_nothing_however_far_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false, false);
    for round in 0..20 {
        let mut writer = ChunkWriter::new(Arc::clone(&store), bucket());
        for chunk in 0..=round % 5 {
            writer.put(&noise(70_000, round * 5 + chunk)).unwrap();
        }
    }
    until(|| files(dir.path()) == 0);
}

/// A defect it catches: an error of a sync behind the writer's back that nobody sees.
#[test]
fn a_chunk_that_cannot_be_placed_fails_the_body() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false, false);
    // Where the bucket's directory would be.
    fs::write(dir.path().join("chunks").join(bucket().to_string()), "a file").unwrap();
    let mut writer = ChunkWriter::new(Arc::clone(&store), bucket());
    writer.put(&noise(70_000, 1)).unwrap();
    assert!(writer.finish().is_err());
    let mut writer = ChunkWriter::new(store, bucket());
    let failed = (0..CHUNKS).any(|seed| writer.put(&noise(70_000, seed)).is_err());
    assert!(failed, "it is known before the end of a long body");
}

#[test]
fn a_store_that_is_closed_in_between_takes_the_rest_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false, false);
    let mut writer = ChunkWriter::new(Arc::clone(&store), bucket());
    let body = noise(70_000, 1);
    writer.put(&body).unwrap();
    store.close();
    let hash = writer.put(&noise(70_000, 2)).unwrap();
    let _pins: Pins = writer.finish().unwrap();
    store.check(&bucket(), &hash, body.len()).unwrap();
}
