//! How searches are read: the meaning of each form, the place of each fault, and that nothing from outside breaks it.

use proptest::prelude::*;
use wfldb_core::limits::{TEXT_CLAUSES_MAX, TEXT_DEPTH_MAX, TEXT_OPEN_CLAUSES_MAX};
use wfldb_core::text::{Clause, Group, Operator, Query, SearchRequest, TextConfig, TextFault};

fn config() -> TextConfig {
    serde_json::from_str(r#"{"fields":["title","a.b"]}"#).unwrap()
}

fn read(text: &str) -> Result<String, (TextFault, usize)> {
    let query = Query::parse(text, Operator::Or, &config());
    query
        .map(|query| group(query.group()))
        .map_err(|error| (error.fault, error.at))
}

/// A spelling of what was read that shows its structure.
fn group(found: &Group) -> String {
    let all = [("+", &found.must), ("", &found.should), ("-", &found.must_not)];
    let parts = all.iter().flat_map(|(sign, clauses)| {
        clauses
            .iter()
            .map(move |found| format!("{sign}{}", clause(found)))
    });
    format!("({})", parts.collect::<Vec<_>>().join(" "))
}

fn clause(found: &Clause) -> String {
    let field = |field: &Option<usize>| field.map_or(String::new(), |field| format!("{field}:"));
    match found {
        Clause::Word { field: of, text, .. } => format!("{}{text}", field(of)),
        Clause::Phrase { field: of, text, .. } => format!("{}\"{text}\"", field(of)),
        Clause::Prefix { field: of, text, .. } => format!("{}{text}*", field(of)),
        Clause::Fuzzy {
            field: of,
            text,
            distance,
            ..
        } => format!("{}{text}~{distance}", field(of)),
        Clause::Group(inner) => group(inner),
        Clause::Boost(inner, weight) => format!("{}^{weight}", clause(inner)),
    }
}

#[test]
fn each_form_means_what_the_protocol_says() {
    for (text, expected) in [
        ("a b", "(a b)"),
        ("+a b -c", "(+a b -c)"),
        ("a NOT b", "(a -b)"),
        ("a AND b OR c d", "(((+a +b) c) d)"),
        ("a OR b AND NOT c", "((a (+b -c)))"),
        ("(a b) c", "((a b) c)"),
        ("title:fox a.b:\"red den\"", "(0:fox 1:\"red den\")"),
        ("title:(fox a.b:den)", "((0:fox 1:den))"),
        ("fo* fox~ fox~2 fox^2.5", "(fo* fox~1 fox~2 fox^2.5)"),
        ("(a b)^3", "((a b)^3)"),
        ("wi-fi c++ a+b", "(wi-fi c++ a+b)"),
        (r"\-a title\:x \AND", "(-a title:x AND)"),
        (r#""a \" b""#, "(\"a \" b\")"),
        ("a NOT NOT b", "(a b)"),
    ] {
        assert_eq!(read(text), Ok(expected.to_owned()), "{text}");
    }
    let and = Query::parse("a b", Operator::And, &config()).unwrap();
    assert_eq!(group(and.group()), "(+a +b)");
}

#[test]
fn each_fault_has_its_place() {
    for (text, fault, at) in [
        ("", TextFault::Empty, 1),
        ("   ", TextFault::Empty, 1),
        ("-a", TextFault::OnlyExcluded, 1),
        ("a (NOT b)", TextFault::OnlyExcluded, 3),
        ("a OR -b", TextFault::OnlyExcluded, 6),
        ("a (b", TextFault::Unclosed, 3),
        ("a b) c", TextFault::Unopened, 4),
        ("a ()", TextFault::Expected, 3),
        ("é \"b", TextFault::Unquoted, 3),
        ("a AND", TextFault::Expected, 6),
        ("OR a", TextFault::Expected, 1),
        ("a AND OR b", TextFault::Expected, 7),
        ("body:a", TextFault::UnknownField, 1),
        ("title:", TextFault::Expected, 6),
        ("title:a.b:x", TextFault::Expected, 7),
        ("fox~3", TextFault::Distance, 4),
        ("fox~0", TextFault::Distance, 4),
        ("fox~99999999999", TextFault::Distance, 4),
        ("fox^0", TextFault::Weight, 4),
        ("fox^1.2.3", TextFault::Weight, 4),
        ("fox^101", TextFault::Weight, 4),
        ("f*", TextFault::Prefix, 2),
        ("*", TextFault::Expected, 1),
        ("fo*x*", TextFault::Prefix, 5),
        ("\"a b\"*", TextFault::Expected, 6),
        ("+-a", TextFault::Expected, 2),
    ] {
        assert_eq!(read(text), Err((fault, at)), "{text}");
    }
}

/// A defect it catches: a limit that is counted in one branch of the grammar only.
#[test]
fn a_search_is_bounded() {
    let words = |count: usize| vec!["a"; count].join(" ");
    assert!(read(&words(TEXT_CLAUSES_MAX)).is_ok());
    let fault = |text: &str| read(text).unwrap_err().0;
    assert_eq!(fault(&words(TEXT_CLAUSES_MAX + 1)), TextFault::TooManyClauses);
    assert_eq!(
        fault(&vec!["(a OR \"b\")"; 33].join(" AND ")),
        TextFault::TooManyClauses
    );
    let open = |count: usize| vec!["ab* cd~"; count].join(" ");
    assert!(read(&open(TEXT_OPEN_CLAUSES_MAX / 2)).is_ok());
    assert_eq!(
        fault(&open(TEXT_OPEN_CLAUSES_MAX / 2 + 1)),
        TextFault::TooManyOpen
    );
    let deep = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(read(&deep(TEXT_DEPTH_MAX)).is_ok());
    assert_eq!(fault(&deep(TEXT_DEPTH_MAX + 1)), TextFault::TooDeep);
    assert_eq!(fault(&"(".repeat(4000)), TextFault::TooDeep);
    assert_eq!(fault(&format!("\"{}\"", words(33))), TextFault::PhraseTooLong);
    assert_eq!(fault(&"a".repeat(5000)), TextFault::TooLong);
}

#[test]
fn what_names_no_field_is_searched_in_the_one_that_is_given() {
    let request = SearchRequest {
        field: Some("title".to_owned()),
        ..SearchRequest::new("fox a.b:den")
    };
    let query = request.read(&config()).unwrap();
    assert_eq!(group(query.group()), "(0:fox 1:den)");
    let request = SearchRequest {
        field: Some("body".to_owned()),
        ..request
    };
    let error = request.read(&config()).unwrap_err();
    assert_eq!((error.fault, error.at), (TextFault::UnknownField, 1));
}

#[test]
fn a_selector_has_a_search_or_one_with_its_operator() {
    let read = |argument: serde_json::Value| SearchRequest::of_selector(&argument, None);
    assert_eq!(read(serde_json::json!("fox")).unwrap(), SearchRequest::new("fox"));
    let and = read(serde_json::json!({"query": "fox", "operator": "and"})).unwrap();
    assert_eq!(and.operator, Operator::And);
    for bad in ["1", "[]", "{}", r#"{"query":1}"#, r#"{"query":"a","limit":5}"#] {
        assert!(read(serde_json::from_str(bad).unwrap()).is_err(), "{bad}");
    }
}

#[test]
fn a_request_has_known_members_of_the_right_types_once() {
    let request = SearchRequest::parse(br#"{"query":"fox","limit":5,"highlight":true}"#).unwrap();
    assert_eq!((request.limit, request.skip, request.highlight), (5, 0, true));
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"query":1}"#,
        r#"{"query":"a","query":"b"}"#,
        r#"{"query":"a","limit":0}"#,
        r#"{"query":"a","limit":1001}"#,
        r#"{"query":"a","skip":10001}"#,
        r#"{"query":"a","skip":-1}"#,
        r#"{"query":"a","operator":"xor"}"#,
        r#"{"query":"a","sort":[]}"#,
    ] {
        assert!(SearchRequest::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_at_a_place_within_it(text in "[ab \"()+:~^*\\\\-]{0,40}|\\PC{0,60}") {
        if let Err(error) = Query::parse(&text, Operator::And, &config()) {
            prop_assert!(error.at >= 1 && error.at <= text.chars().count() + 1);
        }
    }
}
