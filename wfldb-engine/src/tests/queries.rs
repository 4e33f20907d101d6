//! Questions: whatever index answers, and however the answer is cut into pages, it is what looking at every document gives.

use proptest::prelude::*;
use serde_json::{Value, json};
use wfldb_core::index::IndexDefinition;
use wfldb_core::query::{FindRequest, Selector, sort_key};

use super::*;
use crate::{FindPosition, Found, MemoryStorage};

const BUCKET: &str = "films";

fn find(engine: &Engine, body: &Value, from: Option<&FindPosition>) -> Result<Found, EngineError> {
    let proof = Authorized::local("test", Op::Query, Target::Find(name(BUCKET)));
    engine.find(&proof, &FindRequest::parse(body).unwrap(), from)
}

struct Place {
    _dir: tempfile::TempDir,
    engine: Engine,
}

impl Place {
    fn new(documents: &[(String, Value)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::with_storage(Arc::new(MemoryStorage::new()), dir.path(), options()).unwrap();
        configure(&engine, BUCKET, r#"{"kind":"documents"}"#);
        let place = Self { _dir: dir, engine };
        for (key, document) in documents {
            place.put(key, document);
        }
        place
    }

    fn put(&self, key: &str, document: &Value) {
        let put = |engine: &Engine| {
            let proof = object(BUCKET, key, Op::Put);
            let body = document.to_string();
            engine.put_document(
                &proof,
                body.as_bytes(),
                ObjectHeaders::default(),
                Preconditions::default(),
            )
        };
        self.engine.settled(put).unwrap();
    }

    fn index(&self, definition: &Value) {
        let proof = of_bucket(BUCKET, Op::Manage);
        let definition = IndexDefinition::parse(definition).unwrap();
        let name = self.engine.define_index(&proof, definition).wait().unwrap().name;
        self.engine
            .wait_for_index(&proof, &name, Duration::from_mins(1))
            .unwrap();
    }

    /// All pages of a question, one behind the other.
    fn pages(&self, body: &Value) -> Vec<Value> {
        let mut all = Vec::new();
        let mut from = None;
        for _ in 0..100 {
            let found = find(&self.engine, body, from.as_ref()).unwrap();
            assert!(
                found.documents.len()
                    <= body["limit"]
                        .as_u64()
                        .map_or(25, |limit| usize::try_from(limit).unwrap())
            );
            all.extend(values(&found));
            from = found.next;
            if from.is_none() {
                return all;
            }
        }
        panic!("there is no end to {body}");
    }
}

fn values(found: &Found) -> Vec<Value> {
    let documents = found.documents.iter();
    documents
        .map(|text| serde_json::from_slice(text).unwrap())
        .collect()
}

fn ids(documents: &[Value]) -> Vec<String> {
    documents
        .iter()
        .map(|document| document["_id"].as_str().unwrap().to_owned())
        .collect()
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (0_i64..5).prop_map(Value::from),
        2 => prop::sample::select(vec!["a", "A", "b", "é"]).prop_map(Value::from),
        1 => Just(Value::Null),
        2 => prop::collection::vec(0_i64..5, 0..4).prop_map(Value::from),
    ]
}

fn document() -> impl Strategy<Value = Value> {
    (prop::option::of(value()), prop::option::of(value()), 0_i64..3).prop_map(|(a, b, c)| {
        let mut document = json!({ "c": c });
        for (name, value) in [("a", a), ("b", b)] {
            if let Some(value) = value {
                document[name] = value;
            }
        }
        document
    })
}

fn condition() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["$eq", "$ne", "$lt", "$lte", "$gt", "$gte"]);
    let list = || prop::collection::vec(value(), 0..4);
    prop_oneof![
        4 => value(),
        4 => (name, value()).prop_map(|(name, value)| json!({name: value})),
        2 => list().prop_map(|list| json!({"$in": list})),
        1 => list().prop_map(|list| json!({"$all": list})),
        1 => (0_i64..5, 0_i64..5).prop_map(|(low, high)| json!({"$elemMatch": {"$gte": low, "$lte": high}})),
        1 => any::<bool>().prop_map(|there| json!({"$exists": there})),
        1 => Just(json!({"$not": {"$gt": 2}})),
    ]
}

