//! Two changes of one document: what comes of them, and what an edited file of a mirror asks for.

use proptest::prelude::*;
use serde_json::{from_value, json};
use wfldb_core::doc::{EnvelopeError, Object, Value};
use wfldb_core::mirror::{Conflict, Edit, Strategy as Settling, merge, settle};
use wfldb_core::name::ObjectKey;

fn object(value: Value) -> Object {
    from_value(value).unwrap()
}

fn merged(base: Value, ours: Value, theirs: Value) -> (Value, Vec<String>) {
    let (merged, conflicts) = merge(&object(base), &object(ours), &object(theirs));
    let places = conflicts.into_iter().map(|conflict| conflict.pointer);
    (merged.into(), places.collect())
}

#[test]
fn members_that_one_side_changed_are_of_that_side() {
    let none: Vec<String> = Vec::new();
    let base = json!({"a": 1, "b": {"c": 1, "d": 1}, "gone": 1, "list": [1, 2]});
    let ours = json!({"a": 2, "b": {"c": 2, "d": 1}, "gone": 1, "list": [1, 2], "new": {"x": 1}});
    let theirs = json!({"a": 1, "b": {"c": 1}, "list": [2], "new": {"y": 1}});
    let both = json!({"a": 2, "b": {"c": 2}, "list": [2], "new": {"x": 1, "y": 1}});
    assert_eq!(
        merged(base.clone(), ours.clone(), theirs.clone()),
        (both.clone(), none.clone())
    );
    assert_eq!(merged(base, theirs, ours), (both, none));
}

/// DEFECT: a change of one side that is gone, and nobody was told.
#[test]
fn what_both_changed_is_named_and_stays_ours() {
    let base = json!({"a": 1, "b": {"c/d": 1}, "list": [1], "kind": {"x": 1}});
    let ours = json!({"a": 2, "b": {"c/d": 2}, "list": [1, 2], "kind": 5});
    let theirs = json!({"b": {"c/d": 3}, "list": [0, 1], "kind": {"x": 2}});
    let (both, mut places) = merged(base, ours.clone(), theirs);
    places.sort();
    assert_eq!(both, ours);
    assert_eq!(places, ["/a", "/b/c~1d", "/kind", "/list"]);
    let (conflicts, base, ours, theirs) = {
        let [base, ours, theirs] = [json!({"a": 1}), json!({}), json!({"a": 3})].map(object);
        (
            merge(&base, &ours, &theirs).1,
            Some(json!(1)),
            None,
            Some(json!(3)),
        )
    };
    let pointer = "/a".to_owned();
    assert_eq!(
        conflicts,
        [Conflict {
            pointer,
            base,
            ours,
            theirs
        }]
    );
}

fn document() -> impl Strategy<Value = Object> {
    let scalar = (0..4_i64).prop_map(Value::from);
    let value = scalar.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            3 => prop::collection::btree_map("[a-c]", inner.clone(), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
            1 => prop::collection::vec(inner, 0..3).prop_map(Value::from),
        ]
    });
    prop::collection::btree_map("[a-c]", value, 0..4).prop_map(|members| members.into_iter().collect())
}

/// Every place in a document that holds no object, with what it holds.
fn leaves(document: &Object, at: &str, found: &mut Vec<(String, Value)>) {
    for (name, value) in document {
        let at = format!("{at}/{name}");
        match value {
            Value::Object(members) if !members.is_empty() => leaves(members, &at, found),
            value => found.push((at, value.clone())),
        }
    }
}

proptest! {
    #[test]
    fn a_merge_with_nobody_is_no_merge(base in document(), changed in document()) {
        let none = Vec::new();
        prop_assert_eq!(merge(&base, &changed, &base), (changed.clone(), none.clone()));
        prop_assert_eq!(merge(&base, &base, &changed), (changed.clone(), none.clone()));
        prop_assert_eq!(merge(&base, &changed, &changed), (changed, none));
    }

    #[test]
    fn who_is_who_matters_only_in_conflicts(base in document(), ours in document(), theirs in document()) {
        let (one, here) = merge(&base, &ours, &theirs);
        let (other, there) = merge(&base, &theirs, &ours);
        let mut places: Vec<_> = here.iter().map(|conflict| &conflict.pointer).collect();
        let mut again: Vec<_> = there.iter().map(|conflict| &conflict.pointer).collect();
        places.sort();
        again.sort();
        prop_assert_eq!(&places, &again);
        if places.is_empty() {
            prop_assert_eq!(&one, &other);
        }
        // Nothing is made up: what stands at a place stood there on one side.
        let (mut found, mut known) = (Vec::new(), Vec::new());
        leaves(&one, "", &mut found);
        leaves(&ours, "", &mut known);
        leaves(&theirs, "", &mut known);
        for (at, value) in found {
            let emptied = value == json!({});
            prop_assert!(emptied || known.contains(&(at.clone(), value)), "{at}");
        }
    }
}

