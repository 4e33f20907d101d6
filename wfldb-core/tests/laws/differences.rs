//! What changed between versions, and which version gave a member its value.

use proptest::prelude::*;
use serde_json::{from_value, json};
use wfldb_core::doc::{Blame, Difference, Object, Value, differences};

fn object(value: Value) -> Object {
    from_value(value).unwrap()
}

#[test]
fn differences_name_the_innermost_place() {
    let before = object(json!({"a": {"b/c": 1, "same": 1}, "gone": {"x": 1}, "kind": 1, "list": [1]}));
    let after = object(json!({"a": {"b/c": 2, "same": 1}, "kind": {"y": 1}, "list": [1, 2], "new": null}));
    let found = differences(&before, &after);
    let expected = [
        ("/a/b~1c", Some(json!(1)), Some(json!(2))),
        ("/gone", Some(json!({"x": 1})), None),
        ("/kind", Some(json!(1)), Some(json!({"y": 1}))),
        ("/list", Some(json!([1])), Some(json!([1, 2]))),
        ("/new", None, Some(json!(null))),
    ]
    .map(|(pointer, before, after)| Difference {
        pointer: pointer.to_owned(),
        before,
        after,
    });
    assert_eq!(found, expected);
}

/// DEFECT: a member that was removed and came back with the same value is as old as it was before.
#[test]
fn a_member_is_as_old_as_its_value_without_a_break() {
    let versions = [
        Some(json!({"a": 1, "b": {"c": 1}, "list": [1]})),
        Some(json!({"a": 1, "b": {"c": 2}, "list": [1, 2]})),
        Some(json!({"b": {"c": 2}, "list": [1, 2]})),
        None,
        Some(json!({"a": 1, "b": {"c": 2}, "list": [1, 2]})),
        Some(json!({"a": 1, "b": {"c": 2, "d": 1}, "list": [1]})),
    ];
    let told = |from: usize, to: usize| {
        let newest = object(versions[to].clone().unwrap());
        let mut blame = Blame::of(&newest, &to);
        for number in (from..to).rev() {
            if !blame.below(versions[number].clone().map(object), &number) {
                break;
            }
        }
        let members = blame.members();
        let told = members
            .into_iter()
            .map(|since| (since.pointer, since.version, since.settled));
        told.collect::<Vec<_>>()
    };
    let said = |pointer: &str, version, settled| (pointer.to_owned(), version, settled);
    assert_eq!(
        told(0, 5),
        [
            said("/a", 4, true),
            said("/b/c", 4, true),
            said("/b/d", 5, true),
            said("/list", 5, true)
        ]
    );
    assert_eq!(told(0, 2), [said("/b/c", 1, true), said("/list", 1, true)]);
    // What is older is not there any more.
    assert_eq!(
        told(1, 1),
        [
            said("/a", 1, false),
            said("/b/c", 1, false),
            said("/list", 1, false)
        ]
    );
}

fn document() -> impl Strategy<Value = Object> {
    let value = (0..3_i64)
        .prop_map(Value::from)
        .prop_recursive(3, 12, 3, |inner| {
            prop::collection::btree_map("[ab~/]", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect()))
        });
    prop::collection::btree_map("[ab~/]", value, 0..4).prop_map(|members| members.into_iter().collect())
}

/// Carries differences out.
fn changed(before: &Object, changes: Vec<Difference>) -> Value {
    let mut document = Value::Object(before.clone());
    for change in changes {
        let (above, name) = change.pointer.rsplit_once('/').unwrap();
        let name = name.replace("~1", "/").replace("~0", "~");
        let members = document.pointer_mut(above).unwrap().as_object_mut().unwrap();
        assert_eq!(members.get(&name), change.before.as_ref());
        match change.after {
            Some(value) => members.insert(name, value),
            None => members.remove(&name),
        };
    }
    document
}

proptest! {
    #[test]
    fn differences_carried_out_make_the_other_version(before in document(), after in document()) {
        let changes = differences(&before, &after);
        prop_assert_eq!(changes.is_empty(), before == after);
        prop_assert_eq!(changed(&before, changes), Value::Object(after));
    }
}
