//! Listings by tag: the index says what the objects say.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wfldb_core::name::KeyPrefix;
use wfldb_core::object::Tags;

use super::*;
use crate::{After, MemoryStorage, ScanQuery};

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    Undelete(u8),
    EraseNewest(u8),
}

fn key_of(n: u8) -> String {
    format!("{}/{n}", ["a", "b"][usize::from(n % 2)])
}

fn tags_of(bits: u8) -> String {
    let names = ["colour=red", "size=5%2F6", "x="];
    let tags = names.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
    tags.map(|(_, tag)| *tag).collect::<Vec<_>>().join("&")
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..12, 0u8..8).prop_map(|(key, bits)| Step::Put(key, bits)),
        2 => (0u8..12).prop_map(Step::Delete),
        1 => (0u8..12).prop_map(Step::Undelete),
        1 => (0u8..12).prop_map(Step::EraseNewest),
    ]
}

fn run(engine: &Engine, model: &mut BTreeMap<String, Vec<Option<u8>>>, step: &Step) {
    match step {
        Step::Put(n, bits) => {
            let key = key_of(*n);
            put_with(engine, "aaa", &key, b"", &[("x-wfldb-tags", &tags_of(*bits))]).unwrap();
            model.entry(key).or_default().push(Some(*bits));
        }
        Step::Delete(n) => {
            let key = key_of(*n);
            if delete(engine, "aaa", &key).unwrap().is_some() {
                model.get_mut(&key).unwrap().push(None);
            }
        }
        Step::Undelete(n) => {
            let key = key_of(*n);
            if engine.undelete(&object("aaa", &key, Op::Put)).wait().is_ok() {
                let history = model.get_mut(&key).unwrap();
                history.push(history[history.len() - 2]);
            }
        }
        Step::EraseNewest(n) => {
            let key = key_of(*n);
            let page = engine.versions(&object("aaa", &key, Op::Get), None, 1);
            if let Some(newest) = page.ok().and_then(|page| page.items.first().cloned()) {
                let erase = object("aaa", &key, Op::Erase);
                engine
                    .erase(&erase, newest.version, Preconditions::default())
                    .wait()
                    .unwrap();
                model.get_mut(&key).unwrap().pop();
            }
        }
    }
}

fn listed(engine: &Engine, query: &ScanQuery) -> Vec<String> {
    let proof = Authorized::local("test", Op::List, Target::Listing(name("aaa")));
    let mut query = query.clone();
    let mut keys = Vec::new();
    loop {
        let page = engine.scan(&proof, &query).unwrap();
        keys.extend(page.items.iter().map(|item| item.key.to_string()));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return keys,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Defects it catches: a delete that leaves the tag's row; a put that leaves those of the version before; a leap
    /// that skips a key in one direction.
    #[test]
    fn a_listing_by_tags_is_the_listing_filtered_by_tags(
        steps in prop::collection::vec(step(), 1..60),
        wanted in 1u8..8,
        prefix in prop::sample::select(vec!["", "a/", "b/1"]),
        limit in 1usize..5,
        reverse in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let storage = MemoryStorage::new();
        let engine = Engine::with_storage(Arc::new(storage.clone()), dir.path(), options()).unwrap();
        make_bucket(&engine, "aaa");
        let mut model = BTreeMap::new();
        for step in &steps {
            run(&engine, &mut model, step);
        }
        let query = ScanQuery {
            prefix: KeyPrefix::parse(prefix).unwrap(),
            tags: Tags::parse(&tags_of(wanted)).unwrap(),
            limit,
            reverse,
            ..ScanQuery::default()
        };
        let live = model.iter().filter_map(|(key, history)| Some((key, (*history.last()?)?)));
        let mut expected: Vec<String> = live
            .filter(|(key, bits)| key.starts_with(prefix) && bits & wanted == wanted)
            .map(|(key, _)| key.clone())
            .collect();
        if reverse {
            expected.reverse();
        }
        prop_assert_eq!(listed(&engine, &query), expected);
        // No row of the index is without its object.
        let rows = index_rows(&storage);
        let tags: u32 = model.values().filter_map(|history| *history.last()?).map(u8::count_ones).sum();
        prop_assert_eq!(rows, tags as usize);
        assert_sound(&engine);
    }
}

/// A page by tags does bounded work, and its cursor still finds everything. A defect it catches: a pause that forgets
/// where it was.
#[test]
fn a_page_that_looks_at_much_and_finds_little_goes_on_where_it_paused() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::with_storage(Arc::new(MemoryStorage::new()), dir.path(), options()).unwrap();
    make_bucket(&engine, "aaa");
    // Alternating, so that no leap passes more than one key.
    let proof = Authorized::local("test", Op::Put, Target::Batch(name("aaa")));
    for block in 0..24 {
        let ops = (0..1000).map(|n| {
            let n = block * 1000 + n;
            let tags = if n % 2 == 0 { "a=1" } else { "b=1" };
            let tags = if n == 23_999 { "a=1&b=1" } else { tags };
            crate::BatchOp {
                key: ObjectKey::parse(&format!("{n:05}")).unwrap(),
                preconditions: Preconditions::default(),
                action: crate::BatchAction::Put {
                    body: Bytes::new(),
                    headers: Box::new(ObjectHeaders::parse([("x-wfldb-tags", tags)]).unwrap()),
                },
            }
        });
        engine.batch(&proof, ops.collect()).wait().unwrap();
    }
    let query = ScanQuery {
        tags: Tags::parse("a=1&b=1").unwrap(),
        ..ScanQuery::default()
    };
    let proof = Authorized::local("test", Op::List, Target::Listing(name("aaa")));
    let first = engine.scan(&proof, &query).unwrap();
    assert!(first.items.is_empty() && matches!(first.next, Some(After::Key(_))));
    assert_eq!(listed(&engine, &query), ["23999"]);
}
