//! The files of a mirror: names that no key can abuse, bytes that are a function of the state.

use std::collections::HashMap;

use proptest::prelude::*;
use wfldb_core::doc::{Value, canonical, parse};
use wfldb_core::mirror::{FileKind, FileName, Manifest, Shard, bucket_dir, pretty};
use wfldb_core::name::{BucketName, ObjectKey};

const KINDS: [FileKind; 2] = [FileKind::Document, FileKind::Object];

fn name(key: &str, kind: FileKind) -> String {
    FileName::of(&ObjectKey::parse(key).unwrap(), kind)
        .as_str()
        .to_owned()
}

/// What every file system takes, Windows' and git's rules included, and nothing of the mirror's own.
fn is_safe(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_lowercase();
    let device = ["con", "prn", "aux", "nul"].contains(&stem.as_str())
        || (stem.len() == 4
            && (stem.starts_with("com") || stem.starts_with("lpt"))
            && stem.ends_with(|last: char| last.is_ascii_digit()));
    let shard = name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-%+".contains(&byte))
        && (1..=255).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && !name.ends_with('.')
        && !device
        && !shard
        && !name.eq_ignore_ascii_case(Manifest::FILE)
}

#[test]
fn names_are_what_they_are() {
    for (key, document, object) in [
        ("user-123", "user-123.json", "user-123"),
        ("a", "a.json", "a"),
        ("a/b", "a%2fb.json", "a%2fb"),
        ("a.json", "a.json.json", "a.json"),
        ("3f", "3f.json", "%33f"),
        ("Abc", "Abc+1.json", "Abc+1"),
        ("abcdE", "abcdE+01.json", "abcdE+01"),
        ("01JG-k", "01JG-k+3.json", "01JG-k+3"),
        ("con", "%63on.json", "%63on"),
        ("LPT1.txt", "%4cPT1.txt+7.json", "%4cPT1.txt+7"),
        (".git/config", "%2egit%2fconfig.json", "%2egit%2fconfig"),
        (".metadata.json", "%2emetadata.json.json", "%2emetadata.json"),
        ("MANIFEST.sha256", "MANIFEST.sha256+ff.json", "MANIFEST.sha256+ff"),
        ("-rf", "%2drf.json", "%2drf"),
        ("ends.", "ends%2e.json", "ends%2e"),
        ("ends ", "ends%20.json", "ends%20"),
        ("ä", "%c3%a4.json", "%c3%a4"),
        ("git~1", "git%7e1.json", "git%7e1"),
        ("50%", "50%25.json", "50%25"),
    ] {
        assert_eq!(
            (name(key, FileKind::Document), name(key, FileKind::Object)),
            (document.to_owned(), object.to_owned()),
            "{key}"
        );
    }
    let long = name(&"ä".repeat(512), FileKind::Document);
    assert!(
        long.starts_with("%c3%a4%c3") && long.contains("a4++") || long.contains("c3++"),
        "{long}"
    );
    assert_eq!(
        Shard::of(&ObjectKey::parse("a").unwrap()).dir(),
        "ca",
        "as sha256sum says"
    );
    for (bucket, dir) in [
        ("users", "users"),
        ("log", "%6cog"),
        ("keys", "%6beys"),
        ("con", "%63on"),
    ] {
        assert_eq!(bucket_dir(&BucketName::parse(bucket).unwrap()), dir);
    }
}