fn selector() -> impl Strategy<Value = Value> {
    let field = || {
        (prop::sample::select(vec!["a", "b", "c"]), condition())
            .prop_map(|(name, condition)| json!({name: condition}))
    };
    prop_oneof![
        3 => field(),
        2 => (field(), field()).prop_map(|(left, right)| json!({"$and": [left, right]})),
        1 => (field(), field()).prop_map(|(left, right)| json!({"$or": [left, right]})),
        1 => Just(json!({})),
        1 => (field(), prop::sample::select(vec!["k3", "K"])).prop_map(|(field, key)| json!({"$and": [field, {"_id": {"$gt": key}}]})),
    ]
}

fn sort() -> impl Strategy<Value = Vec<Value>> {
    let field = (prop::sample::select(vec!["a", "b", "c"]), any::<bool>());
    (prop::collection::vec(field, 0..3), any::<bool>()).prop_map(|(fields, by_key)| {
        let mut names = std::collections::BTreeSet::new();
        let mut sort: Vec<Value> = fields
            .into_iter()
            .filter(|(name, _)| names.insert(*name))
            .map(|(name, down)| json!({name: if down { "desc" } else { "asc" }}))
            .collect();
        if by_key {
            sort.push(json!({"_id": "asc"}));
        }
        sort
    })
}

