//! Searches: the body of `_search`, and what it searches for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_core::limits::{TEXT_CLAUSES_MAX, TEXT_DEPTH_MAX, TEXT_OPEN_CLAUSES_MAX};
use wfldb_core::text::{Clause, Group, Operator, Query, SearchRequest, TextConfig};
use wfldb_fuzz::reads_back;

#[derive(Default)]
struct Count {
    clauses: usize,
    open: usize,
}

impl Count {
    fn group(&mut self, group: &Group, depth: usize) {
        // `AND` and `OR` each make a group of their own between two parentheses.
        assert!(depth <= 3 * (TEXT_DEPTH_MAX + 1), "nested too deep");
        assert!(!group.must.is_empty() || !group.should.is_empty(), "a group that asks for nothing");
        for clause in group.must.iter().chain(&group.should).chain(&group.must_not) {
            self.clause(clause, depth);
        }
    }

    fn clause(&mut self, clause: &Clause, depth: usize) {
        match clause {
            Clause::Group(group) => return self.group(group, depth + 1),
            Clause::Boost(inner, weight) => {
                assert!(*weight > 0.0 && *weight <= 100.0);
                return self.clause(inner, depth);
            }
            Clause::Prefix { .. } | Clause::Fuzzy { .. } => self.open += 1,
            Clause::Word { .. } | Clause::Phrase { .. } => {}
        }
        self.clauses += 1;
    }
}

fuzz_target!(|input: &[u8]| {
    let config: TextConfig = serde_json::from_str(r#"{"fields":["a","b.c","*"]}"#).expect("a configuration");
    let text = match SearchRequest::parse(input) {
        Ok(request) => {
            let written = serde_json::to_vec(&request).expect("a request that cannot be written");
            reads_back(&request, SearchRequest::parse(&written));
            request.query
        }
        Err(_) => String::from_utf8_lossy(input).into_owned(),
    };
    for operator in [Operator::Or, Operator::And] {
        match Query::parse(&text, operator, &config) {
            Ok(query) => {
                let mut count = Count::default();
                count.group(query.group(), 0);
                assert!((1..=TEXT_CLAUSES_MAX).contains(&count.clauses) && count.open <= TEXT_OPEN_CLAUSES_MAX);
            }
            Err(error) => assert!((1..=text.chars().count() + 1).contains(&error.at), "a place outside"),
        }
    }
});
