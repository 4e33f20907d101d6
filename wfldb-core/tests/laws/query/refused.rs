//! What is no query, and where that is said to be; what must not cost much.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wfldb_core::limits::{
    SELECTOR_CLAUSES_MAX, SELECTOR_DEPTH_MAX, SELECTOR_PATTERNS_MAX, SELECTOR_VALUES_MAX,
};
use wfldb_core::query::{FindRequest, QueryFault, Selector};

/// DEFECT: an operator that is not known and taken for a field, a fault without its place.
#[test]
#[expect(clippy::too_many_lines, reason = "a list of cases")]
fn what_is_no_query_is_refused_with_its_place() {
    let needs_list = QueryFault::Needs("a list");
    let cases: Vec<(Value, QueryFault, &str)> = vec![
        (json!([]), QueryFault::Needs("an object"), ""),
        (json!({}), QueryFault::Missing("selector"), ""),
        (
            json!({"selector": []}),
            QueryFault::Needs("an object"),
            "/selector",
        ),
        (
            json!({"selector": {}, "extra": 1}),
            QueryFault::UnknownMember,
            "/extra",
        ),
        (
            json!({"selector": {}, "limit": 1001}),
            QueryFault::Bounds(0, 1000),
            "/limit",
        ),
        (
            json!({"selector": {}, "limit": 1.5}),
            QueryFault::Bounds(0, 1000),
            "/limit",
        ),
        (
            json!({"selector": {}, "skip": -1}),
            QueryFault::Bounds(0, 100_000),
            "/skip",
        ),
        (json!({"selector": {}, "fields": "a"}), needs_list, "/fields"),
        (
            json!({"selector": {}, "fields": ["a", ".b"]}),
            QueryFault::Field,
            "/fields/1",
        ),
        (
            json!({"selector": {}, "sort": [{"a": "up"}]}),
            QueryFault::Needs("`asc` or `desc`"),
            "/sort/0",
        ),
        (
            json!({"selector": {}, "sort": ["a", "a"]}),
            QueryFault::FieldPlace,
            "/sort/1",
        ),
        (
            json!({"selector": {}, "sort": ["_id", "a"]}),
            QueryFault::FieldPlace,
            "/sort/1",
        ),
        (
            json!({"selector": {}, "count": 1}),
            QueryFault::Needs("true or false"),
            "/count",
        ),
        (
            json!({"selector": {"a": {"$near": 1}}}),
            QueryFault::UnknownOperator,
            "/selector/a/$near",
        ),
        (
            json!({"selector": {"$where": "1"}}),
            QueryFault::UnknownOperator,
            "/selector/$where",
        ),
        (
            json!({"selector": {"$gt": 1}}),
            QueryFault::NoField,
            "/selector/$gt",
        ),
        (
            json!({"selector": {"$and": [{"a": 1}, 5]}}),
            QueryFault::NoField,
            "/selector/$and/1",
        ),
        (
            json!({"selector": {"$and": {"a": 1}}}),
            needs_list,
            "/selector/$and",
        ),
        (
            json!({"selector": {"$or": [{"a/b": {"$in": 1}}]}}),
            needs_list,
            "/selector/$or/0/a~1b/$in",
        ),
        (
            json!({"selector": {"a": {"$not": 5}}}),
            QueryFault::Needs("an object"),
            "/selector/a/$not",
        ),
        (
            json!({"selector": {"a..b": 5}}),
            QueryFault::Field,
            "/selector/a..b",
        ),
        (
            json!({"selector": {"a": {"$exists": "yes"}}}),
            QueryFault::Needs("true or false"),
            "/selector/a/$exists",
        ),
        (
            json!({"selector": {"a": {"$elemMatch": 5}}}),
            QueryFault::Needs("an object"),
            "/selector/a/$elemMatch",
        ),
        (
            json!({"selector": {"a": {"$size": -1}}}),
            QueryFault::Needs("a whole number from 0"),
            "/selector/a/$size",
        ),
        (
            json!({"selector": {"a": {"$regex": "(?=x)"}}}),
            QueryFault::Pattern,
            "/selector/a/$regex",
        ),
        (
            json!({"selector": {"a": {"$regex": "(a)\\1"}}}),
            QueryFault::Pattern,
            "/selector/a/$regex",
        ),
        (
            json!({"selector": {"$or": [{"$text": "x"}]}}),
            QueryFault::TextPlace,
            "/selector/$or/0/$text",
        ),
        (
            json!({"selector": {"$not": {"$text": "x"}}}),
            QueryFault::TextPlace,
            "/selector/$not/$text",
        ),
        (
            json!({"selector": {"$and": [{"$text": "x"}, {"$text": "y"}]}}),
            QueryFault::TextPlace,
            "/selector/$and/1/$text",
        ),
    ];
    for (body, fault, pointer) in cases {
        let error = FindRequest::parse(&body).unwrap_err();
        assert_eq!((error.fault, error.pointer.as_str()), (fault, pointer), "{body}");
    }
    for argument in [json!(5), json!([0, 1]), json!([1.5, 0]), json!([2])] {
        assert!(Selector::parse(&json!({"a": {"$mod": argument}})).is_err());
    }
    let text = Selector::parse(&json!({"$and": [{"a": 1}, {"$text": "sea"}]})).unwrap();
    assert_eq!(text.text().unwrap().argument, json!("sea"));
}

