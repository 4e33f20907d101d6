//! What selectors mean.

use proptest::prelude::*;
use serde_json::{Value, json};
use wfldb_core::doc::{FieldPath, canonical, compare};
use wfldb_core::query::{Evaluator, FindRequest, Selector, SortField, project, sort_key};

use super::naive;

fn matches(selector: &Value, document: &Value) -> bool {
    Selector::parse(selector).unwrap().matches(document)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// DEFECT: `$not` that lets documents without the field through, `$in` that misses elements, an order of texts by bytes.
    #[test]
    fn a_selector_wants_what_a_second_reading_of_it_wants(selector in naive::selector(), document in naive::document()) {
        let mut document = document;
        document["_id"] = json!("k1");
        prop_assert_eq!(matches(&selector, &document), naive::wants(&selector, &document), "{} {}", selector, document);
    }

    /// DEFECT: a member that the pass over the text misses, or takes from another place.
    #[test]
    fn a_text_is_wanted_sorted_and_answered_as_its_values_are(
        selector in naive::selector(),
        document in naive::document(),
        fields in prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "c.d", "a.0", "_id", "nothing"]), 0..4),
        down in any::<bool>(),
    ) {
        let mut document = document;
        document["_id"] = json!("k1");
        let text = canonical(&document);
        let document: Value = serde_json::from_slice(&text).unwrap();
        let direction = if down { "desc" } else { "asc" };
        let sort = json!(["a", {"c.d": direction}, {"_id": direction}]);
        let request = FindRequest::parse(&json!({"selector": selector, "fields": fields, "sort": sort})).unwrap();
        let evaluator = Evaluator::new(&request);
        prop_assert_eq!(evaluator.matches(&text), naive::wants(&selector, &document), "{} {}", selector, document);
        prop_assert_eq!(evaluator.sort_key(&text), sort_key(&request.sort, &document));
        let answered: Value = serde_json::from_slice(&evaluator.answer(&text, None)).unwrap();
        prop_assert_eq!(answered, project(&request.fields, document));
    }

    /// DEFECT: a descending field whose absence comes first too.
    #[test]
    fn keys_of_a_sort_compare_as_its_fields_do(left in naive::document(), right in naive::document(), down in any::<[bool; 3]>()) {
        let names = ["a", "c.d", "b"];
        let fields: Vec<SortField> = names.into_iter().zip(down).map(|(name, descending)| SortField {
            path: FieldPath::parse(name).unwrap(),
            descending,
        }).collect();
        let expected = names.into_iter().zip(down).map(|(name, down)| {
            let order = naive::compare_fields(naive::value_of(&left, name), naive::value_of(&right, name), false);
            if down { order.reverse() } else { order }
        }).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal);
        prop_assert_eq!(sort_key(&fields, &left).cmp(&sort_key(&fields, &right)), expected);
    }
}

/// In the spirit of the examples in CouchDB's documentation, one for each operator, with what they say of missing fields
/// and of other types.
#[test]
fn each_operator_does_what_couchdb_says() {
    let film = json!({
        "_id": "film:7", "title": "The Long Way", "year": 2010, "rating": 7.5, "seen": true, "note": null,
        "director": {"name": "Lars", "born": {"year": 1961}},
        "genre": ["Drama", "Sea"], "scores": [7, 9, 10], "cast": [{"name": "Ann", "age": 40}, {"name": "Bo", "age": 19}],
        "cameras": {"main": {"mm": 35}, "second": {"mm": 16}}, "empty": [],
    });
    let yes = [
        json!({}),
        json!({"title": "The Long Way"}),
        json!({"director": {"name": "Lars"}}),
        json!({"director.name": "Lars"}),
        json!({"director": {"born": {"year": {"$lt": 1970}}}}),
        json!({"year": {"$gt": 2000, "$lte": 2010}}),
        json!({"year": {"$eq": 2010.0}}),
        json!({"year": 2010, "title": {"$gt": "The Last"}}),
        json!({"title": {"$gt": 5}}),
        json!({"title": {"$gt": null}}),
        json!({"genre": {"$gt": "zzz"}}),
        json!({"director": {"$eq": {"born": {"year": 1961}, "name": "Lars"}}}),
        json!({"year": {"$ne": 2011}}),
        json!({"year": {"$in": [2009, 2010]}}),
        json!({"genre": {"$in": ["Sea", "War"]}}),
        json!({"genre": {"$nin": ["War"]}}),
        json!({"year": {"$nin": []}}),
        json!({"note": {"$exists": true}}),
        json!({"budget": {"$exists": false}}),
        json!({"note": null}),
        json!({"note": {"$type": "null"}}),
        json!({"cameras": {"$type": "object"}}),
        json!({"title": {"$regex": "^The [A-Z]o"}}),
        json!({"title": {"$regex": "(?i)WAY$"}}),
        json!({"year": {"$mod": [10, 0]}}),
        json!({"genre": {"$size": 2}}),
        json!({"genre": {"$all": ["Sea", "Drama"]}}),
        json!({"genre": {"$all": [["Drama", "Sea"]]}}),
        json!({"scores": {"$elemMatch": {"$gt": 8, "$lt": 10}}}),
        json!({"cast": {"$elemMatch": {"name": "Bo", "age": {"$lt": 20}}}}),
        json!({"scores": {"$allMatch": {"$gte": 7}}}),
        json!({"cameras": {"$keyMapMatch": {"$eq": "second"}}}),
        json!({"title": {"$beginsWith": "The L"}}),
        json!({"title": {"$startsWith": ""}}),
        json!({"title": {"$endsWith": "Way"}}),
        json!({"title": {"$contains": "ong"}}),
        json!({"$and": [{"year": 2010}, {"seen": true}]}),
        json!({"$or": [{"year": 1900}, {"seen": true}]}),
        json!({"$nor": [{"year": 1900}, {"seen": false}]}),
        json!({"$not": {"year": 1900}}),
        json!({"year": {"$not": {"$gt": 2010}}}),
        json!({"title": {"$not": {"$regex": "Short"}}}),
        json!({"year": {"$or": [{"$lt": 1900}, {"$gt": 2000}]}}),
        json!({"cast.1.name": "Bo"}),
        json!({"_id": {"$gte": "film:", "$lt": "film;"}}),
    ];
    for selector in yes {
        assert!(matches(&selector, &film), "{selector}");
        assert!(naive::wants(&selector, &film), "second reading: {selector}");
    }
    let no = [
        json!({"title": "the long way"}),
        json!({"budget": {"$ne": 5}}),
        json!({"budget": {"$nin": [5]}}),
        json!({"$not": {"budget": 5}}),
        json!({"$nor": [{"budget": 5}]}),
        json!({"budget": {"$not": {"$regex": "x"}}}),
        json!({"budget": null}),
        json!({"year": {"$in": []}}),
        json!({"year": {"$regex": "2"}}),
        json!({"rating": {"$mod": [1, 0]}}),
        json!({"title": {"$size": 12}}),
        json!({"title": {"$all": ["T"]}}),
        json!({"title": {"$lt": 5}}),
        json!({"genre": "Drama"}),
        json!({"genre": ["Sea", "Drama"]}),
        json!({"scores": {"$allMatch": {"$gt": 7}}}),
        json!({"empty": {"$allMatch": {"$gt": 7}}}),
        json!({"empty": {"$elemMatch": {"$gt": null}}}),
        json!({"year": {"$elemMatch": {"$eq": 2010}}}),
        json!({"genre": {"$keyMapMatch": {"$eq": "0"}}}),
        json!({"title": {"$beginsWith": "the"}}),
        json!({"$or": []}),
        json!({"cameras": {}}),
        json!({"director": {"$exists": false}}),
    ];
    for selector in no {
        assert!(!matches(&selector, &film), "{selector}");
        assert!(!naive::wants(&selector, &film), "second reading: {selector}");
    }
}

