//! The index finds what the naive evaluator finds, in the order of the same scores.

use proptest::prelude::*;
use serde_json::json;
use wfldb_core::text::{Operator, Query, TextFault};

use super::naive::{self, STEMS};
use super::{Corpus, config, filled, keys, object, open, search, write};
use crate::error::TextViewError;

const TWO_FIELDS: &str = r#"{"fields":["title","body"],"language":"english"}"#;

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(STEMS.iter().map(|(word, _)| *word).collect::<Vec<_>>())
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(word(), 0..6).prop_map(|words| words.join(" "))
}

fn corpus() -> impl Strategy<Value = Corpus> {
    let document = (text(), prop::collection::vec(text(), 0..3));
    let document =
        document.prop_map(|(title, body)| object(json!({"title": title, "body": body, "_by": "fox"})));
    prop::collection::btree_map("[ab]/[a-f]", document, 0..10)
}

fn searched() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => word().prop_map(str::to_owned),
        2 => prop::collection::vec(word(), 1..4).prop_map(|words| format!("\"{}\"", words.join(" "))),
        1 => word().prop_map(|word| format!("{}*", word.get(..2).unwrap_or(word))),
        1 => (word(), 1..3_u8).prop_map(|(word, distance)| format!("{word}~{distance}")),
    ];
    let leaf = ("(title:|body:|)", leaf, "(\\^2|)")
        .prop_map(|(field, leaf, weight)| format!("{field}{leaf}{weight}"));
    leaf.prop_recursive(3, 12, 3, |inner| {
        (
            prop::collection::vec(("[+-]?", inner), 1..4),
            prop::sample::select(vec![" ", " AND ", " OR "]),
        )
            .prop_map(|(parts, between)| {
                let part = |(sign, part): (String, String)| match between {
                    " " => format!("{sign}{part}"),
                    _ => part,
                };
                let parts: Vec<String> = parts.into_iter().map(part).collect();
                format!("({})", parts.join(between))
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Defects it catches: stems at one side only, a phrase that goes over from one string into the next, a clause of
    /// one field that is asked of all, an expansion that forgets a segment, a replaced document that is found twice.
    #[test]
    fn what_is_found_is_what_matches(
        corpus in corpus(),
        replaced in corpus(),
        searches in prop::collection::vec(searched(), 12),
    ) {
        let config = config(TWO_FIELDS);
        let dir = tempfile::tempdir().unwrap();
        let mut index = filled(dir.path(), &config, &replaced);
        // What was there before is replaced or deleted.
        let mut step: Vec<(&str, Option<_>)> = Vec::new();
        for key in replaced.keys().filter(|key| !corpus.contains_key(*key)) {
            step.push((key, None));
        }
        step.extend(corpus.iter().map(|(key, document)| (key.as_str(), Some(document.clone()))));
        write(&mut index, step);
        for text in searches {
            let Ok(query) = Query::parse(&text, Operator::Or, &config) else {
                continue;
            };
            let found = search(&index, &text, None).unwrap();
            let mut found = keys(&found);
            found.sort_unstable();
            prop_assert_eq!(found, naive::matching(&query, &corpus, &config, true), "{}", text);
        }
    }

    /// Defects it catches: scores of a caller with a narrow grant that depend on documents that it may not see (a count
    /// over the whole index), and an order that does.
    #[test]
    fn scores_are_those_of_what_the_caller_sees(corpus in corpus(), word in word(), narrow in any::<bool>()) {
        let config = config(r#"{"fields":["title","body"]}"#);
        let dir = tempfile::tempdir().unwrap();
        let index = filled(dir.path(), &config, &corpus);
        let seen: Corpus = corpus.into_iter().filter(|(key, _)| !narrow || key.starts_with("a/")).collect();
        let prefixes: Option<&[&str]> = narrow.then_some(&["a/"]);
        let found = search(&index, &format!("title:{word}"), prefixes).unwrap();
        let expected = naive::ranked(word, &seen, &config, 0);
        prop_assert_eq!(found.len(), expected.len());
        for (hit, (key, score)) in found.iter().zip(&expected) {
            prop_assert!((hit.score - score).abs() < 1e-4, "{} {} {}", hit.score, score, key);
        }
    }
}

#[test]
fn words_are_found_whatever_their_case_form_and_accents() {
    let config = config(r#"{"language":"english"}"#);
    let dir = tempfile::tempdir().unwrap();
    let mut index = open(dir.path(), &config);
    let long = "x".repeat(129);
    let document =
        json!({"title": "The RUNNING foxes", "more": {"list": ["Café au lait", 7, "wi-fi"]}, "long": long});
    write(
        &mut index,
        vec![
            ("a", Some(object(document))),
            ("b", Some(object(json!({"n": 1})))),
        ],
    );
    for text in [
        "run",
        "FOX",
        "cafe",
        "café",
        "\"au lait\"",
        "wi-fi",
        "\"wi fi\"",
        "lait -den",
        "foxen~2",
        "caf*",
    ] {
        assert_eq!(keys(&search(&index, text, None).unwrap()), ["a"], "{text}");
    }
    for text in [
        "foxed-run",
        "\"lait wi\"",
        "7",
        "\"foxes running\"",
        "title.den",
        "_by",
    ] {
        assert!(search(&index, text, None).unwrap().is_empty(), "{text}");
    }
    assert_eq!(fault(search(&index, &long, None)), (TextFault::Empty, 1));
}

#[test]
fn equal_scores_are_in_the_order_of_keys() {
    let config = config("{}");
    let dir = tempfile::tempdir().unwrap();
    let mut index = open(dir.path(), &config);
    for key in ["c", "a", "d", "b"] {
        write(&mut index, vec![(key, Some(object(json!({"t": "fox"}))))]);
    }
    assert_eq!(keys(&search(&index, "fox", None).unwrap()), ["a", "b", "c", "d"]);
    assert_eq!(keys(&search(&index, "fo*", None).unwrap()), ["a", "b", "c", "d"]);
}

fn fault(found: Result<Vec<crate::search::Hit>, TextViewError>) -> (TextFault, usize) {
    match found {
        Err(TextViewError::Request(wfldb_core::text::RequestError::Query(error))) => (error.fault, error.at),
        other => panic!("{other:?}"),
    }
}

/// A defect it catches: a beginning that stands for more words than may be held, in memory or in time.
#[test]
fn what_stands_for_too_many_words_is_refused_with_its_place() {
    let config = config("{}");
    let dir = tempfile::tempdir().unwrap();
    let mut index = open(dir.path(), &config);
    let words = |from: usize, to: usize| (from..to).map(|number| format!("ab{number}")).collect::<Vec<_>>();
    write(
        &mut index,
        vec![("a", Some(object(json!({"t": words(0, 1000).join(" ")}))))],
    );
    assert_eq!(search(&index, "fox ab*", None).unwrap().len(), 1);
    write(
        &mut index,
        vec![("b", Some(object(json!({"t": words(0, 1001).join(" ")}))))],
    );
    assert_eq!(fault(search(&index, "fox ab*", None)), (TextFault::TooBroad, 5));
    assert_eq!(
        fault(search(&index, "fox -wi-fi*", None)),
        (TextFault::OneWord, 6)
    );
    assert_eq!(fault(search(&index, "wi-fi~", None)), (TextFault::OneWord, 1));
    assert_eq!(fault(search(&index, "... !!", None)), (TextFault::Empty, 1));
    assert_eq!(fault(search(&index, "!!!*", None)), (TextFault::Empty, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn no_search_breaks_anything(texts in prop::collection::vec("[abfox \"()+:~^*.\\\\-]{0,40}|\\PC{0,40}", 100)) {
        let config = config("{}");
        let dir = tempfile::tempdir().unwrap();
        let mut index = open(dir.path(), &config);
        write(&mut index, vec![("a", Some(object(json!({"t": texts.join(" ")}))))]);
        for text in texts {
            let found = search(&index, &text, None);
            prop_assert!(matches!(found, Ok(_) | Err(TextViewError::Request(_))), "{text}");
        }
    }
}
