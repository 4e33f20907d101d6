//! Which crate may use which (DESIGN's table): an edge that is not listed here is not allowed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const EDGES: [(&str, &[&str]); 8] = [
    ("schemas", &[]),
    ("wfldb-core", &[]),
    ("wfldb-net", &["wfldb-core", "wfldb-schemas"]),
    ("wfldb-engine", &["wfldb-core", "wfldb-schemas"]),
    ("wfldb-text", &["wfldb-core", "wfldb-engine"]),
    (
        "wfldb-server",
        &["wfldb-core", "wfldb-net", "wfldb-engine", "wfldb-text"],
    ),
    ("wfldb-client", &["wfldb-core", "wfldb-net"]),
    ("wfldb-admin", &["wfldb-core", "wfldb-client", "wfldb-engine"]),
];

/// Our own crates among a manifest's dependencies, those of its tests left out.
fn edges(manifest: &str) -> BTreeSet<String> {
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section == "[dependencies]" && line.starts_with("wfldb-") {
            found.extend(line.split(['.', ' ', '=']).next().map(str::to_owned));
        }
    }
    found
}

#[test]
fn no_crate_uses_what_it_may_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (folder, allowed) in EDGES {
        let manifest = fs::read_to_string(root.join(folder).join("Cargo.toml")).unwrap();
        for edge in edges(&manifest) {
            assert!(allowed.contains(&edge.as_str()), "{folder} must not use {edge}");
        }
    }
}