/// CouchDB orders texts by the Unicode collation, keys of documents by their bytes.
#[test]
fn texts_have_the_order_of_the_collation_and_keys_that_of_their_bytes() {
    assert!(matches(&json!({"name": {"$gt": "a"}}), &json!({"name": "A"})));
    assert!(!matches(&json!({"_id": {"$gt": "a"}}), &json!({"_id": "A"})));
    assert!(compare(&json!("a"), &json!("A")).is_lt());
}

#[test]
fn a_projection_keeps_places_and_leaves_out_what_is_not_there() {
    let document = json!({"a": {"b": 1, "c": {"d": 2, "e": 3}}, "f": [10, 20], "g": null});
    let projected = |names: &[&str]| {
        let fields: Vec<FieldPath> = names.iter().map(|name| FieldPath::parse(name).unwrap()).collect();
        project(&fields, document.clone())
    };
    assert_eq!(projected(&[]), document);
    assert_eq!(
        projected(&["a.c.d", "g", "nothing"]),
        json!({"a": {"c": {"d": 2}}, "g": null})
    );
    assert_eq!(
        projected(&["a.b", "a.c"]),
        json!({"a": {"b": 1, "c": {"d": 2, "e": 3}}})
    );
    assert_eq!(projected(&["a.b", "a"]), json!({"a": document["a"]}));
    assert_eq!(
        projected(&["a", "a.b", "f", "f.0"]),
        json!({"a": document["a"], "f": [10, 20]})
    );
}

#[test]
fn a_request_is_read_whole_and_written_as_it_is_read() {
    let body = json!({
        "selector": {"a": {"$gt": 1}}, "fields": ["_id", "a.b"], "sort": ["a", {"b": "desc"}, "_id"], "limit": 10,
        "skip": 3, "bookmark": "x", "use_index": "i", "execution_stats": true, "count": true,
    });
    let request = FindRequest::parse(&body).unwrap();
    assert_eq!((request.limit, request.skip, request.sort.len()), (10, 3, 3));
    assert!(request.sort[1].descending && request.count && request.execution_stats);
    assert_eq!(FindRequest::parse(&request.to_value()).unwrap(), request);
    let plain = FindRequest::parse(&json!({"selector": {}})).unwrap();
    assert_eq!((plain.limit, plain.skip), (25, 0));
    // What a bookmark is bound to: not the page, but all that decides what is on it.
    let with = |change: fn(&mut Value)| {
        let mut body = body.clone();
        change(&mut body);
        FindRequest::parse(&body).unwrap().identity()
    };
    assert_eq!(with(|body| body["limit"] = json!(5)), request.identity());
    assert_ne!(with(|body| body["sort"] = json!(["a"])), request.identity());
    assert_ne!(
        with(|body| body["selector"] = json!({"a": {"$gt": 2}})),
        request.identity()
    );
}
