//! Questions of `POST /v1/{bucket}/_find`, planned over an index and asked of documents. The first line is the body, the second
//! the definition of an index, each further one a document.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use wfldb_core::doc::parse;
use wfldb_core::index::{IndexDefinition, KeyRange};
use wfldb_core::limits::FIND_LIMIT_MAX;
use wfldb_core::name::ObjectKey;
use wfldb_core::query::{Access, FindRequest, Known, Plan, Selector, plan, project, sort_key};
use wfldb_fuzz::reads_back;

fn within(ranges: &[KeyRange], place: &[u8]) -> bool {
    ranges
        .iter()
        .any(|range| range.from.as_slice() <= place && (range.to.is_empty() || place < range.to.as_slice()))
}

/// Whether the walk of a plan comes past a document; `None`: it cannot be in a bucket with this index.
fn is_walked(plan: &Plan, index: &IndexDefinition, document: &Value) -> Option<bool> {
    let key = ObjectKey::parse(document["_id"].as_str()?).ok()?;
    Some(match &plan.access {
        Access::Documents { ranges, .. } => within(ranges, key.as_str().as_bytes()),
        Access::Index { ranges, whole, .. } => {
            let entries = index.entries(document).ok()?;
            let counted = entries.iter().filter(|entry| !whole || entry.elements == 0);
            let walked = counted.filter(|entry| within(ranges, &entry.key(&key))).count();
            // With whole values only, nothing else keeps a document from coming twice.
            assert!(!whole || walked <= 1, "a document that comes twice");
            walked > 0
        }
    })
}

fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|byte| *byte == b'\n');
    let Some(Ok(body)) = lines.next().map(parse) else { return };
    let Ok(request) = FindRequest::parse(&body) else { return };
    assert!(request.limit <= FIND_LIMIT_MAX);
    reads_back(&request, FindRequest::parse(&request.to_value()));
    let opposite = Selector::parse(&json!({"$nor": [request.selector.source()]})).ok();

    let definition = lines.next().and_then(|line| parse(line).ok());
    let definition = definition.and_then(|json| IndexDefinition::parse(&json).ok());
    let index = definition.unwrap_or_else(|| {
        IndexDefinition::parse(&json!({"index": {"fields": ["a"]}})).expect("a definition")
    });
    let known = [Known { number: 7, definition: &index }];
    let plan = plan(&request, &known, None);

    for document in lines.filter_map(|line| parse(line).ok()) {
        if !document.is_object() || !request.selector.matches(&document) {
            continue;
        }
        // With `$text` the opposite is no selector.
        if let Some(opposite) = &opposite {
            assert!(!opposite.matches(&document), "wanted, and wanted by the opposite");
        }
        if let Ok(plan) = &plan {
            assert!(is_walked(plan, &index, &document) != Some(false), "a document that the plan leaves out");
        }
        sort_key(&request.sort, &document);
        assert!(project(&request.fields, document).is_object());
    }
});