/// Keys that are made to collide.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("a"),
        Just("A"),
        Just("ä"),
        Just("a\u{308}"),
        Just("/"),
        Just("."),
        Just("%"),
        Just("+"),
        Just("~"),
        Just(" "),
        Just("-"),
        Just("con"),
        Just("CON"),
        Just("com1"),
        Just(".json"),
        Just("3f"),
        Just("%2f"),
        Just("+1"),
        Just("++"),
        Just("\\"),
        Just(":"),
        Just("_"),
        Just("ſ"),
        Just("K"),
        Just("ı"),
        Just(
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
        ),
    ];
    prop::collection::vec(piece, 1..9).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Defects it catches: a key that leaves the directory, is one of the mirror's own files, or a device.
    #[test]
    fn every_name_is_safe(key in prop_oneof![hostile(), "\\PC{1,64}"]) {
        let Ok(key) = ObjectKey::parse(&key) else { return Ok(()) };
        for kind in KINDS {
            let name = FileName::of(&key, kind);
            prop_assert!(is_safe(name.as_str()), "{key} is {}", name.as_str());
        }
    }

    /// Defects it catches: twins by case, by composition, by the spelling of a byte, by being cut.
    #[test]
    fn two_keys_have_two_names(keys in prop::collection::vec(hostile(), 2..40)) {
        for kind in KINDS {
            let mut names: HashMap<String, &str> = HashMap::new();
            for key in &keys {
                let Ok(parsed) = ObjectKey::parse(key) else { continue };
                let folded = FileName::of(&parsed, kind).as_str().to_lowercase();
                if let Some(other) = names.insert(folded, key) {
                    prop_assert_eq!(other, key);
                }
            }
        }
    }

    /// Defects it catches: a file that is taken for another key's, or for no key's.
    #[test]
    fn a_name_leads_back_to_its_key_and_nothing_else_does(
        key in prop_oneof![hostile(), "\\PC{1,64}", "[äA]{60,300}"],
        strange in "[a%+.2fA]{0,12}",
    ) {
        let Ok(key) = ObjectKey::parse(&key) else { return Ok(()) };
        for kind in KINDS {
            let name = FileName::of(&key, kind);
            match FileName::beginning(name.as_str(), kind) {
                None => prop_assert_eq!(FileName::key(name.as_str(), kind), Some(key.clone())),
                Some(beginning) => {
                    prop_assert!(key.as_str().starts_with(&beginning) && beginning.len() >= 30);
                    prop_assert_eq!(FileName::key(name.as_str(), kind), None);
                }
            }
            if let Some(key) = FileName::key(&strange, kind) {
                prop_assert_eq!(FileName::of(&key, kind).as_str().to_owned(), strange.clone());
            }
            prop_assert_eq!(FileName::beginning(&strange, kind), None);
        }
    }

    /// Defects it catches: a string whose bytes are taken for structure; two spellings of one document.
    #[test]
    fn pretty_says_the_same(text in prop_oneof![Just("{}"), Just(r#"{"a":[],"b":{"c":"x\"y\\","d":[1,{"e":null}]}}"#), Just(r#"{"a\\":"{[,:]}","b":-1.5e-7}"#)], extra in "\\PC{0,20}") {
        let mut value = parse(text.as_bytes()).unwrap();
        value["z"] = Value::String(extra);
        let canonical_text = canonical(&value);
        let shown = pretty(&canonical_text);
        prop_assert_eq!(&parse(&shown).unwrap(), &value);
        prop_assert_eq!(canonical(&parse(&shown).unwrap()), canonical_text);
    }
}

#[test]
fn pretty_is_what_it_is() {
    let shown = pretty(br#"{"a":[1,{"b":{}}],"c":"x: {","d":[]}"#);
    let expected =
        "{\n  \"a\": [\n    1,\n    {\n      \"b\": {}\n    }\n  ],\n  \"c\": \"x: {\",\n  \"d\": []\n}\n";
    assert_eq!(String::from_utf8(shown).unwrap(), expected);
}

/// Defects it catches: a manifest with two spellings; a path that leads elsewhere.
#[test]
fn a_manifest_is_read_in_its_one_spelling() {
    let mut manifest = Manifest::default();
    manifest.set("b.json", Some([1; 32]));
    manifest.set(".deleted/a.json", Some([2; 32]));
    manifest.set("gone.json", Some([3; 32]));
    manifest.set("gone.json", None);
    let text = manifest.to_text();
    assert_eq!(Manifest::parse(&text), Ok(manifest));
    let one = format!("{}  a\n", "00".repeat(32));
    assert!(Manifest::parse(&one).is_ok() && Manifest::parse("").is_ok());
    for bad in [
        one.replace("  ", " "),
        one.trim_end().to_owned(),
        one.replace("00  ", "0A  "),
        one.replace("  a", "  ../a"),
        one.replace("  a", "  /a"),
        one.replace("  a", "  a\\b"),
        format!("{one}{one}"),
        format!("{}{one}", one.replace("  a", "  b")),
        "\n".to_owned(),
    ] {
        assert!(Manifest::parse(&bad).is_err(), "{bad:?}");
    }
}