fn definitions() -> [Value; 6] {
    [
        json!({"index": {"fields": ["a"]}}),
        json!({"index": {"fields": ["b", {"a": "desc"}]}}),
        json!({"index": {"fields": ["c", "a"]}, "sparse": true}),
        json!({"index": {"fields": [{"c": "desc"}, {"b": "desc"}]}}),
        json!({"index": {"fields": ["a", "b"], "partial_filter_selector": {"c": 1}}}),
        json!({"index": {"fields": ["a", "c"]}, "type": "hash"}),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// DEFECT: a document that is on two pages or on none, an order that depends on the index.
    #[test]
    fn pages_of_any_plan_are_what_every_document_gives(
        documents in prop::collection::vec(document(), 0..20),
        questions in prop::collection::vec((selector(), sort(), 1_usize..7, 0_usize..5), 8),
        first in 0_usize..6,
        second in 0_usize..6,
    ) {
        let documents: Vec<(String, Value)> = documents.into_iter().enumerate().map(|(place, document)| {
            (format!("{}{place}", if place % 3 == 0 { "K" } else { "k" }), document)
        }).collect();
        let place = Place::new(&documents);
        for with_indexes in [false, true] {
            if with_indexes {
                place.index(&definitions()[first]);
                place.index(&definitions()[second]);
            }
            for (selector, sort, limit, skip) in &questions {
                let read = Selector::parse(selector).unwrap();
                let mut expected: Vec<Value> = documents.iter().map(|(key, document)| {
                    let mut document = document.clone();
                    document["_id"] = json!(key);
                    document
                }).filter(|document| read.matches(document)).collect();
                let body = json!({"selector": selector, "sort": sort, "limit": limit});
                let by = FindRequest::parse(&body).unwrap().sort;
                expected.sort_by_cached_key(|document| (sort_key(&by, document), document["_id"].to_string()));
                let found = place.pages(&body);
                let keys = |documents: &[Value]| documents.iter().map(|document| sort_key(&by, document)).collect::<Vec<_>>();
                prop_assert_eq!(keys(&found), keys(&expected), "{} {:?}", selector, sort);
                let sorted = |mut ids: Vec<String>| { ids.sort(); ids };
                prop_assert_eq!(sorted(ids(&found)), sorted(ids(&expected)), "{} {:?}", selector, sort);
                if sort.last() == Some(&json!({"_id": "asc"})) {
                    prop_assert_eq!(ids(&found), ids(&expected));
                }
                // What is passed over is passed over once, and what is counted is all.
                let mut counted = body.clone();
                counted["count"] = json!(true);
                counted["skip"] = json!(skip);
                let all = place.pages(&counted);
                prop_assert_eq!(ids(&all), ids(&found)[(*skip).min(found.len())..].to_vec());
                prop_assert_eq!(find(&place.engine, &counted, None).unwrap().count, Some(expected.len() as u64));
            }
        }
    }
}

fn films() -> Vec<(String, Value)> {
    (0..200)
        .map(|place| {
            let document = json!({"year": 1900 + place % 100, "title": format!("Film {place}"), "genre": ["drama", if place % 2 == 0 { "sea" } else { "war" }]});
            (format!("film:{place:03}"), document)
        })
        .collect()
}

/// DEFECT: a planner that has an index and walks everything all the same.
#[test]
fn an_index_spares_looking_at_every_document() {
    let place = Place::new(&films());
    let question = json!({"selector": {"year": {"$gte": 1990, "$lt": 1992}}, "execution_stats": true});
    let without = find(&place.engine, &question, None).unwrap();
    assert_eq!(
        (
            without.documents.len(),
            without.stats.documents,
            without.stats.returned
        ),
        (4, 200, 4)
    );
    assert_eq!(without.plan.index, None);
    assert_eq!(
        without.plan.wish.unwrap().to_value(),
        json!({"index": {"fields": [{"year": "asc"}]}})
    );
    place.index(&json!({"index": {"fields": ["year"]}, "name": "year"}));
    let with = find(&place.engine, &question, None).unwrap();
    assert_eq!(
        (with.documents.len(), with.stats.documents, with.stats.keys),
        (4, 4, 4)
    );
    assert_eq!(with.plan.index.unwrap().as_str(), "year");
    assert_eq!(with.plan.wish, None);
    // The first of an order need no more than themselves.
    let newest = json!({"selector": {}, "sort": [{"year": "desc"}], "limit": 3});
    let found = find(&place.engine, &newest, None).unwrap();
    assert!(found.plan.in_order && found.plan.reverse && found.stats.documents == 3);
    let proof = Authorized::local("test", Op::Query, Target::Explain(name(BUCKET)));
    let explained = place
        .engine
        .explain(&proof, &FindRequest::parse(&question).unwrap())
        .unwrap();
    assert_eq!(
        (
            explained.stats.documents,
            explained.stats.returned,
            explained.over_budget
        ),
        (4, 4, false)
    );
}

/// DEFECT: a projection that is made before the document is tested, a document without its signature.
#[test]
fn answers_have_the_members_that_were_asked_for() {
    let place = Place::new(&films()[..3]);
    let found = find(&place.engine, &json!({"selector": {"_id": "film:001"}}), None).unwrap();
    let whole = place
        .engine
        .document(&object(BUCKET, "film:001", Op::Get), Which::Newest)
        .unwrap();
    // Byte for byte, so that what is signed can be checked.
    assert_eq!(found.documents, [whole.json.to_vec()]);
    assert_eq!(found.stats.keys, 1);
    let question = json!({"selector": {"year": 1901}, "fields": ["title", "genre.1", "nothing"]});
    let found = find(&place.engine, &question, None).unwrap();
    assert_eq!(
        values(&found),
        [json!({"title": "Film 1", "genre": {"1": "war"}})]
    );
}

#[test]
fn a_question_that_cannot_be_answered_says_why() {
    let place = Place::new(&films()[..3]);
    make_bucket(&place.engine, "plain");
    let plain = Authorized::local("test", Op::Query, Target::Find(name("plain")));
    let question = FindRequest::parse(&json!({"selector": {}})).unwrap();
    assert!(matches!(
        place.engine.find(&plain, &question, None),
        Err(EngineError::NotDocuments)
    ));
    let code = |body: Value, from: Option<FindPosition>| {
        find(&place.engine, &body, from.as_ref()).unwrap_err().code()
    };
    assert_eq!(
        code(json!({"selector": {}, "use_index": "none"}), None),
        "BadQuery"
    );
    // The index that a bookmark goes on in is gone.
    let gone = FindPosition::Entry {
        index: 9,
        place: vec![0x20],
    };
    assert_eq!(code(json!({"selector": {}}), Some(gone)), "BadQuery");
}

/// DEFECT: a bookmark that begins again after a write, or passes something over.
#[test]
fn pages_go_on_where_they_ended_whatever_was_written_meanwhile() {
    for (sort, index) in [
        (json!([]), None),
        (json!([{"year": "asc"}]), None),
        (json!([{"year": "asc"}]), Some("year")),
    ] {
        let place = Place::new(&films());
        if let Some(field) = index {
            place.index(&json!({"index": {"fields": [field]}}));
        }
        let question = json!({"selector": {"year": {"$lt": 1950}}, "sort": sort, "limit": 30});
        let first = find(&place.engine, &question, None).unwrap();
        // One that was answered goes away, one comes in before the end, and one behind it.
        let answered = ids(&values(&first))[3].clone();
        place
            .engine
            .delete(&object(BUCKET, &answered, Op::Delete), Preconditions::default())
            .wait()
            .unwrap();
        place.put("film:000-a", &json!({"year": 1900}));
        place.put("film:999", &json!({"year": 1949}));
        let mut rest = question.clone();
        rest["limit"] = json!(1000);
        let second = find(&place.engine, &rest, first.next.as_ref()).unwrap();
        let (first, second) = (ids(&values(&first)), ids(&values(&second)));
        assert!(second.iter().all(|id| !first.contains(id) && id != "film:000-a"));
        assert!(second.contains(&"film:999".to_owned()));
        assert_eq!(first.len() + second.len(), 101);
    }
}

/// DEFECT: a search's find that was replaced since, or that is below another prefix, in the answer.
#[test]
fn of_what_a_search_found_come_those_that_are_wanted_best_first() {
    let place = Place::new(&films()[..6]);
    let all = find(&place.engine, &json!({"selector": {}}), None).unwrap();
    let version = |key: &str| {
        let proof = object(BUCKET, key, Op::Get);
        place.engine.document(&proof, Which::Newest).unwrap().meta.version
    };
    let matches: Vec<crate::TextMatch> = ids(&values(&all))
        .iter()
        .zip([1.0, 3.0, 2.0, 9.0, 2.0, 0.5])
        .map(|(key, score)| crate::TextMatch {
            key: ObjectKey::parse(key).unwrap(),
            version: version(key),
            score,
        })
        .collect();
    place.put("film:003", &json!({"year": 1903, "title": "Another"}));
    let proof = Authorized::local("test", Op::Query, Target::Find(name(BUCKET)));
    let ask = |body: Value, from: Option<&FindPosition>| {
        let request = FindRequest::parse(&body).unwrap();
        place
            .engine
            .find_matching(&proof, &request, &matches, from)
            .unwrap()
    };
    let body = json!({"selector": {"$text": "film", "year": {"$gt": 1900}}, "limit": 2});
    let first = ask(body.clone(), None);
    assert_eq!(ids(&values(&first)), ["film:001", "film:002"]);
    let second = ask(body, first.next.as_ref());
    assert_eq!(ids(&values(&second)), ["film:004", "film:005"]);
    let sorted = ask(
        json!({"selector": {"$text": "film"}, "sort": [{"year": "desc"}], "count": true}),
        None,
    );
    assert_eq!(
        ids(&values(&sorted)),
        ["film:005", "film:004", "film:002", "film:001", "film:000"]
    );
    assert_eq!(sorted.count, Some(5));
}
