//! Indexes: their keys have the order of the values, their ranges miss nothing, their rows are each document's own.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;
use wfldb_core::doc::{Value, compare};
use wfldb_core::index::{DefinitionError, End, IndexDefinition, IndexEntry, IndexError, KeyRange};
use wfldb_core::limits::{INDEX_ENTRIES_MAX, INDEX_FIELD_BYTES_MAX};
use wfldb_core::name::ObjectKey;

fn index(json: &Value) -> IndexDefinition {
    IndexDefinition::parse(json).unwrap()
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..4).prop_map(Value::from),
        (-2.0f64..2.0)
            .prop_map(|number| serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number)),
        "[a-cA-C \u{0}é]{0,3}".prop_map(Value::from),
        // As long as what is cut, a little shorter, and longer.
        (0usize..4, "[ab]{0,2}")
            .prop_map(|(n, end)| Value::from("x".repeat(n * INDEX_FIELD_BYTES_MAX / 4) + &end)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => scalar(),
        1 => prop::collection::vec(scalar(), 0..4).prop_map(Value::from),
        1 => scalar().prop_map(|value| json!({ "m": value })),
    ]
}

/// A document that has fields `a` and `b`, or lacks them.
fn document() -> impl Strategy<Value = Value> {
    (prop::option::of(value()), prop::option::of(value())).prop_map(|(a, b)| {
        let fields = [("a", a), ("b", b)];
        let fields = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(fields.collect())
    })
}

/// Absent before everything.
fn order(left: Option<&Value>, right: Option<&Value>) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) => compare(left, right),
        (left, right) => left.is_some().cmp(&right.is_some()),
    }
}

fn whole(definition: &IndexDefinition, document: &Value) -> IndexEntry {
    let entries = definition.entries(document).unwrap();
    entries.into_iter().find(|entry| entry.elements == 0).unwrap()
}

fn has(range: &KeyRange, key: &[u8]) -> bool {
    key >= range.from.as_slice() && (range.to.is_empty() || key < range.to.as_slice())
}

