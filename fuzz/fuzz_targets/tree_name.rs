//! Keys as file names below a directory and back: what a server lists becomes a local path here.
//! An input is a prefix and the rest of a key, a line each.
#![no_main]

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use wfldb_client::tree::name::{directory_key_of, key_of, path_of};
use wfldb_core::name::ObjectKey;
use wfldb_fuzz::two_texts;

fuzz_target!(|input: &[u8]| {
    let Some((prefix, rest)) = two_texts(input) else { return };
    let prefix_fits = prefix.is_empty() || prefix.ends_with('/');
    let whole = format!("{prefix}{rest}");
    // No server has a key that is reserved.
    if !prefix_fits || ObjectKey::parse(&whole).map_or(true, |key| key.is_reserved()) {
        return;
    }
    let Ok(local) = path_of(prefix, rest) else { return };
    let base = Path::new("/target");
    let joined = base.join(&local.path);
    assert!(joined.starts_with(base) && joined != base, "outside the directory: {}", joined.display());
    assert!(local.path.components().all(|part| matches!(part, Component::Normal(_))));
    // What came down under its own name goes up as the same key.
    let again = if local.directory { directory_key_of(prefix, &local.path) } else { key_of(prefix, &local.path) };
    if local.unescaped {
        assert_eq!(again.map(|key| key.to_string()).as_deref(), Ok(whole.as_str()));
    }
});
