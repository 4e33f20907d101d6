//! Large buckets: files spread over shards, and the way there.

use std::collections::BTreeSet;

use serde_json::json;

use super::support::{Case, found, settle};
use crate::mirror::point::Point;
use crate::tests::{configure, delete};

fn filled(keys: usize) -> Case {
    let mut case = Case::new();
    case.shard_above = 40;
    configure(&case.engine, "docs", r#"{"kind":"documents"}"#);
    for key in 0..keys {
        case.put_document("docs", &format!("k{key}"), &json!({"n": key}))
            .unwrap();
    }
    delete(&case.engine, "docs", "k3").unwrap();
    case
}

/// DEFECT: a bucket that goes back and forth about its shards, or has files in both places.
#[test]
fn a_bucket_moves_to_shards_once_and_stays_there() {
    let case = filled(40);
    let files = case.mirrored();
    assert!(files.contains_key("docs/k1.json") && files.contains_key("docs/.deleted/k3.json"));
    case.assert_equal("flat");
    for key in 40..60 {
        case.put_document("docs", &format!("k{key}"), &json!({"n": key}))
            .unwrap();
    }
    let files = case.mirrored();
    assert!(!files.contains_key("docs/k1.json"));
    assert!(files.keys().any(|path| path.ends_with("/.deleted/k3.json")));
    case.assert_equal("in shards");
    for key in 0..55 {
        delete(&case.engine, "docs", &format!("k{key}")).unwrap();
    }
    case.mirrored();
    case.assert_equal("small again");
    assert!(
        std::fs::read_to_string(case.place().join("docs/.metadata.json"))
            .unwrap()
            .contains("256")
    );
}

/// DEFECT: keys that had left their places when the move was stopped, of a bucket that is small when it is taken up.
#[test]
fn a_move_that_is_stopped_goes_on_although_the_bucket_shrank() {
    let case = filled(40);
    case.mirrored();
    case.put_document("docs", "l1", &json!({})).unwrap();
    case.put_document("docs", "l2", &json!({})).unwrap();
    *case.stop.lock().unwrap() = Some((Point::Rename, 20));
    let mut rounds = case.rounds();
    assert!(rounds.as_mut().map_or(true, |rounds| settle(rounds).is_err()));
    drop(rounds);
    // On the way each key is in one place.
    let files = found(&case.place());
    let names: Vec<&str> = files.keys().filter_map(|path| path.rsplit('/').next()).collect();
    let keys: Vec<&str> = names
        .into_iter()
        .filter(|name| name.starts_with(['k', 'l']))
        .collect();
    let distinct: BTreeSet<&str> = keys.iter().copied().collect();
    assert!(files.keys().any(|path| path.starts_with("docs/k")) && distinct.len() > 30);
    assert_eq!(keys.len(), distinct.len());
    for key in 30..40 {
        delete(&case.engine, "docs", &format!("k{key}")).unwrap();
    }
    case.mirrored();
    case.assert_equal("after the move");
}
