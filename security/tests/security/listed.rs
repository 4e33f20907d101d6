//! docs/SECURITY.md against the tree: what it lists is there, and what is here is listed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use wfldb_security::count;

const DOCUMENT: &str = "docs/SECURITY.md";

/// Every `path::name` of the document's code spans; `::name` alone is in the file of the one before.
fn listed(document: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut file = String::new();
    for span in document.split('`').skip(1).step_by(2) {
        let Some((path, name)) = span.split_once("::") else {
            continue;
        };
        if Path::new(path)
            .extension()
            .is_some_and(|extension| extension == "rs")
        {
            path.clone_into(&mut file);
        } else if !path.is_empty() {
            continue;
        }
        found.push((file.clone(), name.to_owned()));
    }
    found
}

#[test]
fn every_test_that_the_document_lists_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let document = fs::read_to_string(root.join(DOCUMENT)).unwrap();
    let listed = listed(&document);
    assert!(listed.len() > 60, "{}", listed.len());
    for (path, name) in &listed {
        let source = fs::read_to_string(root.join(path)).unwrap_or_else(|_| panic!("{path} is not there"));
        let place = source
            .find(&format!("fn {name}("))
            .unwrap_or_else(|| panic!("{path} has no {name}"));
        // The attribute is on one of the lines just before, or the function is in a `proptest!` block.
        let before: Vec<&str> = source[..place].lines().rev().collect();
        let attributes = before
            .iter()
            .skip_while(|line| line.trim().is_empty())
            .take_while(|line| line.trim_start().starts_with(['#', '/', 'r', ')', 'a']));
        let mut attributes = attributes.map(|line| line.trim_start());
        let is_test = attributes.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
        let is_law = before.iter().any(|line| line.contains("proptest!"));
        assert!(is_test || is_law, "{path}::{name} is no test");
    }
    count("tests that docs/SECURITY.md lists", listed.len());
}

#[test]
fn every_test_of_the_suite_is_listed() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(here.parent().unwrap().join(DOCUMENT)).unwrap();
    let listed: BTreeSet<(String, String)> = listed(&document).into_iter().collect();
    let mut cases = 0;
    for entry in fs::read_dir(here.join("tests/security")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let source = fs::read_to_string(&path).unwrap();
        let mut is_test = false;
        for line in source.lines() {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some(rest) = line
                .strip_prefix("fn ")
                .or_else(|| line.strip_prefix("async fn "))
            {
                let test = rest.split('(').next().unwrap().to_owned();
                let file = format!("security/tests/security/{name}");
                assert!(
                    !is_test || listed.contains(&(file, test.clone())),
                    "{name}::{test} is not in {DOCUMENT}"
                );
                cases += usize::from(is_test);
                is_test = false;
            }
        }
    }
    count("tests of the suite that are listed", cases);
}