fn version(number: u64, members: Value) -> Object {
    let mut whole = object(members);
    let envelope = json!({
        "_id": "k", "_v": number, "_hash": format!("sha256:{number:064}"), "_by": "wc1", "_ts": "t",
    });
    whole.extend(object(envelope));
    whole
}

fn edited(mut from: Object, name: &str, value: Value) -> Object {
    from.insert(name.to_owned(), value);
    from
}

fn settled(edited: &Object, current: Option<&Object>, base: Option<&Object>, how: Settling) -> Edit {
    settle(&ObjectKey::parse("k").unwrap(), edited, current, base, how).unwrap()
}

#[test]
fn an_edit_of_the_current_version_is_taken_and_a_stale_file_is_not() {
    let (one, two) = (
        version(1, json!({"a": 1, "b": 1})),
        version(2, json!({"a": 1, "b": 2})),
    );
    for how in Settling::ALL {
        let edit = edited(two.clone(), "a", json!(5));
        let wanted = Edit::Put(object(json!({"a": 5, "b": 2})));
        assert_eq!(settled(&edit, Some(&two), Some(&two), how), wanted);
        assert_eq!(settled(&two, Some(&two), Some(&two), how), Edit::Unchanged);
        // The mirror was behind, and nobody edited anything.
        assert_eq!(settled(&one, Some(&two), Some(&one), how), Edit::Unchanged);
        assert_eq!(settled(&one, None, Some(&one), how), Edit::Unchanged);
        // The same edit on both sides.
        let same = edited(one.clone(), "b", json!(2));
        assert_eq!(settled(&same, Some(&two), Some(&one), how), Edit::Unchanged);
        // A file that somebody made.
        let new = object(json!({"a": 1}));
        assert_eq!(settled(&new, None, None, how), Edit::Put(new.clone()));
        assert_eq!(Settling::parse(how.name()), Some(how));
    }
}

/// DEFECT: an edit that began with an older version replaces what came since.
#[test]
fn an_edit_of_an_older_version_is_settled_as_asked() {
    let (one, two) = (
        version(1, json!({"a": 1, "b": 1})),
        version(2, json!({"a": 1, "b": 2})),
    );
    let apart = edited(one.clone(), "a", json!(5));
    let against = edited(one.clone(), "b", json!(5));
    let put = |members| Edit::Put(object(members));
    let places = |edit: Edit| -> Vec<String> {
        match edit {
            Edit::Conflict(conflicts) => conflicts.into_iter().map(|conflict| conflict.pointer).collect(),
            other => panic!("{other:?}"),
        }
    };
    let all = |edit, base, how| settled(edit, Some(&two), base, how);
    let whole: Vec<String> = vec![String::new()];
    assert_eq!(
        all(&apart, Some(&one), Settling::Fields),
        put(json!({"a": 5, "b": 2}))
    );
    assert_eq!(
        all(&apart, Some(&one), Settling::LastWrite),
        put(json!({"a": 5, "b": 1}))
    );
    assert_eq!(places(all(&apart, Some(&one), Settling::Manual)), whole);
    assert_eq!(places(all(&against, Some(&one), Settling::Fields)), ["/b"]);
    assert_eq!(places(all(&against, Some(&one), Settling::Manual)), ["/b"]);
    assert_eq!(
        all(&against, Some(&one), Settling::LastWrite),
        put(json!({"a": 1, "b": 5}))
    );
    // What it began with is not kept any more, or it says nothing of that, or the document is gone.
    let without = object(json!({"a": 5}));
    for how in [Settling::Fields, Settling::Manual] {
        assert_eq!(places(all(&apart, None, how)), whole);
        assert_eq!(places(all(&without, None, how)), whole);
        assert_eq!(places(settled(&apart, None, Some(&one), how)), whole);
    }
    assert_eq!(
        settled(&apart, None, Some(&one), Settling::LastWrite),
        put(json!({"a": 5, "b": 1}))
    );
}

#[test]
fn an_edit_says_nothing_of_other_keys_and_has_no_members_of_the_stores() {
    let one = version(1, json!({"a": 1}));
    let refused = |edit: Object| {
        let key = ObjectKey::parse("k").unwrap();
        settle(&key, &edit, Some(&one), Some(&one), Settling::LastWrite).unwrap_err()
    };
    assert_eq!(
        refused(edited(one.clone(), "_id", json!("other"))),
        EnvelopeError::WrongId
    );
    let reserved = refused(edited(one.clone(), "_x", json!(1)));
    assert_eq!(reserved, EnvelopeError::Reserved("_x".to_owned()));
}