proptest! {
    /// DEFECT: fields that are joined without an end, so that ("a", "b") and ("ab", "") are the same; a descending field
    /// that begins another; an absent field in the middle of the values.
    #[test]
    fn rows_have_the_order_of_the_values_field_by_field(
        left in document(), right in document(), down in any::<(bool, bool)>(),
    ) {
        let way = |down: bool| if down { "desc" } else { "asc" };
        let definition = index(&json!({"index": {"fields": [{"a": way(down.0)}, {"b": way(down.1)}]}}));
        let (mine, other) = (whole(&definition, &left), whole(&definition, &right));
        let turned = |field: &str, down: bool| {
            let order = order(left.get(field), right.get(field));
            if down { order.reverse() } else { order }
        };
        let expected = turned("a", down.0).then(turned("b", down.1));
        if mine.exact && other.exact {
            prop_assert_eq!(mine.fields.cmp(&other.fields), expected);
        } else {
            prop_assert_eq!(mine.fields == other.fields, expected.is_eq());
        }
    }

    /// DEFECT: an end whose value is cut, taken as if it were whole; ends of a descending field not exchanged.
    #[test]
    fn a_range_misses_no_value_between_its_ends_and_has_no_other_that_is_exact(
        document in document(), low in scalar(), high in scalar(), kind in 0u8..9, down in any::<bool>(),
    ) {
        let definition = index(&json!({"index": {"fields": [{"a": if down { "desc" } else { "asc" }}, "b"]}}));
        let ends = |kind: u8, value| match kind {
            0 => End::Open,
            1 => End::Included(value),
            _ => End::Excluded(value),
        };
        let range = definition.between(&[], ends(kind % 3, &low), ends(kind / 3, &high)).unwrap();
        let entry = whole(&definition, &document);
        let value = document.get("a");
        let above = |value| match kind % 3 {
            0 => true,
            1 => compare(value, &low).is_ge(),
            _ => compare(value, &low).is_gt(),
        };
        let below = |value| match kind / 3 {
            0 => true,
            1 => compare(value, &high).is_le(),
            _ => compare(value, &high).is_lt(),
        };
        let wanted = value.is_some_and(|value| above(value) && below(value));
        let key = entry.key(&ObjectKey::parse("k").unwrap());
        let short = |value: &Value| value.as_str().is_none_or(|text| text.len() < 100);
        if wanted {
            prop_assert!(has(&range, &key), "a document is missed");
        } else if entry.exact && short(&low) && short(&high) {
            prop_assert!(!has(&range, &key), "a document too many");
        }
    }

    /// DEFECT: an element in the place of the array, or one missing.
    #[test]
    fn every_document_is_found_by_its_values_and_by_each_element(document in document()) {
        let definition = index(&json!({"index": {"fields": ["a", "b"]}}));
        let entries = definition.entries(&document).unwrap();
        let distinct: BTreeSet<_> = entries.iter().map(|entry| (&entry.fields, entry.elements)).collect();
        prop_assert_eq!(distinct.len(), entries.len());
        let choices = |field: &str| {
            let value = document.get(field);
            let elements = value.and_then(Value::as_array).into_iter().flatten();
            let mut all = vec![(value, 0u8)];
            all.extend(elements.map(|element| (Some(element), 1)));
            all
        };
        let mut expected = BTreeSet::new();
        for (a, of_a) in choices("a") {
            for (b, of_b) in choices("b") {
                let key = definition.key_of(&[a, b]).unwrap();
                expected.insert((key, of_a | of_b << 1));
            }
        }
        let found: BTreeSet<_> = entries.iter().map(|entry| (entry.fields.clone(), entry.elements)).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn equal_values_have_equal_hashes_and_others_have_not(left in document(), right in document()) {
        let definition = index(&json!({"index": {"fields": ["a", "b"]}, "type": "hash"}));
        let same = ["a", "b"].iter().all(|field| order(left.get(field), right.get(field)).is_eq());
        let (left, right) = (whole(&definition, &left), whole(&definition, &right));
        prop_assert_eq!(left.fields == right.fields, same);
        prop_assert!(!left.exact);
    }

    /// What is stored is read as the same index.
    #[test]
    fn a_definition_is_read_as_it_was_written(
        fields in prop::collection::btree_set("[a-z]{1,3}(\\.[a-z]{1,2})?", 1..8),
        down in any::<bool>(), hash in any::<bool>(), unique in any::<bool>(), sparse in any::<bool>(),
        partial in any::<bool>(),
    ) {
        let fields: Vec<Value> = fields.into_iter().map(|field| {
            if down { json!({field: "desc"}) } else { Value::from(field) }
        }).collect();
        let mut json = json!({
            "index": {"fields": fields}, "type": if hash { "hash" } else { "json" }, "unique": unique, "sparse": sparse,
        });
        if partial {
            json["index"]["partial_filter_selector"] = json!({"n": {"$gt": 3}});
        }
        let definition = index(&json);
        prop_assert_eq!(&index(&definition.to_json()), &definition);
        // Without a name it gets the same one each time.
        prop_assert!(index(&json).does_the_same(&definition) && index(&json).name == definition.name);
    }
}

#[test]
fn sparse_and_partial_leave_documents_out_and_absent_values_are_unique() {
    let rows = |json: &Value, document: &Value| index(json).entries(document).unwrap();
    let both = json!({"a": 1, "b": 2});
    let one = json!({"a": 1});
    let plain = json!({"index": {"fields": ["a", "b"]}, "unique": true});
    assert!(rows(&plain, &both)[0].unique);
    // DEFECT: the first two documents without the field would refuse each other.
    assert!(!rows(&plain, &one)[0].unique);
    let null = rows(&plain, &json!({"a": 1, "b": null}));
    assert!(null[0].unique, "null is a value");
    let sparse = json!({"index": {"fields": ["a", "b"]}, "sparse": true});
    assert_eq!((rows(&sparse, &both).len(), rows(&sparse, &one).len()), (1, 0));
    let partial = json!({"index": {"fields": ["a"], "partial_filter_selector": {"b": {"$gt": 1}}}});
    assert_eq!((rows(&partial, &both).len(), rows(&partial, &one).len()), (1, 0));
    // Elements are not held against each other.
    let tags = rows(
        &json!({"index": {"fields": ["a"]}, "unique": true}),
        &json!({"a": [1, 2]}),
    );
    assert_eq!(tags.iter().filter(|row| row.unique).count(), 1);
}

/// DEFECT: the product of two long arrays is made before it is counted.
#[test]
fn a_document_with_too_many_rows_is_refused() {
    let many: Vec<usize> = (0..INDEX_ENTRIES_MAX).collect();
    let one = index(&json!({"index": {"fields": ["a"]}}));
    assert_eq!(one.entries(&json!({"a": many})), Err(IndexError::TooManyEntries));
    // The array itself is a row too; the same element twice is one.
    assert_eq!(
        one.entries(&json!({"a": many[1..]})).unwrap().len(),
        INDEX_ENTRIES_MAX
    );
    assert_eq!(one.entries(&json!({"a": vec![7; 5000]})).unwrap().len(), 2);
    let two = index(&json!({"index": {"fields": ["a", "b"]}}));
    let some: Vec<usize> = (0..100).collect();
    assert_eq!(
        two.entries(&json!({"a": some, "b": some})),
        Err(IndexError::TooManyEntries)
    );
}

#[test]
fn what_is_no_definition_is_refused_with_its_place() {
    let refused = |json: Value| {
        let error = IndexDefinition::parse(&json).unwrap_err();
        (error.code(), error.pointer())
    };
    let nine: Vec<String> = (0..9).map(|n| format!("f{n}")).collect();
    for fields in [
        json!([]),
        json!(nine),
        json!(["a", "a"]),
        json!([{"a": "up"}]),
        json!([{"a": "asc", "b": "asc"}]),
        json!([1]),
        json!(["a..b"]),
        json!(["_id"]),
        json!("a"),
    ] {
        assert_eq!(
            refused(json!({"index": {"fields": fields}})),
            ("BadIndex", "/index/fields".to_owned())
        );
    }
    let with = |member: &str, value: Value| {
        let mut json = json!({"index": {"fields": ["a"]}});
        json[member] = value;
        refused(json)
    };
    assert_eq!(with("name", json!("a/b")), ("BadIndex", "/name".to_owned()));
    assert_eq!(with("name", json!("")), ("BadIndex", "/name".to_owned()));
    assert_eq!(with("type", json!("text")), ("BadIndex", "/type".to_owned()));
    assert_eq!(with("unique", json!(1)), ("BadIndex", "/unique".to_owned()));
    let selector =
        |selector: Value| refused(json!({"index": {"fields": ["a"], "partial_filter_selector": selector}}));
    assert_eq!(selector(json!({"a": {"$near": 1}})).0, "UnknownOperator");
    assert_eq!(selector(json!({"$text": "words"})).0, "BadIndex");
    assert!(matches!(
        IndexDefinition::parse(&json!([])),
        Err(DefinitionError::Member(_))
    ));
}

#[test]
fn texts_with_a_beginning_are_in_its_range() {
    let definition = index(&json!({"index": {"fields": [{"a": "desc"}]}}));
    let range = definition
        .between(&[], End::Begins("ab"), End::Begins("ab"))
        .unwrap();
    let key = |text: &str| whole(&definition, &json!({"a": text})).key(&ObjectKey::parse("k").unwrap());
    for text in ["ab", "abc", "ab\u{0}", "abé"] {
        assert!(has(&range, &key(text)), "{text:?}");
    }
    for text in ["", "b", "ac", "zab"] {
        assert!(!has(&range, &key(text)), "{text:?}");
    }
}
