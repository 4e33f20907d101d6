//! Secrets in memory: wiped when dropped, never shown, compared in constant time. What no type can say is looked for in
//! the source.

use std::fs;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use wfldb_core::id::SecretKey;
use wfldb_core::session::{ExchangeSecret, SessionKey};
use wfldb_security::count;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// Where the product's code is.
const CRATES: [&str; 6] = [
    "wfldb-core",
    "wfldb-net",
    "wfldb-engine",
    "wfldb-server",
    "wfldb-client",
    "wfldb-admin",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every source file of the product, with its path from the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = CRATES.iter().map(|name| root().join(name).join("src")).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 200);
    found
}

/// Compiles only for what is wiped when it is dropped.
fn wiped<T: ZeroizeOnDrop>(_: PhantomData<T>) -> usize {
    1
}

#[test]
fn every_type_of_secrets_is_wiped_when_dropped() {
    let cases = wiped(PhantomData::<SecretKey>)
        + wiped(PhantomData::<SessionKey>)
        + wiped(PhantomData::<ExchangeSecret>)
        + wiped(PhantomData::<Zeroizing<[u8; 32]>>);
    count("types of secrets", cases);
}

/// Compares as constant as its kind: `true` only for types without `==`, by which of the two methods is nearer.
macro_rules! has_no_equality {
    ($type:ty) => {{
        struct Probe<T: ?Sized>(PhantomData<T>);
        trait Without {
            const IS_WITHOUT: bool = true;
        }
        impl<T: ?Sized> Without for Probe<T> {}
        impl<T: ?Sized + PartialEq> Probe<T> {
            #[expect(dead_code, reason = "it is there only to be preferred where `==` is")]
            const IS_WITHOUT: bool = false;
        }
        <Probe<$type>>::IS_WITHOUT
    }};
}

/// A defect it catches: `derive(PartialEq)` on a tag, after which `==` compares it byte by byte until one differs.
#[test]
fn what_proves_something_cannot_be_compared_with_equals() {
    assert!(has_no_equality!(wfldb_core::session::SessionTag));
    assert!(has_no_equality!(SessionKey));
    assert!(has_no_equality!(SecretKey));
    assert!(has_no_equality!(ExchangeSecret));
    count("types without equality", 4);
}

/// Every file that makes a MAC, and what in it compares one in constant time. A new one has to say how it does.
const MACS: [(&str, &str); 2] = [
    ("wfldb-core/src/session/key.rs", ".ct_eq("),
    // A `blake3::Hash`, whose `==` is in constant time.
    (
        "wfldb-server/src/cursor.rs",
        "fn mac(&self, subject: &KeyId, bucket: &BucketName, of: &Of<'_>, sealed: &[u8]) -> blake3::Hash",
    ),
];

#[test]
fn every_mac_is_compared_in_constant_time() {
    let mut cases = 0;
    for (name, source) in sources() {
        let code: String = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        let makes_one = ["keyed_hash(", "new_keyed(", "Hmac<", "hmac::"]
            .iter()
            .any(|call| code.contains(call));
        if !makes_one {
            continue;
        }
        let known = MACS.iter().find(|(known, _)| *known == name);
        let (_, comparison) = known.unwrap_or_else(|| panic!("{name} makes a MAC: how is it compared?"));
        assert!(
            source.contains(comparison),
            "{name} has another comparison than it had"
        );
        cases += 1;
    }
    assert_eq!(cases, MACS.len());
    count("comparisons of MACs", cases);
}

/// Defects it catches: 32 bytes of a secret in a plain array or text, which stay in memory after their owner; the store's
/// secret and the cursors' key were such.
#[test]
fn no_field_keeps_a_secret_in_memory_that_is_not_wiped() {
    // Public keys, and the keys by which values and places are ordered.
    const NOT_SECRET: [&str; 5] = [
        "wfldb-core/src/aggregate/groups.rs",
        "wfldb-core/src/aggregate/ordered.rs",
        "wfldb-core/src/doc/envelope.rs",
        "wfldb-core/src/verifier/mod.rs",
        "wfldb-engine/src/query/position.rs",
    ];
    let mut cases = 0;
    for (name, source) in sources() {
        for (number, line) in source.lines().enumerate() {
            let line = line.trim();
            let Some((field, kind)) = line.split_once(": ") else {
                continue;
            };
            let field = field.rsplit(' ').next().unwrap();
            let is_field = line.ends_with(',') && !line.contains(['(', '=', '"']) && !line.starts_with("//");
            let secret = ["key", "seed", "secret", "password"]
                .iter()
                .any(|word| field == *word || field.ends_with(&format!("_{word}")));
            if !is_field || !secret {
                continue;
            }
            cases += 1;
            let plain = kind.starts_with("[u8;") || kind.starts_with("Vec<u8>");
            assert!(
                !plain || NOT_SECRET.contains(&name.as_str()),
                "{name}:{}: {line}",
                number + 1
            );
        }
    }
    count("fields named for secrets", cases);
}

/// Defects it catches: a `derive(Debug)` or `Serialize` on a secret, and so a secret in a log line.
#[test]
fn secrets_show_their_type_and_nothing_else() {
    let seed = [0x5a; 32];
    let key = SecretKey::from_seed(seed);
    let text = key.to_wire();
    let exchange = ExchangeSecret::from_bytes(seed);
    for (shown, name) in [
        (format!("{key:?} {key:#?}"), "SecretKey"),
        (format!("{exchange:?} {exchange:#?}"), "ExchangeSecret"),
    ] {
        assert_eq!(shown, format!("{name} {name}"));
        assert!(!shown.contains(&text[4..12]) && !shown.contains("90") && !shown.contains("5a"));
    }
    let mut cases = 2;
    // None of them can be written by serde, whose derives would be on the lines before the type.
    for (name, source) in sources() {
        for kind in ["SecretKey", "SessionKey", "ExchangeSecret", "SessionTag"] {
            let Some(place) = source.find(&format!("pub struct {kind}(")) else {
                continue;
            };
            let before = source[..place].rsplit("\n\n").next().unwrap();
            let derives = before
                .lines()
                .filter(|line| line.starts_with("#[derive"))
                .collect::<String>();
            for derived in ["Serialize", "Debug", "PartialEq", "Hash", "Display"] {
                assert!(!derives.contains(derived), "{name}: {kind} derives {derived}");
            }
            cases += 1;
        }
    }
    assert_eq!(cases, 6);
    count("secrets shown", cases);
}
