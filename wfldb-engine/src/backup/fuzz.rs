//! The way in for the fuzz target of manifests. In no other build than its.

use std::path::{Component, Path};

use super::manifest::Manifest;

/// The text of `BACKUP.json`.
pub fn backup_manifest(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let dir = Path::new("/backup");
    let Ok(manifest) = Manifest::decode(dir, text) else {
        return;
    };
    for file in &manifest.files {
        let inside = Path::new(&file.path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        assert!(inside, "a path that leaves the backup: {}", file.path);
    }
    let text =
        String::from_utf8(manifest.encode().expect("a manifest that cannot be written")).expect("text");
    assert_eq!(Manifest::decode(dir, &text).expect("not read back"), manifest);
}