fn nested(operator: &str, times: usize) -> Value {
    (0..times).fold(json!({"a": 1}), |inner, _| json!({operator: [inner]}))
}

/// DEFECT: a selector that is read by a function which calls itself as often as the caller likes.
#[test]
fn what_is_too_deep_or_too_many_is_refused() {
    let fault = |selector: &Value| Selector::parse(selector).unwrap_err().fault;
    assert!(Selector::parse(&nested("$or", SELECTOR_DEPTH_MAX / 2 - 1)).is_ok());
    assert_eq!(fault(&nested("$nor", SELECTOR_DEPTH_MAX)), QueryFault::TooDeep);
    let many: Vec<Value> = (0..=SELECTOR_CLAUSES_MAX)
        .map(|place| json!({"a": place}))
        .collect();
    assert_eq!(fault(&json!({"$or": many})), QueryFault::TooMany("conditions"));
    let values: Vec<usize> = (0..=SELECTOR_VALUES_MAX).collect();
    assert_eq!(
        fault(&json!({"a": {"$in": values}})),
        QueryFault::TooMany("values")
    );
    let patterns: Vec<Value> = (0..=SELECTOR_PATTERNS_MAX)
        .map(|_| json!({"a": {"$regex": "x"}}))
        .collect();
    assert_eq!(
        fault(&json!({"$or": patterns})),
        QueryFault::TooMany("regular expressions")
    );
}

/// DEFECT: an engine that goes back and tries again: such patterns take it longer than the universe lasts.
#[test]
fn no_pattern_hangs_and_none_grows() {
    let text = json!({"a": "a".repeat(20_000) + "!"});
    let began = Instant::now();
    for pattern in [
        "(a+)+$",
        "(a*)*b",
        "(a|aa)+$",
        "^(a|a?)+$",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "(.*)*$x",
    ] {
        let selector = Selector::parse(&json!({"a": {"$regex": pattern}})).unwrap();
        assert!(!selector.matches(&text), "{pattern}");
    }
    for pattern in [
        "((a{100}){100}){100}",
        "\\pL{5000}",
        &"(".repeat(500),
        &"a".repeat(2000),
    ] {
        let selector = Selector::parse(&json!({"a": {"$regex": pattern}}));
        assert_eq!(selector.unwrap_err().fault, QueryFault::Pattern, "{pattern}");
    }
    assert!(began.elapsed() < Duration::from_secs(20));
}
